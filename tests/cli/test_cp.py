#!/usr/bin/python3
"""sbx cp: files and folders in and out, and that no link leads it anywhere else (A9)."""

import hashlib
import os
import stat

import harness
import roots
from harness import NO_NET, Project, absent, check, equal, fewer, limit, match

FAILED, USAGE = 125, 2

# Whose the files of the system are; on one id they are all of one user, whom sudo calls root.
ROOT = "root" if harness.has_subids() else harness.USER.pw_name


def tree(folder):
    """What is in it: path, kind and mode, whole seconds of its time, bytes or target."""
    found = {}
    for at, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(at, name)
            st = os.lstat(path)
            what = os.readlink(path) if stat.S_ISLNK(st.st_mode) else ""
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    what = hashlib.sha256(f.read()).hexdigest()
            mode = 0 if stat.S_ISLNK(st.st_mode) else st.st_mode & 0o1777
            found[os.path.relpath(path, folder)] = (stat.S_IFMT(st.st_mode), mode, int(st.st_mtime), what)
    return found


def planted(parent, name):
    """A folder with all kinds of entries."""
    top = os.path.join(parent, name)
    os.makedirs(os.path.join(top, "a/b"))
    for path, mode, size in (("plain", 0o644, 10), ("a/exec", 0o755, 3 << 20), ("a/b/secret", 0o600, 0), ("odd \n name", 0o444, 5)):
        with open(os.path.join(top, path), "wb") as f:
            f.write(os.urandom(size))
        os.chmod(os.path.join(top, path), mode)
        os.utime(os.path.join(top, path), (1e9, 1.1e9))
    os.symlink("/etc/passwd", os.path.join(top, "a/link"))
    os.symlink("nowhere", os.path.join(top, "dangling"))
    os.mkfifo(os.path.join(top, "pipe"))
    os.utime(os.path.join(top, "a/b"), (1e9, 1.2e9))
    os.chmod(os.path.join(top, "a"), 0o750)
    return top


def test_files():
    """A file in and out: stopped and running, by each way to say where, replaced when it is there."""
    with Project() as p:
        f = os.path.join(p.parent, "f")
        with open(f, "w", encoding="utf-8") as o:
            o.write("one\n")
        os.chmod(f, 0o755)
        os.utime(f, (1e9, 1.1e9))
        p.sbx("cp", f, ":/opt/f").ok()
        equal(p.run("stat", "-c", "%a %Y %U", "/opt/f").ok().out, f"755 1100000000 {ROOT}\n", "in a folder of root's")
        equal(p.run("cat", "/opt/f").ok().out, "one\n", "what it holds")
        p.sbx("stop").ok()
        equal(p.run("cat", "/opt/f").ok().out, "one\n", "after a stop")
        p.sbx("stop").ok()
        p.sbx("cp", "default:/opt/f", os.path.join(p.parent, "back")).ok()
        st = os.stat(os.path.join(p.parent, "back"))
        equal((st.st_mode & 0o7777, st.st_mtime, st.st_uid), (0o755, 1.1e9, os.getuid()), "out again")
        p.sbx("cp", f, ":~").ok()
        equal(p.sh("stat -c %U ~/f").ok().out, harness.USER.pw_name + "\n", "in the home")
        p.sbx("cp", f, ":~/g").ok()
        p.sbx("cp", f, ":g").ok()
        equal(p.read("g"), "one\n", "in the project")
        p.sh("ln -s /etc/hostname ~/l").ok()
        p.sbx("cp", f, ":~/l").ok()
        equal(p.sh("test -L ~/l || cat ~/l").ok().out, "one\n", "over a link")
        absent("one", p.run("cat", "/etc/hostname").ok().out, "where the link led to")
        p.sbx("cp", ":/etc/hostname", ".").ok()
        check(os.path.isfile(p.path("hostname")), "out into the folder")
        p.sbx("fork", "other").ok()
        p.sbx("fork", "third").ok()
        p.sbx("cp", "-e", "other", f, ":/opt/f").ok()
        p.sbx("cp", "third:/etc/passwd", os.path.join(p.parent, "third")).ok()
        equal(len(p.sbx("completion", "--list", "--", "enter", "-e", "").ok().out.split()), 3, "environments")


