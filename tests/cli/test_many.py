#!/usr/bin/python3
"""Many at once: commands in one sandbox, sandboxes side by side, starts and stops that meet."""

import os
import random
import threading

import harness
from harness import Project, check, equal, limit


def all_of(workers, each=90):
    """Wait for all; the failures as (index, status, stderr)."""
    bad = []
    for n, w in enumerate(workers):
        try:
            _, err = w.communicate(timeout=each)
            if w.returncode != 0:
                bad.append((n, w.returncode, err.decode(errors="replace")[-500:]))
        except Exception as e:
            w.kill()
            bad.append((n, None, repr(e)))
    return bad


@limit(200)
def test_fifty_at_once_in_one_project():
    """50 concurrent `sbx run true` on a sandbox that does not run yet: all succeed, in one sandbox."""
    with Project() as p:
        for turn in ("cold", "warm"):
            workers = [p.start("run", "readlink", "/proc/self/ns/pid") for _ in range(50)]
            seen = set()
            for w in workers:
                out, err = w.communicate(timeout=120)
                equal(w.returncode, 0, f"status ({turn}) {err.decode(errors='replace')!r}")
                seen.add(out)
            equal(len(seen), 1, f"sandboxes they ran in ({turn})")


@limit(200)
def test_fifty_at_once_on_a_new_environment():
    """The very first command of a project, fifty times at once, each with its own status."""
    with Project() as p:
        workers = [p.start("run", "sh", "-c", f"exit {n}") for n in range(50)]
        statuses = [harness.wait_process(w, 120) for w in workers]
        for w in workers:
            w.communicate()
        equal(statuses, list(range(50)), "statuses")


@limit(400)
def test_twenty_sandboxes_at_once():
    """20 sandboxes in 20 projects, started at once and all running at once."""
    projects = [Project() for _ in range(20)]
    try:
        workers = [p.start("run", "sh", "-c", "echo up; cat") for p in projects]
        for w in workers:
            harness.read_until(w.stdout, b"up\n", 120)
        names = {p.run("readlink", "/proc/self/ns/mnt").ok().out for p in projects}
        equal(len(names), 20, "sandboxes")
        for w in workers:
            w.stdin.close()
            w.stdin = None
        equal(all_of(workers), [], "failures")
    finally:
        for p in projects:
            p.__exit__()


@limit(400)
def test_twenty_sandboxes_with_a_network_each():
    """The same with slirp4netns: every one has its own network."""
    projects = [Project(ini="") for _ in range(20)]
    try:
        script = ("import socket, time; s = socket.socket(); s.bind(('0.0.0.0', 80)); s.listen();"
                  "print('up', flush=True); input()")
        workers = [p.start("run", "/usr/bin/python3", "-c", script) for p in projects]
        for w in workers:
            harness.read_until(w.stdout, b"up\n", 120)
        for w in workers:
            w.stdin.write(b"\n")
        equal(all_of(workers), [], "failures")
    finally:
        for p in projects:
            p.__exit__()


@limit(200)
def test_stops_that_meet_starts():
    """run against stop, for a while: every run succeeds or was ended, none hangs, none fails to start."""
    with Project() as p:
        p.run("true").ok()
        odd, stop = [], threading.Event()
        dice = random.Random(7)

        def stopper():
            while not stop.is_set():
                p.sbx("stop")
                stop.wait(dice.uniform(0, 0.05))

        thread = threading.Thread(target=stopper)
        thread.start()
        try:
            for n in range(40):
                result = p.sh("echo in; exit 3")
                # Ended by stop: 128+9 or 128+15, or the message that the sandbox was stopped.
                fine = result.status == 3 and result.out == "in\n"
                ended = result.status in (137, 143) or \
                    (result.status == 125 and "stop" in result.err)
                if not fine and not ended:
                    odd.append((n, result.status, result.out, result.err))
        finally:
            stop.set()
            thread.join()
        equal(odd, [], "runs that neither finished nor were ended by stop")
        equal(p.sh("exit 3").status, 3, "a run after all that")


@limit(200)
def test_start_races_the_end_of_linger():
    """With no linger at all, a command may come just as the sandbox goes: it always runs."""
    with Project(ini=harness.NO_NET + "[sandbox]\nlinger = 0s\n") as p:
        for n in range(40):
            result = p.sh(f"echo {n}")
            equal((result.status, result.out), (0, f"{n}\n"), f"run {n} ({result.err!r})")


@limit(200)
def test_many_processes_and_files_inside():
    """A thousand processes and open files inside are reaped and closed."""
    with Project() as p:
        script = ("for i in $(seq 1000); do sleep 60 & done; echo made; kill $(jobs -p); wait; "
                  "ls /proc | grep -c '^[0-9]'")
        out = p.run("bash", "-c", script, limit=90).ok().out.split()
        equal(out[0], "made", "output")
        check(int(out[1]) < 20, f"processes left: {out[1]}")
        orphans = "for i in $(seq 300); do (sh -c 'exit 1' &) ; done; echo ok"
        p.sh(orphans).ok()
        zombies = "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z ' || true"
        for _ in range(100):
            left = int(p.sh(zombies).out)
            if left == 0:
                break
        equal(left, 0, "zombies left to pid 1")


@limit(200)
def test_no_fd_or_memory_grows_with_commands():
    """After 300 commands the sandbox's own processes hold as many fds as after 20."""
    with Project() as p:
        def fds(pid):
            try:
                return len(os.listdir(f"/proc/{pid}/fd"))
            except PermissionError:
                return None

        for _ in range(20):
            p.run("true").ok()
        guard = p.sbx("status", "--json").json()["guard_pid"]
        inside = "ls /proc/1/fd 2>/dev/null | wc -l"
        before = fds(guard), p.run("sudo", "sh", "-c", inside).out
        for _ in range(harness.fewer(300)):
            p.run("true").ok()
        equal((fds(guard), p.run("sudo", "sh", "-c", inside).out), before, "fds of guard and pid 1")


harness.main(__name__)
