#!/usr/bin/python3
"""Each hint of a command: the whole of what sbx says when it is refused, and the exit status."""

import json
import os

import harness
from harness import Project, equal, read_until

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
        refused(p.sbx(), USAGE, "no command was given", "sbx --help lists the commands")
        refused(p.sbx("help", "entr"), USAGE, "unknown command 'entr'", "did you mean 'sbx enter'?")


def test_run_without_a_command():
    """`sbx run` alone."""
    with Project() as p:
        refused(p.sbx("run"), USAGE, "'sbx run' needs a command",
                "sbx run -- CMD, or sbx enter for a shell")


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
        p.sbx("allow", "--yes").ok()
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
