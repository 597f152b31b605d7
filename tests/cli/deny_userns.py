#!/usr/bin/python3
"""Run a command where no user namespace can be made: a stand-in for a kernel set up that way.

A seccomp filter answers unshare and clone with CLONE_NEWUSER with EPERM, and clone3, whose flags
a filter cannot see, with ENOSYS (so that callers fall back to clone).
"""

import ctypes
import errno
import os
import platform
import struct
import sys

NUMBERS = {"x86_64": (0xC000003E, 272, 56, 435), "aarch64": (0xC00000B7, 97, 220, 435)}
CLONE_NEWUSER = 0x10000000
PR_SET_SECCOMP, SECCOMP_MODE_FILTER, PR_SET_NO_NEW_PRIVS = 22, 2, 38
LOAD, EQUAL, ANDED, RETURN = 0x20, 0x15, 0x45, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def program():
    arch, unshare, clone, clone3 = NUMBERS[platform.machine()]
    # struct seccomp_data: nr at 0, arch at 4, low half of args[0] at 16: seccomp(2).
    return [
        (LOAD, 0, 0, 4), (EQUAL, 0, 8, arch),
        (LOAD, 0, 0, 0), (EQUAL, 5, 0, clone3), (EQUAL, 1, 0, unshare), (EQUAL, 0, 4, clone),
        (LOAD, 0, 0, 16), (ANDED, 0, 2, CLONE_NEWUSER),
        (RETURN, 0, 0, ERRNO | errno.EPERM),
        (RETURN, 0, 0, ERRNO | errno.ENOSYS),
        (RETURN, 0, 0, ALLOW),
    ]


class Fprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def deny():
    code = b"".join(struct.pack("=HBBI", *line) for line in program())
    libc = ctypes.CDLL(None, use_errno=True)
    fprog = Fprog(len(code) // 8, code)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or \
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(fprog), 0, 0):
        sys.exit(f"deny_userns: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    deny()
    os.execvp(sys.argv[1], sys.argv[1:])
