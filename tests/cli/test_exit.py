#!/usr/bin/python3
"""Exit statuses, signals and standard streams of `sbx run` behave as in a plain shell."""

import hashlib
import os
import shutil
import signal
import subprocess
import time

import harness
from harness import Failed, Project, Skip, check, equal, limit, match

GIB = 1 << 30


@limit(180)
def test_every_status_comes_through():
    """0…255 are the command's own."""
    with Project() as p:
        some = range(0, 256, 17 if harness.SANITIZED else 1)
        wrong = [(n, got) for n in some if (got := p.sh(f"exit {n}").status) != n]
        equal(wrong, [], "statuses that did not come through (wanted, got)")


def test_not_found_is_127():
    """No such command: 127 and a message with its name."""
    with Project() as p:
        for name in ("no-such-command", "/no/such/file"):
            result = p.run(name)
            equal(result.status, 127, f"status of {name}")
            match(f"'?{name}'?.*(not found|No such file)", result.err, "the message")
            equal(result.out, "", "nothing on stdout")


def test_not_executable_is_126():
    """Neither a file without x nor a folder can be executed: 126."""
    with Project() as p:
        p.write("plain", "#!/bin/sh\nexit 0\n", 0o644)
        p.write("broken", "#!/no/such/interpreter\n", 0o755)
        p.write("garbage", b"\x7fELF" + b"\0" * 100, 0o755)
        for name in ("./plain", p.dir, "./garbage"):
            result = p.run(name)
            equal(result.status, 126, f"status of {name} ({result.err!r})")
            match(r"ermission denied|s a directory|xec format", result.err, "the message")
        check(p.run("./broken").status in (126, 127), "a missing interpreter is 126 or 127")
        p.write("noshebang", "echo ran; exit 3\n", 0o755)
        check(p.run("./noshebang").status in (3, 126), "a script without #!: as the shell, or 126")


def test_killed_by_a_signal_is_128_and_its_number():
    """Each deadly signal is told as 128+N."""
    numbers = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL, signal.SIGTERM,
               signal.SIGSEGV, signal.SIGABRT, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2,
               signal.SIGALRM, signal.SIGRTMIN, signal.SIGRTMAX]
    with Project() as p:
        for n in numbers:
            script = f"import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0));" \
                     f"os.kill(os.getpid(), {int(n)})"
            if n == signal.SIGINT:
                script = "import signal; signal.signal(2, signal.SIG_DFL);" + script
            if n == signal.SIGPIPE:
                script = "import signal; signal.signal(13, signal.SIG_DFL);" + script
            equal(p.run("/usr/bin/python3", "-c", script).status, 128 + int(n), f"status of {n!r}")


def test_usage_is_2():
    """A wrong command line is 2, and says so on stderr alone."""
    with Project() as p:
        for args in (["--no-such-option"], ["no-such-command"], ["run", "--no-such-option"],
                     ["run"], ["status", "one", "two", "three"]):
            result = p.sbx(*args)
            equal(result.status, 2, f"status of sbx {args} ({result.err!r})")
            equal(result.out, "", "stdout")
            check(result.err, "a message")
        match(r"status", p.sbx("statsu").err, "the nearest right name")


def test_options_after_the_command_are_the_commands():
    """Everything behind CMD, and behind --, is passed as it is."""
    with Project() as p:
        for dashes in ([], ["--"]):
            args = ["printf", "[%s]", "--help", "-x", "a b", "", "--", "*", "$HOME", "\n", "\x01é"]
            equal(p.sbx("run", *dashes, *args).ok().out,
                  "[--help][-x][a b][][--][*][$HOME][\n][\x01é]", "arguments")


def test_many_and_long_arguments():
    """An argument of 100 KiB and five thousand short ones arrive whole."""
    with Project() as p:
        equal(p.run("sh", "-c", 'echo ${#1}', "sh", "x" * 100000).ok().out, "100000\n", "length")
        equal(p.run("sh", "-c", "echo $#", "sh", *["y"] * 5000).ok().out, "5000\n", "count")


def trap(name, status):
    return f"trap 'echo got-{name}; exit {status}' {name}; echo ready; sleep 1000 & wait"