def test_folders():
    """A folder with all kinds of entries, in and out again, into one that is there, as one that is not, and its contents."""
    with Project() as p:
        top = planted(p.parent, "top")
        want = tree(top)
        p.sbx("cp", top, ":/opt").ok()
        p.sbx("cp", top, ":/opt/named").ok()
        p.sbx("cp", top + "/.", ":/opt/contents").ok()
        p.sbx("cp", top + "/.", ":/opt/contents/").ok()
        for name in ("top", "named", "contents"):
            p.sbx("cp", f":/opt/{name}", os.path.join(p.parent, "out-" + name)).ok()
            equal(tree(os.path.join(p.parent, "out-" + name)), want, name)
        os.mkdir(os.path.join(p.parent, "there"))
        p.sbx("cp", ":/opt/top", os.path.join(p.parent, "there")).ok()
        p.sbx("cp", ":/opt/top/.", os.path.join(p.parent, "there")).ok()
        equal(tree(os.path.join(p.parent, "there/top")), want, "into a folder")
        check(os.path.exists(os.path.join(p.parent, "there/plain")), "contents")
        equal(p.run("sudo", "stat", "-c", "%U", "/opt/top/a/b").ok().out, "root\n", "owner inside")
        # What commit takes is what was copied.
        match("/opt/top/plain", p.sbx("diff", "--name-only").ok().out, "the diff")


def test_image():
    """On an image, of which the root is the kernel's overlay: the same; no program of the image is needed for it."""
    with Project() as p:
        with open(p.path("root.tar"), "wb") as f:
            f.write(roots.tar_of(roots.system()))
        p.write("sbx.ini", "[base]\nimage = tar:root.tar\n" + NO_NET)
        top = planted(p.parent, "top")
        p.sbx("cp", top, ":/srv").ok()
        p.sbx("cp", top + "/plain", ":/etc/passwd.new").ok()
        p.sh("test -f /etc/passwd.new").ok()
        out = os.path.join(p.parent, "out")
        p.sbx("cp", ":/srv/top" if p.sh("test -d /srv/top").status == 0 else ":/srv", out).ok()
        equal(tree(out), tree(top), "out again")
        p.sbx("stop").ok()
        p.sh("test -f /etc/passwd.new").ok()
        outside = canaries(p)
        before = tree(outside)
        os.symlink(outside, os.path.join(p.parent, "way"))
        p.sbx("cp", os.path.join(p.parent, "way"), ":/way").ok()
        match("No such file", p.sbx("cp", p.path("root.tar"), ":/way/").ok(FAILED).err, "by a link to what is only outside")
        equal(tree(outside), before, "outside")


def test_setuid_and_closed():
    """Bits that give rights are not kept; what is closed to the user inside is copied, for he owns the sandbox."""
    with Project() as p:
        p.run("sudo", "sh", "-c", "cp /bin/true /opt/s; chmod 6755 /opt/s; echo x >/opt/closed; chmod 600 /opt/closed").ok()
        p.sbx("cp", ":/opt/s", p.parent).ok()
        equal(os.stat(os.path.join(p.parent, "s")).st_mode & 0o7777, 0o755, "mode outside")
        p.sbx("cp", ":/opt/closed", p.parent).ok()
        st = os.stat(os.path.join(p.parent, "closed"))
        equal((st.st_uid, st.st_mode & 0o777), (os.getuid(), 0o600), "owner outside")


def refused(result, status, message, hint=None):
    result.ok(status)
    equal(result.err, f"sbx: error: {message}\n" + (f"hint: {hint}\n" if hint else ""), "what it says")


