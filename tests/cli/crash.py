"""The sweep: a command is cut short before its N-th call that changes something, for every N.

After each cut, `fsck` has nothing to say, the environment is as it was before the command or as it is
after it, the next command works at once, and it leaves no litter.  syscut.c does the cutting.  A store is
prepared once for each case and copied for each point, so that every point starts from the same.
"""

import collections
import contextlib
import os
import signal
import subprocess

import harness
import layers
import procs
from harness import Failed, Skip, check, equal

ERRNO = {"ENOSPC": 28, "EIO": 5, "EROFS": 30, "EMFILE": 24, "EINTR": 4}
# What fails how: the classes of syscut.c.
INJECTIONS = (("ENOSPC", "wdmo"), ("EIO", "wdmsor"), ("EROFS", "wdmo"), ("EMFILE", "f"),
              ("EINTR", "b"), ("short", "w"), ("short", "r"))

_syscut = None


def syscut():
    """The cutter, built once."""
    global _syscut
    if os.uname().machine != "x86_64":
        raise Skip("syscut knows the registers of x86-64 alone")
    if _syscut is None:
        cc = harness.need_program("cc")
        path = os.path.join(harness.base(), "syscut")
        source = os.path.join(layers.HERE, "syscut.c")
        subprocess.run([cc, "-D_GNU_SOURCE", "-O2", "-o", path, source], check=True)
        _syscut = path
    return _syscut


Cut = collections.namedtuple("Cut", "status calls hit out err")


def cut(p, argv, n=None, action="kill", classes="wdmso", limit=60):
    """Run `sbx ARGV…` of the project cut at the n-th call; hit: the name of that call, or None."""
    report = os.path.join(p.parent, "report")
    words = [syscut(), "-a", action, "-c", classes, "-o", report]
    if n is not None:
        words += ["-n", str(n)]
    # A leak checker stops its process to look: two tracers are one too many.
    env = dict(p.env, ASAN_OPTIONS="detect_leaks=0:" + p.env.get("ASAN_OPTIONS", ""))
    done = harness.command(words + [harness.SBX, *argv], cwd=p.dir, env=env, limit=limit)
    equal(done.status, 0, f"syscut's status: {done.err}")
    with open(report, encoding="ascii") as f:
        lines = [line.split() for line in f]
    calls = [words[1] for words in lines if words[0] != "status"]
    status = next((int(words[1]) for words in lines if words[0] == "status"), None)
    hit = calls[n - 1] if n is not None and len(calls) >= n else None
    return Cut(status, calls, hit, done.out, done.err)


class Case:
    """One command and the store it starts from.  `setup` makes that with the project as it is."""

    def __init__(self, name, argv, setup, again=None, warm=False):
        self.name, self.argv, self.setup = name, argv, setup
        self.again = again or argv      # what must work where the cut command had done its work
        self.warm = warm                # the sandbox runs meanwhile


CHANGES = """
mkdir -p /opt/a/b /etc/sbxtest
echo one > /opt/a/b/one
echo two > /opt/a/two
ln -s two /opt/a/link
ln /opt/a/two /opt/a/hard
chmod 2750 /opt/a/b
"""
MORE = """
echo changed >> /opt/a/two
rm -r /opt/a/b
mkdir /opt/a/b
echo new > /opt/a/b/new
rm /opt/a/link
mkfifo /opt/a/pipe
echo conf > /etc/sbxtest/conf
mkdir -p /var/cache/apt/archives && echo noise > /var/cache/apt/archives/noise.deb
"""


def two_layers(p):
    layers.as_root(p, CHANGES).ok()
    layers.commit(p, "-m", "first", "-t", "one")
    layers.as_root(p, MORE).ok()
    layers.commit(p, "-m", "second", "-t", "two")
    layers.as_root(p, "echo dirty > /opt/a/dirty; rm /opt/a/b/new").ok()


def one_and_changes(p):
    layers.as_root(p, CHANGES).ok()
    layers.commit(p, "-m", "first", "-t", "one")
    layers.as_root(p, MORE).ok()


