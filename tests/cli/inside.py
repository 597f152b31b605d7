#!/usr/bin/python3
"""Runs inside a sandbox, alone: makes trees of every kind of file, and says what a tree is.

    inside.py make FOLDER                every file type, and every odd thing a file system allows
    inside.py crowd FOLDER N             N files in one folder
    inside.py mutate SEED FOLDER…        delete, replace, rename, change what is there
    inside.py snapshot FOLDER…           one line for each entry, sorted
    inside.py digest FOLDER…             the SHA-256 of that

Names are bytes, shown with escapes.  Nothing of a path but its last part is ever resolved as a whole, so
paths of any length work.
"""

import contextlib
import hashlib
import os
import random
import shutil
import socket
import stat
import sys

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


# ---- what a tree is --------------------------------------------------------------------------


def shown(name):
    text = name.decode("utf-8", "backslashreplace").replace("\\", "\\\\")
    return text.replace("\n", "\\n").replace(" ", "\\040")


def attributes(fd, name):
    """The extended attributes of an entry, as text; through /proc, for a link's sake not followed."""
    path = b"/proc/self/fd/%d/%s" % (fd, name)
    found = []
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
    except OSError:
        return ""
    for each in names:
        if each.startswith(("user.", "security.capability")):
            with contextlib.suppress(OSError):
                found.append(f"{each}={os.getxattr(path, each, follow_symlinks=False).hex()}")
    return ",".join(found)


def content(fd, name, st):
    """The SHA-256 of a file, a link's target, a device's number."""
    if stat.S_ISLNK(st.st_mode):
        return shown(os.readlink(name, dir_fd=fd))
    if stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
        return f"{os.major(st.st_rdev)}:{os.minor(st.st_rdev)}"
    if not stat.S_ISREG(st.st_mode):
        return "-"
    digest = hashlib.sha256()
    try:
        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd), "rb") as f:
            while block := f.read(1 << 20):
                digest.update(block)
    except OSError as e:
        return f"errno {e.errno}"
    return digest.hexdigest()


