#!/usr/bin/python3
"""`sbx jupyter`: Jupyter inside, its port outside; and in a real browser."""

import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import threading
import time
import urllib.parse
import zipfile

import harness
from browser import Browser
from harness import NO_NET, Project, check, equal, limit, match
from terminal import Pty

START = 60
INI = "[profile]\nextends = jupyter\n" + NO_NET


class Server:
    """`sbx jupyter` in the background, up and answering."""

    def __init__(self, p, *args):
        self.log = os.path.join(p.parent, "log")
        with open(self.log, "wb") as log:
            self.process = p.start("jupyter", "notebook", "--no-browser", *args, stderr=log,
                                   stdin=subprocess.DEVNULL)
        try:
            line = harness.read_until(self.process.stdout, b"\n", START).decode().strip()
        except harness.Failed as e:
            self.stop(signal.SIGKILL)
            raise harness.Failed(f"{e}\n{self.read_log()}") from e
        self.url = line
        self.port = urllib.parse.urlsplit(line).port
        self.token = line.split("token=")[1]

    def read_log(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def get(self, path, token=True, **headers):
        """Status and body."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        if token:
            headers["Authorization"] = "token " + self.token
        try:
            c.request("GET", path, headers=headers)
            answer = c.getresponse()
            return answer.status, answer.read()
        finally:
            c.close()

    def stop(self, sig=signal.SIGINT):
        self.process.send_signal(sig)
        try:
            return harness.wait_process(self.process, 20)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        if self.process.poll() is None:
            self.stop()
        return False


def need_notebook():
    harness.need_program("jupyter-notebook")


@limit(150)
def test_b19_token_and_host():
    """B19: no token, no answer; a foreign Host is refused; the token is in no argument, variable or log."""
    need_notebook()
    with Project(INI) as p:
        with Server(p) as s:
            match(r"^http://127\.0\.0\.1:\d+/\?token=[0-9a-f]{48}$", s.url, "what was printed")
            equal(s.get("/api/contents")[0], 200, "with the token")
            equal(s.get("/api/contents", token=False)[0], 403, "without it")
            equal(s.get("/api/contents", Host="evil")[0], 403, "Host: evil")
            equal(s.get("/api/contents", Host="evil.example:8888")[0], 403, "Host: evil.example")
            equal(s.get("/api/contents", Host=f"localhost:{s.port}")[0], 200, "Host: localhost")
            equal(s.get("/?token=" + s.token, token=False)[0], 302, "as a browser comes")
            found = subprocess.run(["grep", "-la", s.token, *(f"/proc/{n}/{f}" for n in os.listdir("/proc")
                                    if n.isdigit() for f in ("cmdline", "environ"))],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode()
            equal([f for f in found.split() if str(os.getpid()) not in f], [], "processes with the token")
            file = os.path.join(p.sbx("status", "--json").json()["home"], "../jupyter-token")
            equal(stat.S_IMODE(os.stat(file).st_mode), 0o600, "the mode of the token's file")
            equal(p.sh("stat -c %a /tmp/.sbx-jupyter-*").ok().out, "700\n", "the mode of its folder inside")
            # It is reached at 127.0.0.1 alone.
            with open("/proc/net/tcp", encoding="ascii") as f:
                wanted = f"{s.port:04X}"
                places = {line.split()[1].split(":")[0] for line in f if f":{wanted} 00000000:0000 0A" in line}
            equal(places, {"0100007F"}, "where the port is")
            token = s.token
            equal(s.stop(), 0, "the status after Ctrl-C")
            log = s.read_log()
        check(token not in log, f"the token is in the log:\n{log}")
        match(r"Jupyter runs inside; Ctrl-C ends it", log, "the log")
        with Server(p) as s:
            equal(s.token, token, "the token of the second start")


@limit(120)
def test_jupyter_ends():
    """Ctrl-C and SIGTERM leave nothing: no process inside, no port; SIGKILL neither."""
    need_notebook()
    with Project(INI) as p:
        for sig, status in ((signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, 137)):
            with Server(p) as s:
                # A kernel that runs.
                c = http.client.HTTPConnection("127.0.0.1", s.port, timeout=30)
                c.request("POST", "/api/kernels", b"{}", {"Authorization": "token " + s.token})
                equal(c.getresponse().status, 201, "a kernel")
                c.close()
                port = s.port
                equal(s.stop(sig), status, f"the status after {sig.name}")
            end = time.monotonic() + 10
            while (n := p.sbx("status", "--json").json().get("processes", 0)) and time.monotonic() < end:
                time.sleep(0.1)  # polls: the end of what is inside is told to nobody outside
            equal(n, 0, f"processes inside after {sig.name}")
            with socket.socket() as probe:
                check(probe.connect_ex(("127.0.0.1", port)) != 0, f"the port is still there after {sig.name}")


@limit(120)
def test_jupyter_ends_while_it_works():
    """Ctrl-C in the middle of requests ends it no less in order."""
    need_notebook()
    with Project(INI) as p:
        for _ in range(3):
            with Server(p) as s, contextlib.ExitStack() as stack:
                over = threading.Event()

                def ask(s=s, over=over):
                    with contextlib.suppress(OSError, http.client.HTTPException):
                        while not over.is_set():
                            s.get("/api/contents")

                threads = [threading.Thread(target=ask) for _ in range(4)]
                stack.callback(lambda over=over, threads=threads: (over.set(), [t.join() for t in threads]))
                for t in threads:
                    t.start()
                equal(s.get("/api/contents")[0], 200, "while others ask")
                equal(s.stop(), 0, "the status after Ctrl-C")


@limit(120)
def test_jupyter_ports():
    """The next free port is taken; a port that was asked for and is taken is an error."""
    need_notebook()
    with contextlib.ExitStack() as stack:
        p = stack.enter_context(Project(INI))
        s = stack.enter_context(socket.socket())
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            s.bind(("127.0.0.1", 8888))
            s.listen()
        server = stack.enter_context(Server(p))
        check(8888 < server.port < 8988, f"port {server.port}")
        other = stack.enter_context(Project(INI))
        r = other.sbx("jupyter", "--port", str(server.port))
        equal(r.status, 125, "a port that is taken")
        match(rf"cannot listen on port {server.port} of 127.0.0.1: Address already in use", r.err, "its message")
        match(r"hint: without --port the next free one is taken", r.err, "its hint")
        match(r"unknown command 'jupyter laab'.*hint: did you mean 'sbx jupyter lab'\?", p.sbx("jupyter", "laab").err, "laab")
        match(r"hint: sbx jupyter --help", p.sbx("jupyter", "zzzzzzzz").err, "zzzzzzzz")
        equal(p.sbx("jupyter", "-p", "0").status, 2, "port 0")


@limit(120)
def test_jupyter_twice():
    """Where one runs already, its address is told; it goes on.  A new token ends addresses with the old one."""
    need_notebook()
    runs = "sbx: Jupyter runs already, where another sbx jupyter waits for its end: Ctrl-C there ends it\n"
    with Project(INI) as p:
        with Server(p) as s:
            for words in ([], ["notebook"], ["--port", str(s.port)]):
                r = p.sbx("jupyter", "--no-browser", *words).ok()
                equal((r.out, r.err), (s.url + "\n", runs), f"the second one, {words}")
            for words, what in ((["--port", "1"], "use port 1"), (["--new-token"], "make a new token"),
                                (["lab", "--", "--x"], "start it with '--x'")):
                r = p.sbx("jupyter", *words).ok(125)
                equal(r.err, f"sbx: error: cannot {what}: Jupyter runs already\n"
                      "hint: end that one first: Ctrl-C in its terminal\n", "another one than it is")
            equal(s.get("/api/contents")[0], 200, "the first one, after that")
            old = s.token
            equal(s.stop(signal.SIGKILL), 137, "its end")
        with Server(p, "--new-token") as s:
            check(s.token != old, "the token is the old one")
            equal(s.get("/api/contents")[0], 200, "with the new token")
            equal(s.get("/api/contents", token=False, Authorization="token " + old)[0], 403, "with the old one")
            equal(s.stop(), 0, "its end")
        # One that has no port yet.
        home = os.path.dirname(p.sbx("status", "--json").json()["home"])
        with open(os.path.join(home, "jupyter-port"), "r+", encoding="ascii") as f:
            f.truncate()
            fcntl.lockf(f, fcntl.LOCK_EX)
            r = p.sbx("jupyter").ok(125)
            equal(r.err, "sbx: error: another sbx jupyter is just starting Jupyter in 'default'\n"
                  "hint: it prints the address; or ask once more in a moment\n", "one that begins")


@limit(90)
def test_jupyter_browser_is_opened():
    """Where there is a display, xdg-open gets a file of the user's own that leads there, not the token."""
    need_notebook()
    with Project(INI) as p:
        fifo = p.fifo("opened")
        os.mkdir(p.path("bin"))
        p.write("bin/xdg-open", f"#!/bin/sh\necho \"$1\" >{fifo}\n", 0o755)
        p.env.update(DISPLAY=":77", PATH=p.path("bin") + ":" + p.env["PATH"])
        fd = harness.open_fifo(fifo)
        with open(os.path.join(p.parent, "log"), "wb") as log:
            s = p.start("jupyter", "notebook", stdin=subprocess.DEVNULL, stderr=log)
        try:
            line = harness.read_until(s.stdout, b"\n", START).decode()
            harness.read_ready(fd, 20, "xdg-open")
            url = os.read(fd, 4096).decode().strip()
            match(r"^file:///.*/jupyter\.html$", url, "what xdg-open got")
            file = url[len("file://"):]
            equal(stat.S_IMODE(os.stat(file).st_mode), 0o600, "its mode")
            with open(file, encoding="utf-8") as f:
                check(line.strip() in f.read(), "it does not lead to the address")
        finally:
            s.send_signal(signal.SIGINT)
            equal(harness.wait_process(s, 20), 0, "the status")
            s.stdout.close()
            os.close(fd)
        check(not os.path.exists(file), "the file stays")


NO_APT = "sudo sh -c 'printf \"#!/bin/sh\\nexit 1\\n\" >/usr/local/bin/apt-get && chmod +x /usr/local/bin/apt-get'"


@limit(90)
def test_jupyter_is_missing():
    """What is missing and cannot be installed is an error that says what to do."""
    for ini, hint in (
            (INI, r"hint: the profile has no network: install it once with `mode = slirp` under \[network\]"),
            ("[profile]\nextends = jupyter\n",
             r"hint: sbx run --root -- sh, and install it by hand: jupyter-notebook or jupyter-lab has to be in PATH")):
        with Project(ini) as p:
            p.sh(NO_APT).ok()
            r = p.sbx("jupyter", "lab", "-y", limit=50)
            equal(r.status, 125, "the status")
            match(r"there is no jupyter-lab in the sandbox yet", r.err, "what it says first")
            match(r"cannot install Jupyter inside", r.err, "its message")
            match(hint, r.err, "its hint")
            # On a terminal it asks.
            with Pty([harness.SBX, "jupyter", "lab"], cwd=p.dir, env=p.env) as t:
                t.expect(r"Install it inside\?  The host is not changed\. \[y/N\] ")
                t.line("n")
                t.expect(r"Jupyter was not installed.*hint: sbx jupyter --yes does not ask")
                equal(t.wait(), 125, "the status after a no")


# ---- in a browser ----


def wheel(folder):
    """A package that is nowhere else."""
    name, info = "sbx_extra-1.0-py3-none-any.whl", "sbx_extra-1.0.dist-info/"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as z:
        z.writestr("sbx_extra.py", "ANSWER = 42\n")
        z.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: sbx-extra\nVersion: 1.0\n")
        z.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(info + "RECORD", "")
    return name


def notebook(kernel, *cells):
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "cells": [
        {"cell_type": "code", "metadata": {}, "source": text, "outputs": [], "execution_count": None}
        for text in cells], "metadata": {"kernelspec": {"name": kernel, "display_name": kernel,
                                                        "language": "python"}}})


