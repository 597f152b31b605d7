#!/usr/bin/python3
"""Check the manual against the program: check.py SBX PAGES-FOLDER KEYS.C

One page of section 1 has the synopsis of a command as its table gives it, and describes each of its options;
sbx.ini.5 has each key of the key table and each profile that comes with sbx.  The program itself is asked for the
former.  In a page of several names a bare .Nm would be the first of them, which is no program.
"""

import os
import re
import shutil
import subprocess
import sys

SKIP = 77


def page(path):
    """The page as text, one paragraph a line."""
    text = subprocess.run(["mandoc", "-Tutf8", "-Owidth=500", path], check=True,
                          stdout=subprocess.PIPE, encoding="utf-8").stdout
    return [line.strip() for line in re.sub(r".\x08", "", text).splitlines()]


def helped(sbx, *command):
    """What --help says: the synopsis, the lines of options, the names of commands."""
    text = subprocess.run([sbx, *command, "--help"], check=True, stdout=subprocess.PIPE,
                          encoding="utf-8").stdout
    usage = " ".join(re.match(r"usage: (.*(?:\n {7}\S.*)*)\n", text).group(1).split())
    options = [" ".join(m.split()) for m in re.findall(r"^ +((?:-\w, )?--[\w-]+(?: [A-Z]+)?)(?:  |$)", text, re.M)]
    return usage, options, re.findall(r"^  ([a-z]+) ", text, re.M)


def lines_of(section, lines):
    """The lines below the heading of a section of the profile."""
    if f"[{section}]" not in lines:
        return []
    lines = lines[lines.index(f"[{section}]") + 1:]
    ends = [n for n, line in enumerate(lines) if re.match(r"\[\w+\]$|[A-Z]+$", line)]
    return lines[:ends[0]]


def is_described(option, lines):
    return any(line == option or line.startswith(option + " ") for line in lines)


def find_faults(sbx, folder, keys):
    pages = {name: page(os.path.join(folder, name)) for name in sorted(os.listdir(folder)) if name.endswith(".1")}
    synopses = {name: lines[lines.index("SYNOPSIS") + 1:lines.index("DESCRIPTION")] for name, lines in pages.items()}
    usage, options, commands = helped(sbx)
    wanted = [(usage, options)] + [helped(sbx, name)[:2] for name in commands]
    for usage, options in wanted:
        where = [name for name, lines in synopses.items() if usage in lines]
        if len(where) != 1:
            yield f"{len(where)} pages have in their synopsis the line: {usage}"
            continue
        for option in options:
            # Options of several commands are in the main page.
            if not is_described(option, pages[where[0]]) and not is_described(option, pages["sbx.1"]):
                yield f"{where[0]}: does not describe the option: {option}"
    for name, lines in synopses.items():
        for line in lines:
            if line and line not in [usage for usage, _ in wanted]:
                yield f"{name}: the synopsis has a line that the program has not: {line}"

    lines = page(os.path.join(folder, "sbx.ini.5"))
    with open(keys, encoding="utf-8") as f:
        rows = re.findall(r'\{\s*"(\w+)",\s*"([^"]*)",\s*&', f.read())
    if not rows:
        yield f"{keys}: no row of the key table found"
    for section, key in rows:
        key = re.escape(key) + r"[A-Z]+" if key.endswith(".") else re.escape(key) or "HOST-PATH"
        if not any(re.match(key + " = ", line) for line in lines_of(section, lines)):
            yield f"sbx.ini.5: does not describe [{section}] {key}"

    for name in sorted(os.listdir(os.path.join(folder, "../profiles"))):
        base, extension = os.path.splitext(name)
        if extension == ".ini" and not any(re.search(rf"profile list shows: .*\b{base}\b", line) for line in lines):
            yield f"sbx.ini.5: does not name the profile {base}"
    for name in pages:
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            body = f.read().partition(".Sh SYNOPSIS\n")[2]
        for line in re.findall(r"^\.Nm(?! sbx\b).*", body, re.M) if name != "sbx.1" else ():
            yield f"{name}: not the program's name: {line}"


def main():
    if shutil.which("mandoc") is None:
        print("skipped: mandoc is not installed")
        return SKIP
    faults = list(find_faults(*sys.argv[1:]))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
