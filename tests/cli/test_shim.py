#!/usr/bin/python3
"""sbx shim: launchers in .sbx/bin, by which editors and debuggers outside run what is inside."""

import json
import os
import signal
import time

import harness
from harness import (Project, check, command, diagnose, equal, limit, match, need_program, read_until,
                     wait_process)
from terminal import Pty

FAILED, USAGE = 125, 2


def made(p, *names):
    p.sbx("shim", *names).ok()
    return [p.path(f".sbx/bin/{name}") for name in names]


def test_make_list_remove():
    """Made, listed, made anew, removed; nothing of it for a repository."""
    with Project() as p:
        r = p.sbx("shim", "--list").ok()
        equal((r.out, r.err), ("", "sbx: no launcher yet; sbx shim CMD makes one\n"), "before")
        equal(p.sbx("shim", "sh", "g++").ok().err, f"sbx: made 2 launchers in '{p.dir}/.sbx/bin'\n", "made")
        equal(p.sbx("shim", "sh").ok().err, f"sbx: made 1 launcher in '{p.dir}/.sbx/bin'\n", "made anew")
        equal(p.sbx("shim", "--list").ok().out.split(), ["g++", "ok", "sh", "ok"], "listed")
        equal(os.stat(p.path(".sbx/bin/sh")).st_mode & 0o777, 0o755, "mode")
        equal(p.read(".sbx/bin/.gitignore"), "*\n", ".gitignore")
        p.write(".sbx/bin/sh", p.read(".sbx/bin/sh").replace(harness.SBX, "/old/sbx"))
        p.write(".sbx/bin/evil", "#!/bin/sh\n")
        states = {one["name"]: one["state"] for one in p.sbx("shim", "--list", "--json").json()}
        equal(states, {"evil": "not made by sbx", "g++": "ok", "sh": "stale"}, "states")
        match("evil' was not made by sbx: look at it before", p.sbx("shim", "sh").ok().err, "a warning")
        p.sbx("shim", "--remove", "sh", "g++").ok()
        equal(sorted(os.listdir(p.path(".sbx/bin"))), [".gitignore", "evil"], "what is left")
        for words in (["evil"], ["--remove", "evil"]):
            r = p.sbx("shim", *words).ok(FAILED)
            equal(r.err, "sbx: error: cannot touch '.sbx/bin/evil': sbx has not made it\n"
                  "hint: look at it, and remove it yourself\n", "one that is not sbx's")
        r = p.sbx("shim", "--remove", "none").ok(FAILED)
        match("there is no launcher 'none'.*\nhint: sbx shim --list shows those that are there\n", r.err, "none there")


def test_refused():
    """Names with a slash, and the like; a .sbx that is a link."""
    with Project() as p:
        r = p.sbx("shim").ok(USAGE)
        equal(r.err, "sbx: error: 'sbx shim' needs the name of a command\nhint: sbx shim python3, or sbx shim --list\n", "none")
        r = p.sbx("shim", "/bin/sh").ok(USAGE)
        equal(r.err, "sbx: error: '/bin/sh' is no launcher of a project\nhint: sbx shim CMD makes one; it is in .sbx/bin\n",
              "a slash")
        for name in ("..", "-x", ".hidden", "sub/x"):
            r = p.sbx("shim", "--", "sh", name).ok(USAGE)
            match("cannot make a launcher", r.err, name)
        r = p.sbx("shim", "--remove", "sh").ok(FAILED)
        equal(r.err, "sbx: error: there is no launcher 'sh': No such file or directory\n"
              "hint: sbx shim --list shows those that are there\n", "no launcher at all")
        equal(os.path.exists(p.path(".sbx")), False, "a folder")
        os.symlink("/tmp", p.path(".sbx"))
        match("cannot open the folder '.sbx'", p.sbx("shim", "sh").ok(FAILED).err, "a link")
        os.unlink(p.path(".sbx"))
        os.mkdir(p.path(".sbx"))
        os.symlink("/tmp", p.path(".sbx/bin"))
        match("cannot open the folder 'bin'", p.sbx("shim", "sh").ok(FAILED).err, "a link below")