IDLE = ("return window.Jupyter && Jupyter.notebook && Jupyter.notebook.kernel && "
        "Jupyter.notebook.kernel.is_connected() && !Jupyter.notebook.kernel_busy")
OUTPUTS = ("return JSON.stringify(Jupyter.notebook.get_cells().map("
           "c => [c.input_prompt_number, c.output_area.outputs.map(o => o.text || o.evalue || '')]))")
DONE = ("const c = Jupyter.notebook.get_cells(); "
        "return c.every(x => Number(x.input_prompt_number) > 0) && !Jupyter.notebook.kernel_busy")


def run_all(browser):
    browser.run("document.querySelector('#run_all_cells a, a#run_all_cells, #run_all_cells').click()")
    browser.await_true(DONE, "all cells to be run", saying=OUTPUTS)
    return browser.run("return Jupyter.notebook.get_cells().map(c => c.output_area.outputs.map("
                       "o => o.text || (o.data && Object.keys(o.data).join()) || o.ename || '').join('|'))")


def restart(browser):
    """By the button and its question."""
    browser.run("document.querySelector('#restart_kernel a, a#restart_kernel, #restart_kernel').click()")
    browser.await_true("const b = document.querySelector('.modal.in .btn-danger'); if (b) b.click(); return !!b",
                       "the question whether to restart")
    browser.await_true("return !document.querySelector('.modal.in')", "the question to go away")
    browser.await_true(IDLE, "the kernel after the restart")


