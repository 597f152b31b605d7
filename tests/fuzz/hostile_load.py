#!/usr/bin/env python3
"""hostile_load.py LOAD-LAYER | --write FOLDER — strangers' layers, as `sbx load` and `sbx pull` take them in.

All tars of hostile.py and some more, each plain, gzip and zstd, go into a store that holds a layer of
links that lead out.  What is refused leaves nothing in the store; what is taken gives its exact bytes
back, and GNU tar and bsdtar list the same entries.  Nothing outside changes, nothing hangs, nothing grows.
"""
import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib

import hostile
from hostile import (ACCEPTED, END, REFUSED, file, folder, gnu_long, hardlink, header, pad, pax, sparse,
                     symlink)

RSS_MOST = 256 << 10  # KiB
CPU_MOST = 20  # seconds, on a machine that is busy; a hang takes all there is


def zeros_gzip(head, zeros):
    """A gzip of so many zeros behind a head, in a moment; its checksum is never reached."""
    z = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = z.compress(head) + z.flush(zlib.Z_FULL_FLUSH)
    piece = z.compress(bytes(64 << 20)) + z.flush(zlib.Z_FULL_FLUSH)
    return head + piece * (zeros >> 26)


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c", "-3"], input=data, stdout=subprocess.PIPE, check=True).stdout


# name: (the bytes as they are, whether a tar that is compressed in three forms; the words of the refusal)
MORE_REFUSED = {
    "c7-pax-then-gnu-long": (pax([(b"path", b"a")]) + gnu_long(b"b") + file(b"x"), "two dialects"),
    "c7-gnu-long-then-pax": (gnu_long(b"b") + pax([(b"path", b"a")]) + file(b"x"), "two dialects"),
    "c7-pax-size-then-gnu-link": (pax([(b"size", b"512")]) + gnu_long(b"l" * 120, b"K") + file(b"x"),
                                  "two dialects"),
    "c7-pax-twice": (pax([(b"path", b"a")]) + pax([(b"path", b"b")]) + file(b"x"), "twice"),
    "c7-gnu-long-twice": (gnu_long(b"a") + gnu_long(b"b") + file(b"x"), "twice"),
    "c7-pax-size-twice": (pax([(b"size", b"4"), (b"size", b"1024")]) + file(b"f") + pad(b"x" * 600),
                          "a size twice"),
    "c7-pax-size-octal": (pax([(b"size", b"0x4")]) + file(b"f"), ""),
    "c7-pax-size-sign": (pax([(b"size", b"+4")]) + file(b"f"), "is no number"),
    "c7-pax-size-blank": (pax([(b"size", b" 4")]) + file(b"f"), "is no number"),
    "c7-pax-record-short": (header(b"PaxHeaders/x", typeflag=b"x", size=12) + pad(b"5 size=1024\n") +
                            file(b"f"), ""),
    "c7-pax-record-long": (header(b"PaxHeaders/x", typeflag=b"x", size=12) + pad(b"99 size=102\n") +
                           file(b"f"), ""),
    "c7-pax-no-newline": (header(b"PaxHeaders/x", typeflag=b"x", size=8) + pad(b"8 size=4") +
                          file(b"f"), ""),
    "c7-global-path": (pax([(b"path", b"global")], typeflag=b"g") + file(b"x"), "changes entries"),
    "c7-global-size": (pax([(b"size", b"1024")], typeflag=b"g") + file(b"x"), "changes entries"),
    "c7-global-between": (pax([(b"path", b"a")]) + pax([(b"comment", b"c")], typeflag=b"g") + file(b"x"),
                          "a global header before an entry"),
    "c7-hardlink-contents": (file(b"f") + header(b"h", typeflag=b"1", link=b"f", size=4) + pad(b"data"),
                             ""),
    "c7-hardlink-hides-entry": (file(b"f") + header(b"h", typeflag=b"1", link=b"f", size=512) +
                                file(b"inner", b""), ""),
    "c7-hardlink-pax-size": (file(b"f") + pax([(b"size", b"512")]) + hardlink(b"h", b"f") +
                             file(b"inner", b""), ""),
    "c7-symlink-hides-entry": (header(b"l", typeflag=b"2", link=b"x", size=512) + file(b"inner", b""),
                               "it has contents and is no file"),
    "c7-fifo-hides-entry": (header(b"p", typeflag=b"6", size=512) + file(b"inner", b""),
                            "it has contents and is no file"),
    "c7-folder-hides-entry": (header(b"d/", typeflag=b"5", size=512) + file(b"inner", b""),
                              "it has contents and is no file"),
    "c7-old-folder-with-contents": (header(b"d/", typeflag=b"\0", size=512) + file(b"inner", b""), ""),
    "c7-volume": (header(b"label", typeflag=b"V") + file(b"f"), "no known kind"),
    "c7-multivolume": (header(b"f", typeflag=b"M", size=4) + pad(b"data"), ""),
    "c7-dumpdir": (header(b"d/", typeflag=b"D", size=8) + pad(b"Yx\0\0\0\0\0\0"), ""),
    "c7-solaris": (header(b"X", typeflag=b"X", size=9) + pad(b"9 path=a\n") + file(b"f"), ""),
    "c7-unknown": (header(b"f", typeflag=b"Z", size=4) + pad(b"data"), "no known kind"),
    "c7-size-no-octal": (header(b"f", size_field=b"0000000009\0 ") + pad(b"x"), ""),
    "c7-size-behind-blank": (header(b"f", size_field=b"4 0000001000") + pad(b"data"), ""),
    "c7-size-behind-nul": (header(b"f", size_field=b"4\0" + b"7" * 10) + pad(b"data"), ""),
    "c7-size-binary-large": (header(b"f", size_field=b"\x80\x01" + bytes(9) + b"\x04") + pad(b"data"), ""),
    "c7-realsize": (pax([(b"SCHILY.realsize", b"1024")]) + file(b"f"), "a sparse file"),
    "c7-pax-at-the-end": (file(b"f") + pax([(b"path", b"a")]), ""),
    "c7-one-zero-block": (file(b"f") + END[:512] + file(b"g"), "more behind the end"),
    "c8-sparse-small": (sparse(b"f", 512), "a sparse file"),
    "c8-sparse-pax-0.1": (pax([(b"GNU.sparse.size", b"9000"), (b"GNU.sparse.numblocks", b"1"),
                               (b"GNU.sparse.map", b"0,4")]) + file(b"f"), "a sparse file"),
    "c8-pax-one-record": (header(b"PaxHeaders/x", typeflag=b"x", size=2 << 20) + b"2097152 comment=" +
                          b"x" * ((2 << 20) - 17) + b"\n" + file(b"f"), ""),
    "c8-gnu-name-2m": (header(b"././@LongLink", typeflag=b"L", size=2 << 20, magic=b"ustar  \0") +
                       b"x" * (2 << 20) + file(b"f"), ""),
    "c8-large-xattr": (pax([(b"SCHILY.xattr.user.x", b"x" * 70000)]) + file(b"f"), "user.x: "),
    "c2-second-through-first": (file(b"out/canary"), None),  # the first layer's `out` is a link
    "c3-second-folder-on-link": (folder(b"out"), None),
    "c2-second-hardlink-to-first": (hardlink(b"h", b"out"), "not in the layer"),
    "c2-second-whiteout-below": (file(b"out/.wh.canary", b""), None),
}

