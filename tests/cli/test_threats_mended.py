#!/usr/bin/python3
"""THREATS.md: holes that were found once, each by the way that it was found, named after its row."""

import array
import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import time

import harness
import procs
import terminal
import threats
from harness import Project, check, equal, limit, match
from threats import QUICK, SOAK, Canary, refused, small_root

LEADS_TO = r"it leads to .*\n.*name a folder that has nothing to do with"


def point(link, target):
    """Make or change a link."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link)
    os.symlink(target, link)


# ---- A1: the root folder ----------------------------------------------------------------------


@limit(60)
def test_A1_root_folder_is_a_link_in_the_project():
    """`image = dir:` whose folder, or one on the way, is a link out of the project: refused, unasked."""
    ini = "[base]\nimage = dir:{}\n" + QUICK + "[mounts]\n./tools/usr/bin = /bin\n"
    with Project() as p, Canary(p) as canary:
        small_root(p.path("tools"))
        for name in ("lib", "lib64"):
            if os.path.isdir(p.path("tools/usr/" + name)):
                ini += f"./tools/usr/{name} = /{name}\n"
        # So that these mounts find a place, whatever is shown.
        private = os.path.join(p.parent, "private")
        for folder, text in ((private, canary.text), (p.path("real"), "of the project")):
            for name in ("inner", "etc", "bin", "lib", "lib64"):
                os.makedirs(os.path.join(folder, name))
            for name in ("canary", "inner/canary"):
                with open(os.path.join(folder, name), "w", encoding="ascii") as f:
                    f.write(text + "\n")
        look = ("/bin/sh", "-c", "cat /canary /inner/canary; ls / /inner; true")

        p.write("sbx.ini", ini.format("./real"))
        match("^of the project$", p.run(*look).ok().out, "a folder that lies in the project")

        for written, link, target in (("root", "root", "../private"), ("./root", "root", private),
                                      ("./root", "root", "/"), ("./root", "root", ".."),
                                      ("./on/private", "on", ".."), ("./on/inner/..", "on", private)):
            point(p.path(link), target)
            p.write("sbx.ini", ini.format(written))
            result = p.run(*look)
            canary.unseen(result)
            check(result.status == 125, f"{link} -> {target}: {result.status} {result.out!r}")
            refused(result, r"\Asbx: error: .*(root|on)")


# ---- A2: links on the way ----------------------------------------------------------------------

# `$1`: a folder on the way to a place of the project, `$2`: the rest of the way, `$3`: where it can be
# written now, `$4`: yes for links without "/" at the beginning.  What is there is put aside, and then
# the way leads to A as long as the project is not mounted there, and, by a link of the project's, to B
# when it is.
PLANT = """
set -e
at=${1%/*} top=${1##*/} rest=$2 project=$3
cd "${at:-/}"
if [ -e "$top" ]; then
    mv "$top" put-aside
    project=put-aside/$rest
fi
mkdir -p "A/$rest" "B/$rest/.sbx"
touch "B/$rest/sbx.ini"
up=$at/A b=$at/B
if [ "$4" = yes ]; then
    up=$(echo "$rest" | sed 's|[^/]*|..|g') at=
    b=$up/../B
fi
ln -sn "$up" "A/$rest/up"
ln -sn "$b" "$project/up"
ln -sn "${at:+$at/}A/$rest/up" "$top"
echo planted
"""

# Through every place that shows the project.
WRITE = """
try='for at; do
    [ -e "$at/marker" ] || continue
    echo "$at"
    echo "; planted" >> "$at/sbx.ini"
    rm -f "$at/sbx.ini"
    echo "; planted" > "$at/new"
    mv -f "$at/new" "$at/sbx.ini"
    ln -f "$at/marker" "$at/sbx.ini"
    mv "$at/.sbx" "$at/other"
    echo planted > "$at/.sbx/profile"
