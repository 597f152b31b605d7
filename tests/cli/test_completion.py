#!/usr/bin/python3
"""sbx completion: what it offers, and in real shells what the Tab key makes of it."""

import os

import harness
from harness import NO_NET, Project, absent, check, equal, match
from shells import PROMPT, SHELLS, shell_on_pty

USAGE = 2


def offered(p, *words):
    """The words, without their help."""
    return [line.split("\t")[0] for line in p.sbx("completion", "--list", "--", *words).ok().out.splitlines()]


def test_list():
    """Commands, options, values of options, and words of arguments."""
    with Project() as p:
        helped = [line.split()[0] for line in p.sbx("--help").ok().out.splitlines() if line.startswith("  ")]
        for name in offered(p, ""):
            check(name in helped + ["help"], f"'{name}' is in the help")
        equal(offered(p, "ru"), ["run"], "commands")
        equal(offered(p, "run", "--dry"), ["--dry-run"], "options")
        equal(offered(p, "save", "--compress="), ["--compress=gzip", "--compress=zstd", "--compress=none"], "values")
        equal(offered(p, "save", "--format", "oci"), ["oci", "oci-dir"], "values apart")
        equal(offered(p, "profile", ""), ["list", "show", "check"], "words")
        equal(offered(p, "run", ""), [":commands"], "a program")
        equal(offered(p, "load", ""), [":files", ":dirs"], "a file")
        check("python" in offered(p, "init", ""), "profiles")


def test_dynamic():
    """Environments of the project, tags, layers, ids: what there is."""
    with Project() as p, Project() as other:
        p.run("true").ok()
        other.sbx("run", "--create", "-e", "elsewhere", "true").ok()
        p.sbx("run", "--create", "-e", "second", "true").ok()
        p.run("sudo", "touch", "/etc/new").ok()
        digest = p.sbx("commit", "-m", "x", "-t", "talk").ok().out.strip()
        equal(sorted(offered(p, "enter", "-e", "")), ["default", "second"], "environments")
        check("talk" in offered(p, "commit", "-t", ""), "tags")
        equal(offered(p, "reset", digest[:3]), [digest[:12]], "layers")
        equal(len(offered(p, "stop", "")), 3, "ids")
        equal(offered(p, "enter", "-e", "", "")[:1], [], "no argument")


def test_ports():
    """Ports of a sandbox that runs: those that are published."""
    with Project(ini=NO_NET) as p:
        equal(offered(p, "port", ""), ["add", "rm", "list"], "words")
        p.run("true").ok()
        port = p.sbx("port", "add", "0:7001").ok().out.strip().rsplit(":", 1)[-1]
        check(port in offered(p, "port", "rm", ""), f"{port} is published")
        p.sbx("port", "remove", port).ok()
        check(port not in offered(p, "port", "rm", ""), f"{port} is not")


def test_nothing_is_said():
    """Outside of a project, with a broken one, without a store: no message, no failure."""
    with Project(ini="[nonsense\n") as p:
        for cwd in (p.dir, p.parent):
            for words in (["reset", ""], ["enter", "-e", ""], ["nosuch", ""], [""]):
                r = p.sbx("completion", "--list", "--", *words, cwd=cwd, env=dict(p.env, XDG_DATA_HOME="/proc/none")).ok()
                equal(r.err, "", "what it says")


def test_refused():
    """A shell that there is no script for, or none."""
    with Project() as p:
        r = p.sbx("completion").ok(USAGE)
        equal(r.err, "sbx: error: 'sbx completion' needs the name of a shell\nhint: sbx completion bash, zsh or fish\n", "none")
        r = p.sbx("completion", "csh").ok(USAGE)
        equal(r.err, "sbx: error: cannot make a completion for the shell 'csh'\nhint: there is one for bash, zsh and fish\n",
              "csh")


def at_the_tab(kind):
    with Project() as p:
        p.run("true").ok()
        p.sbx("run", "--create", "-e", "zweitens", "true").ok()
        tag = f"smoke-{kind}"
        p.sbx("tag", tag).ok()
        before = "autoload -Uz compinit; compinit -u -D" if kind == "zsh" else ""
        if kind == "bash":
            before = "set -u"
        with shell_on_pty(kind, p.dir, "completion", before=before) as shell:
            for typed, becomes in (
                    ("sbx profi", "sbx profile "),
                    ("sbx save --compress zs", "sbx save --compress zstd "),
                    ("sbx save --compress=zs", "sbx save --compress=zstd"),
                    ("sbx enter -e zw", "sbx enter -e zweitens "),
                    ("sbx enter --env=zw", "sbx enter --env=zweitens"),
                    (f"sbx tag -d smoke-{kind[:2]}", f"sbx tag -d {tag} "),
                    ("sbx init pyth", "sbx init python "),
                    ("sbx load sbx.i", "sbx load sbx.ini ")):
                # The words that it has become are seen when they are said.
                shell.send(typed + "\t")
                shell.send("\x01echo 'is: \x05'\n")
                shell.expect(r"[\r\n]is: " + becomes.rstrip().replace(".", r"\.") + r" ?[\r\n]")
                shell.expect(PROMPT)
            shell.send("sbx ru\t")
            shell.send(" true && echo r''an\n")
            shell.expect("ran")
            shell.expect(PROMPT)


def test_bash():
    """bash, with `set -u`."""
    at_the_tab("bash")


def test_zsh():
    """zsh"""
    at_the_tab("zsh")


def test_fish():
    """fish"""
    at_the_tab("fish")


def test_hostile_names():
    """What has blanks, quotes or escapes in its name is not offered, and nothing of it reaches the shell."""
    with Project(ini=NO_NET) as p:
        folder = os.path.join(p.parent, "profiles")
        os.mkdir(folder)
        for name in ("good", "$(touch x)", "a\x1b[2Jb", "a b", "`id`", ";ls"):
            with open(os.path.join(folder, name + ".ini"), "w", encoding="utf-8"):
                pass
        r = p.sbx("completion", "--list", "--", "init", "", env=dict(p.env, SBX_PROFILES=folder)).ok()
        check("good\n" in r.out, "the good one is offered")
        absent(r"[^\w\n]", r.out, "what is offered")
        absent("x1b|touch", r.err, "what it says")


def test_scripts_parse():
    """Each script passes the shell's own check of syntax."""
    with Project() as p:
        for kind in SHELLS:
            harness.need_program(kind)
            for what in ("hook", "completion"):
                path = p.write("script", p.sbx(what, kind).ok().out)
                harness.command([kind, "-n", path], cwd=p.dir).ok()
        match("completion --list --", p.sbx("completion", "bash").out, "it calls sbx")


harness.main(__name__)
