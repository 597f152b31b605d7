"""What the tests of the threat model share: the canary, a small root, probes, odd text.

The canary is a secret in a file (0600) and in the environment of a process of the host's; its
folder lies beside the projects.  Nothing in a sandbox may read it, and nothing that is built may be
made outside of the store and the project, which a listing before and after tells.
"""

import contextlib
import os
import re
import secrets
import shutil
import stat
import subprocess
import unicodedata

import harness
import procs
from harness import Failed, check, equal

SOAK = os.environ.get("SBX_SOAK") == "1"
QUICK = harness.NO_NET + "[sandbox]\nlinger = 0s\n"
HERE = os.path.dirname(os.path.abspath(__file__))

# What the small root holds, from the host: enough for a shell that looks around.
TOOLS = ("sh", "cat", "env", "id", "ln", "ls", "mkdir", "rm", "true")


def listing(folder, without=()):
    """Every path below a folder, with what tells whether it was changed."""
    found = {}
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if os.path.join(at, name) not in without]
        for name in folders + names:
            path = os.path.join(at, name)
            with contextlib.suppress(FileNotFoundError):
                st = os.lstat(path)
                size = 0 if stat.S_ISDIR(st.st_mode) else st.st_size
                found[path] = (oct(st.st_mode), st.st_uid, st.st_gid, size, st.st_mtime_ns,
                               os.readlink(path) if stat.S_ISLNK(st.st_mode) else None)
    return found


class Canary:
    """`with Canary() as c:` … c.unseen(result): nothing of it was seen, nor anything made beside it."""

    def __init__(self, project=None):
        self.text = "canary" + secrets.token_hex(16)
        self.dir = os.path.join(harness.base(), "secret" + secrets.token_hex(3))
        self.file = os.path.join(self.dir, "canary")
        self.project = project

    def __enter__(self):
        make_template()
        os.makedirs(os.path.join(self.dir, "inner"))
        for path in (self.file, os.path.join(self.dir, "inner/canary")):
            with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as f:
                f.write(self.text + "\n")
            # Older than the last change: then the next reading would move it, relatime or not.
            os.utime(path, (1, 2))
        self.process = subprocess.Popen(["sleep", "4000"], stdin=subprocess.DEVNULL,
                                        env={"PATH": "/usr/bin:/bin", "SBX_CANARY": self.text})
        self.before = self.look()
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
        return False

    def look(self):
        without = [os.path.join(harness.base(), name) for name in ("data", "config")]
        if self.project:
            without.append(self.project.parent)
        found = listing(harness.base(), without)
        # Other test files may run at the same time, each in a folder of its own.
        for folder in ("/", "/home", harness.USER.pw_dir):
            for name in os.listdir(folder):
                path = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    if not name.startswith("sbx-test-") and os.lstat(path).st_uid == os.getuid():
                        found[path] = None
        return found

    def unseen(self, result=None):
        """The canary was not read, also not by sbx itself; nothing was changed or made."""
        if result is not None:
            check(self.text not in result.out, f"the canary came out: {result.argv} {result.out!r}")
            check(self.text not in result.err, f"the canary came out: {result.argv} {result.err!r}")
        for path in (self.file, os.path.join(self.dir, "inner/canary")):
            equal(os.stat(path).st_atime, 1.0, f"the time when {path} was read")
        after = self.look()
        changed = {p for p in self.before.keys() | after.keys()
                   if self.before.get(p, "") != after.get(p, "")}
        equal(sorted(changed), [], "paths outside that were made or changed")
        check(self.process.poll() is None, "the process of the host is alive")


_template = None


def copy_libraries(program):
    """What a program loads; nothing where it is static."""
    listed = harness.command([harness.need_program("ldd"), program]).out
    for library in re.findall(r"(/\S+) \(0x", listed):
        copy(os.path.realpath(library), library)


def copy_libraries_of_sudo():
    """The helper is static, but for the sanitizers' sake, and then it needs theirs in any root."""
    for name in ("../libexec/sbx/sudo", "../run/sudo"):
        program = os.path.normpath(os.path.join(os.path.dirname(harness.SBX), name))
        if os.path.exists(program):
            copy_libraries(program)


def make_template():
    """What small_root copies."""
    global _template
    if _template is not None:
        return
    _template = os.path.join(harness.base(), "template")
    for name in ("etc", "usr/bin", "var", "opt", "home", "tmp"):
        os.makedirs(os.path.join(_template, name))
    for name in TOOLS:
        program = os.path.realpath(harness.need_program(name))
        copy(program, "/usr/bin/" + name)
        copy_libraries(program)
    copy_libraries_of_sudo()
    for name in ("bin", "lib", "lib64"):
        if os.path.isdir(os.path.join(_template, "usr", name)):
            os.symlink("usr/" + name, os.path.join(_template, name))
    for name, text in (("passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("group", "root:x:0:\n")):
        with open(os.path.join(_template, "etc", name), "w", encoding="ascii") as f:
            f.write(text)


def small_root(path):
    """A root in a folder: the host's shell and a few tools with their libraries, and an /etc."""
    make_template()
    subprocess.run(["cp", "-al", _template, path], check=True)
    return path


def copy(source, target):
    """Into the template; what is in /lib goes to /usr/lib, as on most systems."""
    target = os.path.normpath(target)
    if not target.startswith("/usr/"):
        target = "/usr" + target
    target = _template + target
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if not os.path.exists(target):
        shutil.copy(source, target)


def sandbox_of(project):
    """Its processes; the shim of a command that has just ended may go while they are counted."""
    def look():
        with contextlib.suppress(ProcessLookupError):
            return procs.Sandbox(project)
        return None

    return procs.until(look, 5, "the processes of the sandbox")


def probe(project, name, *args, prefix=(), **kw):
    """Run tests/cli/probe_NAME.py inside, in a copy that lies in the project."""
    place_probe(project, name)
    return project.run(*prefix, harness.need_program("python3"), f"probe_{name}.py", *args, **kw)


def place_probe(project, name):
    shutil.copy(os.path.join(HERE, f"probe_{name}.py"), project.path(f"probe_{name}.py"))


def no_raw(raw, what):
    """Nothing that a terminal would act on: no control byte but newline, nothing that turns text."""
    for c in raw.decode(errors="surrogateescape"):
        if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            raise Failed(f"{what}: U+{ord(c):04X} in {raw!r}")


def refused(result, pattern, status=125):
    """sbx said no in words of its own, and nothing ran inside."""
    equal(result.status, status, f"status of {result.argv} ({result.out!r}, {result.err!r})")
    equal(result.out, "", "what ran inside")
    harness.match(pattern, result.err, "the message")
    no_raw(result.raw_err, "the message")
