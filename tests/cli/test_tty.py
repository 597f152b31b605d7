#!/usr/bin/python3
"""Terminals and job control: sbx on a pseudo-terminal behaves as a plain shell does."""

import fcntl
import hashlib
import itertools
import os
import signal
import struct
import termios

import harness
import procs
import terminal
from harness import Project, check, equal, limit
from terminal import PROMPT, outer_shell, sbx_pty, tame

RAW_READER = """
import os, sys, termios, tty
old = termios.tcgetattr(0)
tty.setraw(0)
os.write(1, b'raw-ready')
got = b''
while len(got) < 6:
    got += os.read(0, 6 - len(got))
termios.tcsetattr(0, termios.TCSADRAIN, old)
print('got', got.hex(), flush=True)
"""

RAW_HASH = """
import hashlib, os, sys, termios, tty
old = termios.tcgetattr(0)
tty.setraw(0)
os.write(1, b'raw-ready')
digest, left = hashlib.sha256(), int(sys.argv[1])
while left:
    block = os.read(0, left)
    digest.update(block)
    left -= len(block)
termios.tcsetattr(0, termios.TCSADRAIN, old)
print('digest', digest.hexdigest(), flush=True)
"""

# A handler that printed could come in the midst of the print that it interrupts.
SIZES = """
import os, select, signal
def show():
    size = os.get_terminal_size(0)
    print('size', size.lines, size.columns, flush=True)
woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
signal.set_wakeup_fd(wake)
signal.signal(signal.SIGWINCH, lambda *_: None)
show()
while 0 not in (ready := select.select([0, woken], [], [])[0]):
    os.read(woken, 64)
    show()
"""


def test_enter_gives_a_prompt():
    """enter on a terminal: a prompt, echo, a controlling terminal, and the shell's status."""
    with Project() as p, sbx_pty(p, "enter") as shell:
        tame(shell)
        shell.line("tty; echo $((40 + 2))")
        shell.expect(r"/dev/(pts/\d+|console)\r\n42\r\n")
        shell.line("ps -o tty= -p $$ | tr -d ' '; (echo via-tty >/dev/tty)")
        shell.expect(r"via-tty")
        shell.line("exit 37")
        equal(shell.wait(), 37, "status")


def test_status_through_a_terminal():
    """Statuses, signals, 126 and 127 are the same as without a terminal."""
    with Project() as p:
        for script, status in (("exit 0", 0), ("exit 255", 255), ("kill -9 $$", 137),
                               ("kill -INT $$", 130), ("exec /no/such", 127)):
            with sbx_pty(p, "run", "sh", "-c", script) as t:
                equal(t.wait(), status, f"status of {script}")
        with sbx_pty(p, "run", "/no/such/file") as t:
            equal(t.wait(), 127, "status of a missing command")
            t.expect("/no/such/file")


def test_nothing_is_lost_at_the_end():
    """Ten thousand lines just before the exit all arrive."""
    with Project() as p, sbx_pty(p, "run", "seq", "-f", "line%.0f", "10000") as t:
        equal(t.wait(), 0, "status")
        equal(t.seen, b"".join(b"line%d\r\n" % n for n in range(1, 10001)), "output")


def test_interrupt_inside_a_shell():
    """Ctrl-C ends the command in the foreground, not the shell."""
    with Project() as p, sbx_pty(p, "enter") as shell:
        tame(shell)
        shell.line("sh -c 'echo be\"\"gin; exec sleep 1000'")
        shell.expect("begin\r\n")
        shell.send("\x03")
        shell.expect("in> ")
        shell.line("echo status=$?=")
        shell.expect("status=130=")
        shell.line("exit 0")
        equal(shell.wait(), 0, "status")


def test_interrupt_of_a_single_command():
    """Ctrl-C ends `sbx run CMD` with 130; Ctrl-\\ with 131; Ctrl-D is the end of file."""
    with Project() as p:
        for key, status in (("\x03", 130), ("\x1c", 131)):
            with sbx_pty(p, "run", "sh", "-c", "ulimit -c 0; echo ready; exec sleep 1000") as t:
                t.expect("ready\r\n")
                t.send(key)
                equal(t.wait(), status, f"status after {key!r}")
        with sbx_pty(p, "run", "sh", "-c", "echo ready; cat; echo ended") as t:
            t.expect("ready\r\n")
            t.send("typed\n\x04")
            t.expect("typed\r\ntyped\r\nended")
            equal(t.wait(), 0, "status after Ctrl-D")


