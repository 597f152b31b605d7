#!/usr/bin/python3
"""SIGKILL of any one part leaves no process, no mount, no socket, and no lock behind."""

import json
import os
import random
import signal
import time

import harness
import procs
from harness import Project, Skip, check, equal, limit

SLIRP = "[network]\nmode = slirp\n[sandbox]\nlinger = 0s\n"
NONE = harness.NO_NET + "[sandbox]\nlinger = 0s\n"
SOAK = os.environ.get("SBX_SOAK") == "1"

# Work of every kind that could hold something: a sleeper in a session of its own, a writer in
# the overlay, a reader of the project, all with the fifo `alive` open.
WORK = """
exec 9>alive
setsid sleep 4000 &
(trap '' HUP TERM INT; while :; do sleep 4001; done) &
(cd /tmp && while :; do echo x > f; cat f >/dev/null; done) &
sudo sh -c 'while :; do echo y > /var/tmp/f; rm /var/tmp/f; done' &
echo up >&9
wait
"""


def killed(pick, ini=NONE, overlayfs=True):
    """Start work, SIGKILL what `pick` chooses, and see that all is gone and works again."""
    with Project(ini=ini) as p:
        if not overlayfs:
            p.env["SBX_TEST_NO_OVERLAYFS"] = "1"
        before = procs.mine()
        p.run("true").ok()
        p.sh("echo kept > ~/kept; sudo sh -c 'echo kept > /etc/kept'").ok()
        fifo = harness.open_fifo(p.fifo("alive"))
        worker = p.start("run", "sh", "-c", WORK)
        harness.read_until(fifo, b"up")
        sandbox = procs.Sandbox(p)
        victim = pick(sandbox, worker)
        os.kill(victim, signal.SIGKILL)
        begun = time.monotonic()
        sandbox.wait_gone(2)
        harness.wait_eof(fifo, max(0.1, 2 - (time.monotonic() - begun)), "the work to end")
        if victim != worker.pid:
            status = harness.wait_process(worker, 2)
            check(status not in (0, 2), f"the client tells that its command is gone, got {status}")
        else:
            worker.wait(2)
        for stream in (worker.stdin, worker.stdout, worker.stderr):
            stream.close()
        procs.nothing_left(before, 2)
        os.close(fifo)
        sandbox.close()
        again = p.sh("cat ~/kept /etc/kept").ok()
        equal(again.out, "kept\nkept\n", "the next run")
        p.sbx("stop")
        procs.nothing_left(before, 2)


def test_kill_of_the_client():
    """The command ends with its client, and the sandbox with its last command."""
    killed(lambda sandbox, worker: worker.pid)


def test_kill_of_the_guard():
    """The outermost process of the sandbox."""
    killed(lambda sandbox, worker: sandbox.guard)


def test_kill_of_the_supervisor():
    """The process that built the root and holds the namespaces."""
    def pick(sandbox, _):
        if sandbox.supervisor == sandbox.guard:
            raise Skip("guard and supervisor are one process")
        return sandbox.supervisor
    killed(pick)


def test_kill_of_pid_1():
    """The sandbox's own init."""
    killed(lambda sandbox, worker: sandbox.init)


def test_kill_of_fuse_overlayfs():
    """The root filesystem's server, where it is not the kernel."""
    killed(lambda sandbox, worker: sandbox.named("fuse-overlayfs"), overlayfs=False)


def test_kill_of_hostfs():
    """The server of the host's root, below either driver."""
    killed(lambda sandbox, worker: sandbox.named("sbx-hostfs"))
    killed(lambda sandbox, worker: sandbox.named("sbx-hostfs"), overlayfs=False)


def test_kill_of_slirp4netns():
    """The network."""
    killed(lambda sandbox, worker: sandbox.named("slirp4netns"), SLIRP)


def test_kill_of_each_part_with_a_network():
    """Guard, supervisor and pid 1 again, now with slirp4netns to be ended as well."""
    killed(lambda sandbox, worker: sandbox.guard, SLIRP)
    killed(lambda sandbox, worker: sandbox.supervisor, SLIRP)
    killed(lambda sandbox, worker: sandbox.init, SLIRP)


def test_kill_from_inside():
    """Root inside cannot kill pid 1, and kill -9 -1 ends the sandbox's processes, nobody else's."""
    with Project() as p:
        before = procs.mine()
        p.run("sudo", "kill", "-9", "1")
        p.run("true").ok()
        p.run("sudo", "sh", "-c", "kill -9 -1")
        p.run("true").ok()
        p.sbx("stop")
        procs.nothing_left(before, 2)


