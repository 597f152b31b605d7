#!/usr/bin/python3
"""The main job, end to end: init, enter, install, leave, come back, join, stop."""

import os
import pwd
import re
import socket
import stat
import time

import harness
import procs
import terminal
from harness import Project, Skip, absent, check, command, equal, limit, match

COWSAY = "/usr/games/cowsay"


def need_no_cowsay():
    if os.path.exists(COWSAY):
        raise Skip("this host has cowsay: nothing could be proved with it")


@limit(300)
def test_the_transcript_of_the_readme():
    """init, enter, apt-get install in it, exit; it is still there, and the host has none."""
    need_no_cowsay()
    with Project(ini=None) as p:
        p.sbx("init").ok()
        check(os.path.exists(p.path("sbx.ini")), "init writes sbx.ini")
        with terminal.sbx_pty(p, "enter") as shell:
            terminal.tame(shell)
            shell.line("sudo apt-get update && sudo apt-get install -y cowsay && "
                       "/usr/games/cowsay hi; echo status=$?=")
            shell.expect(r"< hi >", limit=240)
            shell.expect(r"status=0=")
            shell.expect("in> ")
            shell.line("exit")
            equal(shell.wait(), 0, "status of enter after exit")
        match(r"< again >", p.run(COWSAY, "again").ok().out, "a second command finds it")
        check(not os.path.exists(COWSAY), "the host has no cowsay")
        p.sbx("stop").ok()
        match(r"< kept >", p.run(COWSAY, "kept").ok().out, "a new start finds it")
        status = p.sbx("status").ok().out
        match(r"\S", status, "status says something")
        check(not os.path.exists(COWSAY), "the host still has no cowsay")
        check(not os.path.exists("/var/lib/dpkg/info/cowsay.list"), "nor its package data")


def test_init_twice_refuses_and_keeps():
    """A second init does not overwrite what the user has written."""
    with Project(ini="; mine\n" + harness.NO_NET) as p:
        result = p.sbx("init")
        check(result.status not in (0, 128 + 11), f"init over an sbx.ini fails, got {result.status}")
        match(r"sbx\.ini", result.err, "the message names the file")
        match(r"^; mine", p.read("sbx.ini"), "the file is as it was")


def test_enter_from_a_folder_below():
    """sbx.ini is found by walking up, and the command starts in the folder of its caller."""
    with Project() as p:
        os.makedirs(p.path("a/b"))
        result = p.sbx("run", "pwd", cwd=p.path("a/b")).ok()
        equal(result.out, p.path("a/b") + "\n", "the working folder inside")


def test_no_profile_is_an_error_with_a_hint():
    """Outside of any project the message says what to do."""
    with Project(ini=None) as p:
        result = p.run("true")
        equal(result.status, 125, "status")
        match(r"sbx\.ini", result.err, "the message")
        match(r"^hint:.*sbx init", result.err, "the hint")


def test_second_enter_joins():
    """Two shells are in one sandbox: each sees the other's processes and files."""
    with Project() as p, terminal.sbx_pty(p, "enter") as one, terminal.sbx_pty(p, "enter") as two:
        terminal.tame(one, "one")
        terminal.tame(two, "two")
        one.line("echo from-one > /tmp/shared; sleep 4321 & echo pid=$!=")
        pid = one.expect(r"pid=(\d+)=").group(1).decode()
        two.line(f"cat /tmp/shared; tr '\\0' ' ' < /proc/{pid}/cmdline; echo; readlink /proc/self/ns/pid")
        two.expect("from-one\r\n")
        two.expect("sleep 4321")
        ns = two.expect(r"pid:\[(\d+)\]").group(1)
        one.line("readlink /proc/self/ns/pid")
        equal(one.expect(r"pid:\[(\d+)\]").group(1), ns, "the pid namespace")
        two.line(f"kill {pid} && echo killed=$?=")
        two.expect("killed=0=")
        one.line("wait; exit")
        two.line("exit")
        one.wait()
        two.wait()


def test_stop_ends_everything():
    """`sbx stop` ends running commands, and returns only when nothing is left."""
    with Project() as p:
        fifo = harness.open_fifo(p.fifo("alive"))
        worker = p.start("run", "sh", "-c", "exec 9>alive; echo up >&9; sleep 5000")
        harness.read_until(fifo, b"up")
        guard = p.sbx("status", "--json").json()["guard_pid"]
        p.sbx("stop").ok()
        check(procs.has_ended(guard), "the guard is gone when stop returns")
        harness.wait_eof(fifo, 1, "the command inside to end")
        os.close(fifo)
        status = harness.wait_process(worker)
        check(status != 0, f"the client whose command was ended says so, got {status}")
        absent(r"guard_pid\"?: *[1-9]", p.sbx("status", "--json").out, "status after stop")
        again = p.sbx("stop")
        check(again.status in (0, 125), f"stopping what does not run: {again.status} {again.err}")