def work_in(browser, p):
    """Run, plot, save, restart; what was made is outside."""
    browser.await_true(IDLE, "the kernel")
    out = run_all(browser)
    match(r"Successfully installed sbx-extra-1.0", out[0], "pip's cell")
    match(r"42", out[1], "what was installed")
    match(r"image/png", out[2], "the plot")
    match(r"outside: False net: \['lo'\]", out[3], "what is there of the outside")
    equal(p.read("made.txt"), "42", "the file outside")
    browser.run("document.querySelector('#save-notbook button, #save_checkpoint a').click()")
    browser.await_true("return !Jupyter.notebook.dirty", "the notebook to be saved")
    check("image/png" in p.read("a.ipynb"), "the plot is not in the saved notebook")
    restart(browser)
    equal(browser.run("return Jupyter.notebook.kernel.is_connected()"), True, "connected again")
    match(r"already satisfied|already installed", run_all(browser)[0], "pip's cell after the restart")


@contextlib.contextmanager
def with_notebook(kernel):
    need_notebook()
    canary = os.path.join(harness.USER.pw_dir, ".sbx-canary-browser")
    with open(canary, "w", encoding="utf-8") as f:
        f.write("outside")
    try:
        with Project(INI, name="thesis") as p:
            name = wheel(p.dir)
            p.write("a.ipynb", notebook(
                kernel, f"%pip install --no-index --no-warn-script-location ./{name}",
                "import importlib; importlib.invalidate_caches(); import sbx_extra; print(sbx_extra.ANSWER)\n"
                "open('made.txt', 'w').write(str(sbx_extra.ANSWER));",
                "%matplotlib inline\nimport matplotlib.pyplot as plt; plt.plot([3, 1, 2]);",
                f"import os, socket\nprint('outside:', os.path.exists({canary!r}), "
                "'net:', [n for _, n in socket.if_nameindex()])"))
            yield p
    finally:
        os.unlink(canary)