def test_interrupt_that_is_handled():
    """A command that handles SIGINT goes on, and so does its client."""
    script = "trap 'echo handled' INT; echo ready; read x; echo read-$x"
    with Project() as p, sbx_pty(p, "run", "bash", "-c", script) as t:
        t.expect("ready\r\n")
        t.send("\x03")
        t.expect("handled")
        t.line("word")
        t.expect("read-word")
        equal(t.wait(), 0, "status")


def test_job_control_inside():
    """Ctrl-Z, jobs, bg and fg of an interactive shell inside concern that shell alone."""
    with Project() as p, sbx_pty(p, "run", "bash", "--norc", "-i") as shell:
        tame(shell)
        shell.line("sh -c 'echo be\"\"gin; exec cat'")
        shell.expect("begin\r\n")
        shell.send("one\n")
        shell.expect("one\r\none\r\n")
        shell.send("\x1a")
        shell.expect("Stopped")
        shell.expect("in> ")
        shell.line("jobs")
        shell.expect(r"Stopped\s+sh -c")
        # The prompt too: what `jobs` printed must not be taken for the words of `fg`.
        shell.expect("in> ")
        shell.line("fg")
        shell.expect("exec cat")
        shell.send("two\n")
        shell.expect("two\r\ntwo\r\n")
        shell.send("\x04")
        shell.expect("in> ")
        shell.line("exit 4")
        equal(shell.wait(), 4, "status")


def test_stop_and_continue_from_the_outer_shell():
    """Ctrl-Z on `sbx run CMD` gives back the outer prompt; jobs knows it; fg goes on where it was."""
    with Project() as p, outer_shell(p) as shell:
        shell.line("sbx run sh -c 'echo ready; cat'")
        shell.expect("ready\r\n")
        shell.send("one\n")
        shell.expect("one\r\none\r\n")
        shell.send("\x1a")
        shell.expect("Stopped")
        shell.expect(PROMPT)
        shell.line("echo outer=$((6 * 7))=; jobs")
        shell.expect("outer=42=")
        shell.expect(r"Stopped\s+sbx run")
        shell.line("fg")
        shell.expect("sbx run")
        shell.send("two\n")
        shell.expect("two\r\ntwo\r\n")
        shell.send("\x04")
        shell.expect(PROMPT)
        shell.line("echo status=$?=")
        shell.expect("status=0=")


def test_stopped_command_really_stops():
    """After Ctrl-Z the command inside is stopped, not only its client."""
    with Project() as p, outer_shell(p) as shell:
        shell.line("sbx run sh -c 'echo $$ > pid; echo ready; exec sleep 1000'")
        shell.expect("ready\r\n")
        pid = p.read("pid").strip()
        shell.send("\x1a")
        shell.expect("Stopped")
        shell.expect(PROMPT)
        state = f"cut -d' ' -f3 /proc/{pid}/stat"
        equal(p.sh(state).ok().out, "T\n", "state inside")
        shell.line("fg")
        shell.expect("sbx run")
        # polls: the shell prints that before it hands over the terminal, and takes a Ctrl-C for its own.
        procs.until(lambda: p.sh(state).ok().out == "S\n", 20, "the command to go on")
        shell.send("\x03")
        shell.expect(PROMPT)
        shell.line("echo status=$?=")
        shell.expect("status=130=")


def test_background_from_the_outer_shell():
    """bg goes on without the terminal, and wait gets the status."""
    with Project() as p, outer_shell(p) as shell:
        # A builtin: a shell that waits for its child's exec (vfork(2)) cannot be stopped.
        p.fifo("go")
        shell.line("sbx run sh -c 'echo ready; read x <go; echo went >file; exit 6'")
        shell.expect("ready\r\n")
        shell.send("\x1a")
        shell.expect("Stopped")
        shell.expect(PROMPT)
        shell.line("bg; echo outer=$((6 * 7))=")
        shell.expect("outer=42=")
        shell.expect(PROMPT)
        with open(p.path("go"), "wb"):
            pass
        shell.line("wait %1; echo status=$?=")
        shell.expect("status=6=")
        equal(p.read("file"), "went\n", "what it wrote")


