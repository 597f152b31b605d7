#!/usr/bin/python3
"""`sbx kernel`: the Jupyter outside runs notebooks inside, with no network at all."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import harness
from harness import NO_NET, Failed, Project, check, command, equal, limit, match

try:
    import jupyter_client
except ImportError:
    jupyter_client = None

START = 60
DEAD = 10


def jupyter_env(project):
    """All of Jupyter's own folders below the project's parent, so that nothing of the user's counts."""
    root = os.path.join(project.parent, "jupyter")
    return dict(project.env, JUPYTER_DATA_DIR=os.path.join(root, "data"),
                JUPYTER_CONFIG_DIR=os.path.join(root, "config"),
                JUPYTER_RUNTIME_DIR=os.path.join(root, "run"), IPYTHONDIR=os.path.join(root, "ipython"),
                PYTHONWARNINGS="ignore")


@contextlib.contextmanager
def kernel_project(ini=NO_NET, *install):
    """A project with the kernel `thesis`, and this process set up as its front end."""
    if jupyter_client is None:
        raise harness.Skip("the host has no python3-jupyter-client")
    with Project(ini, name="thesis") as p:
        p.env = jupyter_env(p)
        p.sbx("kernel", "install", *install).ok()
        old = dict(os.environ)
        os.environ.clear()
        os.environ.update(p.env)
        try:
            yield p
        finally:
            os.environ.clear()
            os.environ.update(old)


def commands_inside(p):
    return p.sbx("status", "--json").json().get("commands", 0)


def await_none_inside(p, what):
    end = time.monotonic() + DEAD
    while commands_inside(p):
        if time.monotonic() > end:
            raise Failed(f"{what}: still a command inside after {DEAD} s")
        time.sleep(0.05)  # polls: the end of a command inside is nothing that a process outside can wait for


class Front:
    """A front end with a kernel; what it runs gives the text that was printed, or the error's."""

    def __init__(self, p, **kw):
        self.manager = jupyter_client.KernelManager(kernel_name="thesis", **kw)
        self.manager.start_kernel(cwd=p.dir, stderr=subprocess.PIPE)
        self.client = None
        self.connect()

    def connect(self):
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=START)

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        return False

    def start(self, code, **kw):
        return self.client.execute(code, **kw)

    def await_result(self, request, limit=30):
        out, end = "", time.monotonic() + limit
        while True:
            m = self.client.get_iopub_msg(timeout=max(0.1, end - time.monotonic()))
            if m["parent_header"].get("msg_id") != request:
                continue
            if m["msg_type"] == "stream":
                out += m["content"]["text"]
            elif m["msg_type"] == "error":
                out += m["content"]["ename"]
            elif m["msg_type"] == "status" and m["content"]["execution_state"] == "idle":
                return out

    def run(self, code, limit=30):
        return self.await_result(self.start(code), limit)


def notebook(*cells):
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "source": text, "outputs": [],
         "execution_count": None} for i, text in enumerate(cells)]})


@limit(180)
def test_kernel_nbconvert():
    """`jupyter nbconvert --execute` runs a notebook inside, in the project and without a network."""
    harness.need_program("jupyter-nbconvert")
    canary = os.path.join(harness.USER.pw_dir, ".sbx-canary")
    with open(canary, "w", encoding="utf-8") as f:
        f.write("outside")
    try:
        with kernel_project() as p:
            p.write("a.ipynb", notebook(
                "import os, socket; print(os.environ['SBX'], os.getcwd())",
                f"print(os.path.exists({canary!r}))",
                "print(sorted(n for _, n in socket.if_nameindex()))",
                "open('made-inside', 'w').write('yes'); print(os.path.getsize('made-inside'))"))
            command(["jupyter-nbconvert", "--to", "notebook", "--execute",
                     "--ExecutePreprocessor.kernel_name=thesis", "--output", "b.ipynb", "a.ipynb"],
                    cwd=p.dir, env=p.env, limit=150).ok()
            cells = json.loads(p.read("b.ipynb"))["cells"]
            texts = ["".join(o["text"]) for c in cells for o in c["outputs"]]
            equal(texts, [f"thesis {p.dir}\n", "False\n", "['lo']\n", "3\n"], "what the cells printed")
            equal(p.read("made-inside"), "yes", "the file outside")
            await_none_inside(p, "nbconvert has ended")
            equal(p.run("sh", "-c", "ls -A /tmp").ok().out, "", "what the kernel left in /tmp")
    finally:
        os.unlink(canary)


