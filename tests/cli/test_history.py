#!/usr/bin/python3
"""commit, log, reset, fork, tag and save --layer: what a user does with them, and each refusal."""

import contextlib
import json
import os
import subprocess
import time

import harness
import layers
from harness import absent, check, equal, limit, match
from terminal import sbx_pty

FAILED, USAGE = 125, 2


def refused(result, status, message, hint):
    """Nothing but the message and the hint on stderr."""
    result.ok(status)
    equal(result.err, f"sbx: error: {message}\nhint: {hint}\n", "what it says")
    equal(result.out, "", "stdout")


def made(p, script, *more):
    """The layer that a script by the sandbox's root makes."""
    layers.as_root(p, script).ok()
    return layers.commit(p, *more)


def look(p, *paths):
    """Which of the paths are there, inside."""
    script = 'for f; do test -e "$f" && echo "$f"; done; true'
    return p.run("sh", "-c", script, "sh", *paths).ok().out.split()


def alone(ini=layers.COLD, **kw):
    """A project with a store of its own."""
    p = layers.project(ini, **kw)
    p.env["XDG_DATA_HOME"] = os.path.join(p.parent, "data")
    return p


def chain(p, *more):
    """The digests of `log`, the lowest first."""
    return [one["digest"] for one in p.sbx("log", "--json", *more).json()][::-1]


def note(result, text):
    """One of the lines on stderr."""
    check(f"sbx: {text}" in result.err.split("\n"), f"no line {text!r} in {result.err!r}")


@limit(300)
def test_what_a_user_does():
    """Install, look, commit, break it, reset: back, whole; older states, and a second environment."""
    with alone(harness.NO_NET) as p:
        layers.as_root(p, "mkdir -p /opt/cow; echo moo > /opt/cow/say; echo 'export E=1' >> /etc/profile").ok()
        match(r"^2 added, 1 modified, 0 deleted, ", p.sbx("diff", "--stat").ok().out, "diff --stat")
        match(r"^\+export E=1$", p.sbx("diff", "-p", "/etc/profile").ok().out, "diff -p")
        done = p.sbx("commit", "-m", "cow say", "-t", "talk").ok()
        note(done, "tagged as 'talk'")
        match(r"sbx: 2 added, 1 modified, 0 deleted, ", done.err, "what commit tells")
        first = done.out.strip()
        equal(p.sbx("diff").ok().out, "", "a difference right after the commit")
        match(rf"^{first[:12]}  \d{{4}}-\d\d-\d\d \d\d:\d\d +\d.*B  sbx commit  cow say \(talk\)$",
              p.sbx("log").ok().out, "the log")
        usr = p.run("ls", "/usr/bin").ok().out
        layers.as_root(p, "rm -rf /opt/cow /usr/bin/b* 2>/dev/null; echo more > /opt/more").ok()
        check(p.run("ls", "/usr/bin").ok().out != usr, "some of /usr/bin is gone")
        note(p.sbx("reset").ok(), f"'default' is at {first[:12]} (cow say)")
        equal(p.run("ls", "/usr/bin").ok().out, usr, "/usr/bin after reset")
        equal(p.run("cat", "/opt/cow/say").ok().out, "moo\n", "what was committed")
        equal(look(p, "/opt/more"), [], "what was not")
        second = made(p, "rm /opt/cow/say; echo two > /opt/two", "-m", "two")
        equal(chain(p), [first, second], "the chain")
        note(p.sbx("reset", first[:8]).ok(), f"'default' is at {first[:12]} (cow say)")
        equal(look(p, "/opt/cow/say", "/opt/two"), ["/opt/cow/say"], "the older state")
        p.sbx("fork", "trial").ok()
        equal(p.sbx("run", "-e", "trial", "cat", "/opt/cow/say").ok().out, "moo\n", "in the fork")


@limit(240)
def test_install_a_package():
    """apt-get install, commit, reset: with the default profile's [commit] exclude, over the host's root."""
    with harness.Project("[network]\nmode = slirp\n") as p:
        got = layers.as_root(p, "apt-get update && apt-get install -y cowsay", limit=200)
        if got.status != 0:
            raise harness.Skip("apt-get cannot install here: " + got.err[-200:])
        digest = layers.commit(p, "-m", "cowsay")
        layers.as_root(p, "rm -rf /usr/games /usr/share/cowsay").ok()
        p.sbx("reset").ok()
        match(r"< hi >", p.run("/usr/games/cowsay", "hi").ok().out, "the cow")
        equal(chain(p), [digest], "the chain")
        absent(r"^/var/log/apt", p.sbx("diff", "--name-only").ok().out, "noise in diff")
        p.sbx("fsck").ok()


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


