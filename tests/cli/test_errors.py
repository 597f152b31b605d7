#!/usr/bin/python3
"""Missing and broken parts: each gives the right message and a hint, and leaves nothing behind."""

import os
import re
import shutil

import harness
import procs
from harness import Project, absent, check, command, equal, limit, match

SLIRP = "[network]\nmode = slirp\n"
PARTS = ("newuidmap", "newgidmap", "fuse-overlayfs", "slirp4netns")


def hidden(*options):
    """A mount namespace that is the host's but for what the options put over it."""
    return [harness.need_program("bwrap"), "--dev-bind", "/", "/", *options, "--"]


def path_without(p, *missing):
    """A PATH with the programs that sbx starts, but for those."""
    folder = os.path.join(p.parent, "bin")
    os.makedirs(folder, exist_ok=True)
    for name in PARTS:
        with harness.contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, name))
        found = shutil.which(name, path=harness.environment()["PATH"])
        if found and name not in missing:
            os.symlink(found, os.path.join(folder, name))
    return dict(p.env, PATH=folder)


def refused(result, message, hint):
    """sbx said why, in its own words, and how to mend it."""
    equal(result.status, 125, f"status ({result.err!r})")
    match(message, result.err, "the message")
    if hint:
        match(r"^hint: .*" + hint, result.err, "the hint")
    absent(r"Assertion|Sanitizer|Segmentation|\(null\)|^hint:\s*$", result.err, "the message")


def fails_cold_and_warm(p, prefix, message, hint, env=None):
    """The same answer with a fresh store and with one whose facts were found when all was well.

    Where the prefix takes newuidmap's privilege away (bwrap, no_new_privs), an environment that was
    made with subordinate ids is refused for that; such a user has only the fresh store there.
    """
    fresh = dict(env or p.env, XDG_DATA_HOME=os.path.join(p.parent, "fresh"))
    os.makedirs(fresh["XDG_DATA_HOME"], exist_ok=True)
    before = procs.mine()
    for used in [fresh] if prefix and harness.has_subids() else [fresh, env or p.env]:
        result = command(prefix + [harness.SBX, "run", "true"], cwd=p.dir, env=used)
        refused(result, message, hint)
    procs.nothing_left(before, 2)
    # What had begun to be made may belong to subordinate ids.
    command([harness.SBX, "rm", "-f"], cwd=p.dir, env=dict(p.env, XDG_DATA_HOME=fresh["XDG_DATA_HOME"]))


def doctor_tells(prefix, p, pattern, env=None, needed=True):
    """doctor says it too, and its status is not 0 where nothing goes without it."""
    result = command(prefix + [harness.SBX, "doctor"], cwd=p.dir, env=env or p.env)
    match(pattern, result.out, "doctor")
    equal(result.status != 0, needed, f"doctor's status is a failure ({result.out!r})")


def well(p):
    """Everything works: the facts are now in the cache."""
    p.run("true").ok()
    p.sbx("stop")


def test_no_dev_fuse():
    """Without /dev/fuse."""
    with Project() as p:
        well(p)
        prefix = hidden("--dev", "/dev")
        fails_cold_and_warm(p, prefix, r"/dev/fuse", r"modprobe fuse|chmod|doctor")
        doctor_tells(prefix, p, r"/dev/fuse")


def test_no_dev_net_tun():
    """Without /dev/net/tun: an error with slirp, none without a network."""
    with Project(ini=SLIRP) as p:
        well(p)
        prefix = hidden("--dev", "/dev", "--dev-bind", "/dev/fuse", "/dev/fuse")
        fails_cold_and_warm(p, prefix, r"/dev/net/tun", r"modprobe tun")
        doctor_tells(prefix, p, r"/dev/net/tun")


