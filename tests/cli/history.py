"""What the tests of an environment's history share: a store of one's own, and what its commands say."""

import os

import layers
from harness import check, equal

FAILED, USAGE = 125, 2


def refused(result, status, message, hint):
    """Nothing but the message and the hint on stderr."""
    result.ok(status)
    equal(result.err, f"sbx: error: {message}\nhint: {hint}\n", "what it says")
    equal(result.out, "", "stdout")


def made(p, script, *more):
    """The layer that a script by the sandbox's root makes."""
    layers.as_root(p, script).ok()
    return layers.commit(p, *more)


def look(p, *paths):
    """Which of the paths are there, inside."""
    script = 'for f; do test -e "$f" && echo "$f"; done; true'
    return p.run("sh", "-c", script, "sh", *paths).ok().out.split()


def alone(ini=layers.COLD, **kw):
    """A project with a store of its own."""
    p = layers.project(ini, **kw)
    p.env["XDG_DATA_HOME"] = os.path.join(p.parent, "data")
    return p


def chain(p, *more):
    """The digests of `log`, the lowest first."""
    return [one["digest"] for one in p.sbx("log", "--json", *more).json()][::-1]


def note(result, text):
    """One of the lines on stderr."""
    check(f"sbx: {text}" in result.err.split("\n"), f"no line {text!r} in {result.err!r}")
