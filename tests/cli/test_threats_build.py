#!/usr/bin/python3
"""THREATS.md, part A: building a sandbox from hostile roots, projects and profiles."""

import itertools
import os
import shutil
import stat

import harness
import threats
from harness import Project, check, equal, limit, match
from threats import QUICK, SOAK, Canary, refused, small_root

DIR_BASE = "[base]\nimage = dir:./root\n" + QUICK


# ---- A1: links in the root ------------------------------------------------------------------

# Looks at and writes through what is a link in the root, as the user and as root; `$@`: the names.
LOOK = """
cd /
look='for path; do
    cat "$path" "$path/canary" "$path/inner/canary"
    echo "$path"/*
    (echo planted > "$path/planted"; mkdir "$path/made")
done'
(eval "$look"; sudo sh -c "$look" sh "$@") 2>/dev/null
echo end
"""

A1_NAMES = ("/dev", "/proc", "/sys", "/etc", "/tmp", "/run", "/home", "/root", "/var", "/bin",
            "/etc/resolv.conf", "/etc/hosts", "/etc/passwd", "/mnt", "/mnt/sub")


def a1_targets(canary):
    return (canary.dir, os.path.join(canary.dir, "new"), canary.file, "/oldroot/home",
            "/proc/self/cwd", "../../..", "..")


def inside_or_refused(p, canary, *args):
    """The command ran to its end and saw nothing, or sbx refused; either way all is as before."""
    before = threats.listing(p.dir)
    result = p.sbx("run", *args)
    if result.status == 0:
        match(r"^end$", result.out, f"what ran inside {args}")
    else:
        check(result.status in (125, 126, 127), f"status {result.status} of {result.argv}")
        match(r"\Asbx: error: ", result.err, "why it was refused")
    canary.unseen(result)
    after = threats.listing(p.dir)
    equal([path for path in before.keys() | after.keys() if before.get(path) != after.get(path)], [],
          f"what changed in the project by {args}")
    return result.status == 0


@limit(300)
def test_A1_links_in_a_root_folder():
    """A root with a link in any place that sbx fills or that is mounted on: inside or refused."""
    with Project(ini=DIR_BASE + "[mounts]\n./sub = /mnt/sub\n") as p, Canary(p) as canary:
        os.mkdir(p.path("sub"))
        ran, number = 0, itertools.count()
        # Each as a whole image, with all seven targets shared out among the names.
        for at, name in enumerate(A1_NAMES):
            targets = a1_targets(canary)
            for target in targets if SOAK else (targets[0], targets[1 + at % 6]):
                shutil.rmtree(p.path("root"), ignore_errors=True)
                small_root(p.path("root"))
                place = p.path("root") + name
                if os.path.isdir(place) and not os.path.islink(place):
                    shutil.rmtree(place)
                elif os.path.lexists(place):
                    os.unlink(place)
                os.makedirs(os.path.dirname(place), exist_ok=True)
                os.symlink(target, place)
                ran += inside_or_refused(p, canary, "--create", "-e", f"e{next(number)}", "sh", "-c", LOOK,
                                         "sh", name, canary.dir)
        check(ran >= 10, f"some of these roots can be used, got {ran}")


@limit(120)
def test_A1_every_name_is_a_link():
    """The same with all names of a root at once, to each of the targets."""
    with Project(ini=DIR_BASE + "[mounts]\n./sub = /mnt/sub\n") as p, Canary(p) as canary:
        os.mkdir(p.path("sub"))
        for number, target in enumerate(a1_targets(canary)):
            shutil.rmtree(p.path("root"), ignore_errors=True)
            small_root(p.path("root"))
            for name in ("dev", "proc", "sys", "etc", "tmp", "run", "home", "root", "mnt"):
                if os.path.isdir(p.path("root/" + name)):
                    shutil.rmtree(p.path("root/" + name))
                os.symlink(target, p.path("root/" + name))
            inside_or_refused(p, canary, "--create", "-e", f"e{number}", "sh", "-c", LOOK, "sh", "/dev", "/etc",
                              "/home", "/root", canary.dir)


