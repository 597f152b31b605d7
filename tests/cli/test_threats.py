#!/usr/bin/python3
"""THREATS.md, parts A and B: what comes in with a command, and who sees whom inside."""

import contextlib
import grp
import json
import os
import socket
import tempfile

import harness
import threats
from harness import Project, Skip, absent, check, equal, limit, match
from threats import QUICK, SOAK, Canary, probe, refused, sandbox_of, small_root

ROOTS = (harness.NO_NET, "[base]\nimage = dir:./root\n" + harness.NO_NET)


def project(ini):
    p = Project(ini=ini)
    if "dir:./root" in ini:
        small_root(p.path("root"))
    return p


# ---- A4: descriptors ----------------------------------------------------------------------------


@contextlib.contextmanager
def leaky(canary):
    """A file at 7, /home at 8, a socket at 9, all inheritable, in this process."""
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryFile(dir=canary.dir) as secret, ours, theirs:
        home = os.open("/home", os.O_RDONLY | os.O_DIRECTORY)
        taken = {}
        for number, fd in ((7, secret.fileno()), (8, home), (9, theirs.fileno())):
            with contextlib.suppress(OSError):
                taken[number] = os.dup(number)
            os.dup2(fd, number, inheritable=True)
        try:
            yield (7, 8, 9)
        finally:
            for number in (7, 8, 9):
                os.close(number)
                if number in taken:
                    os.dup2(taken[number], number, inheritable=False)
                    os.close(taken[number])
            os.close(home)


# The shell's own: what it is at its start, told by the builtins alone.
OWN_FDS = 'for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 20 63 100 255; do [ -e /dev/fd/$n ] && echo $n; done; :'


@limit(120)
def test_A4_inherited_descriptors():
    """Of the caller's descriptors 0, 1 and 2 arrive and no other; cold, warm, as root, by sudo."""
    for ini in ROOTS:
        with project(ini) as p, Canary(p) as canary, leaky(canary) as fds:
            for prefix in ([], [], ["--root"]):
                result = p.sbx("run", *prefix, "sh", "-c", OWN_FDS, pass_fds=fds).ok()
                equal(result.out.split(), ["0", "1", "2"], f"descriptors inside, {prefix}")
                result = p.sbx("run", *prefix, "ls", "-l", "/proc/self/fd", pass_fds=fds).ok()
                absent(r" (?:[4-9]|\d\d+) -> | -> socket:| -> /home$", result.out, "ls -l")
                canary.unseen(result)
            result = p.sbx("run", "sudo", "sh", "-c", OWN_FDS, pass_fds=fds).ok()
            equal(result.out.split(), ["0", "1", "2"], "by sudo, of a caller with more")
            result = p.sh("exec 7</etc/passwd 8</ 9<>/tmp/x; sudo sh -c '" + OWN_FDS + "'").ok()
            equal(result.out.split(), ["0", "1", "2"], "by sudo, of a command with more")


def test_A4_workdir_by_descriptor():
    """A working folder that is a descriptor of the caller's is refused."""
    with Project() as p, Canary(p) as canary, leaky(canary) as fds:
        deep = "../" * 20
        for name in ("/proc/self/fd/8", "/dev/fd/8", "//proc//self/fd/8", "/tmp/../proc/self/fd/8",
                     "/proc/thread-self/fd/8", deep + "proc/self/fd/8", deep + "dev/fd/8"):
            refused(p.sbx("run", "--workdir", name, "pwd", pass_fds=fds), "magic link", status=2)
        result = p.sbx("run", "-C", "/proc/self/fd/8", "pwd", pass_fds=fds)
        check(result.status != 0, "-C leads to /home, which is no project")
        for name in ("/dev/stdin/..", "/proc/self/fd/8"):
            result = p.run("sudo", "-D", name, "pwd", pass_fds=fds)
            absent(r"^/home", result.out, f"sudo -D {name}")
        canary.unseen()


