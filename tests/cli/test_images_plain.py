#!/usr/bin/python3
"""Layers that come as plain tars: unpacked as they come, and stored once."""

import os

import harness
import history
from harness import NO_NET, equal, limit, match
from layouts import FROM_OTHER, layout_of, pack, sha256, small_layout
from test_images import fresh, load, made, manifest_of, nothing_left


def blobs_and_layers(p):
    store = os.path.join(p.env["XDG_DATA_HOME"], "sbx")
    return {n for n in os.listdir(os.path.join(store, "blobs")) if n != "partial"}, set(os.listdir(os.path.join(store, "layers")))


@limit(90)
def test_plain_layers_are_stored_once():
    """A layer that comes as a plain tar is unpacked as it comes; its blob is made where it is needed, bit for bit."""
    with made() as p:
        p.sbx("save", "tools", "--compress", "none", "-o", "plain.tar").ok()
        chain = history.chain(p)
        fresh(p, "other")
        digest = load(p, "plain.tar")
        blobs, layers = blobs_and_layers(p)
        equal(layers, set(chain), "the layers")
        equal(blobs & layers, set(), "blobs of layers")
        equal(load(p, "plain.tar"), digest, "loaded again")
        equal(blobs_and_layers(p), (blobs, layers), "what is there after that")
        # Of an image that stands on it, too.
        p.write("Containerfile", "FROM localhost/tools\nRUN echo more >/opt/more\n")
        p.sbx("build", "-f", "Containerfile", "-t", "localhost/more:1").ok()
        equal(blobs_and_layers(p)[0] & set(chain), set(), "blobs of layers after a build on it")
        p.sbx("save", "localhost/more:1", "--format", "oci-dir", "-o", "more").ok()
        equal([d["digest"].split(":")[1] for d in manifest_of(p.path("more"))[1]["layers"][:2]], chain, "what it stands on")
        equal(blobs_and_layers(p)[0] & set(chain), set(chain), "blobs of layers after a save")
        p.sbx("gc", "--blobs").ok()
        equal(blobs_and_layers(p)[0] & set(chain), set(), "blobs of layers after a gc")
        p.sbx("save", "tools", "--format", "oci-dir", "-o", "again").ok()
        equal(manifest_of(p.path("again"))[0], digest, "saved again")
        # And of an environment that stands on it.
        p.sbx("gc", "--blobs").ok()
        p.write("sbx.ini", "[base]\nimage = localhost/tools\n" + NO_NET)
        p.allow()
        p.sbx("run", "-e", "on", "--create", "true").ok()
        p.sbx("save", "-e", "on", "--format", "oci-dir", "-o", "env").ok()
        equal(manifest_of(p.path("env"))[0], digest, "as the environment's")
        p.sbx("fsck").ok()


@limit(60)
def test_plain_tars_that_are_no_layers():
    """One that no image needs may be anything, and does not stay; one that is cut or needed is refused, and nothing stays."""
    with history.alone() as p:
        files = small_layout(p)
        # Its name is a promise; what is in it is nobody's business, until it is somebody's layer.
        for odd in (pack([("../out", b"x")]), pack([("etc/other", b"x")])):
            p.write("odd.tar", pack([*files.items(), ("blobs/sha256/" + sha256(odd), odd)]))
            load(p, "odd.tar")
            equal(len(blobs_and_layers(p)[1]), 1, "the layers")
            p.sbx("images", "-d", "odd").ok()
            p.sbx("gc").ok()
        p.write("cut.tar", pack(sorted(files.items(), reverse=True))[:3000])
        match("cannot load 'cut.tar': ", p.sbx("load", "cut.tar").ok(125).err, "a cut archive")
        nothing_left(p)
        layer = pack([("a/../../out", b"x")])
        p.write("bad.tar", pack(layout_of(layer)))
        match(r"cannot load 'bad\.tar': layer 1 of 1: cannot unpack '\.\./\.\./out'", p.sbx("load", "bad.tar").ok(125).err, "a bad layer")
        nothing_left(p)


@limit(60)
def test_the_host_of_a_layer_that_came():
    """Of a layer over another host its image says so, in whatever order the archive is."""
    with history.alone() as p:
        for name, files in (("first.tar", layout_of(pack([("etc/hello", b"1")]), FROM_OTHER)),
                            ("last.tar", layout_of(pack([("etc/hello", b"2")]), FROM_OTHER)[::-1])):
            p.write(name, pack(files))
            load(p, name)
            p.write("sbx.ini", f"[base]\nimage = localhost/{name[:-4]}\n" + NO_NET)
            p.allow()
            match(r"made over another host \(slackware 1 ", p.sbx("run", "-e", name[:-4], "--create", "true").ok().err, name)


harness.main(__name__)