@limit(120)
def test_A1_links_made_from_inside():
    """Links that root of the sandbox left in its writable layer: the next start does not follow them."""
    plant = """
    for name in /etc/resolv.conf /etc/hosts /etc/hostname /etc/passwd /new /mnt /srv /var/tmp; do
        rm -rf "$name" && ln -s "$1" "$name" || exit
    done
    """
    for ini in (QUICK, DIR_BASE):
        ran = 0
        with Project(ini=ini) as p, Canary(p) as canary:
            os.mkdir(p.path("sub"))
            if ini is DIR_BASE:
                small_root(p.path("root"))
            for number, target in enumerate(a1_targets(canary)[::1 if SOAK else 3]):
                p.write("sbx.ini", ini)
                p.sbx("run", "--create", "-e", f"e{number}", "--", "sudo", "sh", "-c", plant, "sh", target).ok()
                p.write("sbx.ini", ini + "[mounts]\n./sub = /new/sub\n./sbx.ini = /mnt/ini\n")
                ran += inside_or_refused(p, canary, "--create", "-e", f"e{number}", "sh", "-c", LOOK, "sh",
                                         "/etc/hosts", "/etc/resolv.conf", "/new", "/new/sub", "/mnt",
                                         "/srv", "/var/tmp", canary.dir)
            check(ran > 0, "some of these roots can be used")


def test_A1_workdir_is_a_link():
    """A working folder that is a link in the root leads nowhere else than inside."""
    with Project(ini=DIR_BASE) as p, Canary(p) as canary:
        small_root(p.path("root"))
        for number, target in enumerate(a1_targets(canary)):
            os.symlink(target, p.path(f"root/wd{number}"))
        os.symlink("/proc", p.path("root/odd"))
        for name in [f"/wd{n}" for n in range(7)] + ["/odd/self/cwd", "/odd/1/cwd", "/odd/1/root",
                                                     "/oldroot/home", "../../../../.."]:
            script = "cat canary ../canary inner/canary; ls -d ./canary /home/*; echo end"
            inside_or_refused(p, canary, "-w", name, "sh", "-c", script)
        for name in ("/proc/self/cwd", "/proc/1/root", "/dev/fd/0", "/etc/../proc/self/root"):
            refused(p.sbx("run", "-w", name, "pwd"), "magic link", status=2)


def test_A1_var_run_is_a_link():
    """A mount below /var/run works where that is a link to /run: no ELOOP (bubblewrap#801)."""
    with Project(ini=DIR_BASE + "[mounts]\n./sub = /var/run/one/two\n") as p, Canary(p) as canary:
        os.mkdir(p.path("sub"))
        p.write("sub/file", "shown\n")
        for number, target in enumerate(("/run", "../run", "/run/.", "//run", "../../run")):
            shutil.rmtree(p.path("root"), ignore_errors=True)
            small_root(p.path("root"))
            os.symlink(target, p.path("root/var/run"))
            result = p.sbx("run", "--create", "-e", f"e{number}", "cat", "/run/one/two/file",
                           "/var/run/one/two/file").ok()
            equal(result.out, "shown\nshown\n", f"/var/run -> {target}")
        p.write("sbx.ini", QUICK + "[mounts]\n./sub = /var/run/one/two\n")
        equal(p.run("cat", "/run/one/two/file").ok().out, "shown\n", "on the host's root")
        canary.unseen()


def test_A1_parents_that_cannot_be_listed():
    """A project and a mount work whose parents can be passed only: 0711, 0311 (tend#1279)."""
    for mode in (0o711, 0o311, 0o111):
        with Project(ini=QUICK + "[mounts]\n./mid/sub = /mnt/sub\n") as p:
            os.makedirs(p.path("mid/sub"))
            p.write("mid/sub/file", "shown\n")
            os.chmod(p.path("mid"), mode)
            os.chmod(p.parent, mode)
            try:
                result = p.sh("cat /mnt/sub/file mid/sub/file; echo made > made; pwd")
            finally:
                os.chmod(p.parent, 0o755)
                os.chmod(p.path("mid"), 0o755)
            equal(result.ok().out, f"shown\nshown\n{p.dir}\n", f"parents of mode {mode:o}")
            equal(p.read("made"), "made\n", "what was made in the project")


