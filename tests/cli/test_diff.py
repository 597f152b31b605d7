#!/usr/bin/python3
"""`sbx diff`: what has changed, on both bases, by both drivers, over a layer and without one."""

import json
import os
import pty
import re
import select

import harness
import layers
from harness import absent, check, equal, limit, match, need_program

FUSE = {"SBX_TEST_NO_OVERLAYFS": "1"}
WORLDS = [("host", {}), ("dir", {}), ("host", FUSE), ("dir", FUSE)]

# What lies below when the tests change it.
LOWER = """
mkdir -p /opt/low/sub/deep /opt/low/empty
echo text >/opt/low/file; echo two >/opt/low/two; echo three >/opt/low/three; echo x >/opt/low/sub/x
echo y >/opt/low/sub/y; echo z >/opt/low/sub/deep/z; ln -s file /opt/low/link; mkfifo /opt/low/fifo
"""


def diff(p, *args):
    """Its output, line by line; nothing but notes on stderr."""
    result = p.sbx("diff", *args).ok()
    absent(r"error", result.err, "stderr")
    return result.out.splitlines()


def each_world(body, lower=LOWER, ini=layers.COLD):
    """On every base and driver: with what `lower` makes as a layer below."""
    for base, env in WORLDS:
        try:
            with layers.project(ini=ini, base=base, env=env) as p:
                if lower:
                    layers.as_root(p, lower).ok()
                    check(layers.commit(p), "the lower becomes a layer")
                    equal(diff(p), [], "nothing right after a commit")
                body(p)
        except harness.Failed as failure:
            raise harness.Failed(f"{base} {env}: {failure}") from failure


def test_nothing():
    """Without an environment, and in a new one: it says so, and ends well."""
    with layers.project() as p:
        result = p.sbx("diff").ok()
        equal(result.out, "", "stdout")
        equal(result.err, "sbx: there is no environment 'default' yet: nothing has changed\n", "stderr")
        equal(p.sbx("diff", "--json").json(), [], "JSON")
        p.run("true").ok()
        result = p.sbx("diff").ok()
        equal((result.out, result.err), ("", "sbx: nothing has changed\n"), "of a new one")
        equal(p.sbx("-q", "diff").ok().err, "", "told to be quiet")
        equal(diff(p, "--stat"), ["0 added, 0 modified, 0 deleted, 0 B"], "sums")


@limit(300)
def test_every_change():
    """Added, modified, deleted, of every type, with what differs in words."""
    def body(p):
        layers.as_root(p, """
            cd /opt/low
            mkdir -p new/inner; echo 1 >new/inner/f; ln -s nowhere new/link; mkfifo new/fifo
            echo more >>file; chmod 600 three; rm two; rm -r empty
            ln -sfn other link; chmod 1777 sub/deep
            echo p >>/etc/passwd""").ok()
        equal(diff(p), [
            "M /etc/passwd",
            "D /opt/low/empty/", "M /opt/low/file", "M /opt/low/link",
            "A /opt/low/new/", "A /opt/low/new/fifo (fifo)", "A /opt/low/new/inner/", "A /opt/low/new/inner/f",
            "A /opt/low/new/link (link)",
            "M /opt/low/sub/deep/ (mode 0755 -> 1777)",
            "M /opt/low/three (mode 0644 -> 0600)", "D /opt/low/two"], "the lines")
        lines = diff(p, "--stat", "/opt")
        for wanted in ("M /opt/low/file  5 B -> 10 B", "A /opt/low/new/inner/f  2 B", "D /opt/low/two  -4 B",
                       "M /opt/low/three (mode 0644 -> 0600)"):
            check(wanted in lines, f"{wanted} in {lines}")
        equal(lines[-1], "5 added, 4 modified, 2 deleted, 12 B", "the sums")
        equal(diff(p, "--name-only", "/opt/low/new/inner"), ["/opt/low/new/inner/", "/opt/low/new/inner/f"],
              "names")
    each_world(body)


@limit(300)
def test_copied_up_is_no_change():
    """What was written anew and is as it was, is not shown: chmod, mv, cp, touch, and back."""
    def body(p):
        layers.as_root(p, """
            cd /opt/low
            chmod 600 file; chmod 644 file
            mv three t; mv t three
            touch sub/x sub
            cp -p two t; cat t >two; rm t
            chmod 700 sub/deep; chmod 755 sub/deep
            chown 0:0 sub/y
            touch new; rm new; mkdir newdir; rmdir newdir
            cp -a /etc/group /etc/g; cat /etc/g >/etc/group; rm /etc/g""").ok()
        # fuse-overlayfs 1.10 loses the owner of a link that it copies up.
        if "SBX_TEST_NO_OVERLAYFS" not in p.env:
            layers.as_root(p, "touch -h /opt/low/link").ok()
        equal(diff(p), [], "nothing")
    each_world(body)