def test_log_as_json():
    """Digest, time, message, what made it, tags, size and host; the newest first."""
    with alone() as p:
        before = int(time.time())
        first = made(p, "echo 12345 > /opt/x", "-m", "one", "-t", "a")
        second = made(p, "echo > /opt/y")
        p.sbx("tag", "b", first).ok()
        p.sbx("tag", "c").ok()
        new, old = p.sbx("log", "--json").json()
        equal([old["digest"], new["digest"]], [first, second], "the digests")
        equal((old["message"], new["message"], old["by"]), ("one", "", "sbx commit"), "the words")
        equal((sorted(old["tags"]), new["tags"]), (["a", "b"], ["c"]), "the tags")
        equal((old["bytes"], new["bytes"]), (6, 1), "the bytes of contents")
        check(before <= old["created"] <= new["created"] <= time.time(), "the times")
        match(r"^[a-z]+:[^:]*:[^:]+:[0-9a-f-]+$", old["host"], "the host")
        check(old["entries"] >= 1, "the entries")
        for name in "abc":
            p.sbx("tag", "-d", name).ok()


def test_log_says_what_is_missing():
    """A layer that is gone from the store: log goes on, and run says what helps."""
    with alone() as p:
        digest = made(p, "echo > /opt/x")
        layers.in_namespace("mv", f"{layers.store_of(p)}/layers/{digest}", p.path("aside"))
        shown = p.sbx("log").ok()
        match(rf"^{digest[:12]} .* missing  sbx commit", shown.out, "the line")
        match(rf"sbx: warning: cannot open the layer {digest}", shown.err, "the warning")
        check("bytes" not in p.sbx("log", "--json").json()[0], "no size of what is missing")
        p.run("true").ok(FAILED)
        layers.in_namespace("mv", p.path("aside"), f"{layers.store_of(p)}/layers/{digest}")
        p.run("true").ok()


def test_words_for_a_layer():
    """Digits, a tag, `base`, what is nothing, and what is more than one thing."""
    with alone() as p:
        first = made(p, "echo > /opt/1", "-t", "words")
        second = made(p, "echo > /opt/2")
        no_hint = "'sbx log' shows the layers, 'sbx tag' the tags"
        refused(p.sbx("reset", "nothing"), USAGE, "no layer and no tag 'nothing'", no_hint)
        refused(p.sbx("reset", first[:3]), USAGE, f"no layer and no tag '{first[:3]}'", no_hint)
        refused(p.sbx("tag", "x", "../x"), USAGE, "no layer and no tag '../x'", no_hint)
        equal(chain(p), [first, second], "the chain after refusals")
        note(p.sbx("reset", "base").ok(), "'default' is at its base")
        equal(look(p, "/opt/1", "/opt/2"), [], "at the base")
        # What is no more in the chain is found by a tag alone.
        refused(p.sbx("reset", first), USAGE, f"no layer and no tag '{first}'", no_hint)
        p.sbx("reset", "words").ok()
        equal(look(p, "/opt/1", "/opt/2"), ["/opt/1"], "at the tag")
        # Two layers whose digests begin alike, by the hand of who writes env.json.
        env = layers.names(layers.store_of(p) + "/envs")[0]
        file = f"{layers.store_of(p)}/envs/{env}/env.json"
        with open(file, encoding="utf-8") as f:
            data = json.load(f)
        twin = dict(data["chain"][0], digest=first[:10] + first[10:][::-1])
        data["chain"].append(twin)
        with open(file, "w", encoding="utf-8") as f:
            json.dump(data, f)
        refused(p.sbx("reset", first[:6]), USAGE, f"'{first[:6]}' begins more than one layer",
                "give more digits: 'sbx log' shows them")
        p.sbx("reset", first[:16]).ok()
        equal(chain(p), [first], "the chain")
        p.sbx("tag", "-d", "words").ok()


def test_reset_and_what_runs():
    """While a command runs: an error with a hint, nothing changes.  An idle sandbox is ended, at once."""
    with alone(layers.WARM) as p:
        digest = made(p, "echo 1 > /opt/x")
        layers.as_root(p, "echo 2 > /opt/x").ok()
        with layers.Busy(p):
            refused(p.sbx("reset"), FAILED, "cannot reset 'default': 1 command runs in it",
                    "end it first: sbx stop")
            equal(p.run("cat", "/opt/x").ok().out, "2\n", "what is not committed")
        begun = time.monotonic()
        p.sbx("reset").ok()
        spent = time.monotonic() - begun
        check(spent < 1.5, f"an idle sandbox is no reason to wait: {spent:.2f} s")
        match(r"not running", p.sbx("stop").ok().err, "the sandbox after reset")
        equal(p.run("cat", "/opt/x").ok().out, "1\n", "what was committed")
        equal(chain(p), [digest], "the chain")