@limit(120)
def test_A4_descriptors_of_sbx():
    """Those of pid 1 and of the shims cannot be reached from inside, nor do the services hold the caller's."""
    look = 'for p in /proc/[0-9]*; do n=; read -r n < $p/comm; case $n in sbx-*) echo "$n"; ls $p/fd/ $p/cwd/ ' \
           '$p/root/ $p/task/*/fd/ $p/map_files/; cat $p/environ $p/maps $p/mem;; esac; done 2>/dev/null; :'
    with Project() as p, Canary(p) as canary, leaky(canary) as fds:
        for words in (["sh"], ["sudo", "sh"]):
            result = p.sbx("run", *words, "-c", look, pass_fds=fds).ok()
            names = result.out.split()
            equal(set(names), {"sbx-init", "sbx-shim"}, f"what {words} sees of sbx's processes")
            check(len(names) >= len(words) + 1, f"pid 1 and each shim: {names}")
        sandbox = sandbox_of(p)
        looked = 0
        for pid in sandbox.members:
            with contextlib.suppress(OSError):
                links = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
                looked += 1
                absent(r"(^|\n)/home$|" + os.path.basename(canary.dir), "\n".join(links),
                       f"descriptors of {sandbox.members[pid]}")
        sandbox.close()
        check(looked > 0, "the host can look into one of them at least")
        canary.unseen()


# ---- A6: looking into what joins ----------------------------------------------------------------


@limit(3000 if SOAK else 120)
def test_A6_joining_processes_cannot_be_looked_into():
    """Until its own exec, no way into a process that joins is open, for the user and for root inside."""
    joins = 500 if SOAK else harness.fewer(100)
    with Project() as p:
        threats.place_probe(p, "ptrace")
        python = harness.need_program("python3")
        # One of each kind that stays: the ways are open to those, or the probe sees nothing.
        for attacker, control in ((["run"], ["run"]), (["run", "--root"], ["run", "--root"])):
            still = p.start(*control, "cat")
            attack = p.start(*attacker, python, "probe_ptrace.py")
            harness.read_until(attack.stdout, b"up\n")
            for n in range(joins):
                words = (["true"], ["true"], ["sudo", "true"]) if "--root" not in attacker else (
                    ["--root", "true"], ["true"], ["sudo", "true"])
                result = p.sbx("run", *words[n % 3])
                # A helper built with sanitizers looks for leaks at its end, which a tracer prevents:
                # it was seized, but after its exec.
                if "LeakSanitizer does not work under ptrace" not in result.err:
                    result.ok()
            out, err = attack.communicate(b"", timeout=60)
            still.communicate(b"", timeout=20)
            equal((attack.returncode, err), (0, b""), f"the probe: {out!r}")
            told = json.loads(out)
            equal(told["early"], [], f"what was open before the exec ({attacker})")
            check(told["counts"]["pids"] > joins, f"processes that were met: {told}")
            for way in ("mem", "environ", "maps", "fd", "cwd", "root", "process_vm_readv", "seize"):
                check(told["counts"]["open"].get(way), f"{way} is open after the exec: {told}")
                check(told["counts"]["closed"].get(way), f"{way} is closed to pid 1: {told}")


# ---- A13: the caller's environment and command line ---------------------------------------------

ALLOWED = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "XDG_RUNTIME_DIR", "container", "SBX",
           "SBX_PROJECT", "LANG", "TERM"}
