#!/usr/bin/python3
"""Nothing is left behind by many commits and resets, one after the other or all at once."""

import contextlib
import os
import random
import threading
import time

import harness
import layers
import procs
from harness import check, equal, limit

CYCLES = 1000 if layers.SOAK else 25
SECONDS = 300 if layers.SOAK else 15


def listing(store):
    """Every path of the store that is not a lock or a cache, with its size; what is in trees only counted."""
    found = {}
    for at, folders, names in os.walk(store):
        short = os.path.relpath(at, store)
        inner = short.count("/") >= 2 and not short.startswith("tmp")
        if inner:
            folders[:] = []
        for name in folders + names:
            path = os.path.join(at, name)
            with contextlib.suppress(OSError):
                found[os.path.relpath(path, store)] = os.path.isdir(path) or os.lstat(path).st_size
    return found


def blocks(store):
    out = layers.in_namespace("du", "-s", "--block-size=1", store)
    return int(out.split()[0])


def cycle(p):
    layers.as_root(p, "mkdir -p /opt/a; echo same > /opt/a/same; rm -f /opt/lower; touch -d @7 /opt/a/same /opt/a").ok()
    p.sbx("stop").ok()
    digest = layers.commit(p, "-m", "cycle")
    check(digest, "a layer")
    p.sbx("reset", "base").ok()
    p.sbx("gc", "--all").ok()
    return digest


@limit(3600)
def test_cycles_leave_nothing():
    """Run, commit, reset, gc, again and again: the store, the processes and the mounts stay the same."""
    # One upper's name has as many digits as it needs: begin where there are as many as at the end.
    with layers.project() as p:
        store = layers.store_of(p)
        for _ in range(3):
            cycle(p)
        p.sbx("stop")
        before, used, running = listing(store), blocks(store), procs.mine()
        fds = len(os.listdir("/proc/self/fd"))
        for n in range(CYCLES):
            cycle(p)
            if n % 100 == 99:
                harness.diagnose(f"{n + 1} cycles")
        p.sbx("stop")
        procs.nothing_left(running, 2)
        upper = [f"envs/{env}/{up}" for env, (_, up) in layers.chains(store).items()]
        after = listing(store)

        def stable(found):
            return sorted(name for name in found if "/upper" not in name)
        equal(stable(after), stable(before), "the names in the store")
        equal(sorted(n for n in after if "/upper" in n and n.count("/") == 2), upper, "upper folders")
        equal(blocks(store), used, "bytes on the disk")
        equal(len(os.listdir("/proc/self/fd")), fds, "descriptors of the test itself")
        equal(layers.litter(store), [], "litter")


class Worker(threading.Thread):
    """Commits or resets in its own environment until the time is over."""

    def __init__(self, n):
        super().__init__()
        self.n, self.until, self.wrong, self.turns = n, 0, None, 0
        self.p = layers.project()
        self.rng = random.Random(n)

    def turn(self):
        raise NotImplementedError

    def run(self):
        try:
            while time.monotonic() < self.until and not self.wrong:
                self.turn()
                self.turns += 1
        except BaseException as e:
            self.wrong = f"{type(self).__name__} {self.n}: {e!r}"

    def change(self):
        # The same contents in all environments: their layers are shared.
        k = self.rng.randrange(6)
        layers.as_root(self.p, f"mkdir -p /opt/s; echo {k} > /opt/s/f{k}; touch -d @9 /opt/s/f{k} /opt/s").ok()


class Committer(Worker):
    def turn(self):
        self.change()
        digest = layers.commit(self.p, "-m", "x")
        if digest:
            check(digest in layers.log(self.p), "the new layer is in the log")
        if self.turns % 7 == 6:
            self.p.sbx("reset", "base").ok()


class Resetter(Worker):
    def turn(self):
        self.change()
        layers.commit(self.p, "-m", "y", "-t", f"kept-{self.n}")
        self.p.sbx("stop")
        self.p.sbx("reset", self.rng.choice(["base", f"kept-{self.n}"])).ok()


class Collector(Worker):
    def turn(self):
        self.p.sbx("gc", "--all").ok()


@limit(900)
def test_many_at_once():
    """8 that commit, 8 that reset and one gc in environments of one store: fsck is clean at the end."""
    workers = []
    with contextlib.ExitStack() as stack:
        for n in range(8):
            workers += [Committer(n), Resetter(100 + n)]
        workers.append(Collector(200))
        for w in workers:
            stack.enter_context(w.p)
            w.p.run("true").ok()
        for w in workers:
            w.until = time.monotonic() + SECONDS
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        wrong = [w.wrong for w in workers if w.wrong]
        check(not wrong, "\n".join(wrong))
        check(all(w.turns for w in workers), f"turns {[w.turns for w in workers]}")
        harness.diagnose(f"{sum(w.turns for w in workers[:-1])} turns, {workers[-1].turns} of gc")
        for w in workers:
            w.p.sbx("stop")
        workers[0].p.sbx("fsck").ok()
        workers[0].p.sbx("gc", "--all").ok()
        store = layers.store_of(workers[0].p)
        equal(layers.litter(store), [], "litter")
        equal(layers.unreachable(store), [], "layers that nobody needs")
        workers[0].p.sbx("fsck").ok()


harness.main(__name__)