def test_commit_ends_what_is_idle():
    """A warm sandbox in which nothing runs is ended, and its upper folder becomes the layer."""
    with alone(layers.WARM) as p:
        layers.as_root(p, "echo 1 > /opt/x").ok()
        begun = time.monotonic()
        layers.commit(p)
        spent = time.monotonic() - begun
        check(spent < 1.5, f"an idle sandbox is no reason to wait: {spent:.2f} s")
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


def test_fork():
    """It shares the layers, has changes and a home of its own, and may be made while the other one runs."""
    with alone(layers.WARM) as p:
        digest = made(p, "echo 1 > /opt/x")
        p.sh("echo mine > ~/note").ok()
        layers.as_root(p, "echo loose > /opt/loose").ok()
        with layers.Busy(p):
            done = p.sbx("fork", "trial").ok()
        note(done, "made the environment 'trial' with 1 layer of 'default'; sbx enter -e trial")
        note(done, "what 'default' has not committed is not in it")
        equal(chain(p, "-e", "trial"), [digest], "the chain of the fork")
        equal(layers.names(layers.store_of(p) + "/layers"), [digest], "no layer was made")
        equal(p.sbx("run", "-e", "trial", "sh", "-c", "cat /opt/x; ls /opt/loose ~/note 2>&1 | wc -l; "
                    "echo 2 | sudo tee /opt/x; echo its > ~/note").ok().out, "1\n2\n2\n", "in the fork")
        equal(p.sh("cat /opt/x ~/note").ok().out, "1\nmine\n", "in the first one")
        second = layers.commit(p, "-e", "trial")
        equal((chain(p), chain(p, "-e", "trial")), ([digest], [digest, second]), "the chains")
        refused(p.sbx("fork", "trial"), FAILED,
                f"cannot make the environment 'trial' of '{p.dir}': File exists",
                "choose another name, or remove that one: sbx rm -e trial")
        p.sbx("fork", "a/b").ok(USAGE)
        # The layer is the other one's still.
        p.sbx("stop")
        p.sbx("rm", "-f").ok()
        p.sbx("gc").ok()
        equal(p.sbx("run", "-e", "trial", "cat", "/opt/x").ok().out, "2\n", "in the fork at last")
        p.sbx("stop", "-e", "trial")
        p.sbx("rm", "-f", "-e", "trial").ok()


def test_tags():
    """Make, list, move, use in another project, delete; bad names; each hint."""
    with alone() as p, layers.project() as other:
        other.env = p.env
        note(p.sbx("tag").ok(), "no tag yet; sbx tag NAME, or sbx commit -t NAME, makes one")
        equal(p.sbx("tag", "--json").json(), [], "no tags as JSON")
        first = made(p, "echo 1 > /opt/x")
        note(p.sbx("tag", "v1").ok(), f"'v1' is {first[:12]}")
        second = made(p, "echo 2 > /opt/x")
        note(p.sbx("tag", "v1").ok(), f"'v1' is {second[:12]}")
        p.sbx("tag", "older", first[:7]).ok()
        p.sbx("tag", "none", "base").ok()
        listed = {t["name"]: t for t in p.sbx("tag", "--json").json()}
        equal({n: t["layers"] for n, t in listed.items()},
              {"v1": [first, second], "older": [first], "none": []}, "the tags")
        equal((listed["v1"]["base"], listed["v1"]["project"]), ("host", p.dir), "what it says besides")
        match(rf"^older +{first[:12]} .* {p.dir}$", p.sbx("tag").ok().out, "a line")
        other.run("true").ok()
        other.sbx("reset", "v1").ok()
        equal(other.run("cat", "/opt/x").ok().out, "2\n", "in another project")
        equal(chain(other), [first, second], "its chain")
        hint = "use at most 64 letters, digits, '.', '_' and '-', a letter or digit first; 'base' is taken"
        for name in ("base", "a/b", ".x", "é"):
            refused(p.sbx("tag", name), USAGE, f"cannot use '{name}' as a tag", hint)
            refused(p.sbx("commit", "-t", name), USAGE, f"cannot use '{name}' as a tag", hint)
        refused(p.sbx("tag", "-d", "v2"), FAILED, "cannot remove the tag 'v2': No such file or directory",
                "'sbx tag' lists them")
        p.sbx("tag", "-d").ok(USAGE)
        # A tag keeps its layers when no environment needs them any more.
        for one in (p, other):
            one.sbx("reset", "base").ok()
        p.sbx("tag", "-d", "older").ok()
        p.sbx("gc").ok()
        equal(len(layers.names(layers.store_of(p) + "/layers")), 2, "layers that a tag keeps")
        note(p.sbx("tag", "-d", "v1").ok(),
             "removed the tag 'v1'; sbx gc removes layers that nothing needs any more")
        p.sbx("tag", "-d", "none").ok()
        p.sbx("gc").ok()
        equal(layers.names(layers.store_of(p) + "/layers"), [], "layers at last")