RAW_REFUSED = {
    "c8-gzip-zeros": (lambda: zeros_gzip(header(b"z", size_field=b"\x80" + (10 << 30).to_bytes(11, "big")),
                                         10 << 30), "goes beyond"),
    "c8-gzip-zeros-behind-the-end": (lambda: zeros_gzip(file(b"f") + END, 10 << 30), "become more than"),
    "c8-zstd-zeros": (lambda: zstd(header(b"z", size_field=b"\x80" + (10 << 30).to_bytes(11, "big")) +
                                   bytes(64 << 20)), "goes beyond"),
    "c8-gzip-members": (lambda: gzip.compress(b"") * 100000, "cannot read the layer's tar"),
    "c7-gzip-then-noise": (lambda: gzip.compress(file(b"f") + END) + b"noise", "cannot decompress"),
    "c7-gzip-then-zeros": (lambda: gzip.compress(file(b"f") + END) + bytes(512), "cannot decompress"),
    "c7-gzip-then-tar": (lambda: gzip.compress(file(b"f") + END) + file(b"g") + END, "cannot decompress"),
    "c7-gzip-cut": (lambda: gzip.compress(file(b"f") + END)[:-3], "it was cut"),
    "c7-gzip-checksum": (lambda: gzip.compress(file(b"f") + END)[:-8] + b"1234" + b"5678",
                         "cannot decompress"),
    "c7-zstd-then-noise": (lambda: zstd(file(b"f") + END) + b"noise", "cannot decompress"),
    "c7-zstd-cut": (lambda: zstd(file(b"f") + END)[:-3], "cannot decompress"),
    "c7-gzip-in-gzip": (lambda: gzip.compress(gzip.compress(file(b"f") + END)), "cannot read the layer's tar"),
}

# What hostile.py accepts of a tar, where there is but one reader, and two readers would not agree on.
STRICTER = {"c7-pax-then-gnu", "c7-gnu-then-pax", "c7-pax-size-over-gnu", "c7-global",
            "c7-hardlink-with-contents"}