@limit(300)
def test_types_and_back():
    """A folder becomes a file and a file a folder; back again it is what it is made of."""
    def body(p):
        layers.as_root(p, """
            cd /opt/low
            rm -r sub; echo file >sub
            rm three; mkdir three; echo in >three/in
            rm link; echo no link >link""").ok()
        equal(diff(p), ["M /opt/low/link (link -> file)", "M /opt/low/sub (folder -> file)",
                        "M /opt/low/three/ (file -> folder)", "A /opt/low/three/in"], "other types")
        equal(diff(p, "/opt/low/sub/deep"), ["M /opt/low/sub (folder -> file)"], "what is gone with its folder")
        layers.as_root(p, """
            cd /opt/low
            rm sub; mkdir sub; echo x >sub/x; echo other >sub/y; mkdir sub/deep
            rm -r three; echo three >three
            rm link; ln -s file link""").ok()
        equal(diff(p), ["D /opt/low/sub/deep/z", "M /opt/low/sub/y"], "and back")
        layers.as_root(p, "rm -r /opt/low/sub; mkdir /opt/low/sub; echo n >/opt/low/sub/new").ok()
        equal(diff(p), ["D /opt/low/sub/deep/", "A /opt/low/sub/new", "D /opt/low/sub/x", "D /opt/low/sub/y"],
              "a folder that hides the one before")
        equal(diff(p, "/opt/low/sub/deep/z"), ["D /opt/low/sub/deep/"], "one path of what is hidden")
    each_world(body)


@limit(300)
def test_owners_and_attributes():
    """Owners where there are many ids; attributes everywhere."""
    def body(p):
        layers.as_root(p, "chown 5:6 /opt/low/file; chown -h 7:8 /opt/low/link").ok()
        p.run("sudo", "python3", "-c", "import os; os.setxattr('/opt/low/three', 'user.note', b'1')").ok()
        owners = ["M /opt/low/file (owner 0:0 -> 5:6)", "M /opt/low/link (owner 0:0 -> 7:8)"]
        equal(diff(p), (owners if harness.has_subids() else []) + ["M /opt/low/three (attributes)"], "the lines")
        layers.as_root(p, "chown 0:0 /opt/low/file; chown -h 0:0 /opt/low/link").ok()
        p.run("sudo", "python3", "-c", "import os; os.removexattr('/opt/low/three', 'user.note')").ok()
        equal(diff(p), [], "and back")
    each_world(body)


@limit(300)
def test_names():
    """Names of any bytes: no control byte reaches the terminal, --json has them whole; long paths."""
    def body(p):
        p.run("sudo", "python3", "-c", r"""
import os
os.chdir(b'/opt')
for name in (b'\x1b[31mred\nline', b'\xff\xfe', b'%41', '\u202e\u00e4'.encode(), b'n' * 250, b'back\\slash'):
    open(name, 'w').close()
for _ in range(15):
    os.mkdir(b'd' * 250)
    os.chdir(b'd' * 250)
open('end', 'w').close()
""").ok()
        result = p.sbx("diff", "--name-only").ok()
        absent(r"\x1b|\u202e", result.out, "control bytes")
        lines = result.out.splitlines()
        for wanted in (r"/opt/\x1b[31mred\nline", r"/opt/\xff\xfe", "/opt/%41", r"/opt/\u{202E}ä", "/opt/" + "n" * 250,
                       r"/opt/back\\slash", "/opt/" + ("d" * 250 + "/") * 15 + "end"):
            check(wanted.lower() in [line.lower() for line in lines], f"{wanted[:40]} in {lines}")
        found = {e.get("path_bytes", e["path"]): e for e in p.sbx("diff", "--json").json()}
        for wanted in ("/opt/\x1b[31mred\nline", "/opt/%FF%FE", "/opt/%41", "/opt/\u202eä"):
            check(wanted in found, f"{wanted!r} in {[k[:40] for k in found]}")
        equal(found["/opt/%FF%FE"]["path"], r"/opt/\xff\xfe", "the path for people")
        check("path_bytes" not in found["/opt/%41"], "no path_bytes where path is exact")
    each_world(body, lower=None)