def test_project_is_writable_and_owned_by_the_user():
    """Files that self and (with sudo) root make in the project are true outside."""
    with Project() as p:
        p.sh("umask 022; echo inside > made; mkdir -p sub/dir; echo x > sub/dir/f; chmod 750 sub").ok()
        equal(p.read("made"), "inside\n", "content outside")
        for name in ("made", "sub", "sub/dir", "sub/dir/f"):
            st = os.stat(p.path(name))
            equal((st.st_uid, st.st_gid), (os.getuid(), os.getgid()), f"owner of {name}")
        equal(stat.S_IMODE(os.stat(p.path("sub")).st_mode), 0o750, "mode")
        p.write("outside", "from outside\n")
        equal(p.run("cat", "outside").ok().out, "from outside\n", "read inside")
        p.run("rm", "-r", "sub", "outside").ok()
        check(not os.path.exists(p.path("sub")), "removed outside too")


def test_project_is_at_its_own_path():
    """$PWD is the same inside and outside, and nothing else of the user's home shows."""
    with Project() as p:
        equal(p.run("pwd").ok().out, p.dir + "\n", "pwd")
        neighbour = os.path.join(p.parent, "neighbour")
        with open(neighbour, "w", encoding="utf-8") as f:
            f.write("secret")
        check(p.run("cat", neighbour).status != 0, "a file beside the project does not show")
        check(p.run("ls", p.env["XDG_DATA_HOME"]).status != 0, "the store does not show")
        for name in ("/mnt", "/media", "/srv", "/root"):
            out = p.sh(f"ls -A {name} 2>/dev/null").out
            equal(out, "", f"{name} inside")


def test_home_is_private_and_kept():
    """~ is the user's own path, empty of the host's files, and stays over a stop."""
    home = pwd.getpwuid(os.getuid()).pw_dir
    mark = os.path.join(home, f".sbx-test-canary-{os.getpid()}")
    with Project() as p:
        with open(mark, "w", encoding="utf-8") as f:
            f.write("host")
        try:
            equal(p.sh("echo $HOME; cd; pwd; ls -A | grep -c canary").out,
                  f"{home}\n{home}\n0\n", "home inside")
            p.sh(f"echo kept > ~/kept; echo no > {mark}").ok()
            p.sbx("stop").ok()
            equal(p.sh("cat ~/kept").ok().out, "kept\n", "home after a new start")
            check(not os.path.exists(os.path.join(home, "kept")), "not on the host")
            with open(mark, encoding="utf-8") as f:
                equal(f.read(), "host", "the host's own file of that name")
        finally:
            os.unlink(mark)


def test_self_is_the_user():
    """whoami, id, names and groups are those of the user; sudo gives root without a password."""
    me = pwd.getpwuid(os.getuid())
    with Project() as p:
        out = p.sh("whoami; id -u; id -g; id -un; id -gn; echo $HOME $USER $LOGNAME").ok().out
        group = command(["id", "-gn"]).ok().out.strip()
        equal(out.split("\n")[:-1],
              [me.pw_name, str(me.pw_uid), str(me.pw_gid), me.pw_name, group,
               f"{me.pw_dir} {me.pw_name} {me.pw_name}"], "identity")
        equal(p.sh("sudo id -u; sudo -n whoami").ok().out, "0\nroot\n", "sudo")
        equal(p.sh("sudo sh -c 'exit 5'").status, 5, "status through sudo")
        equal(p.sh("echo data | sudo cat").ok().out, "data\n", "stdin through sudo")
        p.run("sudo", "touch", "/etc/allowed").ok()
        # With one id every file is that id's: root's to root, and the user's own to the user.
        viewer = [] if harness.has_subids() else ["sudo"]
        if harness.has_subids():
            check(p.run("touch", "/etc/not-allowed").status != 0, "self cannot write /etc")
        equal(p.run(*viewer, "stat", "-c", "%U:%G", "/etc/allowed", "/", "/usr", "/bin",
                    "/etc/passwd").ok().out, "root:root\n" * 5, "owners of system files")
        check(not os.path.exists("/etc/allowed"), "not on the host")


def test_as_root():
    """`as = root`: 0 is the user."""
    with Project(ini=harness.NO_NET + "[user]\nas = root\n") as p:
        equal(p.sh("id -u; whoami").ok().out, "0\nroot\n", "identity")
        p.sh("touch made; touch /etc/made").ok()
        equal(os.stat(p.path("made")).st_uid, os.getuid(), "owner in the project")
        check(not os.path.exists("/etc/made"), "not on the host")


def test_network_none():
    """No interface but lo, and not even a name resolves."""
    with Project() as p:
        equal(p.sh("ls /sys/class/net 2>/dev/null || cut -d: -sf1 /proc/net/dev | tr -d ' '").ok()
              .out.split(), ["lo"], "interfaces")
        check(p.run("getent", "hosts", "deb.debian.org").status != 0, "no name resolves")


def dial(port):
    return ("import socket,sys\n"
            f"s = socket.create_connection(('127.0.0.1', {port}), 5)\n"
            "s.sendall(b'hello'); sys.stdout.write(s.recv(5).decode())\n")


