"""Registries for tests: Debian's docker-registry on a port of its own, and images to put into one."""

import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tarfile
import tempfile
import threading
import time

import harness
from harness import Failed, check, command

# bcrypt of PASSWORD: docker-registry takes no other kind.
USER, PASSWORD = "alice", "wonderland"
HTPASSWD = "alice:$2b$04$SyzTjEGHaDAwFRMY5QGJg.OMa.GYh1eB6DJPprPmFZ.TruHbLaFTy\n"

# A registry's name that is not this machine's: it is reached through Elsewhere.
ELSEWHERE = "registry.example"

OCI = "application/vnd.oci.image."


def sha(data):
    return hashlib.sha256(data).hexdigest()


def stores(name):
    """The variables of an sbx with a store of its own: somebody else, as far as it can tell."""
    return harness.environment(XDG_DATA_HOME=os.path.join(harness.base(), f"data-{name}"))


# ---- images ---------------------------------------------------------------------------------


def make_layer(files):
    """The tar and the gzip of {name: bytes}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(data), 1700000000, 0o644
            tar.addfile(member, io.BytesIO(data))
    tar = out.getvalue()
    return tar, gzip.compress(tar, 1, mtime=0)


class Image:
    """An OCI image in memory: blobs by digest, and its manifest."""

    def __init__(self, layers, architecture="amd64"):
        self.blobs = {}
        self.layers, diffs = [], []
        for files in layers:
            tar, packed = make_layer(files)
            diffs.append("sha256:" + sha(tar))
            self.layers.append(self.add(packed, OCI + "layer.v1.tar+gzip"))
        config = {"architecture": architecture, "os": "linux", "config": {"Env": ["COLOUR=red"]},
                  "rootfs": {"type": "layers", "diff_ids": diffs}}
        self.config = self.add(json.dumps(config).encode(), OCI + "config.v1+json")
        self.build()

    def build(self, **more):
        """The manifest anew, after a change."""
        self.text = json.dumps({"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
                                "config": self.config, "layers": self.layers, **more}).encode()
        self.digest = sha(self.text)

    def add(self, data, media_type):
        self.blobs[sha(data)] = data
        return {"mediaType": media_type, "digest": "sha256:" + sha(data), "size": len(data)}

    def layout(self):
        """As an OCI image layout, in a folder of its own."""
        folder = tempfile.mkdtemp(prefix="layout", dir=harness.base())
        os.makedirs(os.path.join(folder, "blobs/sha256"))
        for digest, data in [*self.blobs.items(), (self.digest, self.text)]:
            with open(os.path.join(folder, "blobs/sha256", digest), "wb") as f:
                f.write(data)
        index = {"schemaVersion": 2, "manifests": [
            {"mediaType": OCI + "manifest.v1+json", "digest": "sha256:" + self.digest,
             "size": len(self.text), "annotations": {"org.opencontainers.image.ref.name": "1"}}]}
        for name, text in (("index.json", index), ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                json.dump(text, f)
        return f"oci:{folder}:1"


def skopeo(*args, **kw):
    return command([harness.need_program("skopeo"), *args], **kw).ok()


# ---- a real registry ------------------------------------------------------------------------


def make_ca(folder):
    """An authority and a certificate of 127.0.0.1 and ELSEWHERE by it: ca.crt, host.crt, host.key."""
    openssl = harness.need_program("openssl")
    run = lambda *args: command([openssl, *args], cwd=folder).ok()
    with open(os.path.join(folder, "ext"), "w", encoding="utf-8") as f:
        f.write(f"subjectAltName=IP:127.0.0.1,DNS:{ELSEWHERE}\n")
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
        "/CN=sbx test authority", "-days", "2", "-keyout", "ca.key", "-out", "ca.crt")
    run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
        "/CN=127.0.0.1", "-keyout", "host.key", "-out", "host.csr")
    run("x509", "-req", "-in", "host.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "2", "-extfile", "ext", "-out", "host.crt")


class Registry:
    """docker-registry on a free port of 127.0.0.1; its files and log are in .dir."""

    def __init__(self, auth=False, tls=False):
        self.dir = tempfile.mkdtemp(prefix="registry", dir=harness.base())
        http = "  addr: 127.0.0.1:0\n"
        more = ""
        if tls:
            make_ca(self.dir)
            http += f"  tls:\n    certificate: {self.dir}/host.crt\n    key: {self.dir}/host.key\n"
        if auth:
            self.write("htpasswd", HTPASSWD)
            more = f"auth:\n  htpasswd:\n    realm: test\n    path: {self.dir}/htpasswd\n"
        self.write("config.yml", "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n"
                   f"    rootdirectory: {self.dir}/data\nhttp:\n{http}{more}")

    def write(self, name, text):
        with open(os.path.join(self.dir, name), "w", encoding="utf-8") as f:
            f.write(text)

    def __enter__(self):
        program = harness.need_program("docker-registry")
        with open(os.path.join(self.dir, "log"), "wb") as log:
            self.process = subprocess.Popen([program, "serve", "config.yml"], cwd=self.dir, stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL,
                                            env=harness.environment(http_proxy=None, https_proxy=None))
        end = time.monotonic() + 60
        while True:
            found = re.search(r"listening on 127\.0\.0\.1:(\d+)", self.log())
            if found:
                break
            if self.process.poll() is not None or time.monotonic() > end:
                raise Failed("docker-registry did not start:\n" + self.log()[-2000:])
            time.sleep(0.02)  # polls: its log is a file, for the tests to read
        self.host = f"127.0.0.1:{found.group(1)}"
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait(20)
        return False

    def log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    @contextlib.contextmanager
    def requests(self):
        """A list that, when the context ends, has the requests of meanwhile: "GET /v2/… 200"."""
        seen = []
        before = len(self.log())
        yield seen
        for line in self.log()[before:].splitlines():
            found = re.search(r'"([A-Z]+ \S+) HTTP/[\d.]+" (\d+)', line)
            if found:
                seen.append(f"{found.group(1)} {found.group(2)}")

    def put(self, image, name, *options):
        """By skopeo, so that it is somebody else's work."""
        skopeo("copy", "-q", "--dest-tls-verify=false", *options, image.layout(),
               f"docker://{self.host}/{name}")
        return f"{self.host}/{name}"

    def digest(self, name, *options):
        """What skopeo says is there: of the manifest's bytes."""
        raw = skopeo("inspect", "--raw", "--tls-verify=false", *options,
                     f"docker://{self.host}/{name}").raw
        return sha(raw)