def test_patch():
    """A unified diff against what was there, of text; words for all else; escaped on a terminal only."""
    need_program("diff")

    def body(p):
        layers.as_root(p, r"""
            cd /opt/low
            printf 'text\nmore \033[31m\n' >file; rm three; echo new >new; printf 'a\0b' >two
            chmod 600 sub/x; chmod 600 sub/y; echo >>sub/y; mkdir dir; ln -sfn two link; : >empty.txt""").ok()
        out = p.sbx("diff", "-p").ok().out
        equal(out, "A /opt/low/dir/\n"
              "A /opt/low/empty.txt\n"
              "--- a/opt/low/file\n+++ b/opt/low/file\n@@ -1 +1,2 @@\n text\n+more \x1b[31m\n"
              "--- a/opt/low/link\n+++ b/opt/low/link\n@@ -1 +1 @@\n-file\n\\ No newline at end of file\n"
              "+two\n\\ No newline at end of file\n"
              "--- /dev/null\n+++ b/opt/low/new\n@@ -0,0 +1 @@\n+new\n"
              "M /opt/low/sub/x (mode 0644 -> 0600)\n"
              "M /opt/low/sub/y (content, mode 0644 -> 0600)\n"
              "--- a/opt/low/sub/y\n+++ b/opt/low/sub/y\n@@ -1 +1,2 @@\n y\n+\n"
              "--- a/opt/low/three\n+++ /dev/null\n@@ -1 +0,0 @@\n-three\n"
              "Binary files a/opt/low/two and b/opt/low/two differ\n", "the patch")
        equal(p.sbx("diff", "--patch", "/opt/low/new").ok().out,
              "--- /dev/null\n+++ b/opt/low/new\n@@ -0,0 +1 @@\n+new\n", "of one path")
        shown = on_terminal(p, "diff", "-p", "/opt/low/file")
        match(r"\+more \\x1b\[31m", shown, "on a terminal")
        absent(r"\x1b", shown, "escape characters on a terminal")
    each_world(body)


def on_terminal(p, *args):
    """What `sbx ARGS…` writes to a terminal."""
    ours, theirs = pty.openpty()
    got = b""
    with p.start(*args, stdout=theirs) as worker:
        os.close(theirs)
        while select.select([ours], [], [], 30)[0]:
            try:
                block = os.read(ours, 65536)
            except OSError:
                break  # EIO: nobody has the other end
            if not block:
                break
            got += block
        equal(harness.wait_process(worker), 0, "the status")
    os.close(ours)
    return got.decode(errors="replace")


@limit(300)
def test_json():
    """Objects with what was and what is."""
    def body(p):
        layers.as_root(p, "cd /opt/low; echo more >>file; chmod 600 file; rm -r sub; mkdir new").ok()
        found = {e["path"]: e for e in p.sbx("diff", "--json").json()}
        equal(sorted(found), ["/opt/low/file", "/opt/low/new", "/opt/low/sub"], "paths")
        equal(found["/opt/low/file"],
              {"path": "/opt/low/file", "change": "modified", "type": "file", "size": 10, "mode": "0600", "uid": 0,
               "gid": 0, "what": ["content", "mode"], "excluded": False,
               "was": {"type": "file", "size": 5, "mode": "0644", "uid": 0, "gid": 0}}, "a file")
        equal(found["/opt/low/sub"],
              {"path": "/opt/low/sub", "change": "deleted", "type": "folder", "size": 0, "mode": "0755", "uid": 0,
               "gid": 0, "excluded": False}, "what is gone")
        equal(found["/opt/low/new"]["change"], "added", "what is new")
    each_world(body)


