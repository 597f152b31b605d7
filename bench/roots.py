"""What bench/load and bench/push share: a Debian root as a tar and as an OCI image, and commands into new folders.

The harness is bench/start's (bench/README.md).
"""

import argparse
import atexit
import glob
import gzip
import hashlib
import importlib.machinery
import importlib.util
import io
import json
import os
import pwd
import shutil
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = 7
UNSHARE = ["/usr/bin/unshare", "--map-auto", "--map-root-user"]
KIND = "application/vnd.oci.image."


def load_start():
    """bench/start as a module: it has no suffix by which Python would find it."""
    spec = importlib.util.spec_from_loader("start", importlib.machinery.SourceFileLoader(
        "start", os.path.join(HERE, "start")))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


start = load_start()


def tests():
    """Where tests/ is: beside bench/, here and where it is staged."""
    return os.path.join(os.environ.get("SBX_TEST_STAGE") or os.path.dirname(HERE), "tests")


def debian(given, top):
    """A Debian root as a tar: the given one, or one that is made; without devices, which no ordinary user can make."""
    made = given or os.path.join(top, "debian.tar")
    if not given:
        print("making a Debian root", file=sys.stderr)
        subprocess.run(["sh", os.path.join(tests(), "debian-root"), made], check=True)
    to = os.path.join(top, "root.tar")
    with tarfile.open(made) as old, tarfile.open(to, "w", format=tarfile.PAX_FORMAT) as new:
        for m in old:
            if not m.isdev() or m.isfifo():
                new.addfile(m, old.extractfile(m) if m.isreg() else io.BytesIO())
    return to


def compress(tar):
    with open(tar, "rb") as f, open(tar + ".gz", "wb") as out:
        out.write(gzip.compress(f.read(), 6, mtime=0))
    return tar + ".gz"


class Layout:
    """An OCI layout of one layer in .folder, and the archive of it, .archive."""

    def __init__(self, folder, tar, packed):
        """`packed` is the layer as it is sent: `tar` itself, or the gzip of it."""
        self.folder, self.archive = folder, folder + ".tar"
        os.makedirs(os.path.join(folder, "blobs", "sha256"))
        with open(tar, "rb") as f:
            diff = hashlib.sha256(f.read()).hexdigest()
        with open(packed, "rb") as f:
            layer = self.blob(f.read())
        layer["mediaType"] = KIND + "layer.v1.tar" + ("" if packed == tar else "+gzip")
        config = self.blob(json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {
            "type": "layers", "diff_ids": ["sha256:" + diff]}}).encode())
        config["mediaType"] = KIND + "config.v1+json"
        manifest = self.blob(json.dumps({"schemaVersion": 2, "mediaType": KIND + "manifest.v1+json",
                                         "config": config, "layers": [layer]}).encode())
        manifest.update(mediaType=KIND + "manifest.v1+json",
                        annotations={"org.opencontainers.image.ref.name": "latest"})
        for name, data in (("oci-layout", {"imageLayoutVersion": "1.0.0"}),
                           ("index.json", {"schemaVersion": 2, "manifests": [manifest]})):
            with open(os.path.join(folder, name), "w", encoding="ascii") as f:
                json.dump(data, f)
        with tarfile.open(self.archive, "w") as t:
            for name in ("oci-layout", "index.json", "blobs"):
                t.add(os.path.join(folder, name), name)

    def blob(self, data):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(self.folder, "blobs", "sha256", digest), "wb") as f:
            f.write(data)
        return {"digest": "sha256:" + digest, "size": len(data)}


def remove(folder):
    """With what lies there of subordinate ids."""
    subprocess.run([*UNSHARE, "rm", "-rf", folder], check=False)


def into_new(name, command, folder, env, before=None):
    """
    A case whose command writes into `folder`, which is new each time.  What the command leaves unwritten is
    written (`sync -f`) within its time.
    """
    path = shutil.which(command[0])
    if not path:
        return start.Case(name, why=f"{command[0]} is not installed")

    def prepare():
        remove(folder)
        os.mkdir(folder, 0o700)
        if before:
            before()
        subprocess.run(["sync", "-f", folder], check=True)

    return start.Case(name, ["/bin/sh", "-c", '"$@" && sync -f "$0"', folder, path, *command[1:]], env, "/", prepare)


def podman(folder, *words):
    """With a store of its own in the folder."""
    # A run root of more than 50 characters is refused.
    run = os.path.join("/tmp", "sbx-bench-" + hashlib.sha256(folder.encode()).hexdigest()[:8])
    atexit.register(shutil.rmtree, run, True)
    return ["podman", "--root", folder + "/root", "--runroot", run, *words]


def become_user(script, args):
    """As root: the test user with subordinate ids, in a clean environment."""
    words = ["-n", str(args.rounds)] + (["--json"] if args.json else []) + (["--tar", args.tar] if args.tar else [])
    os.execv("/bin/sh", ["sh", os.path.join(tests(), "as-user"), "sub", script, *words])


def read_words(script, summary):
    parser = argparse.ArgumentParser(prog="bench/" + os.path.basename(script), description=summary.split("\n", 1)[0])
    parser.add_argument("-n", "--rounds", type=int, default=ROUNDS, help=f"how often [{ROUNDS}]")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--tar", help="the root, as a tar; else mmdebstrap makes one")
    args = parser.parse_args()
    args.tar = args.tar and os.path.abspath(args.tar)
    return args


def main(script, summary, make_rows):
    """make_rows(sbx, tar, top) gives the rows, and a function that ends what they started."""
    args = read_words(script, summary)
    if os.geteuid() == 0:
        become_user(os.path.abspath(script), args)
    home = pwd.getpwuid(os.getuid()).pw_dir
    for left in glob.glob(os.path.join(home, "sbx-bench-*")):
        print(f"{script}: left over from a run that was killed: {left}", file=sys.stderr)
    top = tempfile.mkdtemp(prefix="sbx-bench-", dir=home)
    end = None
    try:
        tar = debian(args.tar, top)
        sbx, peer = start.Sbx(top), start.Podman(top)
        told = start.facts(sbx, peer, top)
        peer.end()
        told["root"] = f"{os.path.getsize(tar) >> 20} MiB"
        rows, end = make_rows(sbx, tar, top)
        start.run_rounds(list(dict.fromkeys(row.case for row in rows)), args.rounds)
    finally:
        if end:
            end()
        os.chdir("/")
        remove(top)
    if args.json:
        print(start.as_json(told, rows))
    else:
        for key, value in told.items():
            print(f"{key + ':':13}{value}")
        print()
        start.table(rows)
    return 1 if any(row.case.why for row in rows if row.case.name.startswith("sbx")) else 0
