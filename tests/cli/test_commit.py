#!/usr/bin/python3
"""`sbx commit`: what becomes a layer, what does not, and what comes at the same time."""

import contextlib
import os
import subprocess
import time

import harness
import layers
from harness import absent, check, equal, limit, match
from history import FAILED, USAGE, alone, chain, look, made, note, refused
from terminal import sbx_pty


def test_nothing_to_commit():
    """An empty change makes no layer and says so; stdout is empty, the status 0."""
    with alone() as p:
        p.run("true").ok()
        done = p.sbx("commit", "-m", "x").ok()
        equal((done.out, done.err), ("", "sbx: nothing to commit: 'default' is as its last layer is\n"),
              "what it says")
        # A change and back again is none either.
        layers.as_root(p, "chmod 700 /opt; chmod 755 /opt; cp -p /etc/profile /etc/p; "
                          "cat /etc/p > /etc/profile; rm /etc/p; touch -d 1999-01-01 /etc/issue").ok()
        equal(p.sbx("commit").ok().out, "", "stdout")
        equal(layers.names(layers.store_of(p) + "/layers"), [], "layers")
        note(p.sbx("log").ok(), "no layer yet; sbx commit makes one")
        equal(p.sbx("log", "--json").json(), [], "the log as JSON")
        # The tag is for what it is then, all the same.
        p.sbx("commit", "-t", "clean").ok()
        match(r"^clean +base ", p.sbx("tag").ok().out, "the tag of the base")
        p.sbx("tag", "-d", "clean").ok()


def test_commit_ends_what_is_idle():
    """A warm sandbox in which nothing runs is ended, and its upper folder becomes the layer."""
    with alone(layers.WARM) as p:
        layers.as_root(p, "echo 1 > /opt/x").ok()
        begun = time.monotonic()
        layers.commit(p)
        spent = time.monotonic() - begun
        check(harness.SANITIZED or spent < 1.5, f"an idle sandbox is no reason to wait: {spent:.2f} s")
        match(r"not running", p.sbx("stop").ok().err, "the sandbox after commit")


def test_commit_while_it_runs():
    """A copy of that moment: what runs is undisturbed, and goes on writing; reset later finds the copy."""
    with alone(layers.WARM) as p:
        layers.as_root(p, "mkdir /opt/d; echo 1 > /opt/d/x; ln /opt/d/x /opt/d/y; rm /etc/issue").ok()
        with layers.Busy(p):
            digest = layers.commit(p, "-m", "running")
            equal(chain(p), [digest], "the chain")
            equal(p.sbx("diff").ok().out, "", "a difference after the commit")
            equal(layers.commit(p), None, "a second commit of the same")
            layers.as_root(p, "echo 2 > /opt/d/x; echo new > /opt/new; echo back > /etc/issue").ok()
            equal(p.run("cat", "/opt/d/y").ok().out, "2\n", "the other name of the file")
            second = layers.commit(p)
            layers.as_root(p, "rm -rf /opt/d").ok()
        equal(chain(p), [digest, second], "the chain")
        p.sbx("stop").ok()
        equal(look(p, "/opt/d", "/opt/new"), ["/opt/new"], "what the sandbox has, stopped")
        p.sbx("reset").ok()
        equal(p.run("cat", "/opt/d/x", "/opt/d/y", "/etc/issue").ok().out, "2\n2\nback\n", "the second commit")
        p.sbx("reset", digest).ok()
        equal(p.run("cat", "/opt/d/x").ok().out, "1\n", "the first one")
        equal(look(p, "/opt/new", "/etc/issue"), [], "what it has not")
        p.sbx("fsck").ok()