done'
set -- . "$1" $(while read -r _ _ _ _ at _; do echo "$at"; done < /proc/self/mountinfo)
(eval "$try"; sudo sh -c "$try" sh "$@") 2>/dev/null
echo end
"""


def followed(p, top, rest, relative, mounts=""):
    """Plant the links in one run and write in the next, where `mounts` are as well."""
    ini = QUICK + "; the policy\n"
    p.write("sbx.ini", ini)
    p.write("marker", "")
    os.mkdir(p.path(".sbx"))
    p.write(".sbx/profile", "as it was\n")
    done = p.sbx("run", "-w", "/", "sudo", "sh", "-c", PLANT, "sh", top, rest, p.dir, relative).ok()
    equal(done.out, "planted\n", "what plants the links")
    p.sbx("stop")
    ini += mounts
    p.write("sbx.ini", ini)
    if mounts:
        p.allow()
    seen = set()
    for where in (["-w", "/"], []):
        result = p.sbx("run", *where, "sh", "-c", WRITE, "sh", p.dir)
        if result.status == 0:
            seen |= set(result.out.split("\n")[:-2])
        else:
            match(r"\Asbx: error: ", result.err, "why it was refused")
        print(f"# {relative}: seen at {sorted(seen)} {result.err.strip()!r}")
        equal(p.read("sbx.ini"), ini, f"sbx.ini, with links at {top} (relative: {relative})")
        equal(p.read(".sbx/profile"), "as it was\n", "the profiles of the project")
        equal(os.stat(p.path("sbx.ini")).st_nlink, 1, "links to sbx.ini")


@limit(120)
def test_A2_policy_follows_the_project():
    """A private home that leads to the project by links through the project: sbx.ini stays covered."""
    for relative in ("no", "yes"):
        for top in ("base", "parent"):
            with Project() as p:
                top = harness.base() if top == "base" else p.parent
                followed(p, top, os.path.relpath(p.dir, top), relative)


@limit(120)
def test_A2_policy_follows_a_mount_of_the_project():
    """The same with a mount of the project, and links that root inside has left in the upper folder."""
    for relative in ("no", "yes"):
        with Project() as p:
            followed(p, "/way", "proj", relative, "[mounts]\n. = /way/proj:rw\n")


@limit(60)
def test_A2_source_below_a_writable_mount():
    """A mount of a folder in one that can be written does not become what a link there means."""
    with Project(ini=None) as p, Canary(p) as canary:
        data = os.path.join(p.parent, "x/data")
        os.makedirs(data + "/sub/inner")
        for below in ("sub", "sub/inner"):
            p.write("sbx.ini", QUICK + f"[mounts]\n{data} = /data:rw\n{data}/{below} = /sub\n")
            p.allow()
            p.sh("ls /sub && touch /data/here").ok()
            for target in (canary.dir, "../../../" + os.path.basename(canary.dir)):
                p.sh('mv /data/sub /data/put-aside && ln -s "$0" /data/sub'.replace("$0", target)).ok()
                equal(os.readlink(data + "/sub"), target, "the link")
                result = p.sh("cat /sub/canary /sub/inner/canary; ls /sub /sub/inner")
                check("canary" not in result.out, f"the folder was shown: {result.out!r}")
                canary.unseen(result)
                os.unlink(data + "/sub")
                os.rename(data + "/put-aside", data + "/sub")


@limit(60)
def test_A2_link_to_the_home_or_store():
    """A source that is a link of the user's to his home, to the store or above them: refused, with a hint."""
    with Project(ini=None) as p:
        link = os.path.join(p.parent, "link")
        store = os.path.join(harness.base(), "data/sbx")
        home = harness.USER.pw_dir
        for target in (home, os.path.dirname(home), "/", store, store + "/envs", harness.base()):
            for source in (link, link + "/."):
                point(link, p.parent)
                p.write("sbx.ini", QUICK + f"[mounts]\n{source} = /mnt/link\n")
                p.allow()
                point(link, target)
                result = p.run("ls", "/mnt/link")
                refused(result, r"sbx\.ini:\d+: .*" + LEADS_TO)
        point(link, "/usr")
        equal(p.run("ls", "-d", "/mnt/link/bin").ok().out, "/mnt/link/bin\n", "a link elsewhere")


