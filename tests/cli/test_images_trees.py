#!/usr/bin/python3
"""
What other people's tools write, entry by entry: images of two layers, the second of which deletes, replaces and empties,
by buildah, podman and umoci, show in sbx what they show in the tool; and what a layer says to an overlay is not heard.
"""

import contextlib
import io
import os
import shutil
import tarfile
import tempfile

import harness
import layers
import roots
from harness import Project, check, command, equal, limit, need_program

HERE = os.path.dirname(os.path.abspath(__file__))
UNSHARE = ["unshare", "--map-auto", "--map-root-user"]
# The host's programs, so that the same Python looks at all of them.
INI = layers.COLD + "[base]\nimage = localhost/tree:1\n[mounts]\n/usr = /usr:ro\n"

FIRST = r"""set -e
cd "$1"
for d in dev etc home proc root run sys tmp usr var/tmp opt/t/gone/deep opt/t/anew opt/t/closed opt/t/kept; do
    mkdir -p $d
done
for n in bin sbin lib lib64; do ln -s usr/$n $n; done
cp /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.cache etc/
cd opt/t
printf content >file; chown 105:106 file; chmod 4755 file; ln file second; ln file gone/third; ln file kept/fourth
ln -s ../target link; chown -h 1:2 link; ln link kept/same-link
mkfifo -m 640 pipe; chown 0:5 pipe
echo x >gone/x; echo y >gone/deep/y; echo old >anew/old; : >empty
truncate -s 300000 holes; printf end >>holes
printf odd >"a b	ü"; chown 65534:33 "a b	ü"
echo secret >closed/s; chmod 0 closed/s; chown -R 33:33 closed; chmod 1750 closed; chmod 2775 kept
python3 -c 'import os
os.setxattr("empty", "user.mine", b"\0one\xff")
os.setxattr("kept", "user.folder", b"x" * 300)'
find . -exec touch -h -d @1000000000 {} +
"""
SECOND = r"""set -e
cd "$1/opt/t"
rm -r gone anew second pipe
mkdir anew pipe; echo new >anew/new; chown 7:8 anew; chmod 700 anew
echo another >second; echo in >pipe/f
printf more >>"a b	ü"
chmod 600 closed/s; ln -sf elsewhere link
mkdir -p kept/only/in/second
find . -exec touch -h -d @1100000000 {} +
"""


def tool(p, *argv, **kw):
    """Another tool, with its files in the test's folder."""
    kw.setdefault("limit", 120)
    return command([need_program(argv[0]), *argv[1:]], cwd=p.dir, env=dict(p.env, TMPDIR=p.parent), **kw)


def looked_at(text, top):
    """The lines of inside.py, without the place where the tool has its tree."""
    return sorted(line.replace(top + "/opt/t", "/opt/t") for line in text.splitlines())


def shows_the_same(p, archive, wanted, what):
    """Loaded, and looked at by the sandbox's root."""
    p.env["XDG_DATA_HOME"] = os.path.join(p.parent, "store-" + what.replace(" ", "-"))
    p.sbx("load", archive, "--name", "tree:1", limit=120).ok()
    check(len(p.sbx("images", "--json").json()[0]["layers"]) >= 2, f"{what}: it has not two layers")
    p.write("sbx.ini", INI)
    p.allow()
    check(len(wanted) > 15, f"{what}: the tool's tree: {wanted}")
    layers.same(wanted, layers.snapshot(p, "/opt/t"), what)
    p.sbx("fsck").ok()
    p.sbx("rm", "-f").ok()


@contextlib.contextmanager
def project():
    with Project(ini=layers.COLD) as p:
        shutil.copy(os.path.join(HERE, "inside.py"), p.path("inside.py"))
        p.write("first", FIRST)
        p.write("second", SECOND)
        yield p


@contextlib.contextmanager
def storage(p):
    """Options of podman and buildah for a store of their own; its files belong to subordinate ids."""
    # Podman takes no run root of more than 50 characters.
    runroot = tempfile.mkdtemp(dir="/tmp")
    p.env["XDG_RUNTIME_DIR"] = p.path("xdg")
    os.makedirs(p.path("xdg"), 0o700)
    try:
        yield ["--root", p.path("cs"), "--runroot", runroot, "--storage-driver", "vfs"]
    finally:
        tool(p, "podman", "unshare", "rm", "-rf", p.path("cs"), runroot)


@limit(240)
def test_buildah_and_podman():
    """Whiteouts and an emptied folder by buildah's commit; the same image in both forms of podman save."""
    for name in ("buildah", "podman"):
        need_program(name)
    if not harness.has_subids():
        return  # Neither works without: the suite of the other user has it.
    with project() as p, storage(p) as options:
        script = "set -e\nb() { buildah " + " ".join(options) + ' "$@"; }\n' + """
one=$(b from scratch); sh first "$(b mount $one)"; b commit -q $one tree:base >&2
two=$(b from --pull-never tree:base); sh second "$(b mount $two)"; b commit -q $two tree:1 >&2
b from --name look --pull-never tree:1 >&2
top=$(b mount look); echo "$top"
python3 inside.py snapshot "$top/opt/t"
"""
        out = tool(p, "buildah", *options, "unshare", "sh", "-c", script).ok().out
        top, _, text = out.partition("\n")
        wanted = looked_at(text, top)
        for form in ("oci-archive", "docker-archive"):
            tool(p, "podman", *options, "save", "-q", "--format", form, "-o", form + ".tar", "localhost/tree:1").ok()
            shows_the_same(p, form + ".tar", wanted, f"podman save {form}")
        tool(p, "buildah", *options, "push", "-q", "tree:1", "oci:" + p.path("layout") + ":1").ok()
        shows_the_same(p, "layout", wanted, "buildah push")


