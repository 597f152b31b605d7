"""Lints that ask the compiler, the object files and other people's tools."""

import concurrent.futures
import os
import re
import subprocess
import tempfile

from rules_text import LAYERS, layer_of

JOBS = 2


def output(command, **kwargs):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", **kwargs)


def parallel(one, items):
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        yield from pool.map(one, items)


def compiles(tree, text):
    """None, or the first error that the compiler has with the text."""
    with tempfile.NamedTemporaryFile("w", suffix=".c", prefix="sbx-lint-") as f:
        f.write(text)
        f.flush()
        r = output(tree.cc + ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                              "-I", os.path.join(tree.root, "src"), f.name])
    if r.returncode == 0:
        return None
    errors = [line for line in r.stdout.splitlines() if "error" in line] or ["does not compile"]
    return errors[0].replace(tree.root + "/", "")


def headers(tree):
    """2: every header compiles alone, and twice.  16: struct err fits into PIPE_BUF."""
    paths = tree.files(".h")
    texts = [f'#include "{p[4:]}"\n' * 2 for p in paths]
    if "src/base/err.h" in paths:
        paths.append("src/base/err.h")
        texts.append('#include <limits.h>\n#include "base/err.h"\n'
                     '_Static_assert(sizeof(struct err) <= PIPE_BUF, "longer than PIPE_BUF");\n')
    for path, error in zip(paths, parallel(lambda t: compiles(tree, t), texts)):
        if error:
            yield path, 1, error


def symbols(obj):
    """(name, section) of what an object defines (functions, objects); section "" is undefined."""
    found = []
    for line in output(["objdump", "-t", obj]).stdout.splitlines():
        # value, flags (7 characters), section, size, name
        m = re.match(r"[0-9a-f]+ (.{7}) (\S+)\s+[0-9a-f]+\s+(?:\.hidden )?(\S+)$", line)
        if m and "d" not in m.group(1) and "f" not in m.group(1):
            found.append((m.group(3), "" if m.group(2) == "*UND*" else m.group(2)))
    return found


def state(tree):
    """10: no writable file-scope state but the log's and signal flags."""
    for path, obj in sorted(tree.objects.items()):
        for name, section in symbols(obj):
            if not re.match(r"\.(data(?!\.rel\.ro)|bss|tbss|tdata)|\*COM\*", section):
                continue
            if name.startswith(".") or path == "src/base/log.c":
                continue
            variable = re.sub(r"\.\d+$", "", name)
            m = re.search(rf"^.*\b{re.escape(variable)}\b\s*(?:\[[^]]*\]\s*)*[=;,]", tree.source(path).text, re.M)
            if m and re.search(r"\bvolatile sig_atomic_t\b", m.group(0)):
                continue
            line = tree.source(path).line(m.start()) if m else 1
            yield path, line, f"writable state at file scope: {variable}"


# What a module that decides and does nothing may use of libc.
PURE = re.compile(
    r"^_*(mem\w+|st[rp]\w+|isoc99_sscanf|sscanf|v?sn?printf(_chk)?|v?asprintf(_chk)?|malloc|calloc|realloc|"
    r"reallocarray|free|qsort(_r)?|bsearch|abort|assert_fail|ctype_(b|tolower|toupper)_loc|is(alnum|alpha|"
    r"digit|xdigit|space|print|upper|lower)|to(upper|lower)|errno_location|stack_chk_fail|u?(l|ll)?abs|"
    r"rawmemchr|explicit_bzero|inet_(pton|ntop)|GLOBAL_OFFSET_TABLE_|ini_\w+|"
    r"json_(?!(load|dump)(f|fd|_file|_callback)$)\w+)$")
PURE_BASE = {"err", "mem", "str", "num", "path", "digest", "cleanup"}


def is_pure(path):
    stem = os.path.basename(path)[:-2].split("_")[0]  # str_escape.c is part of str
    layer = layer_of(path)
    return (layer == "conf" or (layer == "plan" and stem != "host")
            or (layer == "base" and stem in PURE_BASE))


def pure(tree):
    """14: conf/ and plan/ (but host) make no system call and call nothing that makes one."""
    defined = {name: path for path, obj in tree.objects.items() for name, sec in symbols(obj) if sec}
    for path, obj in sorted(tree.objects.items()):
        if not is_pure(path) or layer_of(path) == "base":
            continue
        for name, section in symbols(obj):
            if section:
                continue
            if name in defined and not is_pure(defined[name]):
                yield path, 1, f"calls {name} of {defined[name]}, which is not pure"
            elif name not in defined and not PURE.match(name):
                yield path, 1, f"calls {name}, which may make a system call"


def calls_down(tree):
    """1: calls go to the same layer or to a lower one."""
    defined = {name: path for path, obj in tree.objects.items() for name, sec in symbols(obj) if sec}
    for path, obj in sorted(tree.objects.items()):
        own = layer_of(path)
        for name, section in symbols(obj):
            to = layer_of(defined.get(name, "")) if not section else None
            if own in LAYERS and to in LAYERS and LAYERS.index(to) > LAYERS.index(own):
                yield path, 1, f"{own}/ calls {name} of {defined[name]}, which is above it"


def clang_format(tree):
    """clang-format has nothing to change."""
    paths = tree.files(".c", ".h", under=("src", "tests"))
    r = output(["clang-format", "--dry-run", "-Werror", "--style=file"] + paths, cwd=tree.root)
    lines = {}
    for path, line in re.findall(r"^([^:\n]+):(\d+):\d+: error: ", r.stdout, re.M):
        lines.setdefault(path, set()).add(int(line))
    for path, where in lines.items():
        yield path, min(where), f"{len(where)} lines are not clang-formatted: clang-format -i {path}"
    if r.returncode and not r.stdout.strip():
        yield "src", 1, "clang-format failed"


def clang_tidy(tree):
    """clang-tidy with .clang-tidy has nothing to say."""
    def one(path):
        r = output(["clang-tidy", "--quiet", "-p", tree.build, "--extra-arg=-Wno-unknown-warning-option",
                    "--extra-arg=-Wno-unused-command-line-argument", path], cwd=tree.root)
        found = re.findall(r"^([^:\n]+):(\d+):\d+: (?:warning|error): (.*)$", r.stdout, re.M)
        return found or ([(path, 1, r.stdout.strip()[-500:] or "clang-tidy failed")] if r.returncode else [])

    paths = sorted(os.path.join(tree.root, p) for p in tree.objects)
    # A header's finding comes with each file that includes it.
    findings = {(os.path.relpath(os.path.join(tree.build, path), tree.root), int(line), text): None
                for found in parallel(one, paths) for path, line, text in found}
    yield from findings


def man_pages(tree):
    """mandoc -Tlint accepts every page."""
    for path in tree.files(*[f".{n}" for n in range(1, 9)], under=("man",)):
        for line in output(["mandoc", "-Tlint", "-Wstyle", path], cwd=tree.root).stdout.splitlines():
            # Of other manuals that are not installed, or not in mandoc's database: not about the page.
            if re.search(r"referenced manual not found|outdated mandoc.db|Mdocdate|missing date", line):
                continue
            m = re.match(r"mandoc: ([^:]+):(\d+):\d+: (.*)", line)
            yield (m.group(1), int(m.group(2)), m.group(3)) if m else (path, 1, line)