def test_save():
    """To a file whole or not at all, to a pipe, never to a terminal; a damaged layer is an error."""
    with alone() as p:
        digest = made(p, "head -c 300000 /dev/urandom > /opt/x", "-t", "saved")
        path = p.path("layer.tar")
        p.sbx("save", "--layer", "saved", "-o", path).ok()
        equal(layers.sha256_of(path), digest, "the SHA-256 of the file")
        piped = p.sbx("save", "--layer", digest[:6]).ok().raw
        with open(path, "rb") as f:
            equal(piped == f.read(), True, "the pipe has the same bytes")
        refused(p.sbx("save"), USAGE, "sbx save needs --layer", "'sbx log' shows the layers")
        equal(p.sbx("save", "--layer", "base").ok(USAGE).err,
              "sbx: error: 'base' has no layer that could be saved\n", "the base")
        with sbx_pty(p, "save", "--layer", "saved") as t:
            equal(t.wait(), USAGE, "the status on a terminal")
            match(r"a tar is nothing for a terminal\r\nhint: name a file: sbx save --layer saved -o layer.tar",
                  t.seen.decode(), "what it says there")
        full = p.sbx("save", "--layer", "saved", "-o", "/nowhere/x.tar").ok(FAILED)
        match(r"cannot write '/nowhere/x.tar.part': No such file or directory", full.err, "no folder")
        with open("/dev/full", "wb") as out:
            done = subprocess.run([harness.SBX, "save", "--layer", "saved"], cwd=p.dir, env=p.env, stdout=out,
                                  stderr=subprocess.PIPE, check=False, timeout=60)
        equal((done.returncode, done.stderr), (FAILED, b"sbx: error: cannot write the layer: No space left on device\n"),
              "a full disk")
        layers.in_namespace("python3", "-c", "import sys; open(sys.argv[1], 'r+b').write(b'damaged')",
                            f"{layers.store_of(p)}/layers/{digest}/tree/opt/x")
        refused(p.sbx("save", "--layer", "saved", "-o", path + "2"), FAILED,
                f"the layer {digest} is damaged: what came out of it is not what went in", "sbx fsck tells more")
        equal(sorted(n for n in os.listdir(p.dir) if "tar" in n), ["layer.tar"], "files")
        p.sbx("tag", "-d", "saved").ok()


def test_a_message_is_only_text():
    """Newlines, control bytes and bytes that are no UTF-8 come back as they are, and are shown harmlessly."""
    with alone() as p:
        message = b"one\ntwo\x1b[31m\x07\xff\tend"
        layers.as_root(p, "echo > /opt/x").ok()
        subprocess.run([harness.SBX, "commit", "-m", message], cwd=p.dir, env=p.env, check=True, timeout=60,
                       capture_output=True)
        shown = p.sbx("log").ok()
        equal(len(shown.out.splitlines()), 2, "lines of the log")
        match(r"  one\\ntwo\\x1b\[31m\\x07\\xff\\tend$", shown.out, "the message")
        absent(r"[\x00-\x09\x0b-\x1f]", shown.out, "control bytes")
        p.sbx("log", "--json").json()
        equal(p.sbx("reset").ok().err.count("\n"), 1, "lines that reset says")


def test_quiet():
    """-q: nothing but the digest, and nothing at all for the others."""
    with alone() as p:
        layers.as_root(p, "echo > /opt/x").ok()
        done = p.sbx("-q", "commit", "-m", "x", "-t", "quiet").ok()
        equal((len(done.out), done.err), (65, ""), "commit")
        for words in (["commit"], ["fork", "f"], ["reset"], ["tag", "other"], ["tag", "-d", "other"],
                      ["tag", "-d", "quiet"], ["rm", "-f", "-e", "f"]):
            done = p.sbx("-q", *words).ok()
            equal((done.out, done.err), ("", ""), f"{words}")


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
            p.sbx("gc").ok()
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
        words('exec "$sbx" "$@"', ["gc"]).ok()


def test_progress_on_a_terminal():
    """A quick commit says no more on a terminal than elsewhere; the digest is the last line."""
    with alone() as p:
        layers.as_root(p, "echo > /opt/x").ok()
        with sbx_pty(p, "commit", env={**p.env, "TERM": "xterm"}) as t:
            equal(t.wait(), 0, "the status")
            match(r"^[0-9a-f]{64}\r\n\Z", t.seen.decode(), "the digest")
            absent(r"committing", t.seen.decode(), "progress of what is quick")


harness.main(__name__)