@limit(240)
def test_jupyter_in_a_browser():
    """A real browser opens it with its token, runs cells, saves, and restarts the kernel."""
    with with_notebook("python3") as p, Server(p) as s, Browser(os.path.join(p.parent, "browser")) as browser:
        browser.go(f"http://127.0.0.1:{s.port}/notebooks/a.ipynb")
        check(browser.run("return location.pathname").startswith("/login"), "opened without a token")
        browser.go(f"http://127.0.0.1:{s.port}/notebooks/a.ipynb?token={s.token}")
        work_in(browser, p)


@limit(240)
def test_kernel_in_a_browser():
    """The Jupyter outside offers the kernel; a real browser uses it, with no network inside."""
    with with_notebook("thesis") as p:
        root = os.path.join(p.parent, "jupyter")
        p.env.update(JUPYTER_DATA_DIR=root + "/data", JUPYTER_CONFIG_DIR=root + "/config",
                     JUPYTER_RUNTIME_DIR=root + "/run", IPYTHONDIR=root + "/ipython")
        p.sbx("kernel", "install").ok()
        p.env["JUPYTER_TOKEN"] = "x" * 32
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = os.path.join(p.parent, "log")
        with open(log, "wb") as f:
            server = subprocess.Popen(["jupyter-notebook", "-y", "--no-browser", "--ip=127.0.0.1", f"--port={port}"],
                                      cwd=p.dir, env=p.env, stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        try:
            end = time.monotonic() + START
            while b"is running at" not in open(log, "rb").read():
                check(time.monotonic() < end, "the notebook outside did not start")
                time.sleep(0.1)  # polls: the notebook says only in its log that it listens
            with Browser(os.path.join(p.parent, "browser")) as browser:
                browser.go(f"http://127.0.0.1:{port}/notebooks/a.ipynb?token={'x' * 32}")
                work_in(browser, p)
                equal(browser.run("return Jupyter.notebook.kernel.name"), "thesis", "the kernel")
        finally:
            server.send_signal(signal.SIGINT)
            harness.wait_process(server, 20)


if __name__ == "__main__":
    harness.main(__name__)
