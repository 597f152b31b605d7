#!/usr/bin/python3
"""Commands that are killed, or whose calls fail, at any moment: the old state or the new one stands.

A part of the points in the ordinary suites, all of them in the soak suite.  See crash.py.
"""

import crash
import harness
import layers
from harness import check, limit

ALL = 1 << 30
KILLS = ALL if layers.SOAK else 2
FAILURES = ALL if layers.SOAK else 1
RECOVERIES = ALL if layers.SOAK else 2


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


@limit(3600)
def test_kill_of_one_process():
    """Only the process that is about to make the call is killed: the others tell it, or end it."""
    for name in ("commit", "reset", "squash"):
        crash.sweep(crash.CASES[name], KILLS if layers.SOAK else 1, "kill1")


@limit(7200)
def test_kill_of_the_recovery():
    """A command is killed, and then what mends that is killed at each of its calls."""
    for name in ("commit", "reset", "squash"):
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
    with crash.Sweep(crash.CASES[name]) as s:
        for error, classes in crash.INJECTIONS:
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
