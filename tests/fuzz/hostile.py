#!/usr/bin/env python3
"""hostile.py UNPACK-TAR | --write FOLDER — tars that want out of their folder, or to be read in two ways.

Each is made here, unpacked into a folder beside canaries, and must be refused with a message that
says why, or give the tree that is written down.  Nothing outside the folder may change, nothing may
hang.  Where one is accepted, Python's tarfile reads the same list of entries.  --write puts the short ones
where the fuzzer finds them.
"""
import io
import os
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile

BLOCK = 512


def header(name, typeflag=b"0", size=0, link=b"", mode=0o644, magic=b"ustar\x0000", prefix=b"",
           size_field=None, dev=(0, 0)):
    """A raw header: tarfile would make a proper one."""
    size_field = size_field if size_field is not None else b"%011o\0" % size
    h = bytearray(BLOCK)
    h[0:len(name[:100])] = name[:100]
    h[100:108] = b"%07o\0" % mode
    h[108:116] = b"%07o\0" % os.geteuid()
    h[116:124] = b"%07o\0" % os.getegid()
    h[124:136] = size_field
    h[136:148] = b"%011o\0" % 1000
    h[148:156] = b" " * 8
    h[156:157] = typeflag
    h[157:157 + len(link[:100])] = link[:100]
    h[257:265] = magic
    h[329:337] = b"%07o\0" % dev[0]
    h[337:345] = b"%07o\0" % dev[1]
    h[345:345 + len(prefix)] = prefix
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h)


def pad(data):
    return data + b"\0" * (-len(data) % BLOCK)


def file(name, data=b"data", **kwargs):
    return header(name, size=len(data), **kwargs) + pad(data)


def folder(name, **kwargs):
    return header(name, typeflag=b"5", mode=0o755, **kwargs)


def symlink(name, to):
    return header(name, typeflag=b"2", link=to)


def hardlink(name, to):
    return header(name, typeflag=b"1", link=to)


def pax(records, typeflag=b"x"):
    body = b""
    for key, value in records:
        n = len(key) + len(value) + 3
        while n != len(b"%d %s=%s\n" % (n, key, value)):
            n = len(b"%d %s=%s\n" % (n, key, value))
        body += b"%d %s=%s\n" % (n, key, value)
    return header(b"PaxHeaders/x", typeflag=typeflag, size=len(body)) + pad(body)


def gnu_long(name, typeflag=b"L"):
    return header(b"././@LongLink", typeflag=typeflag, size=len(name) + 1,
                  magic=b"ustar  \0") + pad(name + b"\0")


def sparse(name, size):
    """GNU's old form: one piece of data, and a size in the header's tail."""
    h = bytearray(header(name, typeflag=b"S", size=512, magic=b"ustar  \0"))
    h[386:410] = b"%011o\0%011o\0" % (0, 512)
    h[483:495] = b"\x80" + size.to_bytes(11, "big")
    h[148:156] = b" " * 8
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h) + b"x" * 512


END = b"\0" * (2 * BLOCK)
DEEP = b"/".join(b"d%d" % i for i in range(256))

