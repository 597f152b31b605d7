"""Runs inside: exchanges pairs of paths, over and over, until stdin ends (A2).  Prints how often."""

import ctypes
import os
import select
import sys

AT_FDCWD, RENAME_EXCHANGE = -100, 2
libc = ctypes.CDLL(None, use_errno=True)
pairs = [(os.fsencode(a), os.fsencode(b)) for a, b in zip(sys.argv[1::2], sys.argv[2::2])]
n = 0
print("up", flush=True)
while n % 64 or not select.select([sys.stdin], [], [], 0)[0]:
    for a, b in pairs:
        if libc.renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) < 0:
            sys.exit(f"renameat2 {a} {b}: {os.strerror(ctypes.get_errno())}")
    n += 1
print(n)