@limit(120)
def test_umoci():
    """Whiteouts by umoci repack, with true owners, in a namespace of many ids."""
    need_program("umoci")
    if not harness.has_subids():
        return  # Without them umoci knows but one owner: the suite of the other user has it.
    with project() as p:
        script = """set -e
umoci init --layout l; umoci new --image l:1
umoci unpack --image l:1 b; sh first b/rootfs; umoci repack --refresh-bundle --image l:1 b
sh second b/rootfs; umoci repack --image l:1 b
umoci unpack --image l:1 look >&2
python3 inside.py snapshot "$PWD/look/rootfs/opt/t"
chmod -R a+rX l
rm -rf b
"""
        out = tool(p, *UNSHARE, "sh", "-c", script).ok().out
        lines = [line for line in out.splitlines() if "/look/rootfs/" in line]
        shows_the_same(p, "l", looked_at("\n".join(lines), p.dir + "/look/rootfs"), "umoci repack")
        tool(p, *UNSHARE, "rm", "-rf", "look", "l")


# ---- C6 -------------------------------------------------------------------------------------

# What an overlay, of the kernel or fuse-overlayfs, or containers/storage would act on.
PLANTED = {
    "user.overlay.opaque": "y", "user.overlay.redirect": "/opt/secret", "user.overlay.metacopy": "",
    "user.overlay.origin": "x", "user.overlay.whiteout": "y", "user.overlay.upper": "x", "user.overlay.nlink": "U+1",
    "trusted.overlay.opaque": "y", "trusted.overlay.redirect": "/opt/secret", "trusted.overlay.metacopy": "",
    "user.fuseoverlayfs.opaque": "y", "user.fuseoverlayfs.override_stat": "0:0:4777",
    "user.containers.override_stat": "0:0:4777", "security.selinux": "x",
}


def planted(name, kind=tarfile.REGTYPE, mode=0o644, data=b""):
    member, data = roots.entry(name, kind, mode, data)
    member.pax_headers = {f"{how}.xattr.{x}": v for x, v in PLANTED.items() for how in ("SCHILY", "LIBARCHIVE")}
    # libarchive's are base64.
    member.pax_headers = {k: v if k.startswith("SCHILY") else "eQ==" for k, v in member.pax_headers.items()}
    for x, v in PLANTED.items():
        if v != "y":
            del member.pax_headers[f"LIBARCHIVE.xattr.{x}"]
    member.pax_headers["SCHILY.xattr.user.kept"] = "1"
    return member, data


def raw_tar(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, data in entries:
            tar.addfile(member, io.BytesIO(data) if member.isreg() else None)
    return out.getvalue()


FIND_XATTRS = """import os, sys
for top, dirs, files in os.walk(sys.argv[1]):
    for name in [".", *dirs, *files]:
        path = os.path.join(top, name)
        print(os.path.relpath(path, sys.argv[1]), *os.listxattr(path, follow_symlinks=False))
"""


@limit(100)
def test_C6_nothing_planted_is_heard():
    """
    Attributes of overlays in a layer's tar, in both dialects, on folders and files, in the lower and the upper layer: a
    folder is not opaque, nothing is redirected, no mode or owner changes, and none is in the store.
    """
    low = [roots.folder("opt"), roots.folder("opt/secret", 0o700), roots.entry("opt/secret/s", data=b"secret\n"),
           planted("opt/d", tarfile.DIRTYPE, 0o755), roots.entry("opt/d/low", data=b"low\n"),
           planted("opt/d/file", mode=0o640, data=b"of the lower\n"), roots.folder("opt/e"),
           roots.entry("opt/e/low", data=b"low\n")]
    up = [planted("opt/d", tarfile.DIRTYPE, 0o755), planted("opt/d/file", mode=0o604, data=b"of the upper\n"),
          planted("opt/d/new", mode=0o644, data=b""), planted("opt/e", tarfile.DIRTYPE, 0o750)]
    with Project(ini=layers.COLD) as p:
        layout = roots.Layout(p.path("l"))
        layout.image("1", [raw_tar([*roots.system(), *low]), raw_tar(up)])
        p.sbx("load", "l", "--name", "tree:1").ok()
        p.profile(layers.COLD + "[base]\nimage = localhost/tree:1\n")
        out = p.sbx("run", "--root", "--", "sh", "-c",
                    "cd /opt; ls -A d e secret; cat d/low d/file e/low secret/s; stat -c '%n %a %u %s' d d/file d/new e").ok().out
        equal(out.splitlines(), ["d:", "file", "low", "new", "", "e:", "low", "", "secret:", "s", "low", "of the upper",
                                 "low", "secret", "d 755 0 " + out.split("d 755 0 ")[1].split("\n")[0],
                                 "d/file 604 0 13", "d/new 644 0 0", "e 750 0 " + out.split("e 750 0 ")[1].split("\n")[0]],
              "what shows inside")
        who = UNSHARE if harness.has_subids() else ["unshare", "--map-root-user"]
        found = tool(p, *who, "python3", "-c", FIND_XATTRS, os.path.join(p.env["XDG_DATA_HOME"], "sbx/layers")).ok().out
        check("user.kept" in found, "what is a layer's own is kept")
        for line in found.splitlines():
            for name in line.split(" ")[1:]:
                check(name == "user.kept" or not name.startswith(("user.", "trusted.", "security.")), f"in the store: {line}")
        p.sbx("fsck").ok()


harness.main(__name__)