def sound(p, env=None):
    """fsck finds nothing, and nothing is left of what was begun."""
    p.sbx("fsck", env=env or p.env).ok()
    data = (env or p.env)["XDG_DATA_HOME"]
    litter = os.listdir(os.path.join(data, "sbx/tmp"))
    check(not litter, f"left in tmp/: {litter}")


# ---- proxies --------------------------------------------------------------------------------


class Proxy:
    """A server on loopback before the one at `host`: each connection is a thread in `carry`."""

    def __init__(self, host):
        address, port = host.split(":")
        self.target = address, int(port)

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *exc):
        # A thread in accept() is woken by this, not by close().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        return False

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    @staticmethod
    def copy(source, to, allowed):
        """To the end, or until so many bytes are through: true."""
        with contextlib.suppress(OSError):
            while allowed is None or allowed > 0:
                data = source.recv(1 << 16)
                if not data:
                    to.shutdown(socket.SHUT_WR)
                    return False
                data = data[:allowed]
                to.sendall(data)
                if allowed is not None:
                    allowed -= len(data)
            return True
        return False


# ---- another machine ------------------------------------------------------------------------


class Elsewhere(Proxy):
    """
    A proxy that leads each connection (CONNECT) to one registry of this machine, so that it is on another one, as far as
    sbx can tell.  `.env` has the variables for it, and knows the authority in `ca`.
    """

    def __init__(self, registry, env):
        super().__init__(registry.host)
        self.ca, self.wanted, self.base = registry.dir, [], env

    def __enter__(self):
        super().__enter__()
        config = tempfile.mkdtemp(prefix="config", dir=harness.base())
        certs = os.path.join(config, "containers/certs.d", ELSEWHERE)
        os.makedirs(certs)
        shutil.copy(os.path.join(self.ca, "ca.crt"), certs)
        self.env = dict(self.base, XDG_CONFIG_HOME=config, http_proxy="", no_proxy="",
                        https_proxy=f"http://{self.host}")
        return self

    def login(self):
        """As `sbx login` writes it."""
        word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        with open(os.path.join(self.env["XDG_CONFIG_HOME"], "containers/auth.json"), "w", encoding="ascii") as f:
            json.dump({"auths": {ELSEWHERE: {"auth": word}}}, f)

    def carry(self, client):
        with client, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            self.wanted.append(head.split()[1].decode())
            with socket.create_connection(self.target) as server:
                client.sendall(b"HTTP/1.1 200 there\r\n\r\n")
                back = threading.Thread(target=self.copy, args=(server, client, None), daemon=True)
                back.start()
                self.copy(client, server, None)
                back.join(60)


# ---- a line that breaks ---------------------------------------------------------------------


class Cutter(Proxy):
    """
    A proxy on loopback before a registry at `host`: of what a client sends, it lets through as many bytes as
    `allowance()` says for each connection (None: all), then cuts, to both sides.  `cuts` counts.
    """

    def __init__(self, host, allowance):
        super().__init__(host)
        self.allowance, self.cuts = allowance, 0

    def carry(self, client):
        with client, contextlib.suppress(OSError), socket.create_connection(self.target) as server:
            back = threading.Thread(target=self.copy, args=(server, client, None), daemon=True)
            back.start()
            if self.copy(client, server, self.allowance()):
                self.cuts += 1
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.shutdown(socket.SHUT_RDWR)
                server.shutdown(socket.SHUT_RDWR)
            back.join(60)