def test_started_in_the_background():
    """`sbx run CMD &` neither takes the terminal nor stops."""
    with Project() as p, outer_shell(p) as shell:
        shell.line("sbx run sh -c 'echo one-$((1 + 1)); exit 3' & wait $!; echo status=$?=")
        shell.expect("one-2")
        shell.expect("status=3=")


def test_stop_of_a_pipeline():
    """Ctrl-Z and fg of a pipeline that has sbx in it."""
    with Project() as p, outer_shell(p) as shell:
        shell.line("sbx run sh -c 'echo ready >&2; exec cat' | sed s/^/out:/")
        shell.expect("ready\r\n")
        shell.send("\x1a")
        shell.expect("Stopped")
        shell.expect(PROMPT)
        shell.line("fg")
        shell.expect("sed")
        shell.send("word\n")
        shell.send("\x04")
        shell.expect("out:word")
        shell.expect(PROMPT)


def test_window_size():
    """The size at the start is the terminal's, and a change reaches the command as SIGWINCH."""
    with Project() as p, sbx_pty(p, "run", "/usr/bin/python3", "-c", SIZES, rows=33, cols=101) as t:
        t.expect("size 33 101\r\n")
        t.resize(44, 132)
        t.expect("size 44 132\r\n")
        t.resize(24, 80)
        t.expect("size 24 80\r\n")
        t.line("")
        equal(t.wait(), 0, "status")


def test_window_size_while_stopped():
    """A window resized while the job was stopped has its new size after fg."""
    with Project() as p, outer_shell(p, rows=30, cols=90) as shell:
        shell.line("sbx run sh -c 'echo ready; read x; stty size'")
        shell.expect("ready\r\n")
        shell.send("\x1a")
        shell.expect(PROMPT)
        shell.resize(50, 120)
        shell.line("fg")
        shell.expect("sbx run")
        shell.line("")
        shell.expect("50 120")


def test_hang_up_ends_the_command():
    """When the terminal goes away the command gets SIGHUP, and nothing of it stays."""
    with Project() as p:
        fifo = harness.open_fifo(p.fifo("alive"))
        with sbx_pty(p, "run", "sh", "-c", "exec 9>alive; echo up >&9; sleep 1000") as t:
            harness.read_until(fifo, b"up")
            t.close()
            harness.wait_eof(fifo, 10, "the command to end after the hang-up")
            status = t.wait()
            check(status in (129, 1), f"status of the client after the hang-up: {status}")
        os.close(fifo)



def test_terminal_settings_come_back():
    """The terminal is as before after the end, after SIGTERM of the client and after 127."""
    with Project() as p, outer_shell(p) as shell:
        shell.line("stty -g")
        before = shell.expect(r"([0-9a-f]+:[0-9a-f:]+)\r\n").group(1)
        for script in ("sbx run sh -c 'stty raw -echo; exit 0'", "sbx run /no/such",
                       "sbx run sh -c 'kill -9 $$'"):
            shell.expect(PROMPT)
            shell.line(script)
            shell.expect(PROMPT)
            shell.line("stty -g")
            equal(shell.expect(r"([0-9a-f]+:[0-9a-f:]+)\r\n").group(1), before, f"after {script}")
        shell.expect(PROMPT)
        shell.line("sbx run sh -c 'echo ready; exec sleep 1000' & echo pid=$!=; fg")
        pid = int(shell.expect(r"pid=(\d+)=").group(1))
        shell.expect("ready\r\n")
        os.kill(pid, signal.SIGTERM)
        shell.expect(PROMPT)
        shell.line("echo status=$?=; stty -g")
        shell.expect("status=143=")
        equal(shell.expect(r"([0-9a-f]+:[0-9a-f:]+)\r\n").group(1), before, "after SIGTERM")


def test_each_fd_is_a_terminal_where_the_callers_is():
    """All eight combinations of redirected fds: isatty inside says what it says outside."""
    script = "r=; for f in 0 1 2; do if test -t $f; then r=${r}y; else r=${r}n; fi; done; echo $r >result"
    redirects = ("</dev/null", ">/dev/null", "2>/dev/null")
    with Project() as p:
        for choice in itertools.product((True, False), repeat=3):
            words = " ".join(r for r, tty in zip(redirects, choice) if not tty)
            argv = ["/bin/sh", "-c", f'"$0" run sh -c "$1" {words}', harness.SBX, script]
            with terminal.Pty(argv, cwd=p.dir, env=p.env) as t:
                equal(t.wait(), 0, f"status with {words!r} ({t.seen!r})")
            wanted = "".join("y" if tty else "n" for tty in choice)
            equal(p.read("result"), wanted + "\n", f"isatty of 0 1 2 with {words!r}")