def interrupted(front):
    """An endless loop is interrupted: how long that took."""
    # Behind an error ipykernel drops requests for a moment, unless it is told not to.
    request = front.start("print('on', flush=True)\nwhile True: pass", stop_on_error=False)
    while front.client.get_iopub_msg(timeout=30)["msg_type"] != "stream":
        pass
    begun = time.monotonic()
    front.manager.interrupt_kernel()
    # With a newline before it where it hit IPython's own code between two turns of the loop.
    equal(front.await_result(request, 10).strip(), "KeyboardInterrupt", "after the interrupt")
    took = time.monotonic() - begun
    equal(front.run("print('on')"), "on\n", "after it")
    return took


@limit(240)
def test_kernel_channels():
    """All five channels work; interrupt within a second; restart; a kernel's death is seen; nothing stays."""
    with kernel_project() as p, Front(p) as front:
        equal(front.run("print(6 * 7)"), "42\n", "shell and iopub")
        # stdin
        request = front.start("print(input('name? '))", allow_stdin=True)
        m = front.client.get_stdin_msg(timeout=30)
        equal(m["content"]["prompt"], "name? ", "the question")
        front.client.input("Ada")
        equal(front.await_result(request), "Ada\n", "stdin")
        # hb: a beat takes a second
        end = time.monotonic() + 15
        front.client.hb_channel.unpause()
        while not front.client.hb_channel.is_beating() and time.monotonic() < end:
            time.sleep(0.1)  # polls: the channel tells of a beat by no descriptor
        check(front.client.hb_channel.is_beating(), "hb: no beat")

        # The quickest of a few: the machine may have other things to do.
        tries = [interrupted(front) for _ in range(3)]
        check(min(tries) < 1 or harness.SANITIZED, f"the interrupts took {tries} s")

        front.run("x = 1")
        front.client.stop_channels()
        front.manager.restart_kernel(now=False)
        front.connect()
        equal(front.run("x"), "NameError", "after the restart")
        front.client.stop_channels()
        front.manager.restart_kernel(now=True)
        front.connect()
        equal(front.run("print('new')"), "new\n", "after a restart that killed it")
        equal(commands_inside(p), 1, "commands inside: one kernel")

        front.start("import os; os.kill(os.getpid(), 9)")
        end = time.monotonic() + DEAD
        while front.manager.is_alive() and time.monotonic() < end:
            time.sleep(0.05)  # polls: jupyter_client tells of a kernel's end only when asked
        check(not front.manager.is_alive(), "the kernel's death was not seen")
        await_none_inside(p, "a killed kernel")


GREETED = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
try:
    print(len(s.recv(1)))
except ConnectionError:
    print(0)
"""


@limit(120)
def test_b19_other_users():
    """Another user of the machine holds no connection to a kernel; the user himself does."""
    with kernel_project() as p, Front(p) as front, Project("[network]\nmode = host\n") as other:
        other.allow()
        port = str(front.manager.shell_port)
        # To the host, root of a sandbox is another one of its users, but on one id.
        root = "0\n" if harness.has_subids() else "1\n"
        equal(other.run("python3", "-c", GREETED, port).ok().out, "1\n", "the user himself is greeted")
        equal(other.run("sudo", "python3", "-c", GREETED, port).ok().out, root, "another user is not")
        equal(front.run("print('on')"), "on\n", "after it")


@limit(120)
def test_kernel_ipc():
    """A front end that asks for ipc gets it; its control channel ends the kernel, and the sockets are gone."""
    with kernel_project() as p:
        prefix = os.path.join(p.parent, "k")
        with Front(p, transport="ipc", ip=prefix) as front:
            equal(front.run("print(1)"), "1\n", "over ipc")
            names = [n for n in os.listdir(p.parent) if n.startswith("k-")]
            equal(len(names), 5, "sockets outside")
            for n in names:
                equal(os.stat(os.path.join(p.parent, n)).st_mode & 0o777, 0o600, "mode of a socket outside")
            front.client.shutdown()
            front.manager.finish_shutdown()
            check(not front.manager.is_alive(), "still alive after shutdown_request")
        equal([n for n in os.listdir(p.parent) if n.startswith("k-")], [], "sockets left behind")


FRONT = """
import jupyter_client, sys, time
m = jupyter_client.KernelManager(kernel_name="thesis")
m.start_kernel(cwd=sys.argv[1])
c = m.client(); c.start_channels(); c.wait_for_ready(timeout=60)
c.execute("import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\\n"
          "signal.signal(signal.SIGTERM, signal.SIG_IGN)\\nprint(1)\\nwhile True: pass")
