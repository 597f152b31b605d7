"""suites.py LOGS BUILD… [-- ARG…] — run meson's suites, and keep each run's log in the folder LOGS.

A BUILD is NAME=FOLDER=STAGE=FACTOR: what it is called, where it is built, the copy that users can read
(tests/as-user) and by what meson's time limits are multiplied.  Its name says what is left out of it.

The tests of tests/cli belong to two users, and some of them count their user's processes.  So the tests of one user
run one after another, and those of the two users side by side, through all builds; clang-tidy joins the lane that
has less to do.  What belongs to no user runs before, on all cores.  With ARGs, each build is tested by one
`meson test` with them.

Not by the shell: what it starts in the background ignores SIGINT, and so would the tests.
"""

import collections
import json
import os
import shutil
import subprocess
import sys
import threading

Build = collections.namedtuple("Build", "name folder stage factor")

USERS = ("cli-sub", "cli-one")
SLOW = "tidy"
LEFT_OUT = {"plain": ["soak"], "sanitized": ["soak", "heavy"], "soak": []}


class Suites:
    def __init__(self, logs):
        self.logs = logs
        self.lock = threading.Lock()
        self.running = set()
        self.stopped = False

    def run(self, build, what, *args):
        """One `meson test`; its lines on stderr, its log under the name of the run."""
        name = f"{build.name}-{what}" if what else build.name
        log = os.path.join(build.folder, "meson-logs", f"testlog-{name}.json")
        if os.path.exists(log):
            os.unlink(log)
        words = ["meson", "test", "-C", build.folder, "--no-rebuild", "--print-errorlogs", "--logbase", f"testlog-{name}",
                 "-t", build.factor, *args]
        with self.lock:
            if self.stopped:
                return
            p = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 env=dict(os.environ, SBX_TEST_STAGE=build.stage))
            self.running.add(p)
        for line in p.stdout:
            text = line.decode(errors="replace").rstrip("\r\n")
            print(f"{name}: {text}" if text else "", file=sys.stderr, flush=True)
        p.wait()
        with self.lock:
            self.running.discard(p)
        self.keep(log, os.path.join(self.logs, name + ".json"), p.returncode)

    def keep(self, log, kept, status):
        """A run without a log is a failure, unless there was nothing for it to do."""
        if os.path.exists(log):
            shutil.copy(log, kept)
        elif status != 0:
            with open(kept, "w", encoding="utf-8") as f:
                json.dump({"name": "meson test", "result": "FAIL", "stdout": f"it left no log, status {status}"}, f)

    def lane(self, runs):
        for build, what, args in runs:
            self.run(build, what, *args)

    def side_by_side(self, lanes):
        threads = [threading.Thread(target=self.lane, args=(lane,)) for lane in lanes]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            with self.lock:
                self.stopped = True
                for p in self.running:
                    p.terminate()
            raise


def without(build, *suites):
    return [word for suite in [*LEFT_OUT[build.name], *suites] for word in ("--no-suite", suite)]


def main(argv):
    logs, *words = argv
    args = None
    if "--" in words:
        at = words.index("--")
        words, args = words[:at], words[at + 1:]
    builds = [Build(*word.split("=")) for word in words]
    suites = Suites(logs)
    if args:
        for build in builds:
            suites.run(build, "", *without(build), *args)
        return
    for build in builds:
        suites.run(build, "rest", *without(build, *USERS, SLOW))
    lanes = {user: [(build, user, [*without(build), "--suite", user, "--num-processes", "1"]) for build in builds]
             for user in USERS}
    # Object files of the sanitized build are not linted: one run says all.
    lanes["cli-one"].append((builds[0], SLOW, ["--suite", SLOW]))
    suites.side_by_side(lanes.values())


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
