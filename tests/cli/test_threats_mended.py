#!/usr/bin/python3
"""THREATS.md: holes that were found once, each by the way that it was found, named after its row."""

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
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
        shutil.copytree(canary.dir, private)
        for name in ("etc", "bin", "lib", "lib64"):
            os.mkdir(os.path.join(private, name))
        look = ("/bin/sh", "-c", "cat /canary /inner/canary; ls / /inner; true")

        shutil.copytree(private, p.path("real"))
        p.write("real/canary", "of the project\n")
        p.write("real/inner/canary", "")
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

# `$1`: a folder on the way to the project, `$2`: the rest of the way; `$3`: yes for links without "/"
# at the beginning.  What is at the path of the project is put aside, and in its place the path leads
# to A as long as the project is not mounted there, and then, by a link of the project's, to B.
PLANT = """
set -e
at=${1%/*} top=${1##*/} rest=$2
cd "$at"
mv "$top" put-aside
mkdir -p "A/$rest" "B/$rest" put-aside
touch "B/$rest/sbx.ini"
if [ "$3" = yes ]; then
    here=
    up=$(echo "$rest" | sed 's|[^/]*|..|g')
    ln -sn "$up" "A/$rest/up"
    ln -sn "$up/../B" "put-aside/$rest/up"
else
    here=$at/
    ln -sn "${here}A" "A/$rest/up"
    ln -sn "${here}B" "put-aside/$rest/up"
fi
ln -sn "${here}A/$rest/up" "$top"
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


def followed(p, top, relative):
    """Plant the links in one run and write in the next; returns where the project was seen."""
    rest = os.path.relpath(p.dir, top)
    ini = QUICK + "; the policy\n"
    p.write("sbx.ini", ini)
    p.write("marker", "")
    os.mkdir(p.path(".sbx"))
    p.write(".sbx/profile", "as it was\n")
    result = p.sbx("run", "-w", "/", "sudo", "sh", "-c", PLANT, "sh", top, rest, relative)
    if result.status == 0:
        equal(result.out, "planted\n", "what plants the links")
    else:
        print(f"# not planted below {top}: {result.err.strip()!r}")
    p.sbx("stop")
    seen = []
    for where in (["-w", "/"], []):
        result = p.sbx("run", *where, "sh", "-c", WRITE, "sh", p.dir)
        if result.status == 0:
            seen += result.out.split("\n")[:-2]
        else:
            match(r"\Asbx: error: ", result.err, "why it was refused")
        equal(p.read("sbx.ini"), ini, f"sbx.ini, with links at {top} (relative: {relative})")
        equal(p.read(".sbx/profile"), "as it was\n", "the profiles of the project")
        equal(os.stat(p.path("sbx.ini")).st_nlink, 1, "links to sbx.ini")
    print(f"# seen at {sorted(set(seen))}")
    return result.status == 0


@limit(120)
def test_A2_policy_follows_the_project():
    """A private home, or an upper folder, of links in the way to the project: sbx.ini stays covered."""
    for relative in ("no", "yes"):
        with Project() as p:
            followed(p, harness.base(), relative)
        with Project() as p:
            followed(p, p.parent, relative)
        with Project() as p:
            shutil.rmtree(p.parent)
            p.parent = tempfile.mkdtemp(prefix="sbx-test-", dir="/var/tmp")
            p.dir = os.path.join(p.parent, "way/proj")
            os.makedirs(p.dir)
            followed(p, p.parent, relative)


@limit(60)
def test_A2_source_below_a_writable_mount():
    """A mount of a folder in one that can be written does not become what a link there means."""
    with Project(ini=None) as p, Canary(p) as canary:
        data = os.path.join(p.parent, "x/data")
        os.makedirs(data + "/sub/deep")
        for below in ("sub", "sub/deep"):
            p.write("sbx.ini", QUICK + f"[mounts]\n{data} = /data:rw\n{data}/{below} = /sub\n")
            p.allow()
            p.sh("ls /sub && touch /data/here").ok()
            for target in (canary.dir, "../../../" + os.path.basename(canary.dir)):
                p.sh('mv /data/sub /data/put-aside && ln -s "$0" /data/sub'.replace("$0", target)).ok()
                equal(os.readlink(data + "/sub"), target, "the link")
                os.makedirs(canary.dir + "/deep", exist_ok=True)
                with open(canary.dir + "/deep/canary", "w", encoding="ascii") as f:
                    f.write(canary.text)
                result = p.sh("cat /sub/canary /sub/inner/canary; ls /sub /sub/inner")
                shutil.rmtree(canary.dir + "/deep")
                os.utime(canary.dir, ns=(0, canary.before[canary.dir + "/inner"][4]))
                check(canary.text not in result.out, f"the canary came out: {result.out!r}")
                check("canary" not in result.out, f"the folder was shown: {result.out!r}")
                equal(os.stat(canary.file).st_atime, 1.0, "the time when the canary was read")
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
        plan = p.sbx("run", "--dry-run", "true").ok().out
        for path in letters:
            match(rf"^  opaque {path} ", plan, "the folder of letters in the plan")
            equal(p.run("ls", "-A", path).ok().out, "", "letters inside")
        closed = list(closed_in("/var"))
        for path in closed:
            if not path.startswith(tuple(letter + "/" for letter in letters)):
                match(rf'^  (opaque {re.escape(path)} |file {re.escape(path)} \S+ "")', plan, "covered")
        print(f"# letters: {letters}, closed: {len(closed)}")


# ---- B1: stopping itself --------------------------------------------------------------------------


def end_session(sid):
    """Kill what is left of a session that this test has made."""
    for process in procs.everybody().values():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(process.pid) == sid:
                os.kill(process.pid, signal.SIGKILL)


@limit(90)
def test_B1_a_command_that_stops_itself_stops_nobody_else():
    """Without a terminal, what stops itself inside does not stop its caller's timeout(1) or make(1)."""
    timeout = harness.need_program("timeout")
    with Project() as p:
        p.run("true").ok()
        for number in ("TSTP", "STOP", "TTIN"):
            inner = [harness.SBX, "run", "--", "sh", "-c", f"echo up; kill -{number} $$; sleep 100"]
            # A job of the shell's, in the group of a process that looks on, as in a Makefile.
            script = 'sleep 50 & "$@"; echo "ended $?"; ps -o stat= -p $!; kill $!'
            job = subprocess.Popen(["sh", "-c", script, "sh", timeout, "--foreground", "-k", "1", "1",
                                    *inner], cwd=p.dir, env=p.env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, start_new_session=True)
            try:
                said = harness.read_until(job.stdout, b"ended", 10)
                said += harness.wait_eof(job.stdout.fileno(), 5)
                match(r"\Aup\nended (124|137)\nS", said.decode(), f"after SIG{number}")
            finally:
                end_session(job.pid)
                job.wait()
            # timeout(1) in a group of its own, with what it started.
            job = subprocess.Popen([timeout, "-k", "1", "1", *inner], cwd=p.dir, env=p.env,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   start_new_session=True)
            try:
                check(harness.wait_process(job, 10) in (124, 137), f"timeout after SIG{number}")
            finally:
                end_session(job.pid)
                job.wait()
        equal(p.run("echo", "next").ok().out, "next\n", "the sandbox afterwards")


# ---- rm and a start ---------------------------------------------------------------------------------


@limit(120)
def test_rm_meets_a_start():
    """`sbx rm` while a run starts: the one or the other, never half of both, and nothing stays."""
    before = procs.mine()
    with Project(ini=QUICK) as p:
        said, ran, removed = set(), 0, 0
        for n in range(200 if SOAK else 20):
            run = p.start("run", "sh", "-c", "echo in", stdin=subprocess.DEVNULL)
            time.sleep((n % 10) * 0.012)
            gone = p.sbx("rm", "-f")
            out, err = run.communicate(timeout=30)
            if run.returncode == 0:
                equal((out, err), (b"in\n", b""), f"the run of round {n}")
                ran += 1
            else:
                equal((run.returncode, out), (125, b""), f"the run of round {n}: {err!r}")
                match(r"\Asbx: error: .*removed", err.decode(), f"the run of round {n}")
            if gone.status == 0:
                removed += 1
            else:
                check(gone.status == 125, f"the rm of round {n}: {gone.status} {gone.err!r}")
                match(r"\Asbx: error: .*(running|no environment|not there|never)", gone.err,
                      f"the rm of round {n}")
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


harness.main(__name__)
