"""Sum up meson's test logs (JSON lines): reasons of skips, names of failures, one closing line.

A test counts as meson counts it.  One of which only parts were skipped has passed, but under
SBX_MUST_RUN=1 any skip is a failure.
"""

import json
import os
import re
import sys

SKIPPED_PART = re.compile(r"^ok\b.*?#\s*skip\b:?\s*(.*)$", re.I | re.M)


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


def main(paths):
    must_run = os.environ.get("SBX_MUST_RUN") == "1"
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for path in paths:
        build = os.path.basename(path).rsplit(".", 1)[0]
        with open(path, encoding="utf-8", errors="replace") as f:
            entries = [json.loads(line) for line in f if line.strip()]
        for entry in entries:
            kind, reasons = classify(entry, must_run)
            count[kind] += 1
            for reason in reasons:
                print(f"skipped: {build}: {entry['name']}: {reason}")
            if kind == "failed":
                why = "a skip, and SBX_MUST_RUN=1" if reasons else entry["result"]
                print(f"failed: {build}: {entry['name']}: {why}")
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
