"""[build] of a profile: its steps make what the project's environments stand on, once, and are told of when they change."""

import os
import random
import subprocess
import time

import harness
import roots
from harness import NO_NET, Project, absent, check, equal, match

STEPS = """[build]
run = echo one $(id -u) $(pwd) > /etc/first; cat need.txt >> /etc/first
copy = --chmod=600 data/*.txt /opt/data/
env = GREETING="hi there" PATH=/opt/bin:$PATH
workdir = /opt/bin
run = printf '#!/bin/sh\\necho tool $GREETING\\n' > tool && chmod 755 tool
"""


def project(steps=STEPS, head=NO_NET):
    p = Project(head + steps)
    os.mkdir(p.path("data"))
    p.write("data/a.txt", "a\n")
    p.write("data/b.txt", "b\n")
    p.write("data/no", "no\n")
    p.write("need.txt", "needed\n")
    return p


def manifest(p, env="default"):
    return p.sbx("status", "-e", env, "--json").json()["image_digest"]


@harness.limit(120)
def test_two_of_one_name():
    """Two projects whose folders have one name: each result has a name of its own, and keeps it."""
    steps = NO_NET + "[build]\nrun = echo %s >/etc/which\n"
    with Project(steps % "one") as p:
        other = os.path.join(p.parent, "more/proj")
        os.makedirs(other)
        with open(os.path.join(other, "sbx.ini"), "w", encoding="ascii") as f:
            f.write(steps % "two")
        match("built 'localhost/proj:latest'", p.sbx("build").ok().err, "the first")
        for _ in range(2):
            name = match("built '(localhost/proj-[0-9a-f]{8}:latest)'", p.sbx("build", "-C", other).ok().err, "the second").group(1)
            match("built 'localhost/proj:latest'", p.sbx("build").ok().err, "the first, again")
        names = p.sbx("images").ok().out
        check("localhost/proj:latest " in names and name + " " in names, names)
        equal([p.run("cat", "/etc/which").ok().out, p.sbx("run", "-C", other, "cat", "/etc/which").ok().out],
              ["one\n", "two\n"], "what they stand on")
        p.sbx("stop", "-C", other)
        p.sbx("rm", "-f", "-C", other).ok()


def test_the_first_run_builds():
    """The steps are done in their order, before the first command; what it prints is its own alone."""
    with project() as p:
        result = p.run("sh", "-c", "cat; cat /etc/first; tool; ls /opt/data; pwd; id -u", stdin=b"from outside\n").ok()
        equal(result.out, f"from outside\none 0 {p.dir}\nneeded\ntool hi there\na.txt\nb.txt\n{p.dir}\n{os.getuid()}\n",
              "what the command says")
        match(r"\[1/6\] image = host.*\[2/6\] run = echo.*\[6/6\] run = printf", result.err, "progress")
        match("built 'localhost/proj:latest': 4 layers, 0 steps from the cache", result.err, "the end")
        match("^-rw------- 1", p.sbx("run", "--root", "--", "ls", "-l", "/opt/data/a.txt").ok().out, "--chmod")
        absent("image = host", p.run("true").ok().err, "a second command")
        status = p.sbx("status", "--json").json()
        equal((status["built"], status["image"], status["image_layers"], status["layers"], status["note"]),
              (True, "host", 4, 4, None), "status")
        match("^built on +host", p.sbx("status").ok().out, "status in words")
        # Of another environment nothing is done again, and sbx build names the same.
        result = p.sbx("run", "--create", "-e", "two", "--", "tool").ok()
        match("4 steps from the cache", result.err, "another environment")
        equal(manifest(p, "two"), manifest(p), "what it stands on")
        equal(p.sbx("build").ok().out, "sha256:" + manifest(p) + "\n", "sbx build")
        p.sbx("stop", "-e", "two")
        p.sbx("rm", "-f", "-e", "two").ok()


@harness.limit(120)
def test_the_project_is_read_only_to_its_steps():
    with project("[build]\nrun = ! touch here; ! echo >> need.txt; ls > /seen\n") as p:
        equal(p.run("cat", "/seen").ok().out, "data\nneed.txt\nsbx.ini\n", "what a step sees")
        equal(sorted(os.listdir(p.dir)), ["data", "need.txt", "sbx.ini"], "the project")


