"""Small roots for image tests: a shell and a few programs of the host's, as tars and image layouts."""

import functools
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile

PROGRAMS = ("bash", "dash", "cat", "chmod", "chown", "env", "id", "ln", "ls", "mkdir", "rm", "stat", "touch", "true")


def libraries(path):
    """What the dynamic linker would load for it, itself included."""
    listed = subprocess.run(["ldd", path], stdout=subprocess.PIPE, check=True, text=True).stdout
    return re.findall(r"(/\S+) \(0x", listed)


@functools.lru_cache(maxsize=None)
def program_files():
    """{path in the root: file of the host's}"""
    files = {}
    for name in PROGRAMS:
        path = os.path.realpath(shutil.which(name))
        files["usr/bin/" + name] = path
        for library in libraries(path):
            inside = library.lstrip("/")
            if not inside.startswith("usr/"):
                inside = "usr/" + inside
            files[inside] = os.path.realpath(library)
    return files


def entry(name, kind=tarfile.REGTYPE, mode=0o644, data=b"", link=""):
    """(member, content)"""
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname, member.mtime = kind, mode, link, 1000000000
    member.size = len(data)
    return member, data


def folder(name, mode=0o755):
    return entry(name, tarfile.DIRTYPE, mode)


def link(name, target):
    return entry(name, tarfile.SYMTYPE, 0o777, link=target)


def tar_of(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, data in entries:
            tar.addfile(member, io.BytesIO(data) if member.isreg() else None)
    return out.getvalue()


def system(without=()):
    """Entries of a root in which a shell runs; top-level names in `without` are left out."""
    entries = [folder("."), folder("usr"), folder("usr/bin"), folder("usr/lib"), folder("usr/lib64"),
               folder("etc"), folder("tmp", 0o1777), folder("var"), folder("home"), folder("root", 0o700),
               link("bin", "usr/bin"), link("lib", "usr/lib"), link("lib64", "usr/lib64"),
               link("usr/bin/sh", "dash"),
               entry("etc/passwd", data=b"root:x:0:0:root:/root:/bin/bash\n"),
               entry("etc/group", data=b"root:x:0:\n"),
               entry("etc/resolv.conf", data=b"nameserver 192.0.2.7\n"),
               entry("etc/issue", data=b"of the image\n")]
    made = {member.name for member, _ in entries}
    for inside, path in sorted(program_files().items()):
        parts = inside.split("/")
        for i in range(1, len(parts)):
            parent = "/".join(parts[:i])
            if parent not in made:
                entries.append(folder(parent))
                made.add(parent)
        with open(path, "rb") as f:
            entries.append(entry(inside, mode=0o755, data=f.read()))
    return [e for e in entries if e[0].name.split("/")[0] not in without]


@functools.lru_cache(maxsize=4)
def packed(layer):
    return gzip.compress(layer, 1, mtime=0)


class Layout:
    """An OCI image layout in a folder."""

    def __init__(self, path):
        self.path = path
        self.manifests = []
        os.makedirs(os.path.join(path, "blobs/sha256"))
        with open(os.path.join(path, "oci-layout"), "w", encoding="ascii") as f:
            f.write('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(self.path, "blobs/sha256", digest), "wb") as f:
            f.write(data)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    def image(self, tag, layers, **config):
        """Layers are tars, the lowest first; gives the manifest's digest."""
        media = "application/vnd.oci.image."
        descriptors = [self.blob(packed(layer), media + "layer.v1.tar+gzip")
                       for layer in layers]
        made = json.dumps({
            "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64", "os": "linux",
            "config": config,
            "rootfs": {"type": "layers",
                       "diff_ids": ["sha256:" + hashlib.sha256(t).hexdigest() for t in layers]},
            "history": [{"created_by": f"layer {i}"} for i in range(len(layers))]}).encode()
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": media + "manifest.v1+json",
            "config": self.blob(made, media + "config.v1+json"), "layers": descriptors}).encode()
        d = self.blob(manifest, media + "manifest.v1+json")
        d["annotations"] = {"org.opencontainers.image.ref.name": tag}
        self.manifests = [m for m in self.manifests
                          if m["annotations"]["org.opencontainers.image.ref.name"] != tag] + [d]
        with open(os.path.join(self.path, "index.json"), "w", encoding="ascii") as f:
            json.dump({"schemaVersion": 2, "manifests": self.manifests}, f)
        return d["digest"][7:]
