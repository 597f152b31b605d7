"""Who runs: the processes of this user and of his subordinate ids, read from /proc."""

import contextlib
import os
import select
import stat
import time

import harness
from harness import Failed


class Process:
    """One line of the process table.  The start time tells it from a later one with its pid."""

    def __init__(self, pid):
        with open(f"/proc/{pid}/stat", "rb") as f:
            text = f.read()
        end = text.rindex(b")")
        self.pid = pid
        self.comm = text[text.index(b"(") + 1:end].decode(errors="replace")
        fields = text[end + 2:].split()
        self.state = fields[0].decode()
        self.ppid = int(fields[1])
        self.start = int(fields[19])
        self.uid, self.nspid = -1, []
        with open(f"/proc/{pid}/status", "rb") as f:
            for line in f:
                if line.startswith(b"Uid:"):
                    self.uid = int(line.split()[1])
                elif line.startswith(b"NSpid:"):
                    self.nspid = [int(word) for word in line.split()[1:]]

    def key(self):
        return self.pid, self.start

    def __repr__(self):
        return f"{self.pid} {self.comm} (uid {self.uid}, parent {self.ppid}, {self.state})"


def everybody():
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                found[int(name)] = Process(int(name))
    return found


def has_ended(pid):
    """Gone, or a zombie that is init's to take off the process table."""
    try:
        process = Process(pid)
    except (OSError, ValueError):
        return True
    return process.state == "Z" and process.ppid == 1


def id_ranges():
    ranges = [(os.getuid(), 1)]
    with contextlib.suppress(OSError), open("/etc/subuid", encoding="utf-8") as f:
        for line in f:
            words = line.strip().split(":")
            if len(words) == 3 and words[0] in (harness.USER.pw_name, str(os.getuid())):
                ranges.append((int(words[1]), int(words[2])))
    return ranges


def mine():
    """The processes of this user and his subordinate ids, by (pid, start)."""
    ranges = id_ranges()
    return {p.key(): p for p in everybody().values()
            if any(start <= p.uid < start + count for start, count in ranges)}


def tree(root):
    """The process `root` and all that descend from it."""
    table = everybody()
    found, todo = {}, [root]
    while todo:
        pid = todo.pop()
        if pid in table and pid not in found:
            found[pid] = table[pid]
            todo += [p.pid for p in table.values() if p.ppid == pid]
    return found


class Sandbox:
    """The processes of a running sandbox, found from its guard."""

    def __init__(self, project):
        self.project = project
        self.guard = project.sbx("status", "--json").json()["guard_pid"]
        self.members = tree(self.guard)
        own = Process(os.getpid())
        depth = len(own.nspid)
        inside = [p for p in self.members.values() if len(p.nspid) > depth]
        firsts = [p.pid for p in inside if p.nspid[-1] == 1]
        if len(firsts) != 1:
            raise Failed(f"one pid 1 below the guard {self.guard}: {list(self.members.values())}")
        self.init = firsts[0]
        self.inside = {p.pid for p in inside}
        self.supervisor = self.members[self.init].ppid
        self.fds = {}
        for pid in list(self.members):
            try:
                self.fds[pid] = os.pidfd_open(pid)
            except ProcessLookupError:
                # One of those that come and go: the shim of the question, a command of the work.
                del self.members[pid]

    def named(self, comm):
        found = [p.pid for p in self.members.values()
                 if p.comm == comm[:15] and p.pid not in self.inside]
        if not found:
            raise Failed(f"no {comm} below the guard: {list(self.members.values())}")
        return found[0]

    def wait_gone(self, limit):
        """Every process that was seen has ended within `limit` seconds, also as a zombie."""
        end = time.monotonic() + limit
        for pid, fd in self.fds.items():
            if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
                left = [self.members[n] for n in self.fds
                        if not select.select([self.fds[n]], [], [], 0)[0]]
                raise Failed(f"after {limit} s still there: {left} (first {pid})")

    def close(self):
        for fd in self.fds.values():
            os.close(fd)


def until(predicate, limit, what):
    """For what has no fd to wait on: look again and again; returns the first true value."""
    end = time.monotonic() + limit
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"waited {limit} s for {what}")
        select.select([], [], [], 0.02)


def sockets_below(folder):
    """Socket files below a folder and unix sockets bound to a path there."""
    found = []
    for at, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                path = os.path.join(at, name)
                if stat.S_ISSOCK(os.lstat(path).st_mode) and "/upper/" not in path:
                    found.append(path)
    with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as f:
        found += [line.split()[-1] for line in f if folder in line or "@sbx" in line]
    return found


def mounts_below(folder):
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        return [line.strip() for line in f if folder in line or "fuse-overlayfs" in line]


def nothing_left(before, limit=2):
    """Within `limit` seconds: no process that was not in `before`, no mount and no socket."""
    state = {}

    def clean():
        new = {k: p for k, p in mine().items() if k not in before and p.pid != os.getpid()}
        # A zombie of init's has ended, and how soon init takes it off is not ours to say.
        state["processes"] = [p for p in new.values()
                              if p.state != "Z" or p.ppid not in (1, os.getpid())]
        state["mounts"] = mounts_below(harness.base())
        state["sockets"] = sockets_below(os.path.join(harness.base(), "data"))
        return not any(state.values())

    try:
        until(clean, limit, "the sandbox to be gone")
    except Failed:
        raise Failed(f"after {limit} s there still are: {state}") from None