def test_what_is_left_out():
    """[commit] exclude: it stays there, uncommitted; a reset takes it away, as all that is uncommitted."""
    ini = layers.COLD + "[commit]\nexclude = *.log\nexclude = cache/\n"
    with alone(ini) as p:
        layers.as_root(p, "mkdir -p /opt/d/cache /opt/only; echo 1 > /opt/d/x.log; echo 1 > /opt/d/cache/c; "
                          "echo 1 > /opt/keep").ok()
        done = p.sbx("commit").ok()
        note(done, "3 left out ([commit] exclude): they stay uncommitted; 'sbx diff --all' shows them")
        digest = done.out.strip()
        equal(look(p, "/opt/d/x.log", "/opt/d/cache/c", "/opt/keep"),
              ["/opt/d/x.log", "/opt/d/cache/c", "/opt/keep"], "after the commit")
        equal(p.sbx("diff").ok().out, "", "diff")
        match(r"^A /opt/d/x\.log$", p.sbx("diff", "--all").ok().out, "diff --all")
        equal(layers.commit(p), None, "a commit of nothing else")
        names = subprocess.run(["tar", "-tf", "-"], input=p.sbx("save", "--layer", digest).ok().raw, check=True,
                               capture_output=True, timeout=60).stdout.decode().split()
        check("opt/keep" in names, "what is in the layer")
        equal([n for n in names if "log" in n or "cache" in n], [], "what is not")
        # A log in a folder of a layer, whose time is put back: nothing else in it changes.
        layers.as_root(p, "touch -r /opt/only /tmp/t; echo 2 > /opt/only/y.log; "
                          "touch -r /tmp/t /opt/only; echo 2 > /opt/second").ok()
        second = layers.commit(p)
        names = subprocess.run(["tar", "-tf", "-"], input=p.sbx("save", "--layer", second).ok().raw, check=True,
                               capture_output=True, timeout=60).stdout.decode().split()
        check("opt/only/" not in names, f"a layer does not depend on what is left out: {names}")
        equal(look(p, "/opt/only/y.log"), ["/opt/only/y.log"], "after the second commit")
        p.sbx("reset").ok()
        equal(look(p, "/opt/d/x.log", "/opt/d/cache", "/opt/only/y.log", "/opt/keep", "/opt/second"),
              ["/opt/keep", "/opt/second"], "after the reset")
        p.sbx("fsck").ok()


def test_a_left_out_file_of_two_names():
    """A file that a layer has by another name is committed all the same: nothing written to is a layer's."""
    with alone(layers.COLD + "[commit]\nexclude = *.log\n") as p:
        layers.as_root(p, "echo 1 > /opt/x.log; ln /opt/x.log /opt/y").ok()
        digest = layers.commit(p)
        layers.as_root(p, "echo 2 > /opt/x.log").ok()
        equal(p.run("cat", "/opt/x.log").ok().out, "2\n", "the file")
        p.sbx("fsck").ok()
        p.sbx("reset").ok()
        equal(p.run("cat", "/opt/x.log", "/opt/y").ok().out, "1\n1\n", "both names")
        equal(chain(p), [digest], "the chain")


def test_source_date_epoch():
    """No time in the layer is later; what is no number is refused."""
    with alone() as p:
        layers.as_root(p, "echo > /opt/new; echo > /opt/old; touch -d @1000 /opt/old").ok()
        for word in ("now", "-1", "1.5", "99999999999999999999"):
            refused(p.sbx("commit", env={**p.env, "SOURCE_DATE_EPOCH": word}), USAGE,
                    f"cannot use SOURCE_DATE_EPOCH='{word}': not a number",
                    "it is a time in seconds since 1970, or unset")
        equal(layers.names(layers.store_of(p) + "/layers"), [], "layers after refusals")
        p.env["SOURCE_DATE_EPOCH"] = "1600000000"
        layers.commit(p)
        equal(p.run("stat", "-c", "%Y", "/opt/new", "/opt/old", "/opt").ok().out, "1600000000\n1000\n1600000000\n",
              "the times")
        # Empty is unset.
        p.env["SOURCE_DATE_EPOCH"] = ""
        check(made(p, "echo > /opt/newer"), "a layer")
        check(int(p.run("stat", "-c", "%Y", "/opt/newer").ok().out) > 1700000000, "a time of today")