def test_same_folder_stdio_status():
    """The same folder, standard input and output, arguments, exit status, signals."""
    with Project() as p:
        os.mkdir(p.path("sub"))
        sh, cat, none = made(p, "sh", "cat", "no-such-command")
        r = command([sh, "-c", 'echo "$container $PWD $1"; echo err >&2; exit 7', "x", "a  b"], cwd=p.path("sub"), env=p.env)
        equal((r.ok(7).out, r.err), (f"sbx {p.path('sub')} a  b\n", "err\n"), "in a folder of it")
        equal(command([sh, "-c", "pwd"], cwd="/", env=p.env).ok().out, p.dir + "\n", "from outside")
        equal(command(["./.sbx/bin/sh", "-c", "pwd"], cwd=p.dir, env=p.env).ok().out, p.dir + "\n", "relative")
        os.symlink(sh, os.path.join(p.parent, "link"))
        equal(command([os.path.join(p.parent, "link"), "-c", "pwd"], cwd="/", env=p.env).ok().out, p.dir + "\n", "by a link")
        data = os.urandom(3 << 20)
        equal(command([cat], cwd=p.dir, env=p.env, stdin=data).ok().raw, data, "bytes through it")
        command([none], cwd=p.dir, env=p.env).ok(127)
        with p.start("shim", sh, "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done") as running:
            read_until(running.stdout, b"ready")
            running.send_signal(signal.SIGTERM)
            equal(wait_process(running), 5, "status by its own trap")


def test_readonly_inside():
    """A12: .sbx is read-only inside; one that is made while a sandbox runs is refused until the next start."""
    with Project() as p:
        made(p, "sh")
        match("Read-only file system", p.sh("echo x >.sbx/bin/sh").err, "writing")
        for script in ("rm .sbx/bin/sh", "mv .sbx old", "touch .sbx/bin/new", "ln -s x .sbx/y"):
            check(p.sh(script).status != 0, script)
        made(p, "cat")
    with Project() as p:
        p.run("true").ok()
        (one,) = [e["id"] for e in p.sbx("list", "--json").json() if e["project"] == p.dir]
        for before in ("true", "mkdir -p .sbx/bin"):
            p.sh(before).ok()
            equal(p.sbx("shim", "sh").ok(FAILED).err,
                  f"sbx: error: cannot make launchers in '{p.dir}': '.sbx' is writable in the sandbox that runs, "
                  f"until its next start\nhint: sbx stop {one}, and then once more\n", before)
        p.sh("mkdir old; touch -d '1 hour ago' old; rm -r .sbx; mv old .sbx").ok()
        p.sbx("shim", "sh").ok(FAILED)
        p.sbx("stop").ok()
        made(p, "sh")
        p.sh("touch .sbx/bin/x").ok(1)


def test_trust():
    """A launcher goes by the rules of `sbx allow`, as any command."""
    with Project() as p:
        sh, = made(p, "sh")
        p.write("sbx.ini", "[network]\nmode = host\n")
        r = command([sh, "-c", "echo in"], cwd=p.dir, env=p.env).ok(FAILED)
        match("asks for more than its own folder", r.err, "not allowed")
        p.allow()
        equal(command([sh, "-c", "echo in"], cwd=p.dir, env=p.env).ok().out, "in\n", "allowed")


def timed(argv, p):
    begun = time.monotonic()
    command(argv, cwd=p.dir, env=p.env).ok()
    return (time.monotonic() - begun) * 1000


def test_speed():
    """As fast as `sbx run` in a warm sandbox: the quickest of forty, in turns; what else the machine does may hit one."""
    with Project() as p:
        true, = made(p, "true")
        p.run("true").ok()
        for _ in range(4):
            pairs = [(timed([harness.SBX, "run", "true"], p), timed([true], p)) for _ in range(40)]
            run, shim = (min(column) for column in zip(*pairs))
            diagnose(f"warm: sbx run true {run:.2f} ms, its launcher {shim:.2f} ms, {shim / run:.2f}x")
            if shim < 1.5 * run + 1:
                return
        check(False, f"{shim} ms beside {run} ms")