OF_SUDO = {"SUDO_USER", "SUDO_UID", "SUDO_GID", "SUDO_COMMAND", "MAIL"}
EVERYTHING = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/[0-9]*/task/*/cmdline 2>/dev/null; :"


@limit(120)
def test_A13_environment_of_the_caller():
    """Inside are the variables of the list alone, cold and warm, as the user and as root."""
    hostile = {"SECRET": "x", "LD_PRELOAD": "y", "LD_LIBRARY_PATH": "/y", "BASH_ENV": "y", "ENV": "y",
               "SSH_AUTH_SOCK": "y", "DBUS_SESSION_BUS_ADDRESS": "y", "AWS_SECRET_ACCESS_KEY": "y",
               "PYTHONPATH": "y", "GCONV_PATH": "/y", "LOCPATH": "/y", "SBX_PROJECT": "y", "IFS": "y",
               "LCX": "y", "XLANG": "y", "SUDO_ASKPASS": "y", "": "y"}
    for ini in ROOTS:
        with project(ini) as p:
            env = dict(p.env, **{k: v for k, v in hostile.items() if k})
            for words, extra in ((["env"], set()), (["env"], set()), (["--root", "env"], set()),
                                 (["sudo", "env"], OF_SUDO)):
                out = p.sbx("run", *words, env=env).ok().out
                got = dict(line.split("=", 1) for line in out.splitlines())
                check(got.keys() <= ALLOWED | extra, f"{words}: {got.keys() - ALLOWED - extra}")
                check(got.keys() >= ALLOWED - {"LANG"}, f"{words}: without {ALLOWED - got.keys()}")
                check("y" not in got.values() and "x" not in got.values(), f"{words}: {got}")


@limit(120)
def test_A13_no_trace_of_the_caller():
    """No process inside shows the environment or the command line of the caller, also of the starter."""
    with Canary() as canary:
        for ini in ROOTS:
            with project(ini) as p:
                env = dict(p.env, SECRET=canary.text)
                argv = [canary.text + "sbx", "run"]
                cold = harness.command(argv + ["sh", "-c", EVERYTHING, "sh"], cwd=p.dir, env=env,
                                       executable=harness.SBX).ok()
                # Its last word is in the command line of this one, but the next must not see it.
                p.sbx("run", "true", canary.text, env=env).ok()
                warm = [harness.command(argv + words + ["sh", "-c", EVERYTHING], cwd=p.dir, env=env,
                                        executable=harness.SBX).ok()
                        for words in ([], ["--root"], ["sudo"])]
                for result in [cold] + warm:
                    check("sbx-init" in result.out, f"pid 1 is among them: {result.out!r}")
                    check(canary.text not in result.out, f"seen inside: {result.out!r}")
                sandbox = sandbox_of(p)
                for pid in sandbox.members:
                    for name in ("cmdline", "environ"):
                        with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as f:
                            check(canary.text.encode() not in f.read(),
                                  f"{name} of {sandbox.members[pid]} on the host")
                sandbox.close()


# ---- A14: groups ----------------------------------------------------------------------------------

# A group that the test users are in, and what it keeps them from.
GROUP, DENIED = "sbxtest-grp", "/var/lib/sbxtest-grp"
SETGROUPS = "import os\nprint(len(os.getgroups()))\ntry: os.setgroups([])\nexcept OSError as e: print(e.errno)\n" \
            "print(len(os.getgroups()))"


def test_A14_groups_are_kept():
    """The user inside has as many groups as outside and cannot drop one; with one id nobody can."""
    with Project() as p:
        python = harness.need_program("python3")
        outside = len(os.getgroups())
        equal(p.run("id", "-G").ok().out.split().count("0"), 0, "groups of root")
        equal(p.run(python, "-c", SETGROUPS).ok().out.split(), [str(outside), "1", str(outside)],
              "groups before, EPERM, groups after")
        for words in (["cat"], ["sudo", "cat"]):
            told = p.run(*words, "/proc/self/setgroups").ok().out
            equal(told, "allow\n" if harness.has_subids() else "deny\n", f"{words}")
        if not harness.has_subids():
            # To root the answer is success (package managers ask), and nothing is done.
            equal(p.run("sudo", python, "-c", SETGROUPS).ok().out.split(), [str(outside)] * 2, "root")


def test_A14_a_file_closed_to_a_group():
    """What a group of the user's is kept from stays closed inside: below the host's root and mounted."""
    names = {grp.getgrgid(gid).gr_name for gid in os.getgroups() if gid != os.getgid()}
    path = os.path.join(DENIED, "secret")
    if GROUP not in names or not os.path.exists(path):
        raise Skip(f"this user is not in the group {GROUP}, or there is no {path} (0705 root:{GROUP})")
    check(not os.access(path, os.R_OK), f"{path} is closed outside")
    with Project(ini=QUICK + f"[mounts]\n{DENIED} = /mnt/denied\n") as p:
        p.allow()
        users = [[], ["sudo"]] if not harness.has_subids() else [[]]
        for words, place in ((w, pl) for w in users for pl in (path, "/mnt/denied/secret")):
            result = p.run(*words, "cat", place)
            equal(result.out, "", f"{words} cat {place}")
        result = p.run("cat", "/mnt/denied/secret")
        match("denied", result.err, "why")


# ---- B10: processes of the host ----------------------------------------------------------------------


@limit(120)
def test_B10_processes_of_the_host():
    """Only the sandbox's own processes show in /proc, and no call reaches one of the host's."""
    with Project() as p, Canary(p) as canary:
        sleeper = canary.process.pid
        result = p.run("ls", "/proc").ok()
        shown = {int(name) for name in result.out.split() if name.isdigit()}
        sandbox = sandbox_of(p)
        own = {process.nspid[-1] for pid, process in sandbox.members.items() if pid in sandbox.inside}
        check(1 in shown and len(shown) <= 5, f"pid 1, shims and ls: {shown}")
        check(own <= shown | {max(shown) + n for n in range(1, 20)}, f"{own} and {shown}")
        targets = [str(n) for n in (sleeper, os.getpid(), sandbox.guard, sandbox.supervisor, sandbox.init,
                                    sandbox.named("sbx-hostfs")) if n > 200]
        check(len(targets) > 3, f"numbers that are not in use inside: {targets}")
        for words in ([], ["sudo"]):
            told = probe(p, "pids", *targets, prefix=words).json()
            for pid, answers in told.items():
                wrong = {k: v for k, v in answers.items() if v != ("ENOENT" if k == "open" else "ESRCH")}
                equal(wrong, {}, f"{words or 'self'}: what a call on {pid} answers")
        check(not select_dead(sandbox), "all of the sandbox is alive")
        sandbox.close()
        canary.unseen()


@limit(120)
def test_B10_kill_of_everybody():
    """kill -9 -1 inside, as the user and as root, ends the sandbox's own processes and nobody else's."""
    with Project() as p, Canary(p) as canary:
        with Project() as other:
            other.run("true").ok()
            beside = sandbox_of(other)
            p.run("true").ok()
            fds = {pid: os.pidfd_open(pid) for pid in (canary.process.pid, beside.guard)}
            for words in (["sh"], ["sudo", "sh"], ["--root", "sh"]):
                sandbox = sandbox_of(p)
                victim = p.start("run", "sh", "-c", "echo up; cat")
                harness.read_until(victim.stdout, b"up\n")
                result = p.sbx("run", *words, "-c", "kill -9 -1; echo alive")
                check(result.status in (0, 1, 137), f"status {result.status}: {result.err!r}")
                if words != ["sh"]:
                    # Root reaches the user's commands.
                    check(harness.wait_process(victim) != 0, "the other command was ended")
                victim.communicate(b"", timeout=20)
                check(not select_dead(sandbox), f"{words}: pid 1 and what is outside are alive")
                sandbox.close()
                p.run("true").ok()
            check(not select_dead(beside), "the sandbox of another project is alive")
            for pid, fd in fds.items():
                check(not harness.select.select([fd], [], [], 0)[0], f"{pid} of the host is alive")
                os.close(fd)
            beside.close()
        canary.unseen()


def select_dead(sandbox):
    """Which of the processes that stay (guard, supervisor, pid 1, services) have ended."""
    stay = [pid for pid in sandbox.members if pid not in sandbox.inside or pid == sandbox.init]
    return [pid for pid in stay if harness.select.select([sandbox.fds[pid]], [], [], 0)[0]]


harness.main(__name__)