def some_garbage(p):
    two_layers(p)
    p.sbx("tag", "-d", "two").ok()
    p.sbx("reset", "one").ok()


CASES = {case.name: case for case in (
    Case("commit", ["commit", "-m", "x"], one_and_changes),
    Case("commit-running", ["commit", "-m", "x"], one_and_changes, warm=True),
    Case("commit-tagged", ["commit", "-m", "x", "-t", "new"], one_and_changes),
    Case("reset", ["reset", "one"], two_layers),
    Case("fork", ["fork", "other"], two_layers, again=["status", "-e", "other"]),
    Case("tag", ["tag", "three", "one"], two_layers),
    Case("squash", ["squash", "-m", "flat"], two_layers),
    Case("gc", ["gc", "--all"], some_garbage),
    Case("rm", ["rm", "-f"], two_layers, again=["gc", "--all"]),
)}


class Sweep:
    """`with Sweep(case) as s:` s.point(n) for as many n as wanted; s.points counts them."""

    def __init__(self, case, base="host", ini=layers.COLD, env=None):
        self.case, self.base, self.ini, self.env = case, base, ini, env
        self.points, self.old_stood, self.new_stood = 0, 0, 0
        self.busy = None
        self.temps = 0  # half-written records that only gc removed

    def __enter__(self):
        self.p = layers.project(self.ini, self.base, self.env)
        self.n = 0
        self.prepare()
        self.fresh()
        self.old = self.state()
        self.fresh()
        done = self.cut(None)
        equal(done.status, 0, f"the command, uncut: {done.err}")
        self.calls = done.calls
        self.new = self.state()
        check(self.old != self.new or self.case.name == "gc", f"{self.case.name} changes the state")
        return self

    def __exit__(self, *exc):
        self.drop()
        if self.template:
            self.p.env["XDG_DATA_HOME"] = self.template
            layers.remove_store(self.template)
        self.p.__exit__(*exc)
        return False

    def prepare(self):
        """The store that every point starts from."""
        self.template = os.path.join(self.p.parent, "template")
        self.p.env["XDG_DATA_HOME"] = self.template
        if self.base == "dir":
            # The store is another one than that of layers.project.
            self.p.allow()
        self.case.setup(self.p)
        self.p.sbx("stop")

    def quiet(self):
        """Nobody uses the environment."""
        if self.busy:
            self.busy.close()
            self.busy = None
        self.p.sbx("stop")

    def drop(self):
        self.quiet()
        if self.p.env["XDG_DATA_HOME"] != self.template:
            layers.remove_store(self.p.env["XDG_DATA_HOME"])

    def fresh(self):
        """A copy of the prepared store; the one before is removed."""
        self.drop()
        self.n += 1
        self.p.env["XDG_DATA_HOME"] = os.path.join(self.p.parent, f"data{self.n}")
        layers.copy_store(self.template, self.p.env["XDG_DATA_HOME"])
        if self.case.warm:
            self.busy = layers.Busy(self.p)

    def cut(self, n, action="kill", classes="wdmso", argv=None):
        return cut(self.p, argv or self.case.argv, n, action, classes)

    def state(self):
        """What a user sees: chain, tags, environments, and the tree."""
        p = self.p
        envs = tuple(sorted(e["env"] for e in p.sbx("list", "--json").json()))
        tags = tuple((t["name"], *t["layers"]) for t in p.sbx("tag", "--json").json())
        if "default" not in envs:
            return envs, tags
        return envs, tags, tuple(layers.log(p)), p.run("sudo", "sh", "-c", layers.LOOK).ok().out

    def healthy(self, where):
        done = self.p.sbx("fsck", limit=60)
        if done.status != 0:
            raise Failed(f"{where}: fsck: {done.status} {done.out[-1500:]} {done.err[-1500:]}")

    def stands(self, where, wanted=None):
        """Old or new (or what is wanted), and which."""
        state = self.state()
        for name in ("new", "old"):
            if state == getattr(self, name):
                if wanted and wanted != name:
                    raise Failed(f"{where}: the {name} state stands instead of the {wanted} one")
                return name
        if self.case.name == "commit-tagged" and not wanted and self.between(state):
            return "old"
        raise Failed(f"{where}: neither the old nor the new state stands:\n{state}\nold {self.old}\n"
                     f"new {self.new}")

    def between(self, state):
        """A tag is a second step: the layer without it, which the same command ends."""
        return state == (self.new[0], self.old[1], *self.new[2:])

    def verify(self, where, wanted=None):
        """All that has to hold after a cut."""
        if self.n % 2:
            self.healthy(where)
            which = self.stands(where, wanted)
        else:
            which = self.stands(where, wanted)
            self.healthy(where)
        again = self.p.sbx(*(self.case.argv if which == "old" else self.case.again))
        if again.status != 0:
            raise Failed(f"{where}: {which} stands; the next command: {again.status} {again.err[-1500:]}")
        self.stands(f"{where}, and the command once more", "new")
        self.quiet()
        self.clean(where)
        return which

    def clean(self, where):
        store = layers.store_of(self.p)
        temps = [path for path in layers.litter(store) if path.endswith(".tmp")]
        found = [path for path in layers.litter(store) if path not in temps]
        check(not found, f"{where}: litter: {found}")
        for path in temps:
            # Half-written records are gc's, once they are so old that nobody can be writing them.
            os.utime(os.path.join(store, path), (1, 1))
        self.temps += len(temps)
        self.p.sbx("gc", "--all").ok()
        found = layers.litter(store)
        check(not found, f"{where}: litter, after gc: {found}")
        found = layers.unreachable(store)
        check(not found, f"{where}: gc leaves layers that nobody needs: {found}")
        self.healthy(where + ", after gc")
        self.stands(where + ", after gc", "new")

    def point(self, n, action="kill", classes="wdmso"):
        """Cut at the n-th call and verify; False where there was no n-th call."""
        self.fresh()
        done = self.cut(n, action, classes)
        if done.hit is None:
            return False
        where = f"{self.case.name}, {action} at {n} of {len(self.calls)} ({done.hit})"
        if action in ("kill", "kill1"):
            which = self.verify(where, "new" if done.status == 0 else None)
        else:
            which = self.judge(done, where)
        self.points += 1
        self.old_stood += which == "old"
        self.new_stood += which == "new"
        return True

    def judge(self, done, where):
        """A call failed: exit 0 only for what is done; else an error that says something."""
        if done.status == 0:
            return self.verify(where, "new")
        # 127: the loader had not even started it.
        check(done.status in (1, 2, 125, 127), f"{where}: status {done.status}")
        check("sbx" in done.err, f"{where}: status {done.status} without a word: {done.err!r}")
        return self.verify(where)


