#!/usr/bin/python3
"""sbx init: the profile that the files speak for, and settings for VS Code that use launchers."""

import json
import os

import harness
from harness import NO_NET, Project, absent, check, command, equal, match
from terminal import Pty

FAILED = 125

SIGNS = (("pyproject.toml", "python"), ("requirements.txt", "python"), ("package.json", "node"), ("meson.build", "c"),
         ("CMakeLists.txt", "c"), ("Makefile", "c"), ("Cargo.toml", "rust"), ("go.mod", "go"), ("a.ipynb", "jupyter"))


def test_proposed():
    """Each file speaks for its profile, which is said with the way to another one; the surest counts."""
    for name, profile in SIGNS:
        with Project(ini=None) as p:
            p.write(name, "")
            r = p.sbx("init").ok()
            match(f"extends = {profile}\n", p.read("sbx.ini"), name)
            equal(r.err.split("\n")[0], f"sbx: there is '{name}': the profile is '{profile}' ('sbx init default' would take "
                  "the plain one; 'sbx profile list' shows all)", name)
    with Project(ini=None) as p:
        for name in ("Makefile", "package.json", "Cargo.toml"):
            p.write(name, "")
        p.sbx("init").ok()
        match("extends = rust\n", p.read("sbx.ini"), "the surest")
    with Project(ini=None) as p:
        p.write("Makefile", "")
        p.sbx("init", "default").ok()
        match("extends = default\n", p.read("sbx.ini"), "a name goes before it")
    with Project(ini=None) as p:
        p.write("Makefile", "")
        equal(p.sbx("-q", "init").ok().err, "", "--quiet")
        match("extends = c\n", p.read("sbx.ini"), "quiet")
    with Project(ini=None) as p:
        p.write(".hidden.ipynb", "")
        p.sbx("init").ok()
        match("extends = default\n", p.read("sbx.ini"), "nothing speaks")


def test_asked():
    """On a terminal it asks; an empty line is a yes."""
    for answer, profile in (("", "python"), ("y", "python"), ("n", "default"), ("no", "default")):
        with Project(ini=None) as p:
            p.write("setup.py", "")
            with Pty([harness.SBX, "init"], cwd=p.dir, env=p.env) as t:
                t.expect(r"there is 'setup.py': begin with the profile 'python'\? \[Y/n\] ")
                t.line(answer)
                equal(t.wait(), 0, "status")
            match(f"extends = {profile}\n", p.read("sbx.ini"), f"after {answer!r}")


def settings(p):
    return json.loads(p.read(".vscode/settings.json"))


PYTHON = {"python.defaultInterpreterPath": "${workspaceFolder}/.sbx/bin/python3"}


def test_vscode():
    """Launchers and settings, which VS Code would run: merged into what is there, nothing overwritten in silence."""
    with Project(ini=None) as p:
        p.write("pyproject.toml", "")
        r = p.sbx("init", "--vscode").ok()
        match(f"wrote '{p.dir}/.vscode/settings.json'", r.err, "said")
        equal(settings(p), PYTHON, "settings")
        p.write("sbx.ini", "[profile]\nextends = python\n" + NO_NET)
        path = PYTHON["python.defaultInterpreterPath"].replace("${workspaceFolder}", p.dir)
        equal(command([path, "-c", "import os; print(os.environ['container'])"], cwd=p.dir, env=p.env).ok().out, "sbx\n",
              "the interpreter")
        # Once more, in a project that is there.
        equal(p.sbx("init", "--vscode").ok().err, "", "nothing to do")
        p.write(".vscode/settings.json", '{\n  "z": [1, {"a": null}],\n  "editor.tabSize": 3\n}')
        p.sbx("init", "--vscode").ok()
        equal(list(settings(p).items()), [("z", [1, {"a": None}]), ("editor.tabSize", 3), *PYTHON.items()], "merged")
        p.write(".vscode/settings.json", '{"python.defaultInterpreterPath": "/mine"}')
        r = p.sbx("init", "--vscode").ok()
        equal(r.err, "sbx: warning: 'python.defaultInterpreterPath' in .vscode/settings.json stays as it is; sbx would set it to "
              "'${workspaceFolder}/.sbx/bin/python3'\n", "another value")
        equal(p.read(".vscode/settings.json"), '{"python.defaultInterpreterPath": "/mine"}', "it stays")