def test_no_dev_net_tun_needed_without_network():
    """`mode = none` does not ask for it."""
    with Project() as p:
        prefix = hidden("--dev", "/dev", "--dev-bind", "/dev/fuse", "/dev/fuse")
        command(prefix + [harness.SBX, "run", "true"], cwd=p.dir, env=p.env).ok()


def test_no_slirp4netns():
    """Without slirp4netns: an error that names it and the way without a network."""
    with Project(ini=SLIRP) as p:
        well(p)
        env = path_without(p, "slirp4netns")
        fails_cold_and_warm(p, [], r"slirp4netns.*(not installed|not found)",
                            r".*slirp4netns", env)
        doctor_tells([], p, r"slirp4netns", env)
        p.write("sbx.ini", harness.NO_NET)
        p.run("true", env=env).ok()


def test_no_fuse_overlayfs():
    """Without fuse-overlayfs: an error only where the kernel's overlay does not work."""
    with Project() as p:
        well(p)
        env = path_without(p, "fuse-overlayfs")
        p.run("true", env=env).ok()
        p.sbx("stop")
        env["SBX_TEST_NO_OVERLAYFS"] = "1"
        fails_cold_and_warm(p, [], r"fuse-overlayfs.*(not installed|not found)",
                            r".*fuse-overlayfs", env)
        doctor_tells([], p, r"fuse-overlayfs", env)


