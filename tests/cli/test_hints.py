#!/usr/bin/python3
"""Each hint of a command: the whole of what sbx says when it is refused, and the exit status."""

import json
import os
import re

import harness
from harness import Project, absent, check, equal, match, read_until

FAILED, USAGE = 125, 2


def refused(result, status, message, hint):
    """Nothing but the message and the hint on stderr."""
    result.ok(status)
    equal(result.err, f"sbx: error: {message}\nhint: {hint}\n", "what it says")


def made(p):
    """The id of the project's environment, made by a first command."""
    p.run("true").ok()
    (one,) = [e for e in json.loads(p.sbx("list", "--json").ok().out) if e["project"] == p.dir]
    return one["id"]


def test_commands():
    """A command that is not there, or none at all."""
    with Project() as p:
        refused(p.sbx("entr"), USAGE, "unknown command 'entr'", "did you mean 'sbx enter'?")
        refused(p.sbx("xyzzy"), USAGE, "unknown command 'xyzzy'", "sbx --help lists the commands")
        for word, name in (("exec", "run"), ("shell", "enter"), ("ps", "list"), ("remove", "rm"), ("create", "init"), ("clone", "fork")):
            refused(p.sbx(word), USAGE, f"unknown command '{word}'", f"did you mean 'sbx {name}'?")
        refused(p.sbx("stop", "-q"), USAGE, "unknown option '-q' of 'sbx stop'", "it stands before the command: sbx -q stop")
        refused(p.sbx(), USAGE, "no command was given", "sbx --help lists the commands")
        refused(p.sbx("help", "entr"), USAGE, "unknown command 'entr'", "did you mean 'sbx enter'?")


def test_help_is_no_wider_than_a_terminal():
    """Each command's help has lines of at most 80 columns."""
    with Project() as p:
        texts = [p.sbx("--help").ok().out]
        texts += [p.sbx(name, "--help").ok().out for name in re.findall("^  ([a-z]+) ", texts[0], re.M)]
        check(len(texts) > 30, f"{len(texts)} texts")
        for text in texts:
            equal([line for line in text.splitlines() if len(line) > 80], [], text)


def test_run_without_a_command():
    """`sbx run` alone."""
    with Project() as p:
        refused(p.sbx("run"), USAGE, "'sbx run' needs a command",
                "sbx run -- CMD, or sbx enter for a shell")


def test_a_slip_makes_no_environment():
    """`-e` with a name that is not there: an error everywhere, with the nearest name; --create and fork make one."""
    with Project() as p:
        first = f"there is no environment 'trial' of '{p.dir}'"
        refused(p.sbx("run", "-e", "trial", "true"), FAILED, first, "to make it: sbx enter --create -e trial, or "
                "sbx fork trial; sbx list shows those that are there")
        refused(p.sbx("fork", "trial"), FAILED, f"there is no environment 'default' of '{p.dir}' yet",
                "sbx enter makes it; sbx list shows those that are there")
        p.sbx("run", "--create", "-e", "trial", "true").ok()
        p.sbx("run", "--create", "-e", "trial", "true").ok()
        p.run("true").ok()
        for words in (["run", "-e", "trail", "true"], ["run", "--dry-run", "-e", "trail", "true"], ["enter", "-e", "trail"],
                      ["status", "-e", "trail"], ["stop", "-e", "trail"], ["rm", "-f", "-e", "trail"],
                      ["diff", "-e", "trail"], ["log", "-e", "trail"], ["commit", "-e", "trail"], ["reset", "-e", "trail"],
                      ["port", "list", "-e", "trail"], ["cp", "sbx.ini", "trail:/opt/x"], ["kernel", "install", "-e", "trail"],
                      ["save", "-e", "trail", "-o", "x.tar"], ["fork", "-e", "trail", "x"], ["jupyter", "-e", "trail"]):
            refused(p.sbx(*words), FAILED, f"there is no environment 'trail' of '{p.dir}'",
                    "did you mean 'trial'? to make a new one: sbx enter --create -e trail, or sbx fork trail")
        equal(sorted(e["env"] for e in p.sbx("list", "--json").json()), ["default", "trial"], "environments")
        for words in (["stop", "trial"], ["rm", "-f", "trial"]):
            refused(p.sbx(*words), FAILED, "there is no environment with the id 'trial'", "that is the name of one: -e trial")
        p.sbx("stop", "-e", "trial").ok()
        p.sbx("rm", "-f", "-e", "trial").ok()
        refused(p.sbx("stop", "trial"), FAILED, "there is no environment with the id 'trial'", "sbx list shows them")