def kill_rest(p):
    """SIGKILL for the processes of the project's sandbox, which live on when a client is killed."""
    status = p.sbx("status", "--json")
    guard = status.status == 0 and status.json().get("guard_pid")
    if guard:
        for pid in procs.tree(guard):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        procs.until(lambda: procs.has_ended(guard), 5, "the killed guard to end")


def chosen(total, most):
    """At most `most` of 1…total, spread evenly, with both ends."""
    if total <= most:
        return list(range(1, total + 1))
    if most == 1:
        return [(total + 1) // 2]
    return sorted({1 + round(i * (total - 1) / (most - 1)) for i in range(most)})


def points(s, most, action="kill", classes="wdmso"):
    """At most so many points of a sweep; a diagnostic line says how many there were."""
    before = s.points, s.old_stood, s.new_stood, s.temps
    total = len(s.calls)
    if action not in ("kill", "kill1"):
        s.fresh()
        total = len(s.cut(None, "kill", classes).calls)
    for n in chosen(total, most):
        s.point(n, action, classes)
    done, old, new, temps = (now - then for now, then in zip((s.points, s.old_stood, s.new_stood, s.temps), before))
    harness.diagnose(f"{s.case.name}: {done} of {total} points, {action} ({classes}): old {old}, new {new}; "
                     f"{temps} times gc had to tidy up")
    return done


def sweep(case, most, action="kill", classes="wdmso", **kw):
    """The points of one case, from a store of its own."""
    with Sweep(case, **kw) as s:
        return points(s, most, action, classes)