def test_A4_a_folder_as_a_stream():
    """A folder as stdin or stdout is refused: from it, ".." would lead to all of the host's."""
    with Project() as p:
        for flags in (os.O_RDONLY, os.O_PATH):
            folder = os.open("/usr", flags | os.O_DIRECTORY)
            try:
                result = p.sh("ls /proc/self/fd/0/..; cd /proc/self/fd/0/.. && ls", stdin=folder)
                refused(result, r"cannot pass a folder as file descriptor 0: .*\n"
                                r".*name the folder under \[mounts\]")
                done = subprocess.run([harness.SBX, "run", "sh", "-c", "ls /proc/self/fd/1/.. >&2"],
                                      cwd=p.dir, env=p.env, stdin=subprocess.DEVNULL, check=False,
                                      stdout=folder, stderr=subprocess.PIPE, timeout=30)
                equal(done.returncode, 125, f"status with stdout, {done.stderr!r}")
                match(r"cannot pass a folder as file descriptor 1: .*\n"
                      r".*name the folder under \[mounts\]", done.stderr.decode(), "the message")
            finally:
                os.close(folder)
        equal(p.run("cat", stdin=b"as ever\n").ok().out, "as ever\n", "a pipe")


# ---- A15: what is the user's own on the host -----------------------------------------------------


def closed_in(folder, depth=5):
    """What is below a folder, and not for everybody to read; not what is below that."""
    device = os.stat("/").st_dev
    for entry in os.scandir(folder):
        if entry.path in ("/var/tmp", "/var/run", "/var/lock") or entry.is_symlink():
            continue
        st = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(st.st_mode) and st.st_dev == device:
            if st.st_mode & 0o005 != 0o005:
                yield entry.path
            elif depth > 1:
                with contextlib.suppress(PermissionError):
                    yield from closed_in(entry.path, depth - 1)
        elif stat.S_ISREG(st.st_mode) and not st.st_mode & 0o004:
            yield entry.path


def test_A15_mail_and_group_files():
    """Mail, and what in /var is not for everybody, is covered, also where the user may read it."""
    letters = [path for path in ("/var/mail", "/var/spool/mail")
               if os.path.isdir(path) and not os.path.islink(path)]
    with Project() as p:
        for path in letters:
            equal(p.run("ls", "-A", path).ok().out, "", "letters inside")
        closed = list(closed_in("/var"))
        # As root inside, who may look into each: there is nothing in it.
        show = 'for p; do if [ -d "$p" ]; then ls -A "$p"; elif [ -e "$p" ]; then cat "$p"; fi; done'
        equal(p.run("sudo", "sh", "-c", show, "sh", *closed).ok().out, "", "what is closed, inside")
        print(f"# letters: {letters}, closed: {len(closed)}")


# ---- B1: stopping itself --------------------------------------------------------------------------


def end_session(sid):
    """Kill what is left of a session that this test has made."""
    for process in procs.everybody().values():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(process.pid) == sid:
                os.kill(process.pid, signal.SIGKILL)


def job(p, inside, limits):
    """timeout(1) with a run, in a session without a terminal: alone in its process group, and with others."""
    timeout = harness.need_program("timeout")
    # Whose parent is of the same session and of another group: the kernel stops no other.
    alone = [timeout, *limits, harness.SBX, "run", "--", "sh", "-c", inside]
    shared = [timeout, "20", "sh", "-c", '"$@"; exit $?', "sh", timeout, "--foreground", *alone[1:]]
    for how, words in (("alone", alone), ("shared", shared)):
        leader = subprocess.Popen(["sh", "-c", '"$@"; echo "ended $?"', "sh", *words], cwd=p.dir,
                                  env=p.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  bufsize=0, start_new_session=True)
        try:
            said = harness.read_until(leader.stdout, b"ended", 10)
            yield how, (said + harness.wait_eof(leader.stdout.fileno(), 5)).decode()
        finally:
            end_session(leader.pid)
            leader.wait()
            leader.stdout.close()


