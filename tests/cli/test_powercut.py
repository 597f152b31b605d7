#!/usr/bin/python3
"""Exit 0 means on disk: the power goes right after it, and before any call that changes something.

power.py starts this, and has the disk.  A part of the points in the ordinary suites, all in the soak suite.
"""

import os
import random
import socket
import subprocess
import sys

import crash
import harness
import layers
from harness import Skip, check, limit

POINTS = 1 << 30 if layers.SOAK else 1
ENDS = 40 if layers.SOAK else 1

_options = dict(word[2:].split("=", 1) for word in sys.argv[1:] if word.startswith("--"))
sys.argv[1:] = [word for word in sys.argv[1:] if not word.startswith("--")]
_power = None


def ask(what):
    """An order to power.py."""
    global _power
    if "power" not in _options:
        raise Skip("root mounts the disk: run this by power.py")
    if _power is None:
        _power = socket.socket(fileno=int(_options["power"])).makefile("rw")
    _power.write(what + "\n")
    _power.flush()
    answer = _power.readline().strip()
    if answer.startswith("no "):
        raise Skip(f"there is {answer}")
    harness.equal(answer, "ok", f"power.py's answer to {what}")


class PowerSweep(crash.Sweep):
    """The sweep on a disk of its own, where a cut is one of the power."""

    def __init__(self, case, fs):
        super().__init__(case)
        self.fs = fs

    def __enter__(self):
        ask("new " + self.fs)
        self.env = {"XDG_DATA_HOME": os.path.join(_options["disk"], "data")}
        return super().__enter__()

    def prepare(self):
        self.p.env["XDG_DATA_HOME"] = self.env["XDG_DATA_HOME"]
        self.template = None
        self.case.setup(self.p)
        self.p.sbx("stop")
        ask("save")

    def drop(self):
        self.quiet()

    def fresh(self):
        self.drop()
        self.n += 1
        ask("fresh")
        if self.case.warm:
            self.busy = layers.Busy(self.p)

    def power_cut_at(self, n):
        """True where there was an n-th call; what was killed had exit 0 or not."""
        self.fresh()
        words = [crash.syscut(), "-a", "stop", "-n", str(n), "-o", os.path.join(self.p.parent, "report")]
        p = subprocess.Popen(words + [harness.SBX, *self.case.argv], cwd=self.p.dir, env=self.p.env,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        out = b""
        while b"hit\n" not in out:
            block = os.read(p.stdout.fileno(), 4096)
            if not block:
                break
            out += block
        ask("cut")
        p.communicate(b"x")
        self.after_cut()
        if b"hit\n" not in out:
            return False
        self.verify(f"{self.fs}: {self.case.name}, the power cut at {n} of {len(self.calls)}")
        self.points += 1
        return True

    def power_cut_after(self, turn):
        """The power goes right after exit 0."""
        self.fresh()
        self.p.sbx(*self.case.argv).ok()
        ask("cut")
        self.after_cut()
        self.verify(f"{self.fs}: {self.case.name}, the power cut after exit 0 ({turn})", "new")
        self.points += 1

    def after_cut(self):
        # The sandbox's keepers would go with the machine.
        crash.kill_rest(self.p)
        self.quiet()
        ask("boot")


def power(name, fs="ext4"):
    with PowerSweep(crash.CASES[name], fs) as s:
        for turn in range(ENDS):
            s.power_cut_after(turn)
        points = crash.chosen(len(s.calls), POINTS)
        if not layers.SOAK:
            points = sorted({random.randint(1, len(s.calls)) for _ in points} | {len(s.calls)})
        for n in points:
            s.power_cut_at(n)
        harness.diagnose(f"{fs}: {name}: {s.points} points, of {len(s.calls)} calls")
        check(s.points > ENDS, "points")


@limit(7200)
def test_power_cut_of_commit():
    """A commit of a stopped environment."""
    power("commit")


@limit(7200)
def test_power_cut_of_running_commit():
    """A commit beside a running sandbox, which goes with the power."""
    power("commit-running")


@limit(7200)
def test_power_cut_of_the_others():
    """reset, fork, tag, squash, gc and rm."""
    for name in ("reset", "fork", "tag", "squash", "gc", "rm"):
        power(name)


@limit(7200)
def test_power_cut_on_other_file_systems():
    """The same commit on xfs and btrfs, which order their writes in other ways."""
    for fs in ("xfs", "btrfs"):
        power("commit", fs)


harness.main(__name__)