def test_what_a_layer_keeps():
    """Owners, setuid bits, attributes, capabilities and times, through commit, reset and start."""
    script = """
import os, struct
os.mkdir("/opt/k")
for name in ("suid", "attr", "cap"):
    open("/opt/k/" + name, "w").write(name)
if SUB:
    os.chown("/opt/k/suid", 105, 106)
    os.setxattr("/opt/k/cap", "security.capability", struct.pack("<5I", 0x02000000, 1 << 10, 0, 0, 0))
os.chmod("/opt/k/suid", 0o6755)
os.setxattr("/opt/k/attr", "user.comment", b"\\xff\\x00x")
os.symlink("suid", "/opt/k/link")
os.mkfifo("/opt/k/pipe", 0o620)
for name in ("suid", "attr", "cap", "link", "pipe"):
    os.utime("/opt/k/" + name, (5, 1234567890), follow_symlinks=False)
""".replace("SUB", str(harness.has_subids()))
    show = """
import os, stat
for name in sorted(os.listdir("/opt/k")):
    path = "/opt/k/" + name
    s = os.lstat(path)
    x = {n: os.getxattr(path, n, follow_symlinks=False) for n in os.listxattr(path, follow_symlinks=False)}
    print(name, oct(s.st_mode), s.st_uid, s.st_gid, int(s.st_mtime), sorted(x.items()))
"""
    with alone() as p:
        p.run("sudo", "python3", "-c", script).ok()
        before = p.run("sudo", "python3", "-c", show).ok().out
        layers.commit(p)
        equal(p.run("sudo", "python3", "-c", show).ok().out, before, "after the commit")
        layers.as_root(p, "rm -rf /opt/k").ok()
        p.sbx("reset").ok()
        equal(p.run("sudo", "python3", "-c", show).ok().out, before, "after the reset")
        match(r"^suid 0o10[67]755 ", before, "the setuid bit")
        match(r"user\.comment.*\\xff\\x00x", before, "the attribute")
        if harness.has_subids():
            match(r"^suid 0o106755 105 106 1234567890", before, "the owner")
            match(r"^cap .*security\.capability", before, "the capability")


def test_a_name_that_no_layer_holds():
    """`.wh.x` would come back as a deletion: refused, with nothing changed."""
    with alone(layers.DIR_BASE + layers.COLD, base="host") as p:
        layers.make_root(p.path("root"))
        p.allow()
        if layers.as_root(p, "echo > /opt/.wh.x").status != 0:
            raise harness.Skip("the overlay of this machine refuses such names itself")
        equal(look(p, "/opt/.wh.x"), ["/opt/.wh.x"], "the file")
        refused(p.sbx("commit"), FAILED, "cannot keep '/opt/.wh.x' in a layer: there, '.wh.' at the start of a "
                "name says that it is deleted", "remove it, or give it another name")
        equal(layers.litter(layers.store_of(p)), [], "what is left over")
        layers.as_root(p, "mv /opt/.wh.x /opt/x").ok()
        check(layers.commit(p), "a layer")


@limit(180)
def test_two_commits_at_once():
    """In one environment: each layer is there once, whoever comes first, and the chain has both changes."""
    with alone() as p:
        for n in range(5):
            layers.as_root(p, f"head -c 2000000 /dev/urandom > /opt/f{n}").ok()
            both = [p.start("commit", "-m", f"{n}{k}") for k in "ab"]
            done = [(one.communicate(timeout=60), one.returncode) for one in both]
            equal([status for _, status in done], [0, 0], f"{done}")
            digests = [out.decode().strip() for (out, _), _ in done if out]
            equal(len(digests), 1, f"one of them had nothing to commit: {done}")
            equal(chain(p)[-1:], digests, "the chain's last layer")
        equal(len(chain(p)), 5, "the layers")
        p.sbx("reset").ok()
        equal(look(p, *[f"/opt/f{n}" for n in range(5)]), [f"/opt/f{n}" for n in range(5)], "the files")
        equal(layers.litter(layers.store_of(p)), [], "what is left over")
        p.sbx("fsck").ok()


