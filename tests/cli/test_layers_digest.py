#!/usr/bin/python3
"""A layer's name is the SHA-256 of its tar, which other programs can read, and the same everywhere."""

import os
import subprocess
import tarfile

import harness
import layers
from harness import check, equal, limit

# What these steps make is said here in full, so that every user gets the digest below.
STEPS = """
umask 022
mkdir -p /opt/a/b /opt/z
printf one > /opt/a/b/one
printf 'longer\\n%.0s' $(seq 1000) > /opt/a/two
ln -s ../two /opt/a/b/link
ln /opt/a/two /opt/a/hard
chmod 4750 /opt/a/two
mkfifo /opt/a/pipe
rm -rf /opt/a/b/none
"""
EPOCH = "1600000000"
# Of the layer that these steps make; /opt itself is root's, 0755, as everywhere.
KNOWN = "3cab470e9d2df83e741fdc3fad362b37f0785030dab9de485b18f72f92a87df5"


def made(p, **env):
    """Do the steps, commit, and return the digest."""
    p.env.update(env)
    layers.as_root(p, STEPS).ok()
    p.sbx("stop")
    return layers.commit(p, "-m", "steps")


def saved(p, digest):
    path = p.path("layer.tar")
    p.sbx("save", "--layer", digest, "-o", path).ok()
    return path


def test_the_name_is_the_digest():
    """`save --layer` gives a tar of that very SHA-256, to a file and to stdout, for odd trees too."""
    with layers.project() as p:
        layers.as_root(p, "python3 inside.py make /opt/t").ok()
        digest = layers.commit(p, "-m", "odd")
        equal(layers.sha256_of(saved(p, digest)), digest, "the SHA-256 of the file")
        with open(p.path("piped.tar"), "wb") as out:
            subprocess.run([harness.SBX, "save", "--layer", digest[:12]], cwd=p.dir, env=p.env, stdout=out,
                           check=True, timeout=60)
        equal(layers.sha256_of(p.path("piped.tar")), digest, "the SHA-256 of the pipe")


def test_other_programs_read_it():
    """GNU tar and Python's tarfile list the same names, in the order of bytes."""
    with layers.project() as p:
        layers.as_root(p, "python3 inside.py make /opt/t; rm -f /etc/hostname /etc/hosts; rm -rf /etc/skel").ok()
        tar = saved(p, layers.commit(p, "-m", "odd"))
        listed = subprocess.run(["tar", "--quoting-style=literal", "--null", "-tf", tar], check=True,
                                capture_output=True, timeout=60)
        equal(listed.stderr, b"", "what tar says")
        with tarfile.open(tar, encoding="utf-8", errors="surrogateescape") as t:
            names = [os.fsencode(m.name) + (b"/" if m.isdir() else b"") for m in t.getmembers()]
        equal(sorted(listed.stdout.split(b"\n")), sorted(b"\n".join(names).split(b"\n") + [b""]), "the names")
        equal(names, sorted(names), "their order")
        check(len(names) > 4000, f"{len(names)} names")


@limit(120)
def test_the_same_steps_give_the_same_digest():
    """Twice, later, in other projects, over time: with SOURCE_DATE_EPOCH the digest is one."""
    digests = []
    for n in range(2):
        with layers.project() as p:
            digests.append(made(p, SOURCE_DATE_EPOCH=EPOCH))
            if n:
                # Another day: times in the future of the clamp are one with it.
                p.sbx("reset", "base").ok()
                layers.as_root(p, STEPS + "find /opt/a /opt/z -exec touch -h -d 2031-05-06 {} +").ok()
                p.sbx("stop")
                digests.append(layers.commit(p, "-m", "later"))
    equal(len(set(digests)), 1, f"digests {digests}")
    equal(digests[0], KNOWN, "the digest that every user gets on every machine")


def test_without_the_variable_times_count():
    """The clamp is the variable's doing."""
    with layers.project() as p:
        layers.as_root(p, STEPS + "find /opt/a /opt/z -exec touch -h -d 2019-05-06 {} +").ok()
        first = layers.commit(p, "-m", "x")
        p.sbx("stop")
        p.sbx("reset", "base").ok()
        layers.as_root(p, STEPS + "find /opt/a /opt/z -exec touch -h -d 2018-05-06 {} +").ok()
        p.sbx("stop")
        check(layers.commit(p, "-m", "x") != first, "other times, another digest")


harness.main(__name__)