def test_signals_to_the_client_are_passed_on():
    """TERM, INT, HUP, QUIT, USR1 and USR2 reach the command, whose own answer counts."""
    with Project() as p:
        for number, name in enumerate(("TERM", "INT", "HUP", "QUIT", "USR1", "USR2"), 40):
            worker = p.start("run", "sh", "-c", trap(name, number))
            harness.read_until(worker.stdout, b"ready\n")
            worker.send_signal(getattr(signal, "SIG" + name))
            harness.read_until(worker.stdout, f"got-{name}\n".encode())
            equal(harness.wait_process(worker), number, f"status after SIG{name}")


def test_signals_without_a_handler_end_the_command():
    """A plain command ends by the signal, and the client tells it: 128+N."""
    with Project() as p:
        for name in ("TERM", "HUP", "INT"):
            worker = p.start("run", "sh", "-c", "echo ready; exec sleep 1000")
            harness.read_until(worker.stdout, b"ready\n")
            number = getattr(signal, "SIG" + name)
            worker.send_signal(number)
            equal(harness.wait_process(worker), 128 + number, f"status after SIG{name}")


def test_ignored_and_blocked_signals_start_at_their_defaults():
    """A command inside starts with no signal blocked or ignored by sbx."""
    with Project() as p:
        out = p.run("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status").ok().out
        equal(out.split(), ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16], "signal sets")


def test_streams_are_separate_and_binary_clean():
    """All byte values survive stdin, stdout and stderr, which stay apart."""
    every = bytes(range(256)) * 64
    with Project() as p:
        result = p.run("cat", stdin=every).ok()
        equal(result.raw, every, "stdin to stdout")
        result = p.sh("cat >&2; printf out", stdin=every).ok()
        equal((result.raw, result.raw_err), (b"out", every), "stdin to stderr")


def test_stdin_from_files_and_null():
    """A file (with its offset), /dev/null and an ended pipe are what they are inside."""
    with Project() as p:
        p.write("lines", "one\ntwo\nthree\n")
        with open(p.path("lines"), "rb", buffering=0) as f:
            os.lseek(f.fileno(), 4, os.SEEK_SET)
            equal(p.run("cat", stdin=f).ok().out, "two\nthree\n", "from an offset")
        equal(p.run("cat", stdin=subprocess.DEVNULL).ok().out, "", "/dev/null")
        equal(p.run("cat", stdin=b"").ok().out, "", "an empty pipe")


def outer(p, script):
    """A script of the host's shell; $SBX is the binary."""
    return harness.command(["sh", "-c", script], cwd=p.dir, env=dict(p.env, SBX=harness.SBX))


def test_closed_streams():
    """With 0, 1 or 2 closed the command runs, and gets none of sbx's own fds there."""
    with Project() as p:
        equal(outer(p, '"$SBX" run sh -c "echo out; echo err >&2" <&-').ok().out, "out\n", "0 closed")
        equal(outer(p, '"$SBX" run sh -c "echo err >&2" >&-').ok().err, "err\n", "1 closed")
        equal(outer(p, '"$SBX" run sh -c "echo out" 2>&-').ok().out, "out\n", "2 closed")
        equal(outer(p, '"$SBX" run sh -c "exit 9" <&- >&- 2>&-').status, 9, "all closed")
        p.write("show.py", "import os, sys\ntry: link = os.readlink('/proc/self/fd/' + sys.argv[1])\n"
                "except OSError: link = 'closed'\nopen('link', 'w').write(link)\n")
        for n, redirect in ((0, "<&-"), (1, ">&-"), (2, "2>&-")):
            outer(p, f'"$SBX" run /usr/bin/python3 show.py {n} {redirect}').ok()
            check(p.read("link") in ("closed", "/dev/null"), f"fd {n} is {p.read('link')!r}")


def test_appending_and_shared_redirections():
    """>> appends, and 2>&1 keeps the order."""
    with Project() as p:
        p.write("log", "first\n")
        outer(p, '"$SBX" run sh -c "echo second; echo third >&2; echo fourth" >>log 2>&1').ok()
        equal(p.read("log"), "first\nsecond\nthird\nfourth\n", "the log")


