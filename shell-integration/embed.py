#!/usr/bin/python3
"""Turn scripts into a C header: embed.py OUT WHAT.SHELL…"""

import os
import sys


def main():
    out, files = sys.argv[1], sys.argv[2:]
    lines = ["/* Made by shell-integration/embed.py. */", "#include <stddef.h>", ""]
    rows = []
    for path in files:
        what, shell = os.path.basename(path).split(".")
        with open(path, "rb") as f:
            text = f.read()
        lines.append(f"static const unsigned char {what}_{shell}[] = {{")
        for at in range(0, len(text), 20):
            lines.append("\t" + "".join(f"{byte}," for byte in text[at:at + 20]))
        lines.append("};")
        rows.append(f'\t{{"{what}", "{shell}", {what}_{shell}, sizeof({what}_{shell})}},')
    lines += ["static const struct {", "\tconst char *what, *shell;", "\tconst unsigned char *text;", "\tsize_t len;",
              "} shell_scripts[] = {", *rows, "};", ""]
    with open(out, "w", encoding="ascii") as f:
        f.write("\n".join(lines))


if __name__ == "__main__":
    main()