# name: (the tar, the words of the refusal, or the list of what is in the tree)
REFUSED = {
    # C1: names
    "c1-up": (file(b"../canary"), "leads up by '..'"),
    "c1-up-inside": (folder(b"a") + file(b"a/../../canary"), "leads up by '..'"),
    "c1-up-end": (file(b"a/.."), "leads up by '..'"),
    "c1-absolute": (file(b"/tmp/canary"), "absolute"),
    "c1-absolute-many": (file(b"//canary"), "absolute"),
    "c1-absolute-pax": (pax([(b"path", b"/etc/canary")]) + file(b"x"), "absolute"),
    "c1-up-pax": (pax([(b"path", b"../canary")]) + file(b"x"), "leads up by '..'"),
    "c1-up-gnu": (gnu_long(b"../" * 40 + b"canary") + file(b"x"), "leads up by '..'"),
    "c1-up-prefix": (file(b"canary", prefix=b"a/../.."), "leads up by '..'"),
    "c1-empty": (file(b""), "without a name"),
    "c1-root-file": (file(b"."), "the root is no folder"),
    "c1-root-file-slashes": (file(b"./."), "the root is no folder"),
    "c1-long-part": (pax([(b"path", b"x" * 256)]) + file(b"x"), "more than 255 bytes"),
    "c1-long": (pax([(b"path", b"x/" * 40000 + b"y")]) + file(b"x"), "too long"),
    # C2: links
    "c2-root-symlink": (symlink(b".", b"/etc"), "the root is no folder"),
    "c2-root-symlink-slash": (symlink(b"./", b"/etc"), "the root is no folder"),
    "c2-through-symlink": (symlink(b"l", b"..") + file(b"l/canary"), "a file or a link"),
    "c2-through-absolute": (symlink(b"l", b"/etc") + file(b"l/canary"), "a file or a link"),
    "c2-through-two": (symlink(b"l", b"m") + symlink(b"m", b"..") + file(b"l/canary"),
                       "a file or a link"),
    "c2-folder-over-symlink": (symlink(b"l", b"..") + folder(b"l") + file(b"l/canary"),
                               "a file or a link"),
    "c2-file-over-symlink": (symlink(b"l", b"../canary") + file(b"l"), "there twice"),
    "c2-symlink-over-folder": (folder(b"d") + symlink(b"d", b".."), "there twice"),
    "c2-hardlink-up": (hardlink(b"h", b"../canary"), "leads up by '..'"),
    "c2-hardlink-absolute": (hardlink(b"h", b"/etc/passwd"), "absolute"),
    "c2-hardlink-through-symlink": (symlink(b"l", b"..") + hardlink(b"h", b"l/canary"),
                                    "not in the layer"),
    "c2-hardlink-missing": (hardlink(b"h", b"missing"), "not in the layer"),
    "c2-hardlink-folder": (folder(b"d") + hardlink(b"h", b"d"), "a hard link to a folder"),
    "c2-hardlink-itself": (hardlink(b"h", b"h"), "not in the layer"),
    "c2-hardlink-root": (hardlink(b"h", b"."), "a hard link to the root"),
    "c2-hardlink-then-file": (file(b"f") + hardlink(b"h", b"f") + file(b"h", b"other"),
                              "there twice"),
    "c2-symlink-hardlink-write": (symlink(b"l", b"../canary") + hardlink(b"h", b"l") +
                                  file(b"h", b"other"), "there twice"),
    "c2-cycle": (symlink(b"a", b"b") + symlink(b"b", b"a") + file(b"a/x"), "a file or a link"),
    # C3: metadata through links
    "c3-chmod-through-link": (symlink(b"l", b"..") + folder(b"l/sub"), "a file or a link"),
    "c3-folder-meta-on-link": (symlink(b"l", b"..") + folder(b"l/"), "a file or a link"),
    # C4: whiteouts
    "c4-nothing": (file(b".wh.", b""), "a whiteout of nothing"),
    "c4-dot": (file(b".wh..", b""), "a whiteout of nothing"),
    "c4-dotdot": (file(b".wh...", b""), "a whiteout of nothing"),
    "c4-meta": (file(b".wh..wh.plnk", b""), "a whiteout of nothing"),
    "c4-root-opaque": (file(b".wh..wh..opq", b""), "hide the whole root"),
    "c4-opaque-on-link": (symlink(b"l", b"..") + file(b"l/.wh..wh..opq", b""),
                          "a file or a link"),
    "c4-whiteout-through-link": (symlink(b"l", b"..") + file(b"l/.wh.canary", b""),
                                 "a file or a link"),
    "c4-folder": (folder(b".wh.a") + file(b".wh.a/b"), "no empty file"),
    "c4-inside": (file(b".wh.a/b", b""), "with something in it"),
    "c4-contents": (file(b".wh.a", b"x"), "no empty file"),
    "c4-symlink": (symlink(b".wh.a", b"x"), "no empty file"),
    "c4-hardlink": (file(b"f", b"") + hardlink(b".wh.a", b"f"), "no empty file"),
    "c4-device": (header(b"etc", typeflag=b"3", dev=(0, 0)), "a 0:0 device"),
    "c4-hardlink-to-whiteout": (file(b".wh.a", b"") + hardlink(b"b", b"a"),
                                "a hard link to a folder or a deletion"),
    # C7: read in two ways
    "c7-size-zero-pax-size": (pax([(b"size", b"1024")]) + header(b"f") + file(b"x") + END[:512],
                              None),
    "c7-checksum": (file(b"f")[:3] + b"X" + file(b"f")[4:], "cannot read the layer's tar"),
    "c7-folder-with-contents": (header(b"d/", size=4) + pad(b"data") + file(b"e"),
                                "cannot read the layer's tar"),
    "c7-behind-the-end": (file(b"f") + END + file(b"g"), "more behind the end"),
    "c7-negative-size": (header(b"f", size_field=b"\xff" * 12) + pad(b"x"), ""),
    "c7-pax-negative-size": (pax([(b"size", b"-1")]) + file(b"f"), ""),
    "c7-cut": (file(b"f", b"x" * 2000)[:1024], "cannot read the layer's tar"),
    "c7-cut-header": (file(b"f") + header(b"g")[:100], "cannot read the layer's tar"),
    "c7-noise": (bytes(range(1, 256)) * 8, "cannot read the layer's tar"),
    "c7-twice": (file(b"f") + file(b"f", b"other"), "there twice"),
    "c7-twice-other-spelling": (file(b"f") + file(b"./f", b"other"), "there twice"),
    # C8: bombs
    "c8-size": (header(b"f", size_field=b"\x80\0\0\0" + struct.pack(">Q", 1 << 62)), "goes beyond"),
    "c8-pax-record": (header(b"PaxHeaders/x", typeflag=b"x", size=1 << 30) +
                      b"1073741823 comment=" + b"x" * 5000, "cannot read the layer's tar"),
    "c8-gnu-name": (header(b"././@LongLink", typeflag=b"L", size=1 << 30, magic=b"ustar  \0") +
                    b"x" * 5120, "cannot read the layer's tar"),
    "c8-entries": (folder(b"d") + folder(b"d") * 100001, "more entries than"),
    "c8-sparse": (pax([(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
                       (b"GNU.sparse.name", b"f"), (b"GNU.sparse.realsize", b"1" + b"0" * 17)])
                  + file(b"GNUSparseFile.0/f", pad(b"0\n")), "goes beyond"),
    "c8-sparse-gnu": (sparse(b"f", 1 << 60), "goes beyond"),
    "c8-sparse-map": (pax([(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"),
                           (b"GNU.sparse.name", b"f"), (b"GNU.sparse.realsize", b"9" * 19)])
                      + file(b"GNUSparseFile.0/f", b"0\n"), "it is damaged"),
    "empty": (None, "cannot read the layer's tar"),
    # C9: devices and fifos
    "c9-file-over-fifo": (header(b"p", typeflag=b"6") + file(b"p"), "there twice"),
    "c9-below-fifo": (header(b"p", typeflag=b"6") + file(b"p/x"), "a file or a link"),
    "owner": (header(b"f").replace(b"%07o\0" % os.geteuid(), b"\xff" * 8, 1), ""),
    "xattr-twice": (pax([(b"SCHILY.xattr.user.a", b"1"), (b"SCHILY.xattr.user.a", b"2")]) +
                    file(b"f"), "an attribute twice"),
}

ACCEPTED = {
    "c1-dot-slash": (folder(b"./") + folder(b"./a/") + file(b"./a/./b") + file(b"a//c"),
                     ["a/", "a/b", "a/c"]),
    "c1-no-parents": (file(b"a/b/c"), ["a/", "a/b/", "a/b/c"]),
    "c1-control": (file(b"\x01\x1b[2J\n") + file(b"\xff\xfe"), ["\x01\x1b[2J\n", "\udcff\udcfe"]),
    "c1-deep": (pax([(b"path", DEEP + b"/f")]) + file(b"x"),
                ["/".join(DEEP.decode().split("/")[:i + 1]) + "/" for i in range(256)] +
                [DEEP.decode() + "/f"]),
    "c2-links-out": (symlink(b"l", b"../../canary") + symlink(b"m", b"/etc/passwd") +
                     hardlink(b"h", b"l"), ["h", "l", "m"]),
    "c4-before": (file(b".wh.a", b"") + file(b"a"), ["a"]),
    "c4-after": (file(b"a") + file(b".wh.a", b""), ["a"]),
    "c6-xattrs": (pax([(b"SCHILY.xattr.user.overlay.redirect", b"/../.."),
                       (b"SCHILY.xattr.user.overlay.metacopy", b""),
                       (b"SCHILY.xattr.user.overlay.opaque", b"y"),
                       (b"SCHILY.xattr.trusted.overlay.opaque", b"y"),
                       (b"SCHILY.xattr.user.fuseoverlayfs.opaque", b"y"),
                       (b"SCHILY.xattr.user.containers.override_stat", b"0:0:0755"),
                       (b"SCHILY.xattr.security.selinux", b"x")]) + folder(b"d"), ["d/"]),
    "c7-pax-size": (pax([(b"size", b"4")]) + header(b"f") + pad(b"data") + file(b"g"), ["f", "g"]),
    "c7-pax-then-gnu": (pax([(b"path", b"from-pax")]) + gnu_long(b"from-gnu") + file(b"x"), None),
    "c7-gnu-then-pax": (gnu_long(b"from-gnu") + pax([(b"path", b"from-pax")]) + file(b"x"), None),
    "c7-pax-size-over-gnu": (pax([(b"size", b"4")]) + gnu_long(b"n" * 120) + file(b"x"), None),
    "c9-devices": (header(b"null", typeflag=b"3", dev=(1, 3)) +
                   header(b"disk", typeflag=b"4", dev=(8, 0)) + file(b"f"), ["f"]),
    "c9-fifo": (header(b"p", typeflag=b"6"), ["p"]),
    "unknown-type": (header(b"f", typeflag=b"7", size=4) + pad(b"data"), ["f"]),
    # The contents that a hard link's header promises: to all readers they are the next entry.
    "c7-hardlink-with-contents": (file(b"f") + header(b"h", typeflag=b"1", link=b"f", size=512) +
                                  file(b"inner", b""), None),
    # libarchive leaves out the names of a global header, as Go's reader does.
    "c7-global": (pax([(b"path", b"global")], typeflag=b"g") + file(b"x") + file(b"y"), ["x", "y"]),
    "nothing": (b"", []),
}


def tree(top):
    """What is below `top`: names, folders with a slash at the end.  Deep ones by descriptors."""
    found = []
    stack = [("", os.open(top, os.O_RDONLY))]
    while stack:
        path, fd = stack.pop()
        for name in os.listdir(fd):
            st = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(st.st_mode):
                found.append(path + name + "/")
                stack.append((path + name + "/", os.open(name, os.O_RDONLY, dir_fd=fd)))
            else:
                found.append(path + name)
        os.close(fd)
    return sorted(found)


def state(path):
    """All that could be changed of what is outside."""
    st = os.lstat(path)
    content = open(path, "rb").read() if stat.S_ISREG(st.st_mode) else sorted(os.listdir(path))
    return (st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_mtime_ns, st.st_ctime_ns, content,
            os.listxattr(path))


def run(program, name, data, world):
    """The message ("" where it went well) and the tree."""
    path = os.path.join(world, "tar")
    into = os.path.join(world, "in", name)
    with open(path, "wb") as f:
        f.write(data)
    os.mkdir(into)
    watched = [os.path.join(world, "in", "canary"), "/etc/passwd", "/etc"]
    before = [state(p) for p in watched]
    done = subprocess.run(["/usr/bin/env", "-i", program, path, into], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=30, check=False)
    message = done.stderr.decode("utf-8", "surrogateescape")
    problems = []
    if done.returncode not in (0, 1) or (done.returncode == 1) != bool(message):
        problems.append(f"exit status {done.returncode}, {message!r}")
    if any(ord(c) < 32 and c != "\n" for c in message):
        problems.append(f"control bytes in the message {message!r}")
    if [state(p) for p in watched] != before:
        problems.append("something outside has changed")
    return message, problems, into


def check_refused(message, words):
    if not message:
        return [] if words is None else ["it was accepted"]
    if words is not None and words not in message:
        return [f"the message {message!r} does not say {words!r}"]
    return []


def tarfile_names(data):
    with tarfile.open(fileobj=io.BytesIO(data), errorlevel=2) as t:
        return sorted({os.path.normpath(m.name) for m in t if m.isfile() or m.islnk()})


def check_accepted(message, into, data, want):
    if message:
        return [f"refused: {message!r}"] if want is not None else []
    got = tree(into)
    if want is not None and got != sorted(want):
        return [f"the tree is {got!r}, not {want!r}"]
    files = [n for n in got if not n.endswith("/")]
    if want is None and files != tarfile_names(data):
        return [f"the tree is {got!r}, tarfile reads {tarfile_names(data)!r}"]
    if any(os.listxattr(os.path.join(into, n), follow_symlinks=False) for n in got[:20]):
        return ["an attribute was set"]
    return []


def whole(name, data):
    return b"" if data is None else data if name.startswith("c7-cut") else data + END


def write(into):
    for name, (data, _) in {**REFUSED, **ACCEPTED}.items():
        if data is None or len(data) < 4096:
            with open(os.path.join(into, name + ".tar"), "wb") as f:
                f.write(whole(name, data))


def main():
    if sys.argv[1] == "--write":
        return write(sys.argv[2])
    program = os.path.abspath(sys.argv[1])
    bad = 0
    with tempfile.TemporaryDirectory(prefix="sbx-hostile-") as world:
        os.mkdir(os.path.join(world, "in"))
        with open(os.path.join(world, "in", "canary"), "w", encoding="ascii") as f:
            f.write("canary")
        for name, (data, want) in sorted({**REFUSED, **ACCEPTED}.items()):
            data = whole(name, data)
            message, problems, into = run(program, name, data, world)
            if name in REFUSED:
                problems += check_refused(message, want)
            else:
                problems += check_accepted(message, into, data, want)
            for problem in problems:
                bad += 1
                print(f"{name}: {problem}")
            subprocess.run(["rm", "-rf", into], check=True)
    print(f"{len(REFUSED) + len(ACCEPTED)} tars, {bad} problems")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