# Here another reader says it first, in other words.
OTHER_WORDS = {"c7-folder-with-contents", "c7-noise", "c8-gnu-name", "c8-pax-record", "c8-sparse",
               "c8-sparse-gnu", "c8-sparse-map"}


class World:
    def __init__(self, top, program):
        self.top = top
        self.program = os.path.abspath(program)
        self.store = os.path.join(top, "data", "sbx")
        self.canary = os.path.join(top, "canary")
        with open(self.canary, "w", encoding="ascii") as f:
            f.write("canary")
        os.setxattr(self.canary, "user.canary", b"x")
        # As deep in the store as a tree is, so that `..` would lead here.
        self.first = self.before = None
        links = symlink(b"out", b"../../../../..") + symlink(b"etc", b"/etc") + symlink(b"canary", b"../canary")
        message = self.load(links + END)[0]
        assert not message, message
        self.first = self.layers()[0]

    def layers(self):
        return sorted(os.listdir(os.path.join(self.store, "layers")))

    def outside(self):
        first = os.path.join(self.store, "layers", self.first)
        watched = [self.canary, "/etc/passwd", "/etc", first, os.path.join(first, "tree")]
        return [hostile.state(p) for p in watched] + [os.readlink(os.path.join(first, "tree", n))
                                                      for n in ("out", "etc", "canary")]

    def load(self, data):
        """The message ("" where it went well) and what was wrong about how it went."""
        # Each time anew: others may use this machine's /etc meanwhile.
        self.before = self.outside() if self.first else None
        path = os.path.join(self.top, "layer")
        with open(path, "wb") as f:
            f.write(data)
        with tempfile.TemporaryFile() as said:
            pid = os.fork()
            if pid == 0:
                os.dup2(said.fileno(), 2)
                os.dup2(os.open("/dev/null", os.O_RDWR), 1)
                os.execve(self.program, [self.program, path],
                          {"XDG_DATA_HOME": os.path.join(self.top, "data"), "HOME": self.top})
            _, status, used = os.wait4(pid, 0)
            said.seek(0)
            message = said.read().decode("utf-8", "surrogateescape")
        problems = []
        if not os.WIFEXITED(status) or os.WEXITSTATUS(status) not in (0, 1) or \
                (os.WEXITSTATUS(status) == 1) != bool(message):
            problems.append(f"status {status:#x}, {message!r}")
        if "THE SKELETON" in message or any(ord(c) < 32 and c != "\n" for c in message):
            problems.append(f"it said {message!r}")
        if used.ru_maxrss > RSS_MOST and "SBX_SANITIZED" not in os.environ:
            problems.append(f"it took {used.ru_maxrss} KiB of memory")
        if used.ru_utime + used.ru_stime > CPU_MOST:
            problems.append(f"it took {used.ru_utime + used.ru_stime} s of the processor")
        return message, problems

    def check_outside(self):
        problems = [] if self.outside() == self.before else ["something outside has changed"]
        if os.listdir(os.path.join(self.store, "tmp")):
            problems.append("something was left in tmp/")
        return problems

    def forget(self):
        """Remove what was loaded; its tree."""
        for name in self.layers():
            if name != self.first:
                shutil.rmtree(os.path.join(self.store, "layers", name), ignore_errors=True)
                subprocess.run(["rm", "-rf", os.path.join(self.store, "layers", name)], check=True)


def unescape(line):
    """What GNU tar and bsdtar print of a name, as bytes."""
    return line.decode("latin-1").encode("latin-1").decode("unicode_escape").encode("latin-1")


def listed(program, path):
    escape = ["--quoting-style=escape"] if program == "tar" else []
    done = subprocess.run([program, "-tf", path, *escape], env={**os.environ, "LC_ALL": "C"},
                          capture_output=True, check=False)
    if done.returncode:
        return None
    names = {os.path.normpath(unescape(n)) for n in done.stdout.split(b"\n") if n}
    return names - {b"."}


def is_mark(name):
    return os.path.basename(name).startswith(b".wh.")


def check_lists(tree, tar_path, has_devices):
    """Others' lists: each name of theirs is in the tree, and each file of the tree in theirs."""
    ours = {os.fsencode(n.rstrip("/")) for n in hostile.tree(tree)}
    files = {os.fsencode(n) for n in hostile.tree(tree) if not n.endswith("/")}
    problems = []
    for program in ("tar", "bsdtar"):
        theirs = listed(program, tar_path)
        if theirs is None:
            problems.append(f"{program} refuses what was taken")
            continue
        names = {n for n in theirs if not is_mark(n)}
        marks = {os.path.join(os.path.dirname(n), os.path.basename(n)[4:]) for n in theirs if is_mark(n)}
        if not names <= ours and not has_devices:
            problems.append(f"{program} also lists {sorted(names - ours)[:3]}")
        if not files <= names | marks:
            problems.append(f"{program} does not list {sorted(files - names - marks)[:3]}")
    return problems