def test_broken_fuse_overlayfs():
    """One that ends at once is told by its own words, and nothing stays."""
    with Project() as p:
        well(p)
        env = path_without(p, "fuse-overlayfs")
        env["SBX_TEST_NO_OVERLAYFS"] = "1"
        fake = os.path.join(env["PATH"], "fuse-overlayfs")
        with open(fake, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\necho 'broken on purpose' >&2\nexit 1\n")
        os.chmod(fake, 0o755)
        fails_cold_and_warm(p, [], r"fuse-overlayfs", None, env)


def test_broken_slirp4netns():
    """The same for the network's."""
    with Project(ini=SLIRP) as p:
        well(p)
        env = path_without(p, "slirp4netns")
        fake = os.path.join(env["PATH"], "slirp4netns")
        with open(fake, "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\necho 'broken on purpose' >&2\nexit 1\n")
        os.chmod(fake, 0o755)
        fails_cold_and_warm(p, [], r"slirp4netns", None, env)


def test_no_newuidmap():
    """Without newuidmap a new environment uses one id; one made with subordinate ids says why not."""
    with Project() as p:
        env = path_without(p, "newuidmap")
        fresh = dict(env, XDG_DATA_HOME=os.path.join(p.parent, "fresh"))
        p.run("true", env=fresh).ok()
        match(r"one id", p.sbx("status", env=fresh).ok().out, "status")
        p.sbx("stop", env=fresh).ok()
        p.sbx("rm", "-f", env=fresh).ok()
        if not harness.has_subids():
            return
        well(p)
        refused(p.run("true", env=env), r"subordinate ids.*newuidmap", r".*apt install uidmap")
        doctor_tells([], p, r"newuidmap", env, needed=False)


def test_newuidmap_without_its_privilege():
    """Under no_new_privs the setuid bit is void: as if it were not there."""
    with Project() as p:
        env = dict(p.env, XDG_DATA_HOME=os.path.join(p.parent, "fresh"))
        argv = ["setpriv", "--no-new-privs", harness.SBX, "run", "id", "-u"]
        equal(command(argv, cwd=p.dir, env=env).ok().out, f"{os.getuid()}\n", "id inside")
        p.sbx("stop", env=env).ok()
        p.sbx("rm", "-f", env=env).ok()


def test_user_namespaces_refused():
    """EPERM, as from a seccomp filter or AppArmor."""
    with Project() as p:
        well(p)
        here = os.path.dirname(os.path.abspath(__file__))
        prefix = ["/usr/bin/python3", os.path.join(here, "deny_userns.py")]
        fails_cold_and_warm(p, prefix, r"user namespace.*(not permitted|AppArmor|forbids)",
                            r".*(sysctl|doctor|permit)")
        doctor_tells(prefix, p, r"user namespace")


def test_user_namespaces_used_up():
    """ENOSPC, as from user.max_user_namespaces = 0."""
    with Project() as p:
        well(p)
        prefix = hidden("--unshare-user", "--disable-userns")
        fails_cold_and_warm(p, prefix, r"user namespace.*(max_user_namespaces|No space)",
                            r".*(sysctl|doctor)")
        doctor_tells(prefix, p, r"user namespace")


def data_folder(p):
    folder = os.path.join(p.parent, "small")
    os.makedirs(folder, exist_ok=True)
    return folder


@limit(180)
def test_no_space_for_the_store():
    """On a full disk: the kernel's words, the path, 125; with room again it just works."""
    with Project() as p:
        folder = data_folder(p)
        env = dict(p.env, XDG_DATA_HOME=folder)
        before = procs.mine()
        told = 0
        for size in (4096, 8192, 16384, 32768, 65536, 131072, 262144, 1 << 20):
            prefix = hidden("--size", str(size), "--tmpfs", folder)
            script = f'"$0" run true; s=$?; "$0" stop 2>/dev/null; exit $s'
            result = command(prefix + ["sh", "-c", script, harness.SBX], cwd=p.dir, env=env)
            if result.status:
                refused(result, r"No space left on device", None)
                match(re.escape(folder), result.err, "the message has the path")
                told += 1
        check(told > 0, "the smallest store had room for an environment")
        procs.nothing_left(before, 2)


@limit(120)
def test_no_space_inside():
    """A full disk is the command's own error; the sandbox lives, and goes on when there is room."""
    script = """
"$0" run true || exit 90
"$0" run sh -c 'dd if=/dev/zero of=$HOME/big bs=64k count=1000' && exit 91
"$0" run sudo sh -c 'dd if=/dev/zero of=/var/big bs=64k count=1000' && exit 92
"$0" run sudo sh -c 'rm -f "$1" /var/big' sh ~/big || exit 93
"$0" run sh -c 'echo again > ~/f && cat ~/f' || exit 94
"$0" stop
"""
    with Project() as p:
        folder = data_folder(p)
        env = dict(p.env, XDG_DATA_HOME=folder)
        prefix = hidden("--size", str(16 << 20), "--tmpfs", folder)
        result = command(prefix + ["sh", "-c", script, harness.SBX], cwd=p.dir, env=env).ok()
        match(r"No space left on device.*No space left on device", result.err, "dd's words")
        equal(result.out, "again\n", "afterwards")


def test_read_only_data_folder():
    """A read-only file system, with and without an environment there already."""
    with Project() as p:
        well(p)
        data = p.env["XDG_DATA_HOME"]
        empty = data_folder(p)
        prefix = hidden("--ro-bind", data, data, "--ro-bind", empty, empty)
        # In bwrap there are no subordinate ids, with which the environment there was made.
        for folder in [empty] if harness.has_subids() else [data, empty]:
            env = dict(p.env, XDG_DATA_HOME=folder)
            result = command(prefix + [harness.SBX, "run", "true"], cwd=p.dir, env=env)
            refused(result, r"Read-only file system", None)
            match(re.escape(folder), result.err, "the message has the path")


def test_data_folder_of_no_permission():
    """A data folder that may not be written."""
    with Project() as p:
        folder = data_folder(p)
        os.chmod(folder, 0o500)
        env = dict(p.env, XDG_DATA_HOME=folder)
        result = p.run("true", env=env)
        refused(result, r"Permission denied", None)
        match(re.escape(folder), result.err, "the message has the path")


def test_data_folder_on_a_file_system_without_subordinate_ids():
    """Where nobody but the user can own a file, as on NFS that squashes root: an error, its hint, and nothing half-made."""
    if not harness.has_subids():
        return  # there is no other owner
    for name in ("fuse-overlayfs", "fusermount3"):
        harness.need_program(name)
    with Project() as p:
        parts = {name: os.path.join(p.parent, name) for name in ("lower", "upper", "work", "there")}
        for path in parts.values():
            os.mkdir(path)
        options = "lowerdir={lower},upperdir={upper},workdir={work}".format(**parts)
        mounted = harness.command(["fuse-overlayfs", "-o", options, parts["there"]])
        if mounted.status != 0:
            harness.diagnose(f"an ordinary user cannot mount here: {mounted.err}")
            return
        try:
            env = dict(p.env, XDG_DATA_HOME=os.path.join(parts["there"], "data"))
            result = p.run("true", env=env)
            refused(result, r"cannot give '.*/upper.1' to root: Operation not permitted",
                    r"its filesystem knows no subordinate ids \(NFS does not\): set XDG_DATA_HOME to a folder on a local one")
            equal(p.sbx("fsck", env=env).ok().err, "sbx: the store is sound\n", "the store")
            p.sbx("rm", "-f", env=env).ok()
        finally:
            harness.command(["fusermount3", "-u", parts["there"]]).ok()


def test_data_home_that_is_relative_or_missing():
    """A relative XDG_DATA_HOME is not used (XDG base directory specification); a missing one is made."""
    with Project() as p:
        env = dict(p.env, XDG_DATA_HOME=os.path.join(p.parent, "a/b/c"))
        p.run("true", env=env).ok()
        p.sbx("stop", env=env)
        p.sbx("rm", "-f", env=env).ok()
        check(os.path.isdir(os.path.join(p.parent, "a/b/c/sbx")), "made")
        env["XDG_DATA_HOME"] = "relative"
        p.sbx("list", env=env)
        check(not os.path.exists(p.path("relative")), "a relative path was used")


ODD_NAMES = [b"with space", b"two\nlines", b"a,comma", b"a:colon", b"back\\slash", b"\\:,\\", b"quote'\"",
             b"not-utf8-\xff\xfe", b"$HOME`x`", b"-dash", b"tab\t", "ü-ñ-名".encode(), b"100%s%n",
             b"esc\x1b[31m", b"x" * 200, b"#hash;semi=eq", b"[sect]", b".hidden", b"trailing "]


@limit(240)
def test_odd_project_paths():
    """Spaces, newlines, commas, colons, backslashes and bytes that are no UTF-8 in a project's path."""
    for name in ODD_NAMES:
        with Project(name=name) as p:
            result = p.sh("pwd; echo inside > made; sudo touch /etc/root-made; ls /etc/root-made")
            equal((result.status, result.raw), (0, p.dir + b"\n/etc/root-made\n"),
                  f"in {name!r} ({result.err!r})")
            equal(p.read("made"), "inside\n", "content outside")
            p.sbx("list").ok()
            p.sbx("list", "--json").json()
            p.sbx("status", "--json").json()
            absent(r"\x1b", p.sbx("list").out + p.sbx("status").out, "an escape sequence")


@limit(120)
def test_odd_data_folders():
    """The same for the store's own path, which goes into mount options."""
    with Project() as p:
        for name in ODD_NAMES[:9]:
            env = dict(p.env, XDG_DATA_HOME=os.path.join(os.fsencode(p.parent), b"d", name))
            result = p.sh("sudo touch /etc/made && echo fine > ~/f && cat ~/f", env=env)
            equal((result.status, result.out), (0, "fine\n"), f"{name!r} ({result.err!r})")
            p.sbx("stop", env=env).ok()
            p.sbx("rm", "-f", env=env).ok()


def test_odd_path_in_a_message():
    """A newline or an escape sequence in a path reaches no terminal as it is."""
    with Project(ini="[network]\nmode = wrong\n", name=b"two\nlines\x1b[2J") as p:
        result = p.run("true")
        equal(result.status, 125, "status")
        match(r"sbx\.ini:2: ", result.err, "file and line")
        absent(r"\x1b|two\nlines", result.err, "a raw control character")


def test_long_data_path():
    """A store deeper than a socket's address can hold (108 bytes) works too."""
    with Project() as p:
        deep = os.path.join(p.parent, *["d" * 60] * 4)
        env = dict(p.env, XDG_DATA_HOME=deep)
        p.run("true", env=env).ok()
        p.run("true", env=env).ok()
        p.sbx("stop", env=env).ok()
        p.sbx("rm", "-f", env=env).ok()


def test_masked_proc():
    """Inside a container that hides a part of /proc the kernel gives no new one: told, and doctor named."""
    with Project() as p:
        env = dict(p.env, XDG_DATA_HOME=os.path.join(p.parent, "fresh"))
        prefix = hidden("--tmpfs", "/proc/bus")
        result = command(prefix + [harness.SBX, "run", "true"], cwd=p.dir, env=env)
        refused(result, r"/proc.*Operation not permitted", r"inside a container whose /proc is masked")
        doctor_tells(prefix, p, r"/proc", env)


def test_profile_that_is_a_link():
    """sbx.ini is protected inside; a link in its place could be changed, and is refused."""
    with Project(ini=None) as p:
        with open(os.path.join(p.parent, "real.ini"), "w", encoding="utf-8") as f:
            f.write(harness.NO_NET)
        os.symlink("../real.ini", p.path("sbx.ini"))
        refused(p.run("true"), r"cannot protect .*sbx\.ini.*symbolic link", r"put the file itself there")
        # The start had begun: what it made belongs to subordinate ids, and can be removed all the same.
        p.sbx("rm", "-f").ok()
        equal(os.listdir(os.path.join(p.env["XDG_DATA_HOME"], "sbx/tmp")), [], "left of it")


def test_root_folder_that_is_not_there():
    """`image = dir:` of nothing: the profile's line, and what the key means."""
    with Project(ini=harness.NO_NET + "[base]\nimage = dir:no-root\n") as p:
        refused(p.run("true"), r"sbx\.ini:4: .*/no-root", re.escape("`image = dir:PATH` under [base] names a folder that holds an unpacked root"))


def test_as_of_an_environment_stays():
    """With subordinate ids `as` is a part of the id map, and files have owners after it: no other later."""
    with Project() as p:
        p.run("true").ok()
        p.sbx("stop").ok()
        p.write("sbx.ini", harness.NO_NET + "[user]\nas = root\n")
        result = p.run("id", "-u")
        if not harness.has_subids():
            equal(result.ok().out, "0\n", "with one id all files have the same owner")
            return
        refused(result, r"sbx\.ini:4: .*as = root.*it was made with `as = self`",
                r"`--create -e NAME` makes another environment; `sbx rm` forgets this one")
        equal(p.sbx("run", "--create", "-e", "other", "--", "id", "-u").ok().out, "0\n", "another environment")
        p.sbx("stop", "-e", "other").ok()
        p.sbx("rm", "-f", "-e", "other").ok()


def test_another_user_with_one_id():
    """sudo -u somebody: with subordinate ids it works, with one id it says why not."""
    with Project() as p:
        result = p.run("sudo", "-u", "daemon", "id", "-un")
        if harness.has_subids():
            equal(result.ok().out, "daemon\n", "the user")
            return
        check(result.status != 0, f"status {result.status}")
        match(r"only one id.*^hint: with subordinate ids there are many", result.err, "the message")


def test_project_that_vanished():
    """A folder removed under the caller's feet."""
    with Project() as p:
        lost = os.path.join(p.parent, "lost")
        os.mkdir(lost)
        script = f'cd {lost} && rmdir {lost} && exec "$0" run true'
        refused(command(["sh", "-c", script, harness.SBX], env=p.env), r"folder|directory", None)


harness.main(__name__)