def test_closing_stdout_early_ends_the_command():
    """As with `yes | head -1`: the writer gets SIGPIPE at once."""
    with Project() as p:
        worker = p.start("run", "yes")
        harness.read_until(worker.stdout, b"y\n")
        worker.stdout.close()
        equal(harness.wait_process(worker, 10), 128 + signal.SIGPIPE, "status")
        result = outer(p, '{ "$SBX" run yes; echo $? >status; } | head -n 2')
        equal((result.out, p.read("status")), ("y\ny\n", "141\n"), "yes | head")


def test_a_pipeline_of_two_sandboxes_commands():
    """`sbx run A | sbx run B` moves everything, and ends."""
    with Project() as p:
        script = '"$SBX" run seq 200000 | "$SBX" run tail -n 1'
        equal(outer(p, script).ok().out, "200000\n", "the last line")


def test_a_background_process_does_not_hold_the_client():
    """The client ends with its command, also where that left something running."""
    with Project() as p:
        begun = time.monotonic()
        p.sh("sleep 300 >/dev/null 2>&1 </dev/null & echo left").ok()
        check(time.monotonic() - begun < 30, "the client waited for the background process")


def test_environment_of_the_command():
    """PATH has the usual folders and the working folder is the caller's."""
    with Project() as p:
        path = p.sh('echo "$PATH"').ok().out.strip().split(":")
        for folder in ("/usr/bin", "/bin", "/usr/sbin"):
            check(folder in path, f"{folder} is in {path}")
        equal(p.sh("umask").ok().out.strip(), "0022", "umask")


def write_big(path):
    """1 GiB: holes, and islands of random bytes that start and end at odd places."""
    digest = hashlib.sha256()
    step = 16 << 20
    with open(path, "wb") as f:
        f.truncate(GIB)
        for at in range(0, GIB, step):
            island = os.urandom(65536 + 17)
            f.seek(at + 4099)
            f.write(island)
            digest.update(b"\0" * 4099 + island)
            digest.update(bytes(step - 4099 - len(island)))
    return digest.hexdigest()


def sha256_file(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@limit(300)
def test_one_gib_through_files():
    """`sbx run cat <big >out` moves 1 GiB intact."""
    if shutil.disk_usage(harness.base()).free < 2 * GIB:
        raise Skip("less than 2 GiB free where the home folder is")
    with Project() as p:
        wanted = write_big(p.path("big"))
        with open(p.path("big"), "rb") as source, open(p.path("out"), "wb") as sink:
            worker = p.start("run", "cat", stdin=source, stdout=sink)
            equal(harness.wait_process(worker, 200), 0, "status")
        equal(os.path.getsize(p.path("out")), GIB, "size")
        equal(sha256_file(p.path("out")), wanted, "sha256")


@limit(300)
def test_one_gib_through_pipes():
    """The same from a pipe into a pipe."""
    with Project() as p:
        seed = os.urandom(1 << 20)
        worker = p.start("run", "cat")
        if (feeder := os.fork()) == 0:
            os.close(worker.stdout.fileno())
            for _ in range(1024):
                worker.stdin.write(seed)
            os._exit(0)
        worker.stdin.close()
        digest, got, wanted = hashlib.sha256(), 0, hashlib.sha256()
        while block := os.read(worker.stdout.fileno(), 1 << 20):
            digest.update(block)
            got += len(block)
        os.waitpid(feeder, 0)
        for _ in range(1024):
            wanted.update(seed)
        equal(got, GIB, "bytes")
        equal(digest.hexdigest(), wanted.hexdigest(), "sha256")
        equal(harness.wait_process(worker), 0, "status")


def test_output_is_whole_when_the_command_ends():
    """A hundred short commands: never a lost last line."""
    with Project() as p:
        for n in range(100):
            out = p.sh(f"echo {n}; echo e{n} >&2").ok()
            if (out.out, out.err) != (f"{n}\n", f"e{n}\n"):
                raise Failed(f"command {n}: {out.out!r} {out.err!r}")


harness.main(__name__)