@harness.limit(200)
def test_what_changed_is_told_and_gone_over_to():
    """A file that a step names, a step, or no steps any more: told at each start and by status, until reset --rebase."""
    older = "'default' is older than .build. of the profile, or the files that it names: sbx build, then sbx reset --rebase"
    with project() as p:
        p.sbx("run", "--root", "--", "touch", "/kept").ok()
        first = manifest(p)
        for name, text in (("need.txt", "other\n"), ("data/a.txt", "more\n"), ("sbx.ini", p.read("sbx.ini") + "run = touch /new\n")):
            before = p.read(name)
            p.write(name, text)
            p.sbx("stop")
            match(older, p.sh("test ! -e /new; test -e /kept").ok().err, "a start after a change of " + name)
            match("note +" + older, p.sbx("status").ok().out, "status")
            if name != "sbx.ini":
                p.write(name, before)
        equal(manifest(p), first, "what it stands on meanwhile")
        p.sbx("stop")
        result = p.sbx("reset", "--rebase").ok()
        match("5 layers, 4 steps from the cache.*'default' stands on 'host' and what .build. makes of it now", result.err, "rebase")
        absent("older", p.sh("test -e /new; test ! -e /kept").ok().err, "after it")
        p.write("sbx.ini", NO_NET)
        p.sbx("stop")
        match("stands on what .build. made, which the profile does not have any more: sbx reset --rebase leaves it",
              p.run("tool").ok().err, "without steps")
        p.sbx("stop")
        p.sbx("reset", "--rebase").ok()
        absent("stands on|older", p.sh("! command -v tool").ok().err, "without steps, after it")
        # The other way round.
        p.write("sbx.ini", NO_NET + STEPS)
        p.sbx("stop")
        match(older, p.run("true").ok().err, "steps that are new")


@harness.limit(60)
def test_proxies_are_passed_and_are_no_part_of_a_step():
    with project("[build]\nrun = echo x$http_proxy$OTHER > /seen\n", NO_NET + "[env]\npass = http_proxy OTHER\n") as p:
        p.allow()
        env = dict(p.env, http_proxy="http://192.0.2.1:3128", OTHER="other")
        equal(p.run("cat", "/seen", env=env).ok().out, "xhttp://192.0.2.1:3128\n", "what a step sees")
        match("1 step from the cache", p.sbx("build", env=dict(p.env, http_proxy="http://192.0.2.9:1")).ok().err, "another proxy")


@harness.limit(120)
def test_a_step_that_fails():
    """It is named with its line; no environment is made, and what was done before it is not done again."""
    with project(STEPS + "run = false\n") as p:
        match(r"sbx.ini:\d+: run: the command ended with status 1\nhint: to look around before it: make a comment of line "
              r"\d+ and the steps behind it, and run sbx enter -e look", p.run("true").ok(125).err, "a step that fails")
        check(not [e for e in p.sbx("list", "--json").json() if e["project"] == p.dir], "an environment is there")
        p.write("sbx.ini", NO_NET + STEPS + "run = nothing-like-it\n")
        match("status 127", p.sbx("build").ok(125).err, "no such command")
        p.write("sbx.ini", NO_NET + STEPS + "run = true\n")
        match("4 steps from the cache", p.run("tool").ok().err, "mended")
        tmp = os.path.join(p.env["XDG_DATA_HOME"], "sbx/tmp")
        p.sbx("gc").ok()
        equal(os.listdir(tmp), [], "what is left in tmp/")


@harness.limit(60)
def test_what_cannot_be_built():
    with project("[build]\ncopy = need.txt need.txt\n") as p:
        match("sbx.ini:4: copy: '.*/proj/need.txt' lies in the project, which shows there as it is\nhint: copy to an "
              "absolute path outside of it, such as /opt/, or put `workdir = /opt` before", p.run("true").ok(125).err, "copy")
        p.write("sbx.ini", NO_NET + "[build]\ncopy = nothing.txt /x\n")
        match("sbx.ini:4: copy: .*nothing.txt", p.run("true").ok(125).err, "a source that is missing")
        os.mkdir(p.path("root"))
        p.write("sbx.ini", NO_NET + "[base]\nimage = dir:./root\n[build]\nrun = true\n")
        match("sbx.ini:4: cannot build on a folder, 'dir:./root'\nhint: use an image: `image = tar:FILE` takes a tar of that "
              "folder", p.sbx("build").ok(125).err, "a folder")
        p.write("sbx.ini", NO_NET)
        match("there is neither Containerfile nor Dockerfile to build, and no .build. in sbx.ini\nhint: name one: sbx build -f "
              "FILE; or write `run = COMMAND` under .build.", p.sbx("build").ok(2).err, "nothing to build")