def test_vscode_of_each():
    """Each profile about programs says where VS Code finds them; go has one key for all of its own."""
    of = {"c": ["clangd.path", "cmake.cmakePath"], "data": [*PYTHON], "jupyter": [*PYTHON], "node": ["eslint.runtime"],
          "python": [*PYTHON], "rust": ["rust-analyzer.server.path"], "go": ["go.alternateTools"]}
    for profile, keys in of.items():
        with Project(ini=None) as p:
            p.sbx("init", "--vscode", profile).ok()
            equal(sorted(settings(p)), keys, profile)
            if profile == "go":
                equal(settings(p)[keys[0]], {t: "${workspaceFolder}/.sbx/bin/" + t for t in ("dlv", "go", "gopls")}, "of go")
                check(all(os.access(p.path(f".sbx/bin/{t}"), os.X_OK) for t in ("dlv", "go", "gopls")), "launchers")
                p.write(".vscode/settings.json", '{"go.alternateTools": {"go": "/mine", "x": 1}}')
                r = p.sbx("init", "--vscode").ok()
                match("warning: 'go.alternateTools' of go in .vscode/settings.json stays as it is", r.err, "another value")
                equal(sorted(settings(p)[keys[0]].items()), [("dlv", "${workspaceFolder}/.sbx/bin/dlv"), ("go", "/mine"),
                      ("gopls", "${workspaceFolder}/.sbx/bin/gopls"), ("x", 1)], "merged")
                p.write(".vscode/settings.json", '{"go.alternateTools": 7}')
                match("warning: 'go.alternateTools' of gopls", p.sbx("init", "--vscode").ok().err, "no object")
                p.write(".vscode/settings.json", "{ // mine\n}")
                match(r'"go.alternateTools": { "dlv": "\$\{workspaceFolder\}/.sbx/bin/dlv", "go": ".*/go", "gopls": ".*/gopls" },$',
                      p.sbx("init", "--vscode").ok(FAILED).err, "what to write")


def test_vscode_refused():
    """Comments are refused, with what to write; so are a link, and a profile that says nothing."""
    with Project(ini="[profile]\nextends = python\n" + NO_NET) as p:
        os.mkdir(p.path(".vscode"))
        for text in ('{\n  // mine\n  "a": 1\n}', '{"a": 1,}', "[1]", "{"):
            p.write(".vscode/settings.json", text)
            r = p.sbx("init", "--vscode").ok(FAILED)
            match(r"cannot change '.*/.vscode/settings.json': (line \d+ is no plain JSON|it is no JSON object)", r.err, text)
            match(r'hint: comments and commas at an end are not understood; write yourself:\n *"python.defaultInterpreterPath": '
                  r'"\$\{workspaceFolder\}/.sbx/bin/python3",', r.err, text)
            equal(p.read(".vscode/settings.json"), text, "it stays")
        os.unlink(p.path(".vscode/settings.json"))
        os.rmdir(p.path(".vscode"))
        os.symlink(p.parent, p.path(".vscode"))
        p.sbx("init", "--vscode").ok(FAILED)
        check(not os.path.exists(os.path.join(p.parent, "settings.json")), "a file where the link leads")
    with Project(ini=NO_NET) as p:
        r = p.sbx("init", "--vscode").ok(FAILED)
        equal(r.err, f"sbx: error: cannot tell which programs VS Code should use for '{p.dir}'\nhint: extends = python, c, rust, "
              "go, node … in sbx.ini tells; or make launchers by sbx shim CMD\n", "no profile that tells")


def test_colours():
    """Words of messages are coloured on a terminal, but not with NO_COLOR, for a dumb one, or into a pipe."""
    with Project() as p:
        red, plain = rb"sbx: \x1b\[1;31merror:\x1b\[0m unknown", rb"sbx: error: unknown"
        for want, more in ((red, {"TERM": "xterm"}), (red, {"TERM": "xterm", "NO_COLOR": ""}), (plain, {"TERM": "dumb"}),
                           (plain, {"TERM": "xterm", "NO_COLOR": "1"})):
            with Pty([harness.SBX, "entr"], cwd=p.dir, env=dict(p.env, **more)) as t:
                t.expect(want)
                t.wait()
        absent("\x1b", p.sbx("entr", env=dict(p.env, TERM="xterm")).err, "into a pipe")


harness.main(__name__)