def test_refused():
    """Each mistake by its message."""
    which = "sbx cp FILE :/PATH copies in, sbx cp :/PATH FILE copies out; ./a:b is a file outside"
    first = "make the folder first, or leave the slash at its end out"
    with Project() as p:
        p.write("f", "x")
        p.write("a:b", "x")
        refused(p.sbx("cp", "f", "g"), USAGE, "cannot copy 'f' to 'g': none of them is inside", which)
        refused(p.sbx("cp", ":f", ":g"), USAGE, "cannot copy ':f' to ':g': each of them is inside", which)
        refused(p.sbx("cp", "f", ":"), USAGE, "cannot copy 'f' to ':': a path is empty")
        refused(p.sbx("cp", ":/etc/passwd", "-"), USAGE, "cannot copy to '-': no stream is copied",
                "sbx run -- tar -C DIR -cf - NAME >FILE makes a tar of what is inside; ./- is a file of that name")
        refused(p.sbx("cp", "-", ":/etc"), USAGE, "cannot copy from '-': no stream is copied",
                "sbx run -- tar -C DIR -xf - <FILE unpacks a tar inside; ./- is a file of that name")
        tar = p.run("tar", "-C", "/etc", "-cf", "-", "passwd", "hostname").ok().raw
        equal(p.run("tar", "-xvf", "-", stdin=tar).ok().out, "passwd\nhostname\n", "what the hints say")
        p.sbx("cp", ":/etc/passwd", "./-").ok()
        check(os.path.isfile(p.path("-")), "a file of that name")
        refused(p.sbx("cp", "-e", "one", "f", "two:/opt/f"), USAGE,
                "cannot copy with 'two:/opt/f' and -e one: both name an environment",
                "two:/opt/f alone, or -e one with ':/opt/f'")
        r = p.sbx("cp", "f", ":/opt/none/").ok(FAILED)
        match(f"inside: .*none.*No such file or directory\nhint: {first}\n", r.err, "a slash")
        r = p.sbx("cp", ":/etc/passwd", "none/").ok(FAILED)
        match(f"none.*No such file or directory\nhint: {first}\n", r.err, "a slash outside")
        refused(p.sbx("cp", "./none", ":/opt"), FAILED, "cannot copy './none': No such file or directory")
        refused(p.sbx("cp", ":/etc/none", "."), FAILED, "cannot copy '/etc/none' inside: No such file or directory")
        refused(p.sbx("cp", ":none", "."), FAILED, f"cannot copy '{p.path('none')}' inside: No such file or directory")
        match("no place for files", p.sbx("cp", "f", ":/proc/sys/kernel/hostname").ok(FAILED).err, "/proc")
        match("cannot replace 'sbx.ini': it is mounted there", p.sbx("cp", "f", ":sbx.ini").ok(FAILED).err, "the policy")
        p.sh("ln -s . ~/here; ln -s $PWD ~/there").ok()
        match("cannot replace 'sbx.ini'", p.sbx("cp", "f", ":~/there/sbx.ini").ok(FAILED).err, "the policy, by a link")
        equal(p.sh("echo x >>sbx.ini").status, 2, "it is still read-only")
        match("cannot copy 'etc' into itself|Is a directory|File exists|Not a directory",
              p.sbx("cp", ":/etc", p.path("f")).ok(FAILED).err, "a folder over a file")
        os.mkdir(p.path("d"))
        match("into itself", p.sbx("cp", p.dir, ":d").ok(FAILED).err, "a folder into itself")
        p.sbx("cp", "./a:b", ":/opt").ok()
        p.write("sbx.ini", "[network]\nmode = host\n")
        match("asks for more than its own folder", p.sbx("cp", "f", ":/opt/f").ok(FAILED).err, "trust")


def canaries(p):
    """A folder outside that links inside lead to."""
    outside = os.path.join(p.parent, "outside")
    os.mkdir(outside)
    with open(os.path.join(outside, "canary"), "w", encoding="utf-8") as f:
        f.write("canary\n")
    return outside


def test_a9_links():
    """A9: links inside to a folder outside, absolute and with .., as DST and as SRC: nothing lands there, nothing comes from there."""
    with Project() as p:
        outside = canaries(p)
        before = tree(outside)
        up = "../" * 20 + outside.lstrip("/")
        p.write("f", "x\n")
        for n, target in enumerate((outside, up, "/proc/self/root" + outside, "/proc/1/root" + outside)):
            p.run("sudo", "ln", "-s", target, f"/out{n}").ok()
            p.run("ln", "-s", target, f"way{n}").ok()
            for dst in (f":/out{n}/", f":/out{n}/f", f":/out{n}", f":way{n}/f", f":{p.dir}/way{n}/"):
                p.sbx("cp", "f", dst)
                equal(tree(outside), before, f"outside, after {dst} by {target}")
            for src in (f":/out{n}/canary", f":/out{n}/.", f":way{n}/canary"):
                p.sbx("cp", src, p.path("got"))
                check(not os.path.exists(p.path("got")) and not os.path.exists(p.path("canary")), f"{src} by {target}")
            # Outside, in the project that the sandbox writes to.
            if n < 2:
                r = p.sbx("cp", ":/etc/hostname", f"way{n}/").ok(FAILED)
                match("cannot open the folder|way", r.err, "out by a link of the project")
                p.sbx("cp", f"way{n}/canary", ":/opt/stolen").ok(FAILED)
                equal(tree(outside), before, f"outside, after a copy out by {target}")
        p.run("sh", "-c", f"mkdir d && ln -s {outside} d/sub").ok()
        os.makedirs(os.path.join(p.parent, "src/sub"))
        with open(os.path.join(p.parent, "src/sub/new"), "w", encoding="utf-8"):
            pass
        p.sbx("cp", os.path.join(p.parent, "src/."), ":d").ok(FAILED)
        equal(tree(outside), before, "outside, after a merge over a link")