def test_paths():
    """Absolute, or from the current folder; several; one in which nothing has changed."""
    with layers.project() as p:
        layers.as_root(p, "mkdir -p /opt/a/b /opt/ab; echo 1 >/opt/a/b/c; echo 1 >/opt/ab/d; echo 1 >/opt/e").ok()
        equal(diff(p, "/opt/a"), ["A /opt/a/", "A /opt/a/b/", "A /opt/a/b/c"], "one")
        equal(diff(p, "/opt//a/./b/../b/"), ["A /opt/a/b/", "A /opt/a/b/c"], "not clean")
        equal(diff(p, "/opt/e", "/opt/ab"), ["A /opt/ab/", "A /opt/ab/d", "A /opt/e"], "two")
        equal(diff(p, "/opt/a", "/"), diff(p), "the root is all")
        equal(diff(p, "-C", p.dir, os.path.relpath("/opt/a/b/c", p.dir)), ["A /opt/a/b/c"], "relative")
        equal(p.sbx("diff", os.path.relpath("/opt/e", "/usr"), cwd="/usr").status, 125, "no project there")
        result = p.sbx("diff", "/usr/bin", "/etc/passwd").ok()
        equal((result.out, result.err), ("", "sbx: nothing has changed there\n"), "nothing there")
        never = "sbx: '/opt/n\\x1bone' is not in the environment, and was not in what lies below it\n"
        for form in ([], ["--stat"], ["--json"], ["-p"], ["--name-only"]):
            result = p.sbx("diff", *form, "/opt/n\x1bone", "/opt/e").ok()
            equal(result.err, never, f"what never was, with {form}")
            equal(len(result.out) > 0, True, "what is there is shown")
        layers.as_root(p, "rm -r /usr/share/doc/bash").ok()
        equal(p.sbx("diff", "/usr/share/doc/bash").ok().err, "", "what is there no more was there")
        result = p.sbx("diff", "")
        equal(result.status, 2, "an empty path")
        match(r"cannot show the changes of '': not a path", result.err, "stderr")


def test_one_form():
    """Of the forms of output one can be given."""
    with layers.project() as p:
        for two in (["--stat", "--json"], ["-p", "--name-only"]):
            result = p.sbx("diff", *two)
            equal(result.status, 2, str(two))
            match(r"only one of --stat, --name-only, --patch and --json can be given", result.err, "stderr")


NOISE = layers.COLD + "[commit]\nexclude = *.log\nexclude = /opt/cache/**\nexclude = __pycache__/\n"


@limit(300)
def test_excluded():
    """What the profile's patterns leave out is counted, named with --all, and where they come from."""
    def body(p):
        result = p.sbx("diff").ok()
        equal(result.out.splitlines(), ["A /opt/cache/", "A /opt/kept"], "the lines")
        match(r"^sbx: 4 left out \(\[commit\] exclude of \S+/sbx\.ini\): --all shows them$", result.err, "the note")
        lines = diff(p, "--stat")
        equal(lines[-2], "2 added, 0 modified, 0 deleted, 5 B", "the sums")
        match(r"^4 left out \(\[commit\] exclude of \S+/sbx\.ini\): --all shows them$", lines[-1], "the last line")
        equal(diff(p, "--all"), ["A /opt/__pycache__/", "A /opt/__pycache__/x", "A /opt/cache/", "A /opt/cache/c",
                                 "A /opt/kept", "A /opt/x.log"], "all")
        excluded = [e["path"] for e in p.sbx("diff", "--json", "-a").json() if e["excluded"]]
        equal(excluded, ["/opt/__pycache__", "/opt/__pycache__/x", "/opt/cache/c", "/opt/x.log"], "in JSON")
        result = p.sbx("diff", "/opt/x.log").ok()
        match(r"1 left out .*: --all shows it$", result.err.rstrip("\n"), "one alone")
        equal(result.out, "", "nothing else")
    for base, env in WORLDS[:3]:
        with layers.project(ini=NOISE, base=base, env=env) as p:
            layers.as_root(p, """cd /opt; echo 1 >x.log; mkdir cache __pycache__; echo 1 >cache/c; echo 1 >__pycache__/x
                                 echo kept >kept""").ok()
            body(p)


def test_default_patterns_are_shown():
    """The default profile's patterns are in `sbx profile show`, and in its JSON."""
    with layers.project(ini="[profile]\nextends = default\n") as p:
        match(r"^\[commit\]$.*^exclude = /var/cache/apt/archives/\*\.deb\b", p.sbx("profile", "show").ok().out, "as INI")
        patterns = p.sbx("profile", "show", "--json").json()["commit"]["exclude"]
        check("__pycache__/" in patterns, f"as JSON: {patterns}")