def test_a_broken_profile():
    """What only tells of an environment, or undoes something, does so, and warns; what goes by the profile fails."""
    with Project(ini="[profile]\nextends = default\n" + harness.NO_NET) as p:
        p.sh("sudo touch /etc/one; sudo touch /var/log/two").ok()
        p.sbx("commit", "-m", "first", "-t", "broken-1").ok()
        p.sh("sudo touch /etc/three; sudo touch /var/log/two").ok()
        p.sbx("stop").ok()
        p.write("sbx.ini", p.read("sbx.ini") + "[nosuch]\nx = y\n")
        said = f"{p.path('sbx.ini')}:5: there is no section [nosuch]"
        for words in (["status"], ["status", "--json"], ["diff"], ["tag", "broken-2"], ["save", "-o", "x.tar"], ["reset"],
                      ["squash"]):
            err = p.sbx(*words).ok().err
            equal(err.splitlines()[0], f"sbx: warning: {said}; what is wrong is left out here", f"what {words} says")
        match("^network +none$", p.sbx("status").ok().out, "what is right in it counts")
        for words in (["list"], ["log"], ["stop"], ["tag"], ["images"], ["port", "list"], ["fork", "other"], ["gc"],
                      ["fsck"], ["du"], ["rm", "-f", "-e", "other"]):
            absent("nosuch", p.sbx(*words).err, f"what {words} says")
        for words in (["run", "true"], ["enter"], ["commit"], ["reset", "--rebase"], ["lock"], ["allow"], ["build"],
                      ["cp", "sbx.ini", ":/opt"], ["kernel", "install"], ["profile", "check"]):
            match(rf"\Asbx: error: {said}".replace("[", r"\["), p.sbx(*words).ok(125).err, f"what {words} says")
        p.sbx("rm", "-f").ok()
        p.sbx("tag", "-d", "broken-1", "broken-2")


def test_profile_words():
    """A word behind `sbx profile` that is none of its own."""
    with Project() as p:
        refused(p.sbx("profile", "lsit"), USAGE, "unknown command 'profile lsit'",
                "did you mean 'sbx profile list'?")
        refused(p.sbx("profile", "xyzzy"), USAGE, "unknown command 'profile xyzzy'",
                "sbx profile --help")


def test_init_twice():
    """A project is not made over one."""
    with Project() as p:
        refused(p.sbx("init"), FAILED, f"cannot make '{p.path('sbx.ini')}': File exists",
                "edit it, or remove it first; sbx enter uses it")
        equal(p.read("sbx.ini"), harness.NO_NET, "sbx.ini")


def test_init_over_the_store():
    """No project holds the store."""
    with Project() as p:
        p.run("true").ok()
        data = p.env["XDG_DATA_HOME"]
        folder = os.path.dirname(data)
        refused(p.sbx("init", cwd=folder), FAILED,
                f"cannot make a project of '{folder}': it holds the store of sbx, '{data}/sbx'",
                "make a folder for the project, and run sbx init in it")
        equal(os.path.exists(os.path.join(folder, "sbx.ini")), False, "an sbx.ini there")


def test_allow_without_a_terminal():
    """Nobody can be asked, so nothing is allowed."""
    with Project("[network]\nmode = host\n") as p:
        refused(p.sbx("allow"), FAILED,
                f"cannot ask whether to allow this for '{p.dir}': no terminal",
                "if you trust it, run: sbx allow --yes")
        refused(p.run("true"), FAILED,
                f"the profile of '{p.dir}' asks for more than its own folder:\n"
                f"  {p.path('sbx.ini')}:2: the network of the host: mode = host",
                "if you trust it, run: sbx allow")
        (one,) = p.sbx("allow", "--list", "--json").json()
        equal((one["allowed"], one["file"]), (False, p.path("sbx.ini")), "as JSON")
        (one,) = p.sbx("allow", "--json").json()
        equal(one["allowed"], False, "and nothing was allowed")
        p.sbx("allow", "--yes").ok()
        equal(p.sbx("allow", "--json").json()[0]["allowed"], True, "what is allowed, as JSON")
        equal(p.sbx("allow", "--list").ok().out[:7], "allowed", "what is allowed")


def test_rm_without_a_terminal():
    """Nobody can be asked, so nothing is removed."""
    with Project() as p:
        env_id = made(p)
        p.sbx("stop")
        refused(p.sbx("rm"), FAILED,
                f"cannot ask whether to remove the environment '{env_id}': no terminal",
                "to remove it unasked, run: sbx rm -f")
        equal(made(p), env_id, "the environment")


def test_rm_of_a_running_one():
    """What runs is not removed, not by force either."""
    with Project() as p:
        env_id = made(p)
        with p.start("run", "--", "sh", "-c", "echo here; read x") as running:
            read_until(running.stdout, b"here\n")
            refused(p.sbx("rm", "-f"), FAILED,
                    f"cannot remove the environment '{env_id}': it is running",
                    "end it first: sbx stop")
            running.stdin.close()
        equal(made(p), env_id, "the environment")


harness.main(__name__)
