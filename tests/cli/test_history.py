#!/usr/bin/python3
"""log, reset, fork, tag and save --layer: what a user does with layers, and each refusal."""

import json
import os
import subprocess
import time

import harness
import layers
from harness import absent, check, equal, limit, match
from history import FAILED, USAGE, alone, chain, look, made, note, refused
from terminal import sbx_pty


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
        p.sbx("reset", "base").ok()
        made(p, "echo > /opt/other")
        equal(p.sbx("log", "--json").json()[0]["tags"], [], "the tags of another chain of that length")
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
        # What the last reset went away from is found still, by digits and by "-".
        equal(chain(p), [], "the chain at the base")
        note(p.sbx("reset", second[:12]).ok(), f"'default' is at {second[:12]}")
        equal(chain(p), [first, second], "the chain again")
        note(p.sbx("reset", "base").ok(), f"2 layers left behind, the last {second[:12]}; to go back there: sbx reset -")
        p.sbx("gc").ok()
        p.sbx("reset", "-").ok()
        equal(chain(p), [first, second], "the chain after gc and back")
        p.sbx("reset", "base").ok()
        p.sbx("gc", "--all").ok()
        refused(p.sbx("reset", "-"), FAILED, f"cannot open the layer {second}: No such file or directory",
                "'sbx fsck' tells what needs it")
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
        # A service that nobody waits for is left alone, too.
        p.run("sh", "-c", "setsid sleep 300 >/dev/null 2>&1 </dev/null &").ok()
        refused(p.sbx("reset"), FAILED, "cannot reset 'default': 1 process runs in it",
                "end it first: sbx stop")
        p.sbx("stop").ok()
        begun = time.monotonic()
        p.sbx("reset").ok()
        spent = time.monotonic() - begun
        check(spent < 1.5, f"an idle sandbox is no reason to wait: {spent:.2f} s")
        match(r"not running", p.sbx("stop").ok().err, "the sandbox after reset")
        equal(p.run("cat", "/opt/x").ok().out, "1\n", "what was committed")
        equal(chain(p), [digest], "the chain")


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
        p.sbx("gc", "--all").ok()
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
        for args in (("tag", "v1"), ("commit", "-t", "v1")):
            refused(other.sbx(*args), FAILED, f"cannot use the tag 'v1': it is one of '{p.dir}': File exists",
                    "choose another name, or remove that one: sbx tag -d v1")
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
        p.sbx("gc", "--all").ok()
        equal(len(layers.names(layers.store_of(p) + "/layers")), 2, "layers that a tag keeps")
        note(p.sbx("tag", "-d", "v1").ok(),
             "removed the tag 'v1'; sbx gc removes layers that nothing needs any more")
        p.sbx("tag", "-d", "none").ok()
        p.sbx("gc", "--all").ok()
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


harness.main(__name__)