SWAP = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
dir_, link = (x.encode() for x in sys.argv[1:3])
print("ready", flush=True)
while True:
    libc.renameat2(-100, dir_, -100, link, 2)
"""


@limit(120)
def test_a9_swap():
    """A9: a folder and a link to one outside change places all the while, on both sides: a thousand times nothing lands there."""
    with Project() as p:
        outside = canaries(p)
        before = tree(outside)
        p.write("f", "x\n")
        p.write("swap.py", SWAP)
        p.sh(f"mkdir real && ln -s {outside} fake && mkdir real/sub && mkdir ~/real && ln -s {outside} ~/fake").ok()
        loops = [p.start("run", "python3", "swap.py", *pair) for pair in (("real", "fake"), (f"{harness.USER.pw_dir}/real",
                                                                                           f"{harness.USER.pw_dir}/fake"))]
        done = {0: 0, FAILED: 0}
        try:
            for loop in loops:
                harness.read_until(loop.stdout, b"ready")
            for n in range(fewer(1000) // 4):
                for words in (("f", ":real/"), ("f", ":~/real/f"), (":/etc/hostname", "real/"), (":~/real/canary", "got")):
                    done[p.sbx("cp", *words).status] += 1
                check(not os.path.exists(p.path("got")), f"round {n}: something came from outside")
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
        equal(tree(outside), before, "outside")
        harness.diagnose(f"{done[0]} copied, {done[FAILED]} refused")
        check(done[0] > 0 and done[FAILED] > 0, f"both happened: {done}")


def test_a9_mount_of_the_profile():
    """A9: what a profile mounts writable is shared, too: a link in it does not lead a copy out of it."""
    with Project() as p:
        outside = canaries(p)
        shared = os.path.join(p.parent, "shared")
        os.mkdir(shared)
        p.write("sbx.ini", NO_NET + f"[mounts]\n{shared} = /shared:rw\n")
        p.allow()
        p.sh(f"ln -s {outside} /shared/way").ok()
        before = tree(outside)
        p.sbx("cp", ":/etc/hostname", os.path.join(shared, "way")).ok(FAILED)
        equal(tree(outside), before, "outside")
        p.sbx("cp", ":/etc/hostname", shared).ok()


def test_a9_alias():
    """A9: a link of the user's own that leads to the project, or the profile's mount by one: a link that was laid there leads nowhere."""
    with Project() as p:
        outside = canaries(p)
        shared, alias, way = (os.path.join(p.parent, x) for x in ("shared", "alias", "way"))
        os.mkdir(shared)
        os.symlink(p.dir, alias)
        os.symlink(shared, way)
        p.write("sbx.ini", NO_NET + f"[mounts]\n{way} = /shared:rw\n")
        p.allow()
        p.sh(f"mkdir folder && ln -s {outside} out && ln -s {outside} /shared/out").ok()
        before = tree(outside)
        for dst in (alias + "/out/", alias + "/out/f", alias + "/folder/../out/", way + "/out/", shared + "/out/f"):
            r = p.sbx("cp", ":/etc/hostname", dst).ok(FAILED)
            match("leads out of its folder|cannot open the folder", r.err, dst)
            equal(tree(outside), before, f"outside, after {dst}")
        p.sbx("cp", alias + "/out/canary", ":/tmp/stolen").ok(FAILED)
        # What does not lead out is as it was; so is .. behind it.
        for n, dst in enumerate((alias + "/folder", alias, f"{alias}/../next", f"{way}/../next2")):
            p.sbx("cp", ":/etc/hostname", f"{dst}/f{n}" if n < 2 else dst).ok()
        for path in (p.path("folder/f0"), p.path("f1"), os.path.join(p.parent, "next"), os.path.join(p.parent, "next2")):
            check(os.path.exists(path), path)


harness.main(__name__)