@harness.limit(60)
def test_a_strangers_network_is_not_taken_in_silence():
    """Nor is anything else that needs sbx allow, by a build."""
    with project("[build]\nrun = true\n", "[network]\nmode = host\n") as p:
        for args in (["build"], ["run", "true"], ["build", "-f", "Containerfile"]):
            p.write("Containerfile", "FROM scratch\nCOPY need.txt /\n")
            match("asks for more than its own folder:.*network of the host.*hint: if you trust it, run: sbx allow",
                  p.sbx(*args).ok(125).err, " ".join(args))
        p.allow()
        p.run("true").ok()


@harness.limit(60)
def test_a_containerfile_beside_it():
    """-f, --target and another folder mean a Containerfile; sbx build alone and the project's folder mean [build]."""
    with project("[build]\nrun = true\n") as p:
        p.write("Containerfile", "FROM scratch AS x\nCOPY need.txt /\n")
        for args in ([], ["."], ["-C", "data"]):
            match("image = host", p.sbx("build", *args).ok().err, " ".join(args))
        for args in (["-f", "Containerfile"], ["--target", "x"]):
            match("FROM scratch", p.sbx("build", "-t", "other", *args).ok().err, " ".join(args))
        p.write("data/Containerfile", "FROM scratch\nCOPY a.txt /\n")
        match("FROM scratch", p.sbx("build", "data").ok().err, "another folder")


def make_root(p):
    with open(p.path("root.tar"), "wb") as f:
        f.write(roots.tar_of(roots.system()))


@harness.limit(200)
def test_on_an_image_with_a_lock():
    """On an image: as root of another map too; the lock pins base and build, and the image that it pins is taken as it is."""
    head = NO_NET + "[base]\nimage = tar:root.tar\n"
    with project(head=head) as p:
        make_root(p)
        equal(p.sh("tool; cat /etc/first /etc/issue").ok().out, f"tool hi there\none 0 {p.dir}\nneeded\nof the image\n", "on an image")
        built = int(time.time())
        p.sbx("lock").ok()
        locked = manifest(p)
        match('"image": "localhost/proj:latest",\n    "manifest": "sha256:' + locked, p.read("sbx.lock"), "sbx.lock")
        p.sbx("lock", "--check").ok()
        p.sbx("stop")
        absent("sbx.lock", p.run("true").ok().err, "as locked")
        p.sbx("save", "localhost/proj:latest", "-o", p.path("image.tar")).ok()
        # Where the steps make something else, it is refused; where the store has that image, nothing is built.
        other = dict(p.env, XDG_DATA_HOME=p.path("../data"))
        p.write("need.txt", "changed\n")
        match("what .build. makes is not what sbx.lock pins: its manifest is sha256:.*\nhint: to lock what it makes here: sbx lock; or "
              "get the image that is locked, by sbx pull or sbx load: it is taken as it is", p.run("true", env=other).ok(125).err, "other")
        p.write("need.txt", "needed\n")
        p.sbx("load", p.path("image.tar"), env=other).ok()
        # It is the user's own by that, and the lock could be a stranger's.
        p.sbx("allow", "--yes", env=other).ok()
        result = p.sh("cat /etc/first", env=other).ok()
        equal(result.out, f"one 0 {p.dir}\nneeded\n", "the locked image")
        absent("image = tar", result.err, "the locked image")
        p.sbx("stop", env=other)
        p.sbx("rm", "-f", env=other).ok()
        p.sbx("gc", "--all").ok()
        match("cannot check the build of .*: not all of its steps are built here\nhint: build it first: sbx build",
              p.sbx("lock", "--check").ok(125).err, "lock --check")
        while int(time.time()) == built:
            time.sleep(0.05)  # polls: in one second both builds would be the same
        p.sbx("build", "--no-cache").ok()
        match("^build localhost/proj:latest: locked sha256:" + locked, p.sbx("lock", "--check").ok(1).out, "lock --check")
        p.sbx("lock").ok()
        p.sbx("lock", "--check").ok()
        p.write("sbx.ini", p.read("sbx.ini") + "[user]\nas = root\n")
        equal(p.sbx("run", "--create", "-e", "root", "--", "tool").ok().out, "tool hi there\n", "as root")
        p.sbx("stop", "-e", "root")
        p.sbx("rm", "-f", "-e", "root").ok()