@limit(90)
def test_B1_a_command_that_stops_itself_stops_nobody_else():
    """Without a terminal, what stops itself inside does not stop its caller's timeout(1) or make(1)."""
    with Project() as p:
        p.run("true").ok()
        for number in ("TSTP", "STOP", "TTIN"):
            inside = f"echo up; kill -{number} $$; sleep 100"
            for how, said in job(p, inside, ["-k", "0.5", "0.5"]):
                match(r"\Aup\nended (124|137)\n", said, f"SIG{number}, {how}")
        equal(p.run("echo", "next").ok().out, "next\n", "the sandbox afterwards")


# ---- rm and a start ---------------------------------------------------------------------------------


@limit(120)
def test_rm_meets_a_start():
    """`sbx rm` while a run starts: the one or the other, never half of both, and nothing stays."""
    before = procs.mine()
    with Project(ini=QUICK) as p:
        said, ran, removed = set(), 0, 0
        for n in range(200 if SOAK else 10):
            run = p.start("run", "sh", "-c", "echo in", stdin=subprocess.DEVNULL)
            time.sleep((n % 10) * 0.012)  # polls: any moment of a start will do
            gone = p.sbx("rm", "-f")
            out, err = run.communicate(timeout=30)
            if run.returncode == 0:
                equal((out, err), (b"in\n", b""), f"the run of round {n}")
                ran += 1
            else:
                equal((run.returncode, out), (125, b""), f"the run of round {n}: {err!r}")
                match(r"\Asbx: error: .*was removed", err.decode(),
                      f"the run of round {n}")
            if gone.status == 0:
                removed += 1
            else:
                check(gone.status == 125, f"the rm of round {n}: {gone.status} {gone.err!r}")
                match(r"\Asbx: error: .*(it is running|there is no environment)",
                      gone.err, f"the rm of round {n}")
            said |= {err.decode(), gone.err}
        print(f"# {ran} runs, {removed} removed: {said}")
        procs.nothing_left(before, 3)
        status = p.sbx("status", "--json").json()
        equal((status["running"], status["guard_pid"]), (False, None), "the status")
        p.run("true").ok()
        procs.nothing_left(before, 3)
        p.sbx("rm", "-f").ok()
        equal(p.sbx("status", "--json").json()["id"], None, "the environment, removed")
        equal(os.listdir(os.path.join(harness.base(), "data/sbx/tmp")), [], "tmp/ of the store")
        equal(p.run("echo", "next").ok().out, "next\n", "the next run")


# ---- terminals ---------------------------------------------------------------------------------------

OPEN_MANY = """
import errno, os, resource, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
n, why = 0, "none"
try:
    while n < 700:
        os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
        n += 1
except OSError as e:
    why = errno.errorcode[e.errno]
print(n, why, flush=True)
sys.stdin.read()
"""


@limit(60)
def test_pty_limit():
    """A sandbox has its own 512 terminals, and others theirs whatever it opens."""
    with Project() as p, Project() as other:
        many = p.start("run", harness.need_program("python3"), "-c", OPEN_MANY)
        try:
            n, why = harness.read_until(many.stdout, b"\n").decode().split()
            equal(why, "ENOSPC", f"why no more than {n} terminals")
            check(500 <= int(n) <= 512, f"{n} terminals")
            with terminal.Pty([harness.SBX, "run", "tty"], cwd=other.dir, env=other.env) as pty:
                pty.expect(r"/dev/pts/\d+")
                equal(pty.wait(), 0, "a terminal of another sandbox")
        finally:
            many.communicate(b"", timeout=20)
        with terminal.Pty([harness.SBX, "run", "tty"], cwd=p.dir, env=p.env) as pty:
            pty.expect(r"/dev/pts/\d+")
            equal(pty.wait(), 0, "a terminal when they are closed again")


# ---- descriptors on their way --------------------------------------------------------------------------