def test_stop_leaves_nothing():
    """An orderly end leaves as little as a kill."""
    with Project(ini=SLIRP) as p:
        before = procs.mine()
        p.run("true").ok()
        p.sbx("stop").ok()
        procs.nothing_left(before, 0.5)


def test_rm_leaves_no_files():
    """rm -f refuses a sandbox in which something runs; else it removes every file, also of other ids."""
    with Project() as p:
        before = procs.mine()
        p.sh("sudo mkdir -p /opt/x/y && sudo touch /opt/x/y/f && sudo chown -R 33:33 /opt/x && "
             "sudo chmod 000 /opt/x; setsid sleep 300 > /dev/null 2>&1 &").ok()
        busy = p.sbx("rm", "-f")
        equal(busy.status, 125, "rm of a running one")
        harness.match(r"^hint: .*sbx stop", busy.err, "the hint")
        p.sbx("stop").ok()
        p.sbx("rm", "-f").ok()
        procs.nothing_left(before, 1)
        data = os.path.join(harness.base(), "data/sbx")
        left = os.listdir(os.path.join(data, "envs")) + os.listdir(os.path.join(data, "tmp"))
        equal(left, [], "what is left of it in the store")


@limit(3000 if SOAK else 300)
def test_B18_launcher_killed_at_random_times():
    """B18: whenever the launcher dies, nothing stays, and the next run works."""
    dice = random.Random(18)
    with Project(ini=SLIRP) as p:
        p.run("true").ok()
        p.sbx("stop")
        begun = time.monotonic()
        p.run("true").ok()
        cold = time.monotonic() - begun
        p.sbx("stop")
        before = procs.mine()
        procs.nothing_left(before, 2)
        for n in range(100 if SOAK else 30):
            worker = p.start("run", "true")
            delay = dice.uniform(0, cold * 1.2)
            pidfd = os.pidfd_open(worker.pid)
            harness.select.select([pidfd], [], [], delay)
            os.close(pidfd)
            worker.kill()
            worker.communicate()
            try:
                procs.nothing_left(before, 2)
            except harness.Failed as e:
                raise harness.Failed(f"kill {n}, after {delay * 1000:.1f} ms: {e}") from e
            if n % 5 == 4:
                p.run("true").ok()
                p.sbx("stop")
                procs.nothing_left(before, 2)
        p.run("true").ok()


@limit(3000 if SOAK else 300)
def test_B18_parts_killed_at_random_times_of_the_start():
    """The same for whatever process of the sandbox is there at that moment."""
    dice = random.Random(81)
    with Project(ini=NONE) as p:
        # A sanitizer's search for leaks at the end has a child of its own, without which the client
        # would spin for ever; that one is none of ours to be killed.
        p.env["ASAN_OPTIONS"] = "detect_leaks=0"
        p.run("true").ok()
        p.sbx("stop")
        begun = time.monotonic()
        p.run("true").ok()
        cold = time.monotonic() - begun
        p.sbx("stop")
        before = procs.mine()
        for n in range(100 if SOAK else 30):
            worker = p.start("run", "true")
            harness.select.select([], [], [], dice.uniform(0, cold))
            new = [q for k, q in procs.mine().items() if k not in before and q.pid != worker.pid]
            victim = dice.choice(new) if new else None
            if victim:
                with harness.contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(victim.pid, signal.SIGKILL)
            try:
                worker.communicate(timeout=10)
                procs.nothing_left(before, 2)
            except (harness.Failed, harness.subprocess.TimeoutExpired) as e:
                worker.kill()
                raise harness.Failed(f"kill {n} of {victim}: {e}") from e
            p.run("true").ok()
            p.sbx("stop")


# All that can be stopped, the shim that waits for the next command among it, which is made in the quiet
# after this one has started.
STOP_ALL = """
until [ "$(cat /proc/[0-9]*/comm 2>/dev/null | grep -c sbx-shim)" = 3 ]; do sleep 0.01; done
kill -STOP -1
echo stopped > alive
"""


def test_a_sandbox_that_was_stopped_answers():
    with Project(ini=harness.NO_NET) as p:
        p.run("true").ok()
        fifo = harness.open_fifo(p.fifo("alive"))
        worker = p.start("run", "sudo", "sh", "-c", STOP_ALL)
        harness.read_until(fifo, b"stopped")
        told = json.loads(p.sbx("status", "--json").ok().out)
        equal(told["running"], True, "it runs")
        p.sbx("stop").ok()
        worker.communicate(timeout=5)
        os.close(fifo)


harness.main(__name__)