@limit(300)
def test_running():
    """While it runs: what is there at that moment, and the sandbox goes on."""
    def body(p):
        with layers.Busy(p):
            layers.as_root(p, "echo 1 >/opt/one; rm /opt/low/two").ok()
            equal(diff(p), ["D /opt/low/two", "A /opt/one"], "while it runs")
            worker = p.start("run", "--", "sudo", "sh", "-c", """
                echo up; i=0; while test -e /opt/one; do i=$((i+1)); mkdir -p /opt/d$((i%7))/e; echo $i >/opt/d$((i%7))/e/f
                mv /opt/d$((i%7)) /opt/m; rm -rf /opt/m; done""")
            harness.read_until(worker.stdout, b"up\n")
            for _ in range(harness.fewer(20)):
                for line in diff(p):
                    match(r"^[AD] /opt/(low/two|one|[dm]\d?(/e(/f)?)?/?)$", line, "a line")
            layers.as_root(p, "rm /opt/one").ok()
            equal(harness.wait_process(worker), 0, "the command")
            for stream in (worker.stdin, worker.stdout, worker.stderr):
                stream.close()
        equal(diff(p), ["D /opt/low/two"], "at its end")
    each_world(body, ini=layers.WARM)


def test_patch_without_rights():
    """A file that only the sandbox's root may read is shown all the same."""
    def body(p):
        layers.as_root(p, "echo secret >/opt/s; chmod 0 /opt/s; chmod 700 /opt").ok()
        equal(diff(p, "-p", "/opt/s"), ["--- /dev/null", "+++ b/opt/s", "@@ -0,0 +1 @@", "+secret"], "the patch")
        layers.as_root(p, "chmod 755 /opt").ok()
    each_world(body, lower=None)


def test_closed_pipe():
    """`sbx diff | head -1`: quiet, and ended by SIGPIPE as any program."""
    with layers.project() as p:
        layers.as_root(p, "cd /opt; i=0; while [ $i -lt 3000 ]; do : >a-long-name-that-fills-the-pipe-$i; i=$((i+1)); done",
                       limit=100).ok()
        for form in ([], ["--stat"], ["--json"], ["-p"]):
            ours, theirs = os.pipe()
            os.close(ours)
            with p.start("diff", *form, stdout=theirs) as worker:
                os.close(theirs)
                equal(harness.wait_process(worker), 141, f"the status of {form}")
                equal(worker.stderr.read(), b"", f"stderr of {form}")


def test_full_device():
    """What cannot be written is an error."""
    with layers.project() as p, open("/dev/full", "wb", buffering=0) as full:
        layers.as_root(p, "echo 1 >/opt/x").ok()
        with p.start("diff", stdout=full) as worker:
            equal(harness.wait_process(worker), 125, "the status")
            match(r"cannot write to standard output: No space left", worker.stderr.read().decode(), "stderr")


def test_unallowed_profile():
    """A diff shows, and runs nothing: it needs no `sbx allow`."""
    with layers.project() as p:
        layers.as_root(p, "echo 1 >/opt/x").ok()
        p.write("sbx.ini", layers.COLD + "[mounts]\n/var/lib = /mnt\n")
        equal(p.run("true").status, 125, "the profile is not allowed")
        equal(diff(p), ["A /opt/x"], "the lines")


@limit(600)
def test_apt_install():
    """The issue's own: apt-get install cowsay, and its sums."""
    with layers.project(ini="[profile]\nextends = default\n[network]\nmode = slirp\n") as p:
        if os.path.exists("/usr/games/cowsay"):
            raise harness.Skip("this host has cowsay: nothing could be proved with it")
        p.sh("sudo apt-get update -q && sudo DEBIAN_FRONTEND=noninteractive apt-get install -yq cowsay", limit=500).ok()
        lines = diff(p, "--stat")
        found = match(r"^(\d+) added, (\d+) modified, 0 deleted, ([\d.]+) [KM]B$", "\n".join(lines), "the sums")
        check(int(found.group(1)) > 30, "what it added")
        check(int(found.group(2)) < 10, "what it modified")
        match(r"^\d+ left out \(\[commit\] exclude of \S+/default\.ini\): --all shows them$", lines[-1], "the noise")
        text = "\n".join(lines)
        match(r"^A /usr/games/cowsay  4\.\d KB$", text, "the program")
        absent(r"^. /var/(log|cache|lib/apt/lists)/[^\n]*[^/\n]$", text, "noise")
        match(r"^\+\+\+ b/usr/games/cowsay\n.*^\+#!/usr/bin/perl$", p.sbx("diff", "-p", "/usr/games").ok().out, "-p")
        equal(p.sbx("diff", "--json", "/usr/games/cowsay").json()[0]["size"],
              next(e["size"] for e in json.loads(p.sbx("diff", "--json").ok().out) if e["path"] == "/usr/games/cowsay"),
              "JSON of one path and of all")
        check(re.search(r"^. /var/log/", "\n".join(diff(p, "--all")), re.M), "--all shows the logs")


harness.main(__name__)
