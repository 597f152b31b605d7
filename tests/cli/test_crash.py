#!/usr/bin/python3
"""Commands that are killed, or whose calls fail, at any moment: the old state or the new one stands.

A part of the points in the ordinary suites, all of them in the soak suite.  See crash.py.
"""

import os

import crash
import harness
import layers
from harness import check, equal, limit

ALL = 1 << 30
# With one id the same code does the same, but for owners: there are fewer points.
FEWER = not layers.SOAK and not harness.has_subids()
KILLS = ALL if layers.SOAK else 1 if FEWER else 2
FAILURES = ALL if layers.SOAK else 1
RECOVERIES = ALL if layers.SOAK else 1


def kills(name):
    points = crash.sweep(crash.CASES[name], KILLS)
    check(points > 0, "at least one point")


@limit(3600)
def test_kill_commit():
    """SIGKILL at each state-changing call of a commit of a stopped environment."""
    kills("commit")


@limit(3600)
def test_kill_commit_running():
    """The same where the sandbox runs, and the commit copies."""
    kills("commit-running")


@limit(3600)
def test_kill_commit_with_a_tag():
    """The same with a tag, which is a second step: the same command ends it."""
    kills("commit-tagged")


@limit(3600)
def test_kill_reset():
    """SIGKILL at each state-changing call of a reset."""
    kills("reset")


@limit(3600)
def test_kill_fork():
    """SIGKILL at each state-changing call of a fork."""
    kills("fork")


@limit(3600)
def test_kill_tag():
    """SIGKILL at each state-changing call of a tag."""
    kills("tag")


@limit(3600)
def test_kill_squash():
    """SIGKILL at each state-changing call of a squash."""
    kills("squash")


@limit(3600)
def test_kill_gc():
    """SIGKILL at each state-changing call of gc."""
    kills("gc")


@limit(3600)
def test_kill_rm():
    """SIGKILL at each state-changing call of rm."""
    kills("rm")


class Load:
    """An archive beside a store that has nothing of it; each point starts from that store anew."""

    ARGV = ["load", "load.tar", "--name", "localhost/crash:1"]

    def __enter__(self):
        self.p = layers.project(layers.COLD)
        self.template = os.path.join(self.p.parent, "template")
        self.p.env["XDG_DATA_HOME"] = self.template
        crash.two_layers(self.p)
        self.p.sbx("save", "two", "-o", "load.tar").ok()
        self.p.sbx("rm", "-f").ok()
        for tag in ("one", "two"):
            self.p.sbx("tag", "-d", tag).ok()
        self.p.sbx("gc", "--all", "--blobs").ok()
        equal(self.holds("layers") + self.holds("blobs"), ["partial"], "the prepared store")
        return self

    def __exit__(self, *exc):
        self.drop()
        layers.remove_store(self.template)
        self.p.__exit__(*exc)
        return False

    def drop(self):
        if self.p.env["XDG_DATA_HOME"] != self.template:
            layers.remove_store(self.p.env["XDG_DATA_HOME"])

    def holds(self, folder):
        return layers.names(os.path.join(layers.store_of(self.p), folder))

    def fresh(self, n):
        self.drop()
        self.p.env["XDG_DATA_HOME"] = os.path.join(self.p.parent, f"data{n}")
        layers.copy_store(self.template, self.p.env["XDG_DATA_HOME"])

    def point(self, n, action="kill"):
        """Cut at the n-th call; the calls that there were."""
        self.fresh(n or 0)
        done = crash.cut(self.p, self.ARGV, n, action)
        where = f"load, {action} at {n} ({done.hit})"
        self.p.sbx("fsck").ok()
        there = [i["ref"] for i in self.p.sbx("images", "--json").json()]
        check(there in ([], ["localhost/crash:1"]), f"{where}: {there}")
        check(there or done.status != 0, f"{where}: done, it says, and there is no image")
        if not there:
            self.nothing_is_left(where)
        self.p.sbx(*self.ARGV).ok()
        equal(len(self.holds("layers")), 2, where)
        self.p.sbx("images", "-d", "localhost/crash:1").ok()
        self.nothing_is_left(where)
        return done.calls

    def nothing_is_left(self, where):
        """gc takes all that a load had begun."""
        self.p.sbx("gc", "--all").ok()
        equal(self.holds("layers") + self.holds("tmp") + self.holds("blobs/partial"), [], where)
        equal(self.holds("blobs"), ["partial"], where)
        self.p.sbx("fsck").ok()


@limit(3600)
def test_kill_load():
    """SIGKILL at each state-changing call of a load: all of the image or nothing, and gc takes the rest."""
    with Load() as load:
        points = crash.chosen(len(load.point(None)), KILLS)
        for n in points:
            load.point(n)
        harness.diagnose(f"load: {len(points)} points")


@limit(3600)
def test_failing_calls_of_load():
    """A full disk at any call of a load: the same, and it says so."""
    with Load() as load:
        for n in crash.chosen(len(load.point(None)), FAILURES):
            load.point(n, f"errno={crash.ERRNO['ENOSPC']}")


@limit(3600)
def test_kill_of_one_process():
    """Only the process that is about to make the call is killed: the others tell it, or end it."""
    for name in ("commit",) if FEWER else ("commit", "reset", "squash"):
        crash.sweep(crash.CASES[name], KILLS if layers.SOAK else 1, "kill1")


@limit(7200)
def test_kill_of_the_recovery():
    """A command is killed, and then what mends that is killed at each of its calls."""
    for name in ("commit",) if FEWER else ("commit", "reset", "squash"):
        with crash.Sweep(crash.CASES[name]) as s:
            first = range(1, len(s.calls) + 1) if layers.SOAK else crash.chosen(len(s.calls), 1)
            for n in first:
                second(s, n)
            harness.diagnose(f"{name}: {s.points} points of the recovery")
            check(s.points > 0, "at least one point")


def second(s, n):
    """The points of the recovery from a kill at n.  What recovers is whatever comes next: here a tag."""
    recover = ["tag", "mended", "one"]
    s.fresh()
    s.cut(n)
    for m in crash.chosen(len(s.cut(None, argv=recover).calls), RECOVERIES):
        s.fresh()
        s.cut(n)
        done = s.cut(m, argv=recover)
        s.p.sbx("tag", "-d", "mended")
        s.verify(f"{s.case.name}, killed at {n}, and at {m} of its recovery ({done.hit})")
        s.points += 1


def failures(name):
    """Where there are fewer points: every other kind of failure, and the others of the next command."""
    kinds = crash.INJECTIONS
    if FEWER:
        kinds = kinds[list(crash.CASES).index(name) % 2::2]
    with crash.Sweep(crash.CASES[name]) as s:
        for error, classes in kinds:
            action = "short" if error == "short" else f"errno={crash.ERRNO[error]}"
            crash.points(s, FAILURES, action, classes)
        check(s.points > 0, "at least one point")


@limit(7200)
def test_failing_calls_of_commit():
    """ENOSPC, EIO, EROFS, EMFILE, EINTR and short reads and writes: never exit 0 for what is not done."""
    failures("commit")


@limit(7200)
def test_failing_calls_of_a_running_commit():
    """The same where the commit copies."""
    failures("commit-running")


@limit(7200)
def test_failing_calls_of_reset():
    """The same of reset."""
    failures("reset")


@limit(7200)
def test_failing_calls_of_the_others():
    """The same of fork, tag, squash, gc and rm."""
    for name in ("fork", "tag", "squash", "gc", "rm"):
        failures(name)


harness.main(__name__)