def test_redirected_output_is_not_cooked():
    """A file gets \\n, not \\r\\n, though stdin is a terminal; a pipe gets every byte."""
    with Project() as p:
        argv = ["/bin/sh", "-c", '"$0" run sh -c "printf \'a\\nb\\r\\t\\001\'" >out', harness.SBX]
        with terminal.Pty(argv, cwd=p.dir, env=p.env) as t:
            equal(t.wait(), 0, "status")
        with open(p.path("out"), "rb") as f:
            equal(f.read(), b"a\nb\r\t\x01", "the file")


def test_stdin_from_a_pipe_with_a_terminal_for_output():
    """`producer | sbx run consumer` on a terminal: no hang, right data, right status."""
    with Project() as p, outer_shell(p) as shell:
        shell.line("seq 5000 | sbx run tail -n 1; echo status=$?=")
        shell.expect("5000\r\n")
        shell.expect("status=0=")
        shell.line("seq 3 | sbx run sh -c 'cat; exit 8'; echo status=$?=")
        shell.expect("1\r\n2\r\n3\r\nstatus=8=")


def test_raw_program():
    """A program in raw mode gets Ctrl-C, Ctrl-Z, Ctrl-\\, Ctrl-S, return and escape as bytes."""
    with Project() as p, sbx_pty(p, "run", "/usr/bin/python3", "-c", RAW_READER) as t:
        t.expect("raw-ready")
        t.send(b"\x03\x1a\x1c\x13\r\x1b")
        t.expect("got 031a1c130d1b")
        equal(t.wait(), 0, "status")


@limit(60)
def test_large_paste():
    """100 KiB typed at once arrive intact."""
    paste = bytes(b % 95 + 32 for b in os.urandom(100 * 1024))
    with Project() as p, sbx_pty(p, "run", "/usr/bin/python3", "-c", RAW_HASH, str(len(paste))) as t:
        t.expect("raw-ready")
        t.send(paste)
        t.expect("digest " + hashlib.sha256(paste).hexdigest())
        equal(t.wait(), 0, "status")


def test_typed_ahead_is_kept():
    """What was typed before the shell was up is not thrown away."""
    script = "read a; echo a=$a; read b; echo b=$b"
    with Project() as p:
        for _ in range(2):
            with sbx_pty(p, "run", "sh", "-c", script) as t:
                t.send("first\nsecond\n")
                t.expect("a=first")
                t.expect("b=second")
                equal(t.wait(), 0, "status")


def test_no_terminal_is_shared_with_the_caller():
    """The terminal inside is of the sandbox's own devpts, not the caller's."""
    with Project() as p, sbx_pty(p, "run", "sh", "-c", "tty; stat -c %d /dev/pts; ls /dev/pts") as t:
        equal(t.wait(), 0, "status")
        t.expect(r"/dev/(pts/\d+|console)\r\n(\d+)\r\n")
        check(str(os.stat("/dev/pts").st_dev).encode() not in t.seen.split(), "another devpts")


def test_enter_without_a_terminal():
    """enter with a pipe for stdin reads commands from it, as sh does."""
    with Project() as p:
        result = p.sbx("enter", stdin=b"echo piped-$((1 + 1))\nexit 9\n")
        equal((result.out, result.status), ("piped-2\n", 9), f"output and status ({result.err!r})")


def test_two_terminals_do_not_mix():
    """Two clients with terminals of different size, at once."""
    with Project() as p, sbx_pty(p, "enter", rows=20, cols=60) as one, \
            sbx_pty(p, "enter", rows=40, cols=120) as two:
        tame(one, "one")
        tame(two, "two")
        one.line("stty size")
        two.line("stty size")
        one.expect("20 60")
        two.expect("40 120")
        size = struct.unpack("HHHH", fcntl.ioctl(one.fd, termios.TIOCGWINSZ, b"\0" * 8))[:2]
        equal(size, (20, 60), "the outer size is untouched")
        for shell in (one, two):
            shell.line("exit 0")
            equal(shell.wait(), 0, "status")


harness.main(__name__)
