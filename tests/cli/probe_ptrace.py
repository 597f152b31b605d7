"""Runs inside: tries every way into every process that is not of its own, until stdin ends (A6).

A process is fair game from its own exec on; before, it is a copy of pid 1's, and each way in has
to be closed.  One that ends has no memory left to protect: the kernel lets its kin look.  Prints
JSON: how often a way was open or closed, and what was open too early.
"""

import ctypes
import errno
import json
import os
import select
import sys

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL, PF_EXITING = 0x40000000, 4
CLOSED = {errno.EPERM, errno.EACCES, errno.ESRCH, errno.ENOENT}

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


libc.process_vm_readv.argtypes = [ctypes.c_int, ctypes.POINTER(IoVec), ctypes.c_ulong,
                                  ctypes.POINTER(IoVec), ctypes.c_ulong, ctypes.c_ulong]
libc.process_vm_readv.restype = ctypes.c_ssize_t

counts = {"open": {}, "closed": {}, "pids": 0}
early = []


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return ""


def is_sbx(pid):
    """Is it a process of sbx's still, that has had no exec and is not about to end?"""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            name, rest = f.read().split(b"(", 1)[1].rsplit(b")", 1)
    except (OSError, ValueError):
        return False
    return name.startswith(b"sbx-") and not int(rest.split()[6]) & PF_EXITING


def seize(pid):
    if libc.ptrace(PTRACE_SEIZE, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), "seize")
    libc.ptrace(PTRACE_INTERRUPT, pid, None, None)
    try:
        _, status = os.waitpid(pid, WALL)
    except ChildProcessError:
        return
    if not os.WIFSTOPPED(status):
        return
    # It stands still: what it is now, it was when it was seized.
    if is_sbx(pid):
        early.append(f"seize {comm(pid)}")
    libc.ptrace(PTRACE_DETACH, pid, None, None)


def readv(pid):
    """Where it may be read at all, this address, which is in no process, is a fault."""
    room = ctypes.create_string_buffer(8)
    here = IoVec(ctypes.addressof(room), 8)
    there = IoVec(8, 8)
    if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) < 0:
        number = ctypes.get_errno()
        if number != errno.EFAULT:
            raise OSError(number, "process_vm_readv")


def open_file(name):
    def way(pid):
        # Opening asks for the right, and pins the memory that is read then.
        with open(f"/proc/{pid}/{name}", "rb", buffering=0) as f:
            text = f.read(65536) if name != "mem" else b""
        if name == "maps" and b"/sbx\n" in text:
            early.append("maps of sbx")
    return way


def link(name):
    return lambda pid: os.readlink(f"/proc/{pid}/{name}")


def fds(pid):
    for name in os.listdir(f"/proc/{pid}/fd"):
        target = os.readlink(f"/proc/{pid}/fd/{name}")
        # From the exec on there are 0, 1 and 2, and the files that it opens; sudo has sockets.
        if int(name) > 2 and not target.startswith("/") and comm(pid) not in ("sudo", ""):
            early.append(f"fd {target}")


WAYS = {"mem": open_file("mem"), "environ": open_file("environ"), "maps": open_file("maps"),
        "fd": fds, "cwd": link("cwd"), "root": link("root"), "exe": link("exe"),
        "process_vm_readv": readv, "seize": seize}


def attack(pid):
    for name, way in WAYS.items():
        was_sbx = is_sbx(pid)
        try:
            way(pid)
        except OSError as e:
            if e.errno not in CLOSED:
                early.append(f"{name}: {e}")
            counts["closed"][name] = counts["closed"].get(name, 0) + 1
            continue
        counts["open"][name] = counts["open"].get(name, 0) + 1
        # Twice: between the two an exec cannot be just at its end.
        if was_sbx and is_sbx(pid):
            try:
                way(pid)
            except OSError:
                continue
            if is_sbx(pid):
                early.append(f"{name} of {comm(pid)}")


def main():
    own = {os.getpid()}
    pid = os.getppid()
    while pid > 1:
        own.add(pid)
        with open(f"/proc/{pid}/stat", "rb") as f:
            pid = int(f.read().rsplit(b")", 1)[1].split()[1])
        # The shim above is attacked, too.
        if is_sbx(pid):
            break
    seen = set()
    print("up", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        now = {int(name) for name in os.listdir("/proc") if name.isdigit()} - own
        # Newest first: they are to be met before their exec.
        for pid in sorted(now, reverse=True):
            attack(pid)
        counts["pids"] += len(now - seen)
        seen = now
    print(json.dumps({"counts": counts, "early": sorted(set(early))}))


main()
