#!/usr/bin/python3
"""Round trips: a tree of every kind of file is the same after commit, reset, fork and re-entering."""

import harness
import layers
from harness import check, equal, limit

# Not all of /etc: some of its files are made anew at each start.
FOLDERS = {"host": ("/opt/t", "/etc/init.d", "/etc/pam.d", "/etc/security", "/etc/skel", "/etc/systemd",
                    "/usr/share/common-licenses", "/usr/share/bug"),
           "dir": ("/opt", "/var/tmp")}
# With one id nothing is other than with many, but for the time.
WHOLE = harness.has_subids() or layers.SOAK
CROWD = 100_000 if WHOLE else 5_000
SEEDS = (1, 2) if WHOLE else (1,)


def without_sockets(lines):
    """A layer holds none: tar has no form for them, and nobody listens any more."""
    kept = [line for line in lines if " 140755 " not in line]
    check(len(kept) >= len(lines) - 1, "at most one socket")
    return kept


def history(p, folders):
    """States of an environment as (layer, snapshot), each on the one before."""
    states = [("base", layers.snapshot(p, *folders))]

    def keep(message):
        before = without_sockets(layers.snapshot(p, *folders))
        p.sbx("stop")
        digest = layers.commit(p, "-m", message)
        check(digest, f"{message} makes a layer")
        layers.same(before, layers.snapshot(p, *folders), f"re-entered after the commit of {message}")
        states.append((digest, before))

    layers.as_root(p, "python3 inside.py make /opt/t").ok()
    keep("a tree")
    for seed in SEEDS:
        done = layers.as_root(p, f"python3 inside.py mutate {seed} {' '.join(folders)}").ok().out
        check(int(done) > 20, f"changes that were made: {done}")
        keep(f"mutation {seed}")
    layers.as_root(p, "rm -r /opt/t").ok()
    keep("nothing")
    return states


def round_trip(base, ini=layers.COLD, env=None):
    folders = FOLDERS[base]
    with layers.project(ini, base, env) as p:
        states = history(p, folders)
        equal(layers.log(p), [digest for digest, _ in states[:0:-1]], "the log")
        p.sbx("fsck").ok()
        # The oldest first would cut what the newer ones need.
        for digest, wanted in reversed(states):
            p.sbx("reset", digest).ok()
            layers.same(wanted, layers.snapshot(p, *folders), f"after reset {digest[:12]}")
            p.sbx("stop")


@limit(300)
def test_round_trip_over_the_host():
    """Every state comes back by reset, entry for entry."""
    round_trip("host")


@limit(300)
def test_round_trip_over_a_folder():
    """The same with a root in a folder as the base."""
    round_trip("dir")


@limit(300)
def test_round_trip_of_a_running_environment():
    """A commit while the sandbox runs: the tree goes on unchanged, and the layer holds all of it."""
    with layers.project() as p, layers.Busy(p) as busy:
        layers.as_root(p, "python3 inside.py make /opt/t").ok()
        before = layers.snapshot(p, "/opt/t")
        digest = layers.commit(p, "-m", "running")
        layers.same(before, layers.snapshot(p, "/opt/t"), "in the running sandbox")
        equal(layers.commit(p, "-m", "again"), None, "a second commit finds nothing")
        p.sbx("fork", "other").ok()
        busy.close()
        p.sbx("stop")
        layers.same(before, layers.snapshot(p, "/opt/t"), "re-entered")
        p.sbx("stop")
        p.sbx("reset", digest).ok()
        layers.same(without_sockets(before), layers.snapshot(p, "/opt/t"), "out of the layer alone")
        p.sbx("fsck").ok()


@limit(300)
def test_a_crowd():
    """100,000 files in one folder (5,000 with one id): committed, changed, and back."""
    with layers.project() as p:
        layers.as_root(p, f"python3 inside.py crowd /opt/crowd {CROWD}").ok()
        p.sbx("stop")
        digest = layers.commit(p, "-m", "crowd")
        count = "ls -U /opt/crowd | wc -l"
        layers.as_root(p, "cd /opt/crowd; rm file-0000*; echo new > file-000001").ok()
        equal(int(p.sh(count).ok().out), CROWD - 99, "files after the change")
        p.sbx("reset", digest).ok()
        equal(int(p.sh(count).ok().out), CROWD, "files after the reset")
        equal(p.sh("cat /opt/crowd/file-000001").ok().out, "", "what is in one of them")


harness.main(__name__)