while c.get_iopub_msg(timeout=30)["msg_type"] != "stream": pass
print(m.provisioner.process.pid if hasattr(m, "provisioner") else m.kernel.pid, flush=True)
sys.stdin.read()
"""


@limit(120)
def test_kernel_front_end_dies():
    """A front end that is killed leaves no kernel, even one that ignores signals, and no process outside."""
    with kernel_project() as p:
        # It has no time to remove its connection file, which is in TMPDIR.
        front = subprocess.Popen([sys.executable, "-c", FRONT, p.dir], env=dict(p.env, TMPDIR=p.parent), stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        try:
            pid = int(harness.read_until(front.stdout, b"\n", 90))
            pidfd = os.pidfd_open(pid)
            equal(commands_inside(p), 1, "commands inside")
            front.send_signal(signal.SIGKILL)
            harness.read_ready(pidfd, DEAD, "sbx kernel exec to end with the front end")
            await_none_inside(p, "the front end was killed")
            os.close(pidfd)
        finally:
            front.kill()
            front.wait()
            front.stdin.close()
            front.stdout.close()


def test_kernel_install():
    """install, list and remove; what others made stays."""
    with kernel_project(NO_NET) as p:
        file = os.path.join(p.env["JUPYTER_DATA_DIR"], "kernels/thesis/kernel.json")
        with open(file, encoding="utf-8") as f:
            spec = json.load(f)
        equal(spec["argv"][0], harness.SBX, "the program")
        check("{connection_file}" in spec["argv"], "no connection file in argv")
        equal((spec["display_name"], spec["language"]), ("thesis (sbx)", "python"), "names")
        out = command([sys.executable, "-m", "jupyter_client.kernelspecapp", "list", "--json"], env=p.env).json()
        check("thesis" in out["kernelspecs"], "jupyter kernelspec list has it")
        equal(p.sbx("kernel", "list", "--json").json(),
              [{"name": "thesis", "display_name": "thesis (sbx)", "project": p.dir, "environment": "default"}],
              "kernel list --json")
        match(r"^thesis +default +/", p.sbx("kernel", "list").ok().out, "kernel list")
        # Again: it is the same project's.
        p.sbx("kernel", "install", "--display-name", "Ünder", "-e", "default").ok()
        equal(p.sbx("kernel", "list", "--json").json()[0]["display_name"], "Ünder", "the new display name")
        match(r"there is no environment 'two' of .*fork two", p.sbx("kernel", "install", "-e", "two").ok(125).err, "none")
        p.sbx("fork", "two").ok()
        other = p.sbx("kernel", "install", "-e", "two", "--name", "thesis")
        equal(other.status, 125, "a name that another environment has")
        match(r"there is a kernel 'thesis' already, of '/", other.err, "its message")
        match(r"hint: choose another name: sbx kernel install --name NAME", other.err, "its hint")
        p.sbx("kernel", "install", "-e", "two").ok()
        equal([k["name"] for k in p.sbx("kernel", "list", "--json").json()], ["thesis", "thesis-two"], "two")
        p.sbx("stop", "-e", "two")
        p.sbx("rm", "-f", "-e", "two")
        # One that sbx did not make.
        foreign = os.path.join(p.env["JUPYTER_DATA_DIR"], "kernels/foreign")
        os.mkdir(foreign)
        with open(os.path.join(foreign, "kernel.json"), "w", encoding="utf-8") as f:
            json.dump({"argv": ["x"], "display_name": "x", "language": "x"}, f)
        r = p.sbx("kernel", "remove", "foreign")
        match(r"the kernel 'foreign' was not made by sbx", r.err, "remove a foreign one")
        match(r"hint: jupyter kernelspec remove foreign", r.err, "its hint")
        match(r"which sbx did not make", p.sbx("kernel", "install", "--name", "foreign").err, "over a foreign one")
        equal(p.sbx("completion", "--list", "--", "kernel", "remove", "").ok().out, "thesis\nthesis-two\n", "names at the Tab key")
        p.sbx("kernel", "rm", "thesis-two", "thesis").ok()
        equal(p.sbx("kernel", "list", "--json").json(), [], "both are gone")
        p.sbx("kernel", "add").ok()
        p.sbx("kernel", "add", "--name", "thesis-two").ok()
        p.sbx("kernel", "remove", "thesis-two").ok()
        r = p.sbx("kernel", "remove", "thesis-two")
        equal(r.status, 125, "remove what is gone")
        match(r"there is no kernel 'thesis-two' in '/.*hint: sbx kernel list shows those that are there", r.err, "its message")


def test_kernel_words():
    """What is wrong on the command line is said, with what to do."""
    with Project() as p:
        p.env = jupyter_env(p)
        for words, pattern in (
                (["instal"], r"unknown command 'kernel instal'.*hint: did you mean 'sbx kernel install'\?"),
                (["zzzzzzz"], r"hint: sbx kernel --help"),
                (["list", "x"], r"'sbx kernel list' has no use for the argument 'x'"),
                (["remove"], r"'sbx kernel remove' needs the name of a kernel.*hint: sbx kernel list shows them"),
                (["remove", "../x"], r"'../x' cannot be the name of a kernel.*hint: letters, digits"),
                (["install", "--name", ".x", "--", "R", "{connection_file}"], r"cannot be the name of a kernel"),
                (["install", "--", "R"],
                 r"the command 'R' gets no connection file.*hint: put \{connection_file\} where"),
                (["exec", "x"], r"needs a connection file and a command.*hint: it is what Jupyter runs: sbx kernel install")):
            r = p.sbx("kernel", *words)
            equal(r.status, 2, f"the status of {words}")
            match(pattern, r.err, f"what {words} says")
        match(r"no kernel yet", p.sbx("kernel", "list").ok().err, "an empty list")
        equal(p.sbx("kernel", "list", "--json").json(), [], "an empty list as JSON")
        # Another language than Python.
        p.sbx("kernel", "install", "--language", "R", "--name", "ir", "--", "R", "--args", "{connection_file}").ok()
        with open(os.path.join(p.env["JUPYTER_DATA_DIR"], "kernels/ir/kernel.json"), encoding="utf-8") as f:
            spec = json.load(f)
        equal((spec["language"], spec["argv"][-3:]), ("R", ["R", "--args", "{connection_file}"]), "R's kernel")


GOOD = {"transport": "tcp", "ip": "127.0.0.1", "key": "k", "shell_port": 1, "iopub_port": 2, "stdin_port": 3,
        "control_port": 4, "hb_port": 5}


def test_kernel_connection_files():
    """A connection file is read strictly: nothing is listened on that others could reach."""
    with Project() as p:
        for change, pattern in (
                ("{", r"it is no JSON"), ("[]", r"it is no JSON object"),
                ('{"a": 1, "a": 2}', r"it is no JSON: duplicate"),
                (dict(GOOD, ip="0.0.0.0"), r"its ip is not this machine's own.*hint: the front end must use 127.0.0.1: others could read along"),
                (dict(GOOD, ip="::"), r"its ip is not this machine's own"),
                (dict(GOOD, ip="*"), r"its ip is not this machine's own"),
                (dict(GOOD, transport="pgm"), r"neither tcp nor ipc"),
                (dict(GOOD, hb_port=70000), r"its hb_port is no port"),
                (dict(GOOD, hb_port="5"), r"its hb_port is no port"),
                (dict(GOOD, hb_port=4), r"its hb_port is that of control, too"),
                ("x" * 70000, r"File too large|longer than")):
            p.write("c.json", change if isinstance(change, str) else json.dumps(change))
            r = p.sbx("kernel", "exec", "--connection", "c.json", "--", "true")
            equal(r.status, 125, f"the status with {str(change)[:60]}")
            match(pattern, r.err, f"what is said of {str(change)[:60]}")
        match(r"No such file", p.sbx("kernel", "exec", "--connection", "none.json", "--", "true").err, "no file")
        # A port that is taken.
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            p.write("c.json", json.dumps(dict(GOOD, shell_port=s.getsockname()[1])))
            r = p.sbx("kernel", "exec", "--connection", "c.json", "--", "true")
            match(r"cannot listen at '127.0.0.1', port \d+, for the kernel's shell: Address already in use", r.err,
                  "a taken port")


def test_kernel_not_allowed():
    """A profile that asks for more is no kernel before `sbx allow`."""
    with Project("[network]\nmode = none\n[security]\nnested = yes\n") as p:
        p.env = jupyter_env(p)
        r = p.sbx("kernel", "install")
        equal(r.status, 125, "install")
        match(r"asks for more than its own folder.*hint: if you trust it, run: sbx allow", r.err, "its message")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
harness.main(__name__)
