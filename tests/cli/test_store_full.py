#!/usr/bin/python3
"""A store on a file system of 16 MiB that is full: an error, nothing lost, and it works again with more room.

The file system is a tmpfs in a user namespace of this test's own, so there is one id only and the kind of
user makes no difference.
"""

import contextlib
import os
import subprocess
import sys

import harness
import layers
from harness import Skip, check, equal, limit, match

INSIDE = "SBX_TEST_FULL"
FINER = 8 if layers.SOAK else 1
MIB16 = 16 << 10

CHANGE = "mkdir -p /opt/full; head -c 3000000 /dev/urandom > /opt/full/big; for i in $(seq 60); do echo $i > /opt/full/$i; done"


def enter():
    """This file again, in a user and mount namespace of its own."""
    words = ["unshare", "--user", "--map-current-user", "--keep-caps", "--mount"]
    probe = subprocess.run(words + ["true"], capture_output=True, check=False)
    if probe.returncode == 0:
        os.environ[INSIDE] = "1"
        os.execvp(words[0], words + [sys.executable, *sys.argv])


def mounted(kib):
    """A tmpfs of that size, with a place for a store."""
    path = os.path.join(harness.base(), "small")
    os.makedirs(path, exist_ok=True)
    options = f"size={kib}k,mode=0755"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "small", path], capture_output=True,
                          check=False)
    if done.returncode != 0:
        raise Skip(f"no tmpfs in a user namespace: {done.stderr.decode()}")
    try:
        os.setxattr(path, "user.probe", b"x")
    except OSError as e:
        subprocess.run(["umount", "-l", path], check=True)
        raise Skip(f"a tmpfs keeps no user attributes here: {e}") from e
    return path


def resize(path, kib):
    """As large as that, or as what is in use."""
    done = subprocess.run(["mount", "-o", f"remount,size={kib}k", path], capture_output=True, check=False)
    return done.returncode == 0


def used(path):
    st = os.statvfs(path)
    return (st.f_blocks - st.f_bfree) * st.f_frsize >> 10


def prepared(p, path):
    p.env["XDG_DATA_HOME"] = os.path.join(path, "data")
    layers.as_root(p, "mkdir -p /opt/full; echo kept > /opt/full/kept").ok()
    p.sbx("stop")
    return layers.commit(p, "-m", "kept", "-t", "kept")


def steps(words, step, warm=False):
    """The command with no room at all, and with `step` KiB more each time until it works."""
    if INSIDE not in os.environ:
        raise Skip("no user namespaces for this user")
    failed = worked = 0
    path = mounted(MIB16)
    try:
        with layers.project() as p, contextlib.ExitStack() as stack:
            first = prepared(p, path)
            layers.as_root(p, CHANGE).ok()
            tree = layers.as_root(p, layers.LOOK).ok().out
            if warm:
                stack.callback(layers.Busy(p).close)
            room = used(path)
            limit_kib = room
            while not worked and limit_kib <= room + 8192:
                check(resize(path, max(limit_kib, used(path))), "another size")
                done = p.sbx(*words)
                if done.status == 0:
                    worked += 1
                else:
                    failed += 1
                    check("No space left" in done.err or "no space" in done.err.lower(), done.err)
                resize(path, MIB16)
                p.sbx("fsck").ok()
                check(first in layers.log(p), "the older layer is in the log")
                equal(layers.as_root(p, layers.LOOK).ok().out, tree, f"the tree, at {limit_kib} KiB")
                limit_kib += step
            stack.close()
            p.sbx(*words).ok()
            p.sbx("stop")
            p.sbx("gc", "--all").ok()
            p.sbx("fsck").ok()
            equal(layers.litter(layers.store_of(p)), [], "litter")
            harness.diagnose(f"{' '.join(words[:1])}: {failed} sizes too small, {worked} large enough")
            check(worked, "there was room in the end")
            check(failed, "there were sizes that do not do")
    finally:
        subprocess.run(["umount", "-l", path], check=False)


@limit(1800)
def test_commit_in_a_full_store():
    """A commit of a stopped environment renames: it needs but little."""
    steps(["commit", "-m", "x"], 4)


@limit(1800)
def test_running_commit_in_a_full_store():
    """A commit of a running one copies; where there is no room it fails, and nothing is lost."""
    steps(["commit", "-m", "x"], 512 // FINER, warm=True)


@limit(60)
def test_a_store_without_attributes():
    """On a file system that keeps no user attributes no environment is made, and the hint says what is needed."""
    if INSIDE not in os.environ:
        raise Skip("no user namespaces for this user")
    path = os.path.join(harness.base(), "bare")
    os.makedirs(path)
    subprocess.run(["mount", "-t", "ramfs", "bare", path], check=True)
    try:
        with layers.project() as p:
            p.env["XDG_DATA_HOME"] = os.path.join(path, "data")
            done = p.run("true").ok(125)
            match(r"cannot make the environment '.*': cannot keep attributes of files there: Operation not supported",
                  done.err, "the message")
            match(r"hint: the store needs a filesystem with user attributes \(user.\*\): set XDG_DATA_HOME to a folder on one",
                  done.err, "the hint")
            equal([os.listdir(os.path.join(path, "data/sbx", name)) for name in ("envs", "tmp")], [[], []], "what is left")
    finally:
        subprocess.run(["umount", "-l", path], check=False)


@limit(600)
def test_writing_into_a_full_store():
    """What runs inside gets ENOSPC; the environment is none the worse for it."""
    if INSIDE not in os.environ:
        raise Skip("no user namespaces for this user")
    path = mounted(MIB16)
    try:
        with layers.project() as p:
            prepared(p, path)
            done = layers.as_root(p, "head -c 40000000 /dev/zero > /opt/full/huge")
            check(done.status != 0 and "No space left" in done.err, done.err)
            p.sbx("stop")
            done = p.sbx("reset", "kept")
            check(done.status == 0 or "No space left" in done.err, done.err)
            layers.as_root(p, "rm -f /opt/full/huge").ok()
            p.sbx("reset", "kept").ok()
            p.sbx("gc", "--all").ok()
            equal(layers.as_root(p, "ls /opt/full").ok().out, "kept\n", "what is there")
            check(used(path) < 2048, f"the room is back: {used(path)} KiB in use")
    finally:
        subprocess.run(["umount", "-l", path], check=False)


if INSIDE not in os.environ and os.geteuid() != 0:
    enter()
harness.main(__name__)
