#!/usr/bin/env python3
"""Check one house rule (CONTRIBUTING.md) on the source tree.

    lint.py RULE --root DIR [--build DIR] [--cc CC …]
    lint.py --self-test        each rule against a bad and a good sample (samples.py)
    lint.py --list
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import rules_build as b
import rules_tests as t
import rules_text as x
from scan import Tree

RULES = {
    "layers": x.layers, "calls-down": b.calls_down, "headers": b.headers,
    "function-size": x.function_size, "file-length": x.file_length, "err-last": x.err_last,
    "exits": x.exits, "printing": x.printing, "hints": t.hints, "cleanup": x.cleanup,
    "goto": x.goto, "done-free": t.done_free, "state": b.state, "cloexec": x.cloexec,
    "by-fd": x.by_fd, "banned": x.banned, "commands": t.commands, "pure": b.pure,
    "unit-tests": t.unit_tests, "fuzz-targets": t.fuzz_targets, "no-sleep": t.no_sleep,
    "err-plain": t.err_plain, "format": b.clang_format, "man": b.man_pages, "tidy": b.clang_tidy,
}
TOOLS = {"format": "clang-format", "man": "mandoc", "tidy": "clang-tidy"}
SKIP = 77


def objects_of(root, build):
    """The objects of src/ that the build has made, by their source."""
    found = {}
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        for entry in json.load(f):
            path = os.path.relpath(os.path.join(entry["directory"], entry["file"]), root)
            obj = os.path.join(entry["directory"], entry.get("output", ""))
            if path.startswith("src/") and path.endswith(".c") and os.path.exists(obj):
                found[path] = obj
    return found


def check(rule, tree):
    """Print what the rule finds; the number of findings."""
    n = 0
    for path, line, message in RULES[rule](tree):
        n += 1
        print(f"{path}:{line}: {message}")
    return n


def sample_tree(folder, files):
    for path, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
        with open(os.path.join(folder, path), "w", encoding="utf-8") as f:
            f.write(text)
    tree = Tree(folder)
    tree.build = folder
    database = []
    for path in tree.files(".c"):
        obj = os.path.join(folder, path.replace("/", "_") + ".o")
        command = ["cc", "-w", "-std=c11", "-D_GNU_SOURCE", "-fPIE", "-I", "src", "-c", path, "-o", obj]
        if subprocess.run(command, cwd=folder, stderr=subprocess.DEVNULL, check=False).returncode == 0:
            tree.objects[path] = obj
            database.append({"directory": folder, "arguments": command, "file": path})
    with open(os.path.join(folder, "compile_commands.json"), "w", encoding="utf-8") as f:
        json.dump(database, f)
    return tree


def self_test(root):
    """Each bad sample is found, with the message it should give, and each good one passes."""
    from samples import SAMPLES
    failed = 0
    for rule, text, files in SAMPLES:
        if not shutil.which(TOOLS.get(rule, "cc")):
            continue
        with tempfile.TemporaryDirectory(prefix="sbx-lint-") as folder:
            for name in (".clang-format", ".clang-tidy"):
                shutil.copy(os.path.join(root, name), folder)
            found = [f[2] for f in RULES[rule](sample_tree(folder, files))]
        fine = not found if text is None else any(text in f for f in found)
        failed += not fine
        print(f"{'ok' if fine else 'FAILED'}: {rule}: {text or 'nothing'}" + ("" if fine else f": {found}"))
    for rule in RULES:
        if not any(s[0] == rule and s[1] for s in SAMPLES):
            failed += 1
            print(f"FAILED: {rule} was never seen to fail: it needs a bad sample")
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rule", nargs="?", choices=RULES)
    parser.add_argument("--root", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    parser.add_argument("--build")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--cc", nargs="+", default=["cc"])
    args = parser.parse_args()
    root = os.path.abspath(args.root)
    if args.list:
        for rule, function in RULES.items():
            print(f"{rule:14} {' '.join(function.__doc__.split())}")
        return 0
    if args.self_test:
        return 1 if self_test(root) else 0
    if args.rule is None:
        parser.error("which rule?")
    if shutil.which(TOOLS.get(args.rule, "sh")) is None:
        print(f"skipped: {TOOLS[args.rule]} is not installed")
        return SKIP
    tree = Tree(root, objects_of(root, args.build) if args.build else {}, args.cc)
    tree.build = args.build
    print(f"{args.rule}: {' '.join(RULES[args.rule].__doc__.split())}")
    return 1 if check(args.rule, tree) else 0


if __name__ == "__main__":
    sys.exit(main())