@limit(180)
def test_commit_against_rm():
    """Either the commit was first, or there is no such environment; nothing is left over, nothing half."""
    ended = set()
    for n in range(6):
        with alone() as p:
            layers.as_root(p, "head -c 3000000 /dev/urandom > /opt/x").ok()
            commit = p.start("commit", "-t", "against")
            if n % 2:
                # Some time, and no longer than it lives: rm comes in the midst of it.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    commit.wait(0.01 * n)
            gone = p.sbx("rm", "-f")
            out, err = commit.communicate(timeout=60)
            text = err.decode()
            ended.add((commit.returncode, gone.status))
            if commit.returncode != 0:
                equal(commit.returncode, FAILED, "the status of a commit that lost: " + text)
                match(r"sbx: error: (there is no environment|the environment '.*' was removed just now)", text, "why it lost")
            if gone.status == 0:
                equal(layers.chains(layers.store_of(p)), {}, "environments")
            else:
                match(r"sbx: error: ", gone.err, "why rm failed")
            if b"tagged" in err:
                equal([t["layers"] for t in p.sbx("tag", "--json").json()], [[out.decode().strip()]], "the tag")
                p.sbx("tag", "-d", "against").ok()
            p.sbx("rm", "-f")
            p.sbx("gc", "--all").ok()
            equal((layers.litter(layers.store_of(p)), layers.names(layers.store_of(p) + "/layers")), ([], []),
                  "what is left over")
    harness.diagnose(f"(commit, rm) ended as {sorted(ended)}")


def test_a_store_that_cannot_be_written():
    """Each of them fails with the hint, and what is there stays as it is.  One id, whatever the user has."""
    own = ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount"]
    if subprocess.run(own + ["true"], capture_output=True, check=False).returncode != 0:
        raise harness.Skip("no user namespace with mounts here")
    with alone() as p:
        data = p.env["XDG_DATA_HOME"]
        os.mkdir(data)
        script = 'sbx=$1 data=$2; shift 2; mount --bind "$data" "$data"; '

        def words(command, more):
            return harness.command([*own, "sh", "-ec", script + command, "sh", harness.SBX, data, *more],
                                   cwd=p.dir, env=p.env)

        words('exec "$sbx" "$@"', ["run", "sudo", "sh", "-c", "echo > /opt/x"]).ok()
        digest = words('exec "$sbx" "$@"', ["commit"]).ok().out.strip()
        words('exec "$sbx" "$@"', ["run", "sudo", "sh", "-c", "echo > /opt/y"]).ok()
        for more in (["commit"], ["reset", "base"], ["fork", "x"], ["tag", "x"]):
            got = words('mount -o remount,bind,ro "$data"; exec "$sbx" "$@"', more).ok(FAILED)
            match(r"sbx: error: .*Read-only file system\nhint: .*make the folder writable for you", got.err, f"{more}")
            equal(got.out, "", f"stdout of {more}")
        for more in (["log"], ["tag"]):
            words('mount -o remount,bind,ro "$data"; exec "$sbx" "$@"', more).ok()
        equal(words('exec "$sbx" "$@"', ["log", "--json"]).json()[0]["digest"], digest, "the chain")
        match("/opt/y", words('exec "$sbx" "$@"', ["diff"]).ok().out, "what is not committed")
        words('exec "$sbx" "$@"', ["rm", "-f"]).ok()
        words('exec "$sbx" "$@"', ["gc", "--all"]).ok()


def test_progress_on_a_terminal():
    """A quick commit says no more on a terminal than elsewhere; the digest is the last line."""
    with alone() as p:
        layers.as_root(p, "echo > /opt/x").ok()
        with sbx_pty(p, "commit", env={**p.env, "TERM": "xterm"}) as t:
            equal(t.wait(), 0, "the status")
            match(r"^[0-9a-f]{64}\r\n\Z", t.seen.decode(), "the digest")
            absent(r"committing", t.seen.decode(), "progress of what is quick")


harness.main(__name__)
