"""A program on a pseudo-terminal of its own, driven the way a person would."""

import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import harness
from harness import Failed, shell_status

PROMPT = r"out> "


class Pty:
    """A child on a new terminal.  expect() waits on the terminal's fd, never on a clock alone."""

    def __init__(self, argv, cwd=None, env=None, rows=24, cols=80):
        env = env or harness.environment()
        self.seen = b""
        self.at = 0
        self.status = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
                os.chdir(cwd or harness.base())
                os.closerange(3, 1024)
                os.execve(argv[0], argv, env)
            except BaseException as e:
                os.write(2, f"exec: {e}\n".encode())
            os._exit(126)
        os.set_blocking(self.fd, False)
        self.pidfd = os.pidfd_open(self.pid)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        return False

    def close(self):
        """Hang up."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def take(self):
        """Read what is there; False at the end of file."""
        try:
            block = os.read(self.fd, 65536)
        except BlockingIOError:
            return True
        except OSError as e:
            if e.errno == errno.EIO:
                return False
            raise
        self.seen += block
        return bool(block)

    def expect(self, pattern, limit=20):
        """Wait until `pattern` shows after what was expected last; returns the match."""
        regex = re.compile(pattern.encode() if isinstance(pattern, str) else pattern, re.M | re.S)
        end = time.monotonic() + limit
        while True:
            found = regex.search(self.seen, self.at)
            if found:
                self.at = found.end()
                return found
            left = end - time.monotonic()
            if left <= 0:
                raise Failed(f"waited {limit} s for /{pattern}/, saw {self.seen[self.at:]!r}")
            ready, _, _ = select.select([self.fd], [], [], left)
            if ready and not self.take():
                if regex.search(self.seen, self.at):
                    continue
                raise Failed(f"the terminal closed before /{pattern}/, saw {self.seen[self.at:]!r}")

    def send(self, data, limit=30):
        """Type; reads meanwhile, so that neither side can block the other."""
        data = data.encode() if isinstance(data, str) else data
        end = time.monotonic() + limit
        while data:
            left = end - time.monotonic()
            if left <= 0:
                raise Failed(f"the terminal took nothing for {limit} s, {len(data)} bytes left")
            readable, writable, _ = select.select([self.fd], [self.fd], [], left)
            if readable and not self.take():
                raise Failed("the terminal closed while typing")
            if writable:
                with contextlib.suppress(BlockingIOError):
                    data = data[os.write(self.fd, data):]

    def line(self, text):
        self.send(text + "\n")

    def resize(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def kill(self, number):
        os.kill(self.pid, number)

    def wait(self, limit=20):
        """Wait for the child to end, showing what it still says; the status as a shell counts it."""
        end = time.monotonic() + limit
        open_fd = self.fd >= 0
        while self.status is None:
            left = end - time.monotonic()
            if left <= 0:
                raise Failed(f"still running after {limit} s, saw {self.seen[-2000:]!r}")
            fds = [self.pidfd] + ([self.fd] if open_fd else [])
            ready, _, _ = select.select(fds, [], [], left)
            if open_fd and self.fd in ready and not self.take():
                open_fd = False
            if self.pidfd in ready:
                _, status = os.waitpid(self.pid, 0)
                self.status = shell_status(os.waitstatus_to_exitcode(status))
        while open_fd and select.select([self.fd], [], [], 0)[0] and self.take():
            pass
        return self.status


def sbx_pty(project, *args, **kw):
    """`sbx ARGS…` on a terminal."""
    kw.setdefault("env", project.env)
    return Pty([harness.SBX, *args], cwd=project.dir, **kw)


def outer_shell(project, **kw):
    """A plain interactive bash on a terminal, in the project, with `sbx` on its PATH."""
    env = dict(project.env, PS1=PROMPT, HISTFILE="")
    env["PATH"] = os.path.dirname(harness.SBX) + ":" + env["PATH"]
    shell = Pty(["/bin/bash", "--norc", "--noprofile", "-i"], cwd=project.dir, env=env, **kw)
    shell.expect(PROMPT)
    return shell


def tame(shell, prompt="in"):
    """Wait for the prompt of a shell inside, whatever it is, and give it one that cannot be missed."""
    shell.expect(r"[$#%>] ")
    shell.line(f"PS1='{prompt}''> '; PS2=")
    shell.expect(f"{prompt}> ")
