"""Runs inside: calls on processes of the host by their numbers (B10).  Prints JSON: number → answers."""

import ctypes
import errno
import json
import os
import resource
import signal
import sys

libc = ctypes.CDLL(None, use_errno=True)


def answer(call):
    try:
        call()
    except OSError as e:
        return errno.errorcode[e.errno]
    return "done"


def calls(pid):
    return {
        "kill": lambda: os.kill(pid, signal.SIGKILL),
        "kill of the group": lambda: os.kill(-pid, signal.SIGKILL),
        "pidfd_open": lambda: os.pidfd_open(pid),
        "prlimit": lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE),
        "setpriority": lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
        "sched_setscheduler": lambda: os.sched_setscheduler(pid, os.SCHED_OTHER,
                                                            os.sched_param(0)),
        "getpgid": lambda: os.getpgid(pid),
        "open": lambda: os.listdir(f"/proc/{pid}"),
    }


print(json.dumps({pid: {name: answer(call) for name, call in calls(int(pid)).items()}
                  for pid in sys.argv[1:]}))