def check_tar(world, name, data, words):
    """One tar in its three forms.  words: of the refusal, or None: it is taken."""
    problems = []
    forms = {"plain": data, "gzip": gzip.compress(data, 1), "zstd": zstd(data)} if data else {"plain": b""}
    said = set()
    for form, stored in forms.items():
        before = world.layers()
        message, wrong = world.load(stored)
        problems += [f"{form}: {p}" for p in wrong + world.check_outside()]
        said.add(message)
        if message and words is None:
            problems.append(f"{form}: refused: {message!r}")
        elif not message and words is not None:
            problems.append(f"{form}: it was accepted")
        elif message and words not in message:
            problems.append(f"{form}: the message {message!r} does not say {words!r}")
        if message and world.layers() != before:
            problems.append(f"{form}: refused, but it is in the store")
    if not message and len(world.layers()) == 2:
        new = [n for n in world.layers() if n != world.first][0]
        path = os.path.join(world.top, "tar")
        with open(path, "wb") as f:
            f.write(data)
        problems += check_lists(os.path.join(world.store, "layers", new, "tree"), path, name == "c9-devices")
    world.forget()
    return problems


def writers():
    """Honest tars of all who write them: each must be taken."""
    with tempfile.TemporaryDirectory(prefix="sbx-writers-") as top:
        os.makedirs(os.path.join(top, "d", "n" * 120, "m" * 130))
        for name, text in (("f", "x" * 5000), ("empty", ""), ("n" * 120 + "/" + "m" * 130 + "/f", "long")):
            with open(os.path.join(top, "d", name), "w", encoding="ascii") as f:
                f.write(text)
        os.link(os.path.join(top, "d", "f"), os.path.join(top, "d", "hard"))
        os.symlink("l" * 150, os.path.join(top, "d", "link"))
        os.setxattr(os.path.join(top, "d", "f"), "user.x", b"\0=\n")
        for form in ("v7", "oldgnu", "gnu", "ustar", "posix"):
            done = subprocess.run(["tar", f"--format={form}", "-cf", "-", *(["--xattrs"] if form == "posix" else []),
                                   "-C", os.path.join(top, "d"), "."], capture_output=True, check=False)
            yield f"tar-{form}", done.stdout
        for form in ("gnutar", "pax", "paxr", "ustar"):
            done = subprocess.run(["bsdtar", f"--format={form}", "-cf", "-", "-C", os.path.join(top, "d"), "."],
                                  capture_output=True, check=False)
            yield f"bsdtar-{form}", done.stdout
        for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w", format=form) as t:
                t.add(os.path.join(top, "d"), ".")
            yield f"tarfile-{form}", out.getvalue()


def in_memory():
    """A folder where syncing costs nothing, if it can hold attributes."""
    try:
        with tempfile.NamedTemporaryFile(dir="/dev/shm") as f:
            os.setxattr(f.name, "user.x", b"x")
        return "/dev/shm"
    except OSError:
        return None


def write(into):
    """The short ones where the fuzzer finds them."""
    cases = {name: data + END for name, (data, _) in MORE_REFUSED.items()}
    cases.update({name + ".gz": gzip.compress(data, 9, mtime=0) for name, data in cases.items() if name[:4] == "c7-g"})
    cases.update({name + ".zst": zstd(data) for name, data in cases.items() if name[:4] == "c7-p"})
    for name, data in cases.items():
        if len(data) < 8192:
            with open(os.path.join(into, name), "wb") as f:
                f.write(data)


def main():
    if sys.argv[1] == "--write":
        return write(sys.argv[2])
    bad = n = 0
    with tempfile.TemporaryDirectory(prefix="sbx-hostile-", dir=in_memory()) as top:
        world = World(top, sys.argv[1])
        cases = {name: (hostile.whole(name, data), "" if name in OTHER_WORDS else words)
                 for name, (data, words) in REFUSED.items() if name != "c8-entries"}
        cases.update({name: (hostile.whole(name, data), "" if name in STRICTER else None)
                      for name, (data, _) in ACCEPTED.items()})
        cases.update({name: (data + END, words) for name, (data, words) in MORE_REFUSED.items()})
        cases.update({name: (data, None) for name, data in writers()})
        for name, (data, words) in sorted(cases.items()):
            for problem in check_tar(world, name, data, words):
                bad += 1
                print(f"{name}: {problem}")
            n += 1
        for name, (make, words) in sorted(RAW_REFUSED.items()):
            message, problems = world.load(make())
            problems += world.check_outside()
            if words not in message:
                problems.append(f"the message {message!r} does not say {words!r}")
            for problem in problems:
                bad += 1
                print(f"{name}: {problem}")
            n += 1
    print(f"{n} layers, {bad} problems")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