# ---- A2: swapped while it is built ------------------------------------------------------------


class Swapper:
    """Sandbox 1, whose user exchanges paths of its project as fast as it can."""

    def __init__(self, p, pairs):
        self.p = p
        threats.place_probe(p, "swap")
        words = [word for pair in pairs for word in pair]
        self.process = p.start("run", harness.need_program("python3"), "probe_swap.py", *words)
        harness.read_until(self.process.stdout, b"up\n")

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        out, err = self.process.communicate(b"", timeout=20)
        if kind is None:
            check(out.strip().isdigit() and int(out) > 100, f"many exchanges: {out!r} {err!r}")
        return False


def race(p, canary, *args, cwd=None, times=30):
    """Start a sandbox many times.  Returns how often it ran."""
    ran = 0
    for _ in range(1000 if SOAK else times):
        result = p.sbx("run", *args, cwd=cwd or p.dir)
        check(canary.text not in result.out, f"the canary came out: {result.out!r}")
        check(result.status in (0, 1, 125), f"status {result.status}: {result.err!r}")
        ran += result.status != 125
    equal(os.stat(canary.file).st_atime, 1.0, "the time when the canary was read")
    return ran


@limit(3000 if SOAK else 120)
def test_A2_mount_source_and_target_swapped():
    """A folder of the project that a second environment mounts, and mounts on: never what a link means."""
    ini = QUICK + "[mounts]\n./sub = /mnt/sub\n./plain = {}/sub/inner\n"
    with Project() as p, Canary() as canary:
        for name in ("sub/inner", "plain"):
            os.makedirs(p.path(name))
        os.symlink(canary.dir, p.path("link"))
        with Swapper(p, [("sub", "link")]):
            p.write("sbx.ini", ini.format(p.dir))
            ran = race(p, canary, "--create", "-e", "two", "cat", "/mnt/sub/canary", "/mnt/sub/inner/canary",
                       "sub/inner/canary")
        equal(os.listdir(os.path.join(canary.dir, "inner")), ["canary"], "beside the canary")
        print(f"# {ran} of the starts met a folder")


@limit(3000 if SOAK else 120)
def test_A2_project_swapped():
    """The project's folder, and one above it, swapped by the sandbox of an outer project."""
    with Project() as outer, Canary(outer) as canary:
        os.makedirs(outer.path("mid/inner"))
        outer.write("mid/inner/sbx.ini", QUICK)
        for name in ("mid/link", "midlink"):
            os.symlink(canary.dir, outer.path(name))
        for pair in (("mid/inner", "mid/link"), ("mid", "midlink")):
            # The folder itself, wherever it is just then: so the start begins, and then it is swapped.
            folder = os.open(outer.path("mid/inner"), os.O_PATH | os.O_DIRECTORY)
            with Swapper(outer, [pair]):
                ran = race(outer, canary, "sh", "-c", "cat canary inner/canary mid/inner/canary; ls",
                           cwd=f"/proc/{os.getpid()}/fd/{folder}", times=50)
                print(f"# {ran} of the starts met a folder")
            os.close(folder)
        canary.unseen()


@limit(3000 if SOAK else 120)
def test_A2_profile_swapped_with_a_link():
    """sbx.ini of an inner project swapped with a link: no other file shows in its place."""
    with Project() as outer, Canary() as canary:
        os.mkdir(outer.path("inner"))
        outer.write("inner/sbx.ini", QUICK)
        os.symlink(canary.file, outer.path("inner/link"))
        with Swapper(outer, [("inner/sbx.ini", "inner/link")]):
            for _ in range(300 if SOAK else 30):
                result = outer.sbx("run", "-C", outer.path("inner"), "sh", "-c",
                                   "cat sbx.ini link")
                check(canary.text not in result.out, f"the canary came out: {result.out!r}")
        with open(canary.file, encoding="ascii") as f:
            equal(f.read(), canary.text + "\n", "the canary")


