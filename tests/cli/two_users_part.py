#!/usr/bin/python3
"""two_users_part.py give|take HOST — one user's part of two_users.py: what he has, as JSON on standard output."""

import json
import os
import sys

import harness
import roots
from harness import NO_NET, Project

CHANGES = """set -e
mkdir -p /opt/shared/deep && cd /opt/shared
echo text > file && ln file hard && ln -s file link && echo secret > private
printf '#!/bin/sh\\necho from the tool\\n' > tool
chmod 755 tool && chmod 600 private && chmod 2775 deep
chown 105:106 private
rm /etc/issue && mkdir /etc/issue && echo in > /etc/issue/f
"""
# No program but those of roots.system(): the shell looks at it all.
LOOK = """cd /opt/shared && ls -lnR . && cat file hard private tool && ls -ln /etc/issue"""


def ini(base):
    return NO_NET + f"[base]\nimage = {base}\n"


def state(p):
    """Digests, and the tree as root inside sees it: times and block counts left out."""
    status = p.sbx("status", "--json").json()
    log = [entry["digest"] for entry in p.sbx("log", "--json").json()]
    lines = []
    for line in p.sbx("run", "--root", "--", "sh", "-c", LOOK).ok().out.splitlines():
        words = line.split()
        if words[:1] == ["total"]:
            continue
        # mode links uid gid size month day time name…
        lines.append(words[:5] + words[8:] if len(words) > 8 else words)
    return {"image": status["image_digest"], "layers": log, "tree": lines, "ids": status["ids"], "uid": os.getuid()}


def give(host):
    made = {}
    for name, base in (("image", "tar:root.tar"), ("host", "host")):
        with Project(ini(base)) as p:
            with open(p.path("root.tar"), "wb") as f:
                f.write(roots.tar_of(roots.system()))
            p.sbx("run", "--root", "--", "sh", "-c", CHANGES).ok()
            p.sbx("stop")
            p.sbx("commit", "-m", "shared").ok()
            made[name] = {"pushed": p.sbx("push", f"{host}/{name}:1").ok().out.strip(), **state(p)}
    return made


def take(host):
    got = {}
    for name in ("image", "host"):
        with Project(ini(f"{host}/{name}:1")) as p:
            pulled = p.sbx("pull", f"{host}/{name}:1").ok().out.strip()
            p.allow()  # the registry is one of this machine itself
            check = p.run("/opt/shared/tool").ok()
            harness.equal(check.out, "from the tool\n", "the tool")
            p.run("sh", "-c", "test ! -f /etc/issue; test -d /etc/issue").ok()
            got[name] = {"pulled": pulled, **state(p)}
            p.sbx("stop")
            p.sbx("fsck").ok()
            # What the pulled root has can be changed by its root, and is committed on top.
            p.sbx("run", "--root", "--", "sh", "-c", "echo more >> /opt/shared/private").ok()
            p.sbx("stop")
            p.sbx("commit", "-m", "mine").ok()
    return got


def main():
    harness.SBX = harness.sbx_path()
    os.umask(0o022)
    try:
        with harness.limit_of(150):
            print(json.dumps({"give": give, "take": take}[sys.argv[1]](sys.argv[2])))
    finally:
        harness.clean_up()


main()
