#!/usr/bin/python3
"""
THREATS C1 to C9 from outside: every hostile tar of tests/fuzz/hostile.py as the second layer of an image whose first
holds links that lead out, by `sbx load` and by `sbx pull`; what is taken is started.
"""

import io
import os
import random
import sys
import tarfile

import harness
import layers
import roots
from harness import Project, check, equal, limit
from registry_hostile import Server

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fuzz"))
import hostile  # noqa: E402

SMALL = 1 << 20
# A layer is read by two readers, which must agree: refused there, though each alone would take it.
STRICTER = {"c7-pax-then-gnu", "c7-gnu-then-pax", "c7-pax-size-over-gnu", "c7-global", "c7-hardlink-with-contents"}


def cases():
    """(name, tar, whether it may be taken: None where either will do)"""
    for name, (data, words) in sorted(hostile.REFUSED.items()):
        if data is not None and len(data) < SMALL:
            yield name, hostile.whole(name, data), False if words is not None else None
    for name, (data, _) in sorted(hostile.ACCEPTED.items()):
        if data is not None and len(data) < SMALL:
            yield name, hostile.whole(name, data), name not in STRICTER


def first_layer(outside):
    return roots.tar_of([*roots.system(), roots.link("out", outside), roots.link("canary", "../canary"),
                         roots.link("l", "../../../../../.." + outside), roots.link("d", outside)])


def with_base(p, base):
    """The first layer, in the store for all of them."""
    layout = roots.Layout(p.path("base"))
    layout.image("1", [base])
    p.sbx("load", "base", "--name", "base:1").ok()


def images(p):
    return [image["ref"] for image in p.sbx("images", "--json").json()]


class World:
    """What lies outside and must stay as it is: a folder with a file, and the home."""

    def __init__(self, p):
        self.p, self.outside = p, p.path("../outside")
        os.mkdir(self.outside)
        p.write("../outside/canary", "safe\n")
        p.write("canary", "safe\n")
        self.places = [self.outside, os.path.join(self.outside, "canary"), p.path("canary"), "/etc/passwd"]
        self.before = self.state()

    def state(self):
        return [hostile.state(path) for path in self.places]

    def check(self, name):
        equal(self.state(), self.before, f"{name}: what lies outside")
        # The program that pulls ends a moment after the one that asked for it.
        store = layers.store_of(self.p)
        equal(layers.names(os.path.join(store, "tmp")), [], f"{name}: tmp/")


def starts(p, name):
    """It runs or says why; nothing hangs."""
    p.profile(layers.COLD + "[base]\nimage = localhost/hostile:1\n")
    r = p.sbx("run", "--root", "--", "/usr/bin/true", limit=30)
    check(r.status == 0 or "error" in r.err, f"{name}: {r.status} without a word: {r.err}")
    p.sbx("rm", "-f")


@limit(200)
def test_C1_to_C9_load():
    """Refused with nothing left, or taken and started; nothing outside has changed."""
    taken = refused = 0
    with Project(ini=layers.COLD) as p:
        world = World(p)
        base = first_layer(world.outside)
        with_base(p, base)
        for name, tar, good in cases():
            layout = roots.Layout(p.path("l-" + name))
            layout.image("1", [base, tar])
            r = p.sbx("load", layout.path, "--name", "hostile:1", limit=30)
            check(r.status in (0, 125), f"{name}: status {r.status}: {r.err}")
            check(not any(ord(c) < 32 and c != "\n" for c in r.err), f"{name}: raw bytes in {r.err!r}")
            if good is not None:
                equal(r.status == 0, good, f"{name}: {r.err}")
            if r.status == 0:
                taken += 1
                starts(p, name)
                p.sbx("images", "-d", "hostile:1").ok()
            else:
                refused += 1
                equal(images(p), ["localhost/base:1"], f"{name}: images")
            world.check(name)
        check(taken >= 10 and refused >= 40, f"{taken} taken, {refused} refused")
        p.sbx("gc").ok()
        p.sbx("fsck").ok()


class Served:
    """A layout as registry_hostile.Server wants an image."""

    def __init__(self, layout):
        self.blobs = {}
        for name in os.listdir(os.path.join(layout.path, "blobs/sha256")):
            with open(os.path.join(layout.path, "blobs/sha256", name), "rb") as f:
                self.blobs[name] = f.read()
        self.text = self.blobs[layout.manifests[0]["digest"][7:]]


@limit(200)
def test_C1_to_C9_pull():
    """The same from a registry: some of them, another time others."""
    with Project(ini=layers.COLD) as p, Server() as s:
        world = World(p)
        base = first_layer(world.outside)
        with_base(p, base)
        chosen = list(cases())
        for name, tar, good in chosen if layers.SOAK else random.sample(chosen, 20):
            layout = roots.Layout(p.path("l-" + name))
            layout.image("1", [base, tar])
            s.image = Served(layout)
            r = p.sbx("pull", s.ref, limit=30)
            if good is not None:
                equal((r.status == 0, r.status), (good, 0 if good else 125), f"{name}: {r.err}")
            if r.status == 0:
                p.sbx("images", "-d", s.ref).ok()
            world.check(name)
        p.sbx("fsck").ok()


def test_C4_the_root_is_not_hidden():
    """A second layer's `.wh..wh..opq` at the top, through a link and by a name that leads up: the first layer stays."""
    with Project(ini=layers.COLD) as p:
        for name in (".wh..wh..opq", "out/.wh..wh..opq", "../.wh.etc", ".wh..", ".wh."):
            layout = roots.Layout(p.path("l" + name.replace("/", "_")))
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w") as tar:
                tar.addfile(tarfile.TarInfo(name))
            layout.image("1", [first_layer("/nowhere"), out.getvalue()])
            r = p.sbx("load", layout.path, "--name", "hostile:1")
            if name == "out/.wh..wh..opq":
                # In this layer `out` is a folder, which lies over the link.
                r.ok()
                p.profile(layers.COLD + "[base]\nimage = localhost/hostile:1\n")
                equal(p.run("/usr/bin/cat", "/etc/issue").ok().out, "of the image\n", "the first layer")
                continue
            r.ok(125)
            check("cannot unpack" in r.err, f"{name}: {r.err}")


harness.main(__name__)