# ---- A10: words that look like options ----------------------------------------------------------


def test_A10_values_of_a_profile():
    """In a profile, what looks like an option or an id is a value or an error with its line."""
    bad = ("[user]\nas = 0x0", "[user]\nas = 4294967295", "[user]\nas = -1", "[user]\nas = -u 0:0 --",
           "[profile]\nname = --bind=/", "[profile]\nname = -u 0:0 --", "[profile]\nextends = --bind=/",
           "[profile]\nextends = ../../../etc/passwd", "[base]\nimage = --bind=/",
           "[base]\nimage = -u 0:0 --", "[base]\nimage = dir:", "[mounts]\n./sub = --bind=/",
           "[mounts]\n./sub = ../mnt", "[mounts]\n./sub = /", "[mounts]\n./sub = /mnt/..",
           "[env]\npass = --bind=/", "[env]\nset.-u 0:0 = 1", "[env]\nset.A=B = 1", "[sandbox]\nlinger = -1",
           "[sandbox]\nlinger = 0x10", "[sandbox]\nlinger = 99999999999999999999",
           "[network]\nmode = none,host", "[security]\nseccomp = --off", "[limits]\npids = 0x10",
           "[limits]\nmemory = -1", "[mounts]\n./sub = /mnt/a\0/b", "[env]\nset.A = 1\0\n[security]")
    with Project() as p, Canary(p) as canary:
        os.mkdir(p.path("sub"))
        for text in bad:
            p.write("sbx.ini", text + "\n")
            result = p.run("echo", "ran")
            if text in ("[mounts]\n./sub = /mnt/..", "[env]\nset.A=B = 1") and result.status == 0:
                continue  # as data: "/" or a value with '='
            refused(result, r"sbx\.ini:2: " if text[:5] != "[base" else r"sbx\.ini:2|root folder")
            canary.unseen(result)


def test_A10_values_are_data():
    """What is allowed as a value arrives as it was written."""
    values = ("--bind=/", "-u 0:0 --", "0x0", "4294967295", "a,upperdir=/", "$(id) `id` ${HOME} %s\\n",
              "'\"\\", "-", "--")
    text = QUICK + "[env]\n" + "".join(f"set.V{n} = {v}\n" for n, v in enumerate(values))
    for root in (False, True):
        with Project(ini=("[base]\nimage = dir:./root\n" if root else "") + text) as p:
            if root:
                small_root(p.path("root"))
            got = dict(line.split("=", 1) for line in p.run("env").ok().out.splitlines())
            equal([got[f"V{n}"] for n in range(len(values))], list(values), "the variables")


def test_A10_paths_are_data():
    """Names of a project, a mount and a root with what means something to mount(8) or a shell."""
    for name in ("a,lowerdir=:x\\:y", "--bind=", "-u 0:0 --", "a b\tc", "$(id)", "%s%n", "0x0", "a'\"b"):
        ini = f'[base]\nimage = dir:./{name}\n{QUICK}[mounts]\n"./m{name.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}" = /mnt/m\n'
        with Project(ini=ini, name=name) as p, Canary(p) as canary:
            small_root(p.path(name))
            os.mkdir(p.path("m" + name))
            p.write("m" + name + "/file", "shown\n")
            result = p.run("sh", "-c", "pwd; cat /mnt/m/file").ok()
            equal(result.out, f"{p.dir}\nshown\n", f"with the name {name!r}")
            canary.unseen(result)