def walk(fd, path, visit):
    for name in sorted(os.listdir(fd)):
        raw = os.fsencode(name)
        st = os.stat(raw, dir_fd=fd, follow_symlinks=False)
        where = path + b"/" + raw
        visit(fd, raw, where, st)
        if stat.S_ISDIR(st.st_mode):
            try:
                below = os.open(raw, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
            except OSError:
                continue
            try:
                walk(below, where, visit)
            finally:
                os.close(below)


def snapshot(folders, times="all"):
    """Lines of: path, type and mode, owner, size, second of change, content, attributes, hard links."""
    entries, links = [], {}

    def visit(fd, name, where, st):
        kind = stat.S_IFMT(st.st_mode)
        folder = kind == stat.S_IFDIR
        # Not st_nlink: fuse-overlayfs counts the links that it has seen.
        if not folder:
            links.setdefault((st.st_dev, st.st_ino), []).append(where)
        when = "-" if times == "none" or (folder and times == "files") else int(st.st_mtime // 1)
        entries.append([where, f"{st.st_mode:o}", f"{st.st_uid}:{st.st_gid}",
                        st.st_size if kind == stat.S_IFREG else "-", when,
                        content(fd, name, st), attributes(fd, name), (st.st_dev, st.st_ino)])

    for folder in folders:
        if not os.path.lexists(folder):
            entries.append([os.fsencode(folder), "missing", None])
            continue
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            visit(fd, b".", os.fsencode(folder), os.fstat(fd))
            walk(fd, os.fsencode(folder), visit)
        finally:
            os.close(fd)
    lines = []
    for entry in entries:
        group = links.get(entry[-1], [])
        # A group of one: its other names lie outside of these folders.
        entry[-1] = shown(min(group)) if len(group) > 1 else "-"
        entry[0] = shown(entry[0])
        lines.append(" ".join(str(word) for word in entry))
    return sorted(lines)


# ---- making trees ----------------------------------------------------------------------------


def put(path, data, when=1_600_000_000):
    with open(path, "wb") as f:
        f.write(data)
    os.utime(path, (when, when))


def make_types(top):
    put(top + b"/plain", b"plain\n")
    put(top + b"/empty", b"")
    put(top + b"/big", random.Random(1).randbytes(3_000_001))
    os.mkfifo(top + b"/fifo")
    s = socket.socket(socket.AF_UNIX)
    os.chdir(top)
    s.bind("socket")
    s.close()
    for name, mode in ((b"/null", stat.S_IFCHR), (b"/block", stat.S_IFBLK)):
        # Where there is but one id the call succeeds and makes a file.
        with contextlib.suppress(OSError):
            os.mknod(top + name, mode | 0o666, os.makedev(1, 3))
    os.symlink(b"plain", top + b"/link")
    os.symlink(b"/no/such/target", top + b"/dangling")
    os.symlink(b"t" * 1023, top + b"/longlink")
    os.symlink(b"\xff\xfe", top + b"/bytes-link")
    os.utime(top + b"/link", (5, 5), follow_symlinks=False)
    os.mkdir(top + b"/empty-folder")
    os.mkdir(top + b"/linked")
    put(top + b"/linked/a", b"one file, three names\n")
    os.link(top + b"/linked/a", top + b"/linked/b")
    os.link(top + b"/linked/a", top + b"/c-linked")
    os.link(top + b"/link", top + b"/link-2", follow_symlinks=False)


def make_holes(top):
    with open(top + b"/hole", "wb") as f:
        f.truncate(64 << 20)
    with open(top + b"/islands", "wb") as f:
        for at in (0, 1 << 20, 9 << 20):
            f.seek(at)
            f.write(b"island" * 1000)
        f.truncate(16 << 20)


def make_names(top):
    # 255 bytes, or what the driver says: fuse-overlayfs keeps four for a name of its own.
    longest = b"n" * os.statvfs(top).f_namemax
    names = [longest, b"\xff\xfe\x80", b"new\nline", b"back\\slash", b"tab\t", b" ", b"-rf", b"*", b"%41",
             "é".encode(), "é".encode("latin-1"), b"\x01\x1b[31m", b"a" * 100, b"b" * 101, b".hidden"]
    for name in names:
        put(top + b"/" + name, b"odd name\n")
        os.mkdir(top + b"/d" + name[:200])
        put(top + b"/d" + name[:200] + b"/in", b"in an odd name\n")
    # The longest path that a system call takes: 4,095 bytes and the zero.
    os.chdir(top)
    left = 4095 - len(top)
    part = b"p" * len(longest)
    while left > 260:
        os.mkdir(part)
        os.chdir(part)
        left -= len(part) + 1
    put(b"z" * (left - 1), b"at the end of a long path\n")


def make_modes(top):
    for mode in range(0o10000):
        path = top + b"/%04o" % mode
        put(path, b"", mode)
        os.chmod(path, mode)
    for mode in list(range(0, 0o1000, 0o111)) + [0o1777, 0o2755, 0o4711, 0o7000, 0o7777]:
        path = top + b"/d%04o" % mode
        os.mkdir(path)
        put(path + b"/in", b"in\n")
        os.chmod(path, mode)


def make_times(top):
    times = [0, -1, -100_000, -2_000_000_000, 2**31 - 1, 2**31, 4_000_000_000, 8_589_934_592]
    for when in times:
        put(top + b"/%d" % when, b"time\n", when)
        os.mkdir(top + b"/d%d" % when)
        os.utime(top + b"/d%d" % when, (when, when))


def make_attributes(top):
    for kind in (b"file", b"folder"):
        path = top + b"/" + kind
        if kind == b"file":
            put(path, b"attributes\n")
        else:
            os.mkdir(path)
        with contextlib.suppress(OSError):
            os.setxattr(path, "user.plain", b"value")
            os.setxattr(path, "user.bytes", bytes(range(256)))
            os.setxattr(path, "user.empty", b"")
            os.setxattr(path, "user.eq=nl\n", b"=\n")
            os.setxattr(path, "user.long", b"v" * 2000)
    put(top + b"/capable", b"#!/bin/sh\n")
    os.chmod(top + b"/capable", 0o755)
    with contextlib.suppress(OSError):
        os.setxattr(top + b"/capable", "security.capability", CAPABILITY)


def make_owners(top):
    for uid, gid in ((0, 0), (1, 1), (33, 33), (0, 42), (1000, 100), (60000, 65000)):
        path = top + b"/%d-%d" % (uid, gid)
        put(path, b"owner\n")
        os.mkdir(path + b"-d")
        with contextlib.suppress(OSError):
            os.chown(path, uid, gid)
            os.chown(path + b"-d", uid, gid)
            os.chmod(path, 0o6755)


def make(folder):
    os.umask(0o022)
    top = os.fsencode(folder)
    os.makedirs(top)
    makers = (make_types, make_holes, make_names, make_modes, make_times, make_attributes, make_owners)
    for maker in makers:
        below = top + b"/" + maker.__name__[5:].encode()
        os.mkdir(below)
        maker(below)
        os.chdir("/")
        os.utime(below, (1_500_000_000, 1_500_000_000))


def crowd(folder, count):
    os.makedirs(folder)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for n in range(count):
        os.close(os.open(f"file-{n:06}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=fd))
    os.close(fd)


# ---- changing what is there ------------------------------------------------------------------


def everything(folders):
    found = []
    for folder in folders:
        for at, below, names in os.walk(os.fsencode(folder)):
            # Where PATH_MAX ends, so does this: shutil resolves whole paths.
            found += [os.path.join(at, n) for n in below + names if len(at) < 2000]
    return sorted(found)


def change(rng, path):
    """One change of what is at `path`, which is there."""
    st = os.lstat(path)
    folder, link = stat.S_ISDIR(st.st_mode), stat.S_ISLNK(st.st_mode)
    how = rng.choice(("remove", "replace", "rename", "mode", "write", "attribute", "refill", "touch"))
    if how == "remove":
        (shutil.rmtree if folder else os.unlink)(path)
    elif how == "replace":
        (shutil.rmtree if folder else os.unlink)(path)
        if folder:
            put(path, b"a folder was here\n")
        else:
            os.mkdir(path)
            put(path + b"/new", b"a file was here\n")
    elif how == "rename":
        shutil.move(os.fsdecode(path), os.fsdecode(path[:200]) + ".moved")
    elif how == "mode" and not link:
        os.chmod(path, rng.randrange(0o10000) | (0o500 if folder else 0))
    elif how == "write" and stat.S_ISREG(st.st_mode):
        with open(path, "ab") as f:
            f.write(b"more\n")
    elif how == "attribute" and not link:
        os.setxattr(path, "user.changed", b"%d" % rng.randrange(100))
    elif how == "refill" and folder:
        # An opaque folder: what was below is gone, what is in it is new.
        shutil.rmtree(path)
        os.mkdir(path)
        put(path + b"/refilled", b"new\n")
    elif how == "touch":
        os.utime(path, (7, 7), follow_symlinks=False)
    else:
        return False
    return True


def mutate(seed, folders):
    rng = random.Random(seed)
    done = 0
    for path in everything(folders):
        if rng.random() < 0.12 and os.path.lexists(path):
            with contextlib.suppress(OSError, shutil.Error):
                done += change(rng, path)
    print(done)


def main(argv):
    what, rest = argv[1], argv[2:]
    if what == "make":
        make(rest[0])
    elif what == "crowd":
        crowd(rest[0], int(rest[1]))
    elif what == "mutate":
        mutate(int(rest[0]), rest[1:])
    elif what == "snapshot":
        print("\n".join(snapshot(rest)))
    elif what == "digest":
        print(hashlib.sha256("\n".join(snapshot(rest)).encode()).hexdigest())
    else:
        sys.exit(f"inside.py: {what}?")


if __name__ == "__main__":
    main(sys.argv)
