"""What the end-to-end tests share: projects, commands, and TAP on stdout.

A test file defines functions named test_…, each with a docstring that says what must hold, and
ends with `harness.main(__name__)`.  They run in the order written, in one process, each
under its own time limit.  A test fails by an exception (check, equal, match raise Failed) and is
skipped by Skip; under SBX_MUST_RUN=1 a skip fails.

The binary: $SBX, else $SBX_TEST_STAGE/bin/sbx, else src/cli/sbx of $SBX_BUILD_ROOT or build/.
All that a file makes lies in one folder under the user's home and is gone when it ends.
"""

import contextlib
import json
import os
import pwd
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback

USER = pwd.getpwuid(os.getuid())
NO_NET = "[network]\nmode = none\n"
DEFAULT_LIMIT = 120
SANITIZED = os.environ.get("SBX_SANITIZED") == "1"


def fewer(times):
    """How often to do what is repeated for a race, or for each value: a tenth of it with sanitizers."""
    return max(3, times // 10) if SANITIZED else times


class Failed(Exception):
    """An expectation that did not hold."""


class Skip(Exception):
    """The test cannot run here; the text says why."""


class TimedOut(BaseException):
    """The time limit; not an Exception, so that no handler in a test swallows it."""


# ---- expectations -------------------------------------------------------------------------


def check(condition, what):
    if not condition:
        raise Failed(what)


def equal(got, wanted, what):
    if got != wanted:
        raise Failed(f"{what}:\n  wanted {wanted!r}\n  got    {got!r}")


def match(pattern, text, what):
    found = re.search(pattern, text, re.M | re.S)
    if not found:
        raise Failed(f"{what}: nothing matches /{pattern}/ in\n{text!r}")
    return found


def absent(pattern, text, what):
    found = re.search(pattern, text, re.M | re.S)
    if found:
        raise Failed(f"{what}: {found.group(0)!r} matches /{pattern}/ in\n{text!r}")


# ---- the binary and its environment ---------------------------------------------------------


def sbx_path():
    here = os.path.dirname(os.path.abspath(__file__))
    stage = os.environ.get("SBX_TEST_STAGE")
    build = os.environ.get("SBX_BUILD_ROOT", os.path.join(here, "../../build"))
    names = [os.environ.get("SBX"), stage and os.path.join(stage, "bin/sbx"),
             os.path.join(build, "src/cli/sbx")]
    for name in names:
        if name and os.access(name, os.X_OK):
            return os.path.abspath(name)
    sys.exit("harness: no sbx binary: set SBX or SBX_TEST_STAGE, or build into build/")


SBX = None
_base = None


def base():
    """The folder that everything of this test file lies in."""
    global _base
    if _base is None:
        _base = tempfile.mkdtemp(prefix="sbx-test-", dir=USER.pw_dir)
        os.chmod(_base, 0o755)
    return _base


def environment(**more):
    """A small, known environment; `more` adds, None removes."""
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": USER.pw_dir,
           "USER": USER.pw_name, "LOGNAME": USER.pw_name, "SHELL": USER.pw_shell,
           "LANG": "C.UTF-8", "TERM": "dumb", "XDG_DATA_HOME": os.path.join(base(), "data"),
           "XDG_CONFIG_HOME": os.path.join(base(), "config")}
    for name in os.environ:
        if name in ("SBX_PROFILES", "SBX_TEST_DEBIAN_TAR", "LLVM_PROFILE_FILE") or name.endswith("SAN_OPTIONS"):
            env[name] = os.environ[name]
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        if name in os.environ:
            env[name] = os.environ[name]
    env.update(more)
    return {k: v for k, v in env.items() if v is not None}


class Result:
    """What a finished command left: status as a shell counts it, stdout, stderr."""

    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.raw, self.raw_err = argv, status, out, err
        self.out = out.decode(errors="surrogateescape")
        self.err = err.decode(errors="surrogateescape")

    def ok(self, status=0):
        """Fail unless the status is `status`; returns self."""
        if self.status != status:
            raise Failed(f"status {self.status} instead of {status}: {self.argv}\n"
                         f"stdout: {self.out[-3000:]}\nstderr: {self.err[-3000:]}")
        return self

    def json(self):
        self.ok()
        try:
            return json.loads(self.out)
        except ValueError as e:
            raise Failed(f"{self.argv}: not JSON ({e}): {self.out!r}") from e


def shell_status(returncode):
    return 128 - returncode if returncode < 0 else returncode