def test_A10_words_of_the_command_line():
    """Behind `--` all is the command; names of environments, folders and users are checked."""
    with Project() as p, Canary(p) as canary:
        for words in (["--bind"], ["--bind=/", "/"], ["-u", "0:0", "--"], ["--root"]):
            result = p.sbx("run", "--", *words)
            equal(result.status, 127, f"{words} is a command that is not there")
        for words in (["--bind=/", "true"], ["--bind", "/", "true"], ["-u", "0:0", "--", "true"]):
            refused(p.sbx("run", *words), r"option", status=2)
        equal(p.run("printf", "%s,", "--root", "-e", "x", "--").ok().out, "--root,-e,x,--,", "words")
        for name in ("--bind=/", "-u 0:0 --", "../../x", "/", "..", "", "a\nb", "a/b", "x" * 300,
                     "\x1b[2K", "a\u202eb"):
            result = p.sbx("run", "-e", name, "true")
            check(result.status in (2, 125), f"-e {name!r} is refused: {result.status}")
            threats.no_raw(result.raw_err, "the message")
            canary.unseen(result)
        for folder in ("--bind=", "-u 0:0 --", "a\nb", "0x0"):
            os.mkdir(p.path(folder))
            equal(p.sbx("run", "-w", folder, "sh", "-c", 'printf %s "${PWD##*/}"').ok().out, folder, "-w")
        for user in ("#-1", "#4294967295", "#4294967296", "#0x0", "0:0", "#", "-1", "root\n", "",
                     "--bind=/", "#1 ", "# 0", "#+0"):
            result = p.run("sudo", "-u", user, "id")
            check(result.status != 0, f"sudo -u {user!r} is refused, got {result.out!r}")
            equal(result.out, "", f"sudo -u {user!r}")
            threats.no_raw(result.raw_err, "the message")
            result = p.run("sudo", "-g", user, "id")
            check(result.status != 0 and not result.out, f"sudo -g {user!r}: {result.out!r}")
        check(p.run("sudo", "-D", "--bind=", "pwd").ok().out.endswith("/--bind=\n"), "sudo -D")


# ---- A11: text that hides -----------------------------------------------------------------------


def test_A11_profiles_that_hide_text():
    """NUL, CR, escapes, turned text, a huge line, a section twice: refused, with the line."""
    bad = (b"[network]\nmode = none\n\0[network]", b"[network]\nmode = none\0\n",
           b"[network]\r\nmode = none\r\n", b"[network]\nmode = none ; \x1b[2K\n",
           b"[network]\n; \x1b]0;title\x07\nmode = none\n", b"[network]\nmode = \x1b[2Knone\n",
           "[network]\n; \u202eeno\nmode = none\n".encode(), "[network]\nmode = none\u2066\n".encode(),
           b"[network]\nmode = none\n; \x9b2K\n", "[network]\nmode = none\n; \x9b2K\n".encode(),
           b"[network]\nmode = none\n; " + b"x" * (1 << 20) + b"\n", b"[network]\n" + b"a" * (1 << 19),
           b"[network]\nmode = none\n[network]\n", b"[network]\nmode = none\nmode = none\n",
           b"[network]\nmode = none\n\x0cname = x\n", b"[\x1b[2Knetwork]\nmode = none\n")
    with Project() as p, Canary(p) as canary:
        for text in bad:
            p.write("sbx.ini", text)
            why = r"sbx\.ini:[1-3]: |larger than \d+ KiB|File too large"
            for words in (["run", "echo", "ran"], ["profile", "show"], ["profile", "check"], ["allow", "-y"]):
                result = p.sbx(*words)
                refused(result, why)
                check(len(result.err) < 5000, f"a message of {len(result.err)} bytes")
                canary.unseen(result)
            # It tells of what there is all the same, and warns.
            result = p.sbx("status").ok()
            match(why, result.err, "the warning")
            check(len(result.err) < 5000, f"a warning of {len(result.err)} bytes")
            threats.no_raw(result.raw + result.raw_err, "status")
            canary.unseen(result)