def test_pdb():
    """python3 -m pdb by its launcher, on a terminal."""
    with Project() as p:
        python, = made(p, "python3")
        p.write("prog.py", "def f(x):\n    y = x * 2\n    return y\n\nprint('got', f(21))\n")
        with Pty([python, "-m", "pdb", "prog.py"], cwd=p.dir, env=p.env) as t:
            t.expect(r"\(Pdb\) ")
            t.line("b 3")
            t.expect(r"Breakpoint 1 at " + p.path("prog.py"))
            t.line("c")
            t.expect(r"-> return y")
            t.line("p y, __import__('os').environ['container']")
            t.expect(r"\(42, 'sbx'\)")
            t.line("q")
            equal(t.wait(), 0, "status")


@limit(60)
def test_gdb_mi():
    """gdb -i=mi by its launcher, as an editor outside speaks to it."""
    need_program("gdb")
    need_program("cc")
    with Project() as p:
        gdb, cc = made(p, "gdb", "cc")
        p.write("prog.c", "int twice(int x)\n{\n\treturn x * 2;\n}\n\nint main(void)\n{\n\treturn twice(21);\n}\n")
        command([cc, "-g", "-O0", "-o", "prog", "prog.c"], cwd=p.dir, env=p.env).ok()
        with p.start("shim", gdb, "-q", "-nx", "-i=mi", "./prog") as g:
            read_until(g.stdout, b"(gdb)")
            for line, answer in ((b"-break-insert twice", b'func="twice"'), (b"-exec-run", b'reason="breakpoint-hit"'),
                                 (b"-stack-list-arguments 1", b'name="x",value="21"'), (b"-stack-info-frame", p.path("prog.c").encode()),
                                 (b"-exec-continue", b'exit-code="052"'), (b"-gdb-exit", b"^exit")):
                g.stdin.write(line + b"\n")
                read_until(g.stdout, answer)
            equal(wait_process(g), 0, "status")


class Server:
    """A language server on the other end of two pipes."""

    def __init__(self, p, *argv):
        self.process = p.start("shim", *argv)
        self.rest, self.n = b"", 0

    def send(self, method, params, question=True):
        self.n += question
        body = {"jsonrpc": "2.0", "method": method, "params": params, **({"id": self.n} if question else {})}
        text = json.dumps(body).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(text) + text)

    def ask(self, method, params):
        """The result; what else it says meanwhile is not looked at."""
        self.send(method, params)
        while True:
            got = self.message()
            if got.get("id") == self.n and "method" not in got:
                return got["result"]

    def more(self):
        block = os.read(self.process.stdout.fileno(), 65536)
        check(block, f"the server ended: {self.rest[-500:]!r}")
        return block

    def message(self):
        while b"\r\n\r\n" not in self.rest:
            self.rest += self.more()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        size = int(match(r"Content-Length: (\d+)", head.decode(), "the head").group(1))
        while len(self.rest) < size:
            self.rest += self.more()
        body, self.rest = self.rest[:size], self.rest[size:]
        return json.loads(body)


def speaks_lsp(server, file, language, text, where):
    """Open the file, ask where the name at `where` is defined, and end; the answer."""
    with Project() as p:
        need_program(server)
        argv = made(p, server)
        uri = "file://" + p.write(file, text)
        s = Server(p, *argv)
        with s.process:
            s.ask("initialize", {"processId": None, "rootUri": "file://" + p.dir, "capabilities": {}})
            s.send("initialized", {}, question=False)
            s.send("textDocument/didOpen",
                   {"textDocument": {"uri": uri, "languageId": language, "version": 1, "text": text}}, question=False)
            found = s.ask("textDocument/definition",
                          {"textDocument": {"uri": uri}, "position": {"line": where[0], "character": where[1]}})
            equal([(one["uri"], one["range"]["start"]["line"]) for one in found], [(uri, 0)], "where it is defined")
            s.ask("shutdown", None)
            s.send("exit", None, question=False)
            equal(wait_process(s.process), 0, "status")


@limit(90)
def test_clangd():
    """clangd over its standard input and output."""
    speaks_lsp("clangd", "a.c", "c", "int twice(int x) { return x * 2; }\nint y(void) { return twice(2); }\n", (1, 24))


@limit(90)
def test_pylsp():
    """python3-pylsp, the same."""
    speaks_lsp("pylsp", "a.py", "python", "def twice(x):\n    return x * 2\n\nprint(twice(2))\n", (3, 8))


harness.main(__name__)