@harness.limit(120)
def test_a_lock_on_the_host():
    """Over the host's files, what is made elsewhere is a warning."""
    with project() as p:
        p.sbx("lock").ok()
        p.run("true").ok()
        p.write("need.txt", "changed\n")
        match("what .build. makes here is not what sbx.lock pins, sha256:", p.sbx("run", "--create", "-e", "x", "--", "tool").ok().err, "other")
        p.sbx("stop", "-e", "x")
        p.sbx("rm", "-f", "-e", "x").ok()


@harness.limit(120)
def test_check_and_the_users_own_time():
    """--check is of the same bytes, and no time in a layer is later than SOURCE_DATE_EPOCH."""
    with project(STEPS + "run = date +%N > /etc/when\n") as p:
        match(r"sbx.ini:\d+: run = date .*: the layer is another one the second time: /etc/when",
              p.sbx("build", "--check").ok(125).err, "a step that tells the time")
        p.write("sbx.ini", NO_NET + STEPS)
        env = dict(p.env, SOURCE_DATE_EPOCH="1234567890")
        match("the same again: 4 layers", p.sbx("build", "--check", env=env).ok().err, "--check")
        first = p.sbx("build", env=env).ok().out
        equal(p.sbx("build", "--no-cache", env=env).ok().out, first, "another build")
        out = p.sbx("run", "--create", "-e", "x", "--", "stat", "-c", "%Y", "/etc/first", "/opt/bin/tool", "/opt/data/a.txt", env=env).ok().out
        equal(set(out.split()), {"1234567890"}, "times")
        check(p.sbx("build").ok().out != first, "without it: the same image")
        p.sbx("stop", "-e", "x")
        p.sbx("rm", "-f", "-e", "x").ok()


MANY = """[build]
run = for i in 1 2 3 4 5 6 7 8; do echo told $i; echo $i > /opt/one.$i; done
copy = data /opt/data
run = for i in 1 2 3 4 5 6 7 8; do echo told $i; mkdir -p /opt/two/$i; echo $i > /opt/two/$i/f; done; rm /opt/one.1
workdir = /opt/three
run = for i in 1 2 3 4 5 6 7 8; do echo told $i; echo $i > $i; done
"""


def kill_after(p, lines):
    """Kill `sbx build` when it, and what it runs, has said so many lines."""
    build = p.start("build", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    with build.stderr as said:
        got = b""
        while got.count(b"\n") < lines:
            piece = os.read(said.fileno(), 1)
            if not piece:
                break
            got += piece
        build.kill()
        build.wait(20)


def leftovers(p):
    """What gc leaves in tmp/: a sandbox whose client was killed takes a moment to go."""
    end = time.monotonic() + 20
    while True:
        p.sbx("gc").ok()
        left = os.listdir(os.path.join(p.env["XDG_DATA_HOME"], "sbx/tmp"))
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.05)  # polls: nobody tells when a killed client's sandbox is gone


@harness.limit(300)
def test_a_build_that_is_killed():
    """SIGKILL at points all over a build: what was there stays, gc leaves no litter, and the next build goes on."""
    with project(MANY) as p:
        p.env["XDG_DATA_HOME"] = p.path("../data")
        first = p.sbx("build").ok()
        whole = first.err.count("\n")
        tree = p.sh("cd /opt && ls -lR one.* data two three | sed 's/ [A-Z][a-z][a-z] .*:[0-9]* / /'").ok().out
        for _ in range(harness.fewer(5)):
            p.sbx("stop")
            p.sbx("images", "-d", "localhost/proj:latest")
            p.sbx("rm", "-f", "-e", "x")
            p.sbx("gc", "--all").ok()
            point = random.randrange(1, whole)
            kill_after(p, point)
            equal(leftovers(p), [], f"after line {point} of {whole}: what is left in tmp/")
            p.sbx("fsck").ok()
            equal(p.sbx("build").ok().out.count("sha256:"), 1, "the next build")
            equal(p.sbx("run", "--create", "-e", "x", "--", "sh", "-c",
                        "cd /opt && ls -lR one.* data two three | sed 's/ [A-Z][a-z][a-z] .*:[0-9]* / /'").ok().out, tree,
                  f"after line {point}: the tree")
            p.sbx("stop", "-e", "x")
        p.sbx("rm", "-f", "-e", "x")


if __name__ == "__main__":
    harness.main(__name__)
