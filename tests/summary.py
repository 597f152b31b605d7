"""Sum up meson's test logs (JSON lines): reasons of skips, what failed and why, one closing line.

A test counts as meson counts it.  One of which only parts were skipped has passed, but under
SBX_MUST_RUN=1 any skip is a failure.  Who reads the end of a long record finds all of it there: of each
failed test, the failing subtests and what they said, as far as DETAIL_LINES for all of them goes.
"""

import json
import os
import re
import sys

DETAIL_LINES = 100      # of all failed tests
DETAIL_MOST = 40        # of one
DETAIL_LEAST = 6
LINE_MOST = 600

SKIPPED_PART = re.compile(r"^ok\b.*?#\s*skip\b:?\s*(.*)$", re.I | re.M)
VERDICT = re.compile(r"(not )?ok\b")
SPENT = re.compile(r"# [\d.]+ s$")


def classify(entry, must_run):
    """'passed', 'failed' or 'skipped', and the reasons of skips."""
    text = f"{entry.get('stdout') or ''}\n{entry.get('stderr') or ''}"
    result = entry["result"]
    reasons = SKIPPED_PART.findall(text)
    if result == "SKIP" and not reasons:
        reasons = [line for line in text.splitlines() if "skip" in line.lower()] or ["no reason given"]
    if result == "SKIP" or (reasons and result == "OK"):
        if must_run:
            return "failed", reasons
        return ("skipped" if result == "SKIP" else "passed"), reasons
    return ("passed" if result in ("OK", "EXPECTEDFAIL") else "failed"), []


def failing_parts(stdout):
    """The lines of each `not ok` and of what was said about it.

    cmocka says why after the verdict; tests/cli/harness.py before it, and ends with the time it took.
    """
    parts, said, verdict = [], [], None
    for line in stdout.splitlines() + ["ok"]:
        if VERDICT.match(line):
            if verdict:
                parts.append([verdict] + said)
                said = []
            if line.startswith("not "):
                verdict = line
            else:
                verdict, said = None, []
        elif SPENT.match(line):
            if verdict:
                parts.append([verdict] + said)
            verdict, said = None, []
        elif not re.match(r"1\.\.\d|TAP version", line):
            said.append(line)
    return parts


def cut(lines, most):
    """So many lines, from both ends, where the cause and the place stand."""
    lines = [line if len(line) <= LINE_MOST else f"{line[:LINE_MOST // 2]} … {line[-LINE_MOST // 2:]}"
             for line in lines]
    if len(lines) <= most:
        return lines
    head = most * 2 // 3
    return lines[:head] + [f"… {len(lines) - most + 1} lines …"] + lines[len(lines) - most + head + 1:]


def detail(entry, most):
    """What a failed test said of its failure."""
    stdout, stderr = (entry.get(name) or "" for name in ("stdout", "stderr"))
    parts = failing_parts(stdout)
    if not parts or entry["result"] in ("TIMEOUT", "INTERRUPT"):
        # It crashed, hung, or is no TAP: its last words.
        parts.append(stdout.splitlines()[-most:])
    each = max(DETAIL_LEAST, most // (len(parts) + bool(stderr)))
    lines = [line for part in parts for line in cut(part, each)]
    return cut(lines, most) + cut(stderr.splitlines(), max(DETAIL_LEAST, most - len(lines)))


def read(paths):
    """(build, entry) of all logs."""
    for path in paths:
        build = os.path.basename(path).rsplit(".", 1)[0]
        with open(path, encoding="utf-8", errors="replace") as f:
            for line in f:
                if line.strip():
                    yield build, json.loads(line)


def main(paths):
    must_run = os.environ.get("SBX_MUST_RUN") == "1"
    count = {"passed": 0, "failed": 0, "skipped": 0}
    failed = []
    for build, entry in read(paths):
        kind, reasons = classify(entry, must_run)
        count[kind] += 1
        for reason in reasons:
            print(f"skipped: {build}: {entry['name']}: {reason}")
        if kind == "failed":
            why = "a skip, and SBX_MUST_RUN=1" if reasons else entry["result"]
            failed.append((f"failed: {build}: {entry['name']}: {why}", entry))
    most = max(DETAIL_LEAST, min(DETAIL_MOST, DETAIL_LINES // (len(failed) or 1)))
    for line, entry in failed:
        print(line, *detail(entry, most), sep="\n    ")
    # Once more, together.
    for line, _ in failed if len(failed) > 1 else []:
        print(line)
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
