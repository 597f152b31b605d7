#!/usr/bin/python3
"""power.py sub|one — run test_powercut.py as that user, and cut its power whenever it asks.

Root's part of the test: a disk in a file, behind a loop device, in a mount namespace of its own.  The cut is
the file system's shutdown (ext4 and xfs: FS_IOC_SHUTDOWN without flushing the log, as xfstests does it), or a
copy of the disk at that moment where there is none (btrfs): what was not written to the disk until then is
lost.  Nothing is written behind the test's back: the journal's interval is longer than a test.

The test asks by lines on a socket, and each is answered with "ok" or what is wrong:

    new FS    an empty file system, mounted, which belongs to the user
    save      what is there now is what `fresh` gives
    fresh     the saved state, mounted
    cut       the power is gone
    boot      mounted again, as after a power cut
"""

import array
import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
CLONE_NEWNS = 0x00020000
SIZE = {"ext4": 256 << 20, "xfs": 320 << 20, "btrfs": 256 << 20}
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"],
        "xfs": ["mkfs.xfs", "-q", "-f"], "btrfs": ["mkfs.btrfs", "-q", "-f", "-m", "single"]}
BUSY_S = 20
OPTIONS = {"ext4": "loop,commit=1000", "xfs": "loop", "btrfs": "loop,commit=1000"}


class Disk:
    def __init__(self, folder, uid):
        self.dir, self.uid, self.fs, self.cut_done = folder, uid, None, False
        self.image, self.saved = os.path.join(folder, "disk"), os.path.join(folder, "saved")
        self.mnt = os.path.join(folder, "mnt")
        os.mkdir(self.mnt)

    def mount(self):
        run("mount", "-t", self.fs, "-o", OPTIONS[self.fs], self.image, self.mnt)

    def umount(self):
        # Not ismount(): it cannot look at a file system that was shut down.
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as f:
            mounted = f" {self.mnt} " in f.read()
        # Who held it was killed just before.
        end = time.monotonic() + BUSY_S
        while mounted:
            try:
                run("umount", self.mnt)
                return
            except OSError as e:
                if "busy" not in str(e) or time.monotonic() > end:
                    raise
            time.sleep(0.02)  # polls: nobody tells of the end of what is not his child

    def new(self, fs):
        if not shutil.which(MAKE[fs][0]):
            return f"no {MAKE[fs][0]}"
        if not os.path.exists("/dev/loop-control"):
            return "no loop device"
        self.umount()
        self.fs = fs
        with open(self.image, "wb") as f:
            f.truncate(SIZE[fs])
        run(*MAKE[fs], self.image)
        self.mount()
        os.chown(self.mnt, self.uid, -1)
        return "ok"

    def save(self):
        self.umount()
        copy(self.image, self.saved)
        self.mount()
        return "ok"

    def fresh(self):
        self.umount()
        copy(self.saved, self.image)
        self.mount()
        return "ok"

    def cut(self):
        if self.fs == "btrfs":
            copy(self.image, self.image + ".cut")
            return "ok"
        fd = os.open(self.mnt, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, array.array("I", [NO_LOG_FLUSH]))
        finally:
            os.close(fd)
        return "ok"

    def boot(self):
        self.umount()
        if self.fs == "btrfs":
            os.rename(self.image + ".cut", self.image)
        self.mount()
        return "ok"


def run(*words):
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{words}: {done.stderr.decode(errors='replace')}")


def copy(source, target):
    run("cp", "--sparse=always", source, target)


def serve(disk, conn):
    with conn.makefile("rw") as lines:
        for line in lines:
            words = line.split()
            try:
                answer = getattr(disk, words[0])(*words[1:])
            except OSError as e:
                answer = f"{words[0]}: {e}".replace("\n", " ")
            lines.write(answer + "\n")
            lines.flush()


def main():
    rung = sys.argv[1]
    if os.geteuid() != 0:
        print("1..0 # SKIP only root can mount a disk")
        sys.exit(1 if os.environ.get("SBX_MUST_RUN") == "1" else 0)
    user = os.environ.get("SBX_TEST_USER_" + rung.upper(), "sbxtest-" + rung)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        sys.exit("power.py: no mount namespace of its own")
    run("mount", "--make-rprivate", "/")
    folder = tempfile.mkdtemp(prefix="sbx-power-", dir="/var/tmp")
    os.chmod(folder, 0o755)
    disk = Disk(folder, pwd.getpwnam(user).pw_uid)
    ours, theirs = socket.socketpair()
    test = subprocess.Popen([os.path.join(HERE, "../as-user"), rung,
                             os.path.join(HERE, "test_powercut.py"), f"--power={theirs.fileno()}",
                             f"--disk={disk.mnt}", *sys.argv[2:]], pass_fds=[theirs.fileno()])
    theirs.close()
    try:
        serve(disk, ours)
    finally:
        status = test.wait()
        with contextlib.suppress(OSError):
            disk.umount()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