def test_network_host_needs_allow_and_shares():
    """`host` is refused until allowed, then it is the host's own network."""
    with socket.create_server(("127.0.0.1", 0)) as server, \
            Project(ini="[network]\nmode = host\n") as p:
        refused = p.run("true")
        equal(refused.status, 125, "status before allow")
        match(r"network.*host", refused.err, "the message names what is asked")
        match(r"^hint:.*sbx allow", refused.err, "the hint")
        p.allow()
        client = p.start("run", "--", "/usr/bin/python3", "-c", dial(server.getsockname()[1]))
        server.settimeout(20)
        peer, _ = server.accept()
        peer.sendall(peer.recv(5))
        out, err = client.communicate(timeout=20)
        equal((out, client.returncode), (b"hello", 0), f"answer ({err!r})")
        peer.close()


def test_network_slirp_hides_the_hosts_loopback():
    """With slirp names resolve, a low port can be bound, and 127.0.0.1 of the host is not 10.0.2.2."""
    with socket.create_server(("127.0.0.1", 0)) as server, Project(ini="") as p:
        port = server.getsockname()[1]
        script = ("import socket\n"
                  "s = socket.socket(); s.bind(('127.0.0.1', 80)); print('bound')\n"
                  "for host in ('127.0.0.1', '10.0.2.2'):\n"
                  "    try:\n"
                  f"        socket.create_connection((host, {port}), 5); print('reached', host)\n"
                  "    except OSError as e: print('refused')\n")
        equal(p.run("/usr/bin/python3", "-c", script).ok().out, "bound\nrefused\nrefused\n", "ports")
        match(r"\d", p.run("getent", "hosts", "deb.debian.org").ok().out, "a name resolves")


def test_second_command_is_warm():
    """The second command joins what the first one started, and is much faster."""
    with Project() as p:
        times = []
        for _ in range(6):
            begun = time.monotonic()
            p.run("true").ok()
            times.append(time.monotonic() - begun)
        guard = p.sbx("status", "--json").json()["guard_pid"]
        p.run("true").ok()
        equal(p.sbx("status", "--json").json()["guard_pid"], guard, "the guard of the next command")
        check(min(times[1:]) < times[0], f"cold {times[0]:.3f} s, warm {times[1:]}")


def test_linger_ends_it():
    """After the last command the clock runs, and then nothing is left."""
    with Project(ini=harness.NO_NET + "[sandbox]\nlinger = 1s\n") as p:
        p.run("true").ok()
        guard = os.pidfd_open(p.sbx("status", "--json").json()["guard_pid"])
        harness.read_ready(guard, 10, "the sandbox to end by itself")
        os.close(guard)
        p.run("true").ok()


def test_list_and_rm():
    """list shows the project, rm -f forgets it whole."""
    with Project() as p:
        p.run("true").ok()
        match(r"proj", p.sbx("list").ok().out, "list")
        check(p.dir in p.sbx("list", "--json").ok().out, "list --json has the project's path")
        p.sbx("stop").ok()
        p.sbx("rm", "-f").ok()
        check(p.dir not in p.sbx("list", "--json").ok().out, "gone from the list")
        check(os.path.exists(p.path("sbx.ini")), "the project itself stays")
        p.run("true").ok()
        p.sbx("stop").ok()
        absent(r"gone", p.sbx("list").ok().out, "a project that is there")
        env_id = next(e["id"] for e in p.sbx("list", "--json").json() if e["project"] == p.dir)
        os.rename(p.dir, p.dir + "-away")
        match(rf"{re.escape(p.dir)} \(gone\)$", p.sbx("list", cwd="/").ok().out, "one that is not")
        p.sbx("rm", "-f", env_id, cwd="/").ok()
        os.rename(p.dir + "-away", p.dir)


def test_rm_of_one_that_is_kept_warm():
    """Nothing runs in it: it is ended and removed; where something runs, a process left behind too, it is not."""
    with Project() as p:
        p.run("sh", "-c", "setsid sleep 300 > /dev/null 2>&1 &").ok()
        match(r"cannot remove the environment '\S+': it is running\nhint: end it first: sbx stop",
              p.sbx("rm", "-f").ok(125).err, "rm of one in which a process was left")
        p.sbx("stop").ok()
        p.run("true").ok()
        match(r"running for", p.sbx("status").ok().out, "it is warm")
        p.sbx("rm", "-f").ok()
        check(p.dir not in p.sbx("list", "--json").ok().out, "gone from the list")


def test_status_says_which_id_map():
    """status names the rung of the ladder in use."""
    with Project() as p:
        p.run("true").ok()
        wanted = r"subordinate ids" if harness.has_subids() else r"one id"
        match(wanted, p.sbx("status").ok().out, "status")


def test_dry_run_prints_and_does_nothing():
    """`run --dry-run` prints the plan and starts nothing."""
    with Project() as p:
        match(r"fuse-overlayfs|overlay", p.sbx("run", "--dry-run", "true").ok().out, "the plan")
        absent(r"guard_pid\"?: *[1-9]", p.sbx("status", "--json").out, "status")


harness.main(__name__)
