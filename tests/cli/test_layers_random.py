#!/usr/bin/python3
"""Random changes, commits, resets and forks, beside a plain copy that was changed in the same way.

Four folders change at a time, each in its own way; what is committed, reset and forked is all of them.  SBX_SEED=N
begins with that turn; each failure names its own.  The soak suite makes 2,000 sequences: 125 turns of four on
each base, by each kind of user.
"""

import json
import os
import random

import harness
import layers
from harness import Failed, limit

TURNS = 125 if layers.SOAK else 12
FIRST = int(os.environ.get("SBX_SEED", "0"))
TOPS = ("/opt/w", "/opt/x", "/opt/y/deep", "/var/lib/z")


class Sequence:
    """What was done to one environment, so that it can be done again to a plain folder."""

    def __init__(self, p, seed):
        self.p, self.rng, self.seed = p, random.Random(seed), seed
        self.history = []   # for each round, a list of changes for each folder
        self.layers = []    # (digest, how many of the history it stands on)
        self.told = []

    def fail(self, why):
        raise Failed(f"sequence {self.seed}: {' '.join(self.told)}\n{why}")

    def sbx(self, *words):
        self.told.append(" ".join(words[:2]))
        done = self.p.sbx(*words)
        if done.status != 0:
            self.fail(f"status {done.status}: {done.err[-1500:]}")
        return done.out.strip()

    def step(self, count, history, env="default", mounted=False):
        """Compare with what the history makes; `count` changes more, which are returned."""
        task = {"history": history, "seed": self.rng.random(), "count": count, "mounted": mounted}
        self.told.append(f"{count} changes" + ("" if env == "default" else " -e " + env))
        done = self.p.sbx("run", "-e", env, "sudo", "python3", "-B", "inside_random.py", *TOPS,
                          stdin=json.dumps(task).encode())
        if done.status != 0:
            self.fail(done.err[-4000:])
        return json.loads(done.out)

    def change(self):
        self.history.append(self.step(self.rng.randint(2, 5), self.history))

    def maybe_busy(self, *words):
        """The command, half of the time beside one that runs inside."""
        if self.rng.random() < 0.5:
            return self.sbx(*words)
        self.told.append("busy")
        with layers.Busy(self.p):
            return self.sbx(*words)

    def commit(self):
        digest = self.maybe_busy("commit", "-m", "x")
        if digest and len(digest) != 64:
            self.fail(f"commit prints {digest!r}")
        if digest:
            self.layers.append((digest, len(self.history)))
        # Without a digest nothing had changed, and the history says the same with or without the rest.

    def reset(self):
        keep = self.rng.randint(0, len(self.layers))
        self.layers = self.layers[:keep]
        self.sbx("reset", self.layers[-1][0] if keep else "base")
        self.history = self.history[:self.layers[-1][1] if keep else 0]

    def fork(self):
        self.maybe_busy("fork", "other")
        kept = self.history[:self.layers[-1][1] if self.layers else 0]
        self.step(2, kept, "other", True)
        self.p.sbx("stop", "-e", "other")
        self.sbx("rm", "-f", "-e", "other")

    def squash(self):
        if len(self.layers) < 2:
            return
        digest = self.sbx("squash", "-m", "flat")
        self.layers = [(layers.log(self.p)[-1] if len(digest) != 64 else digest, self.layers[-1][1])]

    def go(self):
        self.sbx("reset", "base")
        self.change()
        for _ in range(self.rng.randint(2, 4)):
            how = self.rng.choices((self.commit, self.reset, self.fork, self.squash), (6, 3, 1, 1))[0]
            how()
            self.change()
        self.sbx("stop")
        self.step(0, self.history, mounted=True)


def sequences(base):
    with layers.project(layers.WARM, base) as p:
        source = os.path.join(layers.HERE, "inside_random.py")
        with open(source, encoding="utf-8") as f:
            p.write("inside_random.py", f.read())
        p.run("true").ok()
        for seed in range(FIRST, FIRST + TURNS):
            Sequence(p, f"{base}-{seed}").go()
            if seed % 50 == 49:
                p.sbx("gc", "--all").ok()
                harness.diagnose(f"{base}: {seed + 1 - FIRST} sequences")
        p.sbx("fsck").ok()


@limit(1800)
def test_random_sequences_over_the_host():
    """Each state is what a plain folder is that was changed in the same way."""
    sequences("host")


@limit(1800)
def test_random_sequences_over_a_folder():
    """The same with a root in a folder as the base."""
    sequences("dir")


harness.main(__name__)
