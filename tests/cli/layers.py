"""What the tests of layers share: bases, states that can be compared, and a look into the store."""

import hashlib
import json
import os
import shutil
import subprocess

import harness
from harness import Failed, Project, check

HERE = os.path.dirname(os.path.abspath(__file__))
SOAK = os.environ.get("SBX_SOAK") == "1"

COLD = harness.NO_NET + "[sandbox]\nlinger = 0s\n"
WARM = harness.NO_NET + "[sandbox]\nlinger = 600s\n"
# A root in a folder, with the host's programs.
DIR_BASE = "[base]\nimage = dir:./root\n[mounts]\n/usr = /usr:ro\n"

# What an environment's folder may hold when nobody uses it.
ENV_NAMES = {"env.json", "work", "home", "run", "lock", "start"}

# One line for each entry of the places that the tests change: cheaper than inside.py, which needs Python.
LOOK = ("find /opt/a /opt/full /etc/sbxtest -printf '%p %y %m %U %G %T@ %l %s\\n' 2>/dev/null | "
        "sed 's/\\.[0-9]* / /; / d /s/ [0-9]*$//' | sort; "
        "find /opt/a /opt/full /etc/sbxtest -type f 2>/dev/null | sort | xargs -r cat | sha256sum")


def project(ini=COLD, base="host", env=None):
    """A project whose base is the host's root, or a folder with an /etc and an /opt of its own."""
    p = Project(ini=(DIR_BASE if base == "dir" else "") + ini)
    shutil.copy(os.path.join(HERE, "inside.py"), p.path("inside.py"))
    p.env.update(env or {})
    if base == "dir":
        make_root(p.path("root"))
        p.allow()
    return p


def make_root(path):
    for name in ("dev", "etc", "opt/lower/one/two", "opt/lower/three", "proc", "root", "run", "sys", "tmp",
                 "usr", "var/tmp", "home"):
        os.makedirs(os.path.join(path, name))
    for name in ("bin", "sbin", "lib", "lib64"):
        os.symlink("usr/" + name, os.path.join(path, name))
    for name in ("passwd", "group", "ld.so.cache", "nsswitch.conf"):
        shutil.copy(os.path.join("/etc", name), os.path.join(path, "etc", name))
    for n in range(40):
        where = ("opt/lower", "opt/lower/one", "opt/lower/one/two", "opt/lower/three", "etc")[n % 5]
        with open(os.path.join(path, where, f"f{n}"), "w", encoding="ascii") as f:
            f.write(f"lower {n}\n" * n)
    os.symlink("f1", os.path.join(path, "opt/lower/one/link"))


def as_root(p, script, **kw):
    """A script by the sandbox's root."""
    return p.run("sudo", "sh", "-ec", script, **kw)


def snapshot(p, *folders):
    """The lines of inside.py's snapshot; the sandbox's root sees all."""
    return p.run("sudo", "python3", "inside.py", "snapshot", *folders, limit=300).ok().out.splitlines()


def difference(wanted, got, most=8):
    lost = [line for line in wanted if line not in set(got)]
    more = [line for line in got if line not in set(wanted)]
    return "\n".join(["-" + line[:300] for line in lost[:most]] + ["+" + line[:300] for line in more[:most]])


def same(wanted, got, what):
    if wanted != got:
        raise Failed(f"{what}: {len(wanted)} entries before, {len(got)} after\n{difference(wanted, got)}")


class Busy:
    """A command that runs until closed: the sandbox is in use."""

    def __init__(self, p, env="default"):
        self.worker = p.start("run", "-e", env, "sh", "-c", "echo up; cat")
        harness.read_until(self.worker.stdout, b"up\n")

    def close(self):
        """Its end, whichever it has."""
        self.worker.stdin.close()
        harness.wait_process(self.worker)
        self.worker.stdout.close()
        self.worker.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
        return False


def commit(p, *more):
    """The new layer's digest, or None where nothing had changed."""
    out = p.sbx("commit", *more, limit=300).ok().out.strip()
    if not out:
        return None
    check(len(out) == 64 and set(out) <= set("0123456789abcdef"), f"a digest on stdout, got {out!r}")
    return out


def log(p, *more):
    """The digests of the chain, the newest first, as `log` tells them."""
    return [e["digest"] for e in p.sbx("log", "--json", *more).json()]


def store_of(p):
    return os.path.join(p.env["XDG_DATA_HOME"], "sbx")


def names(folder):
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []


def chains(store):
    """Environment → (digests of its chain, the name of its upper), read from env.json."""
    found = {}
    for name in names(os.path.join(store, "envs")):
        with open(os.path.join(store, "envs", name, "env.json"), encoding="utf-8") as f:
            data = json.load(f)
        found[name] = ([e["digest"] for e in data["chain"]], f"upper.{data['upper']}")
    return found


def litter(store):
    """What should not be in a store that nobody uses; gc was not run."""
    found = ["tmp/" + name for name in names(os.path.join(store, "tmp"))]
    for folder in ("", "tags", "layers", "envs"):
        found += [f"{folder}/{name}" for name in names(os.path.join(store, folder)) if name.startswith(".")]
    for env, (_, upper) in chains(store).items():
        for name in names(os.path.join(store, "envs", env)):
            if name not in ENV_NAMES and name != upper:
                found.append(f"envs/{env}/{name}")
    return found


def unreachable(store):
    """Layers that no environment and no tag names."""
    used = {d for chain, _ in chains(store).values() for d in chain}
    for name in names(os.path.join(store, "tags")):
        if name.startswith("."):
            continue
        with open(os.path.join(store, "tags", name), encoding="utf-8") as f:
            used |= {e["digest"] for e in json.load(f)["chain"]}
    return [d for d in names(os.path.join(store, "layers")) if d not in used]


def in_namespace(*argv):
    """A command by root of a user namespace with all ids of this user: what can copy and remove a store."""
    who = ["--map-root-user"] + (["--map-auto"] if harness.has_subids() else [])
    done = subprocess.run(["unshare", "--user", *who, *argv], stdin=subprocess.DEVNULL,
                          capture_output=True, check=False, timeout=120)
    if done.returncode != 0:
        raise Failed(f"{argv}: {done.stderr.decode(errors='replace')[-1000:]}")
    return done.stdout


def copy_store(source, target):
    in_namespace("cp", "-a", "--reflink=auto", source, target)


def remove_store(path):
    in_namespace("rm", "-rf", path)


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