def command(argv, cwd=None, env=None, stdin=b"", limit=60, **popen):
    """Run to the end, with `stdin` (bytes or a file) and both outputs kept."""
    feed = stdin if isinstance(stdin, bytes) else None
    with subprocess.Popen(argv, cwd=cwd or base(), env=env or environment(),
                          stdin=subprocess.PIPE if feed is not None else stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen) as p:
        try:
            out, err = p.communicate(feed, timeout=limit)
        except subprocess.TimeoutExpired as e:
            p.kill()
            out, err = drain(p)
            raise Failed(f"still running after {limit} s: {argv}\nstdout: {out[-2000:]!r}\n"
                         f"stderr: {err[-2000:]!r}") from e
        except BaseException:
            p.kill()
            raise
    return Result(argv, shell_status(p.returncode), out, err)


def drain(p):
    """What is in the pipes of a killed process, without waiting for others that hold them."""
    got = []
    for stream in (p.stdout, p.stderr):
        os.set_blocking(stream.fileno(), False)
        got.append(stream.read() or b"")
    return got


class Project:
    """A folder with an sbx.ini.  Use as a context: on leaving, its sandbox and files are removed."""

    def __init__(self, ini=NO_NET, name="proj"):
        parent = tempfile.mkdtemp(prefix="p", dir=base())
        os.chmod(parent, 0o755)
        self.parent = parent
        if isinstance(name, bytes):
            self.dir = os.path.join(os.fsencode(parent), name)
        else:
            self.dir = os.path.join(parent, name)
        os.mkdir(self.dir)
        self.env = environment()
        if ini is not None:
            self.write("sbx.ini", ini)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        with limit_of(60):
            subprocess.run([SBX, "stop"], cwd=self.dir, env=self.env, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20)
            subprocess.run([SBX, "rm", "-f"], cwd=self.dir, env=self.env, timeout=40,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        shutil.rmtree(self.parent, ignore_errors=True)
        return False

    def path(self, name):
        if isinstance(self.dir, bytes):
            return os.path.join(self.dir, os.fsencode(name))
        return os.path.join(self.dir, name)

    def write(self, name, text, mode=None):
        path = self.path(name)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        if mode is not None:
            os.chmod(path, mode)
        return path

    def read(self, name):
        with open(self.path(name), encoding="utf-8", errors="surrogateescape") as f:
            return f.read()

    def sbx(self, *args, **kw):
        kw.setdefault("cwd", self.dir)
        kw.setdefault("env", self.env)
        return command([SBX, *args], **kw)

    def run(self, *cmd, **kw):
        return self.sbx("run", "--", *cmd, **kw)

    def sh(self, script, **kw):
        return self.run("sh", "-c", script, **kw)

    def start(self, *args, **popen):
        """`sbx ARGS…` in the background; stdin, stdout and stderr are pipes unless said otherwise."""
        for name in ("stdin", "stdout", "stderr"):
            popen.setdefault(name, subprocess.PIPE)
        popen.setdefault("cwd", self.dir)
        popen.setdefault("env", self.env)
        return subprocess.Popen([SBX, *args], bufsize=0, **popen)

    def allow(self):
        """`sbx allow`, however it asks."""
        result = self.sbx("allow", stdin=b"yes\n")
        if result.status != 0:
            result = self.sbx("allow", "--yes")
        return result.ok()

    def profile(self, text):
        """Another sbx.ini, allowed: of the user's own, or of what he asked of a stranger's."""
        self.write("sbx.ini", text)
        return self.allow()

    def fifo(self, name):
        os.mkfifo(self.path(name))
        return self.path(name)


# ---- waiting, always on an fd ----------------------------------------------------------------


def read_until(stream, wanted, limit=30):
    """Read from a raw stream (a Popen pipe or an fd) until `wanted` (bytes) was seen."""
    fd = stream if isinstance(stream, int) else stream.fileno()
    got, end = b"", time.monotonic() + limit
    while wanted not in got:
        ready, _, _ = select.select([fd], [], [], max(0, end - time.monotonic()))
        if not ready:
            raise Failed(f"waited {limit} s for {wanted!r}, got {got[-2000:]!r}")
        block = os.read(fd, 65536)
        if not block:
            raise Failed(f"end of file before {wanted!r}, got {got[-2000:]!r}")
        got += block
    return got


def open_fifo(path):
    """The reading end of a fifo; opens at once."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(fd, True)
    return fd


def wait_eof(fd, limit=10, what="the writer to go away"):
    """Read an fd to its end and return all of it."""
    got, end = b"", time.monotonic() + limit
    while True:
        ready, _, _ = select.select([fd], [], [], max(0, end - time.monotonic()))
        if not ready:
            raise Failed(f"waited {limit} s for {what}; read {got[-500:]!r}")
        block = os.read(fd, 65536)
        if not block:
            return got
        got += block


def read_ready(fd, limit, what):
    """Wait until an fd (a pidfd: until the process is gone) can be read."""
    if not select.select([fd], [], [], limit)[0]:
        raise Failed(f"waited {limit} s for {what}")


def wait_process(p, limit=15):
    """The status of a Popen as a shell counts it."""
    try:
        return shell_status(p.wait(limit))
    except subprocess.TimeoutExpired as e:
        raise Failed(f"still running after {limit} s: {p.args}") from e


def has_subids():
    for path in ("/etc/subuid", "/etc/subgid"):
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as f:
            if any(line.split(":")[0] in (USER.pw_name, str(USER.pw_uid)) for line in f):
                continue
        return False
    return True


def need_program(name):
    path = shutil.which(name, path=environment()["PATH"])
    if not path:
        raise Skip(f"the host has no {name}")
    return path


# ---- running --------------------------------------------------------------------------------


@contextlib.contextmanager
def limit_of(seconds):
    def ring(_number, _frame):
        raise TimedOut(f"time limit of {seconds} s")

    old = signal.signal(signal.SIGALRM, ring)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    begun = time.monotonic()
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, old)
        if left:
            left = max(0.1, left - (time.monotonic() - begun))
        signal.setitimer(signal.ITIMER_REAL, left)


def limit(seconds):
    """Decorator: this test's own time limit."""
    def mark(function):
        function.limit = seconds
        return function
    return mark


def diagnose(text):
    for line in text.rstrip().split("\n"):
        print("# " + line.encode("ascii", "backslashreplace").decode())


def run_one(number, name, function):
    begun = time.monotonic()
    verdict, note, detail = "ok", "", ""
    try:
        with limit_of(getattr(function, "limit", DEFAULT_LIMIT) * (3 if SANITIZED else 1)):
            function()
    except Skip as reason:
        if os.environ.get("SBX_MUST_RUN") == "1":
            verdict, detail = "not ok", f"a skip is a failure under SBX_MUST_RUN=1: {reason}"
        else:
            note = f" # SKIP {reason}"
    except Failed as failure:
        verdict, detail = "not ok", str(failure)
        frame = traceback.extract_tb(failure.__traceback__)
        detail += "".join(f"\n  {os.path.basename(f.filename)}:{f.lineno} {f.line}" for f in frame[1:])
    except (Exception, TimedOut):
        verdict, detail = "not ok", traceback.format_exc()
    if detail:
        diagnose(detail)
    print(f"{verdict} {number} - {name}{note}")
    print(f"# {time.monotonic() - begun:.2f} s", flush=True)
    return verdict == "ok"


def clean_up():
    """Forget every environment (its files may belong to subordinate ids), then remove the folder."""
    if _base is None:
        return
    listed = subprocess.run([SBX, "list", "--json"], cwd=_base, env=environment(), timeout=30,
                            check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with contextlib.suppress(ValueError):
        for one in json.loads(listed.stdout):
            for words in (["stop"], ["rm", "-f"]):
                subprocess.run([SBX, *words, one["id"]], cwd=_base, env=environment(),
                               check=False, capture_output=True, timeout=60)
    # What layers hold may belong to any id, and be closed to everybody.
    who = ["--map-root-user"] + (["--map-auto"] if has_subids() else [])
    subprocess.run(["unshare", "--user", *who, "rm", "-rf", _base], check=False, timeout=300,
                   stdin=subprocess.DEVNULL, capture_output=True)
    shutil.rmtree(_base, ignore_errors=True)
    if os.path.exists(_base):
        diagnose(f"could not remove {_base}: {os.listdir(_base)}")


def main(module_name):
    """Run the tests of the calling file, or those named on the command line."""
    global SBX
    if module_name != "__main__":
        return
    if os.geteuid() == 0:
        sys.exit("harness: run these as an ordinary user: tests/as-user sub|one FILE")
    SBX = sbx_path()
    os.umask(0o022)
    # As for a command at a terminal, although whoever runs the tests in the background may ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    module = sys.modules["__main__"]
    tests = [(n, f) for n, f in vars(module).items() if n.startswith("test_") and callable(f)]
    if len(sys.argv) > 1:
        tests = [(n, f) for n, f in tests if any(word in n for word in sys.argv[1:])]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    try:
        for number, (name, function) in enumerate(tests, 1):
            failed += not run_one(number, name, function)
    finally:
        clean_up()
    sys.exit(1 if failed else 0)