# Threads that wait for a full queue with 253 of them each, which are not counted then; all that may be counted; and
# what those threads have beside.
FLOOD = """
import array, errno, os, resource, socket, sys, threading
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 253))]
kept, readers, tids = [], [], set()

def send_one(address):
    tids.add(threading.get_native_id())
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    kept.append(s)
    try:
        s.sendmsg([b"x"], rights, 0, address)
    except OSError:
        pass
    tids.discard(threading.get_native_id())

def fill(s, *what):
    try:
        while True:
            s.sendmsg([b"x"], *what)
    except OSError as e:
        return e.errno

threads = []
for _ in range(20):
    reader, writer = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in "rw")
    reader.bind("")
    writer.setblocking(False)
    fill(writer, [], 0, reader.getsockname())
    readers.append(reader)
    for _ in range(2):
        threads.append(threading.Thread(target=send_one, args=(reader.getsockname(),), daemon=True))
for t in threads:
    t.start()

def runs(tid):
    try:
        return open(f"/proc/self/task/{tid}/stat").read().rsplit(")", 1)[1].split()[0] == "R"
    except OSError:
        return False

# polls: that a thread waits in a system call is told by nothing.
while any(runs(tid) for tid in list(tids)):
    threading.Event().wait(0.01)
why = errno.EAGAIN
while why == errno.EAGAIN:
    kept.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    kept[-1][0].setblocking(False)
    why = fill(kept[-1][0], rights)
for reader in readers:
    reader.recv(1)
    reader.recv(1)
# polls: as above.
while any(runs(tid) for tid in list(tids)):
    threading.Event().wait(0.01)
print(errno.errorcode[why], flush=True)
sys.stdin.read()
"""

LIMIT = 8192


def same_limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))


def low_soft_limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, LIMIT))


def works(p, what):
    """Each way in which descriptors go into a sandbox or out of it."""
    limited = {"preexec_fn": same_limit}
    equal(p.run("echo", "pipe", **limited).ok().out, "pipe\n", f"{what}: pipes")
    equal(p.run("echo", "low", preexec_fn=low_soft_limit).ok().out, "low\n", f"{what}: with a soft limit")
    for options in ((), ("--root",)):
        argv = ["/bin/sh", "-c", f"ulimit -n {LIMIT} && exec \"$@\"", "sh", harness.SBX, "run", *options, "tty"]
        with terminal.Pty(argv, cwd=p.dir, env=p.env) as pty:
            pty.expect(r"/dev/pts/\d+")
            equal(pty.wait(), 0, f"{what}: a terminal {options}")
    p.write("out", "text")
    p.sbx("cp", "./out", ":/tmp/in", **limited).ok()
    equal(p.run("cat", "/tmp/in", **limited).ok().out, "text", f"{what}: a copied file")


@limit(120)
def test_B16_descriptors_on_their_way():
    """As many descriptors on their way as a program inside may have: neither its sandbox nor another one is cut off."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < LIMIT:
        raise harness.Skip(f"the limit of open files is below {LIMIT}")
    for options in ((), ("--root",)):
        with Project(QUICK) as p, Project() as other:
            flood = p.start("run", *options, harness.need_program("python3"), "-c", FLOOD, preexec_fn=same_limit)
            try:
                equal(harness.read_until(flood.stdout, b"\n").decode(), "ETOOMANYREFS\n", "why not more")
                works(other, "another sandbox, cold and warm")
                works(p, "its own sandbox")
            finally:
                flood.communicate(b"", timeout=20)


@limit(60)
def test_descriptors_on_their_way_hint():
    """With a hard limit below what others hold nothing can be done, and that is said."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 253))]
    pairs = [socket.socketpair() for _ in range(2)]
    for one, _ in pairs:
        one.sendmsg([b"x"], rights)
    with Project() as p:
        r = p.run("true", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))).ok(125)
        match(r"Too many references: cannot splice\nhint: processes of yours keep more descriptors on their way to "
              r"others than the hard limit here \(ulimit -Hn\): sbx list shows what runs, sbx stop ends it\n", r.err, "the hint")
        for pair in pairs:
            for end in pair:
                end.close()
        p.run("true", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))).ok()


harness.main(__name__)