def test_A11_names_that_hide_text():
    """What comes from names (folders, environments, commands, variables) is printed escaped."""
    for name in (b"a\x1b[2K\rb", "a\u202eb\u2066c".encode(), b"a\nb", b"a\x9b2K\xffb", b"a\x7f\x07b"):
        with Project(name=name) as p, Canary(p) as canary:
            p.run("true").ok()
            for words in (["status"], ["list"], ["profile", "show"], ["profile", "check"], ["run", name],
                          ["run", "--dry-run", "true"],
                          ["run", "-e", name, "true"], ["run", "-C", name, "true"], [name],
                          ["run", b"--" + name], ["stop", name], ["profile", "show", name], ["stop"]):
                result = p.sbx(*words)
                threats.no_raw(result.raw, f"stdout of {words}")
                threats.no_raw(result.raw_err, f"stderr of {words}")
            p.write("sbx.ini", QUICK + "[mounts]\n./none = /mnt/none\n")
            refused(p.run("true"), r"sbx\.ini:\d+: ")
            canary.unseen()


# ---- A15: the store ----------------------------------------------------------------------------


def closed_above(path, store):
    """Is there a folder from the store down that is this user's, and that nobody else can pass?"""
    while path != store:
        path = os.path.dirname(path)
        st = os.stat(path)
        if st.st_uid == os.getuid() and st.st_mode & 0o077 == 0:
            return True
    return False


def test_A15_store_is_closed():
    """Every folder on the way into the store is the user's and closed, whatever the umask is."""
    old = os.umask(0)
    try:
        with Project() as p:
            data = os.path.join(p.parent, "data")
            env = dict(p.env, XDG_DATA_HOME=data)
            p.run("true", env=env).ok()
            store = os.path.join(data, "sbx")
            for path in [store] + [os.path.join(store, name) for name in ("envs", "tmp", "allow")]:
                st = os.stat(path)
                equal((st.st_uid, oct(stat.S_IMODE(st.st_mode))), (os.getuid(), "0o700"), path)
            for path in threats.listing(store):
                st = os.lstat(path)
                kept = "/upper/" in path or "/standin/" in path
                check(not stat.S_ISREG(st.st_mode) or kept or not st.st_mode & 0o022,
                      f"{path} can be written by others: {st.st_mode:o}")
            p.sbx("stop", env=env).ok()
            os.chmod(store, 0o755)
            p.run("true", env=env).ok()
            equal(oct(stat.S_IMODE(os.stat(store).st_mode)), "0o700", "the store, closed again")
            p.sbx("stop", env=env).ok()
            os.chmod(store, 0o777)
            refused(p.run("true", env=env), "others may write")
            os.chmod(store, 0o700)
            p.sbx("rm", "-f", env=env).ok()
    finally:
        os.umask(old)


def test_A15_setuid_files_cannot_be_reached():
    """A setuid file of the sandbox's root lies on the host where nobody but the user can reach it."""
    make = """
    for place in /opt/a /usr/bin/b /var/tmp/c /etc/d /root/e; do
        sudo mkdir -p "${place%/*}"
        sudo sh -c "cat /bin/sh > $place; chmod 6755 $place" || exit
    done
    cat /bin/sh > ~/f && chmod 6755 ~/f
    """
    for ini in (harness.NO_NET, "[base]\nimage = dir:./root\n" + harness.NO_NET):
        with Project(ini=ini) as p:
            if "dir:" in ini:
                small_root(p.path("root"))
                shutil.copy(harness.need_program("chmod"), p.path("root/usr/bin/chmod"))
            p.sh(make).ok()
            env = os.path.dirname(p.sbx("status", "--json").json()["home"])
            found = {path for path in threats.listing(env)
                     if os.lstat(path).st_mode & 0o6000 and stat.S_ISREG(os.lstat(path).st_mode)}
            check(len(found) >= 5, f"setuid files in the store: {found}")
            for path in found:
                check(closed_above(path, os.path.join(harness.base(), "data/sbx")), f"{path} can be reached by others")
            for path in threats.listing(p.dir):
                check(not os.lstat(path).st_mode & 0o6000, f"{path} has a setuid bit")


harness.main(__name__)
