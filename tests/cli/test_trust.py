#!/usr/bin/python3
"""What a profile that nobody allowed gets of what is the user's own: images of his store, his logins, his loopback."""

import os

import harness
import roots
from harness import NO_NET, Project, absent, equal, match
from roots import entry

ASKS = "asks for more than its own folder:\n"


def secret(p, name="localhost/own:1"):
    """An image of the user's store, with what only he may read."""
    layout = roots.Layout(p.path("layout"))
    digest = layout.image("1", [roots.tar_of(roots.system()), roots.tar_of([entry("secret", data=b"secret\n")])])
    p.sbx("load", "layout", "--name", name).ok()
    return digest


def refused(result, *what):
    """Refused, with all that is asked for, and the way out; nothing was made."""
    result.ok(125)
    match(ASKS, result.err, "the error")
    for line in what:
        match(line, result.err, "what is asked")
    match("^hint: if you trust it, run: sbx allow$", result.err, "its hint")


def test_an_image_of_the_own_store():
    """localhost/ and layer: are asked for, as a base and to copy from; allowed, they are used."""
    with Project() as p:
        secret(p)
        p.sbx("run", "--root", "--", "sh", "-c", "echo own > /etc/own").ok()
        layer = p.sbx("commit", "-m", "x").ok().out.strip()
        p.sbx("rm", "-f").ok()
        for image, what in (("localhost/own:1", "the image 'localhost/own:1' of your own store"),
                            ("layer:" + layer, f"the layer '{layer.removeprefix('sha256:')}' of your own store")):
            p.write("sbx.ini", NO_NET + f"[base]\nimage = {image}\n")
            for words in (["run", "--", "true"], ["lock"], ["enter"], ["jupyter", "--no-browser"]):
                refused(p.sbx(*words), f"sbx.ini:4: {what} as the root")
            p.write("sbx.ini", NO_NET + f"[build]\ncopy = --from={image} /etc /own\n")
            for words in (["run", "--", "true"], ["build"], ["build", "--check"]):
                refused(p.sbx(*words), f"sbx.ini:4: {what} to copy from")
        equal([e for e in p.sbx("list", "--json").json() if e["project"] == p.dir], [], "environments")
        p.profile(NO_NET + "[build]\ncopy = --from=localhost/own:1 /secret /own/\n[base]\nimage = layer:" + layer + "\n")
        equal(p.sh("cat /own/secret /etc/own").ok().out, "secret\nown\n", "what was allowed")


def test_what_copies_cannot_hide():
    """Files outside of the project, and names that are made up while it is built."""
    with Project() as p:
        digest = secret(p)
        os.rename(p.path("layout"), os.path.join(p.parent, "layout"))
        for image in ("oci:../layout:1", f"oci:{p.parent}/layout:1", "tar:~/own.tar"):
            p.write("sbx.ini", NO_NET + f"[build]\ncopy = --from={image} /secret /own/\n")
            refused(p.run("true"), "sbx.ini:4: '/.*' to copy from")
        p.write("sbx.ini", NO_NET + "[build]\nenv = X=localhost/own:1\ncopy = --from=$X /secret /own/\n")
        refused(p.run("true"), r"sbx.ini:5: an image whose name is made up when it is built, '\$X', to copy from")
        p.write("sbx.ini", NO_NET + "[build]\ncopy = --from=own:1 /secret /own/\n")
        refused(p.run("true"), "sbx.ini:4: the image 'own:1' of your own, where your store has one of that name to copy from")
        match("^asked  the image 'own:1' of your own", p.sbx("allow", "--list").ok().out, "allow --list")
        p.allow()
        equal(p.sh("cat /own/secret").ok().out, "secret\n", "what was allowed")
        match(digest[:12], p.sbx("images").ok().out, "the image")


def test_a_registry_on_the_own_loopback():
    """Nothing is sent to what listens on this machine before it was allowed."""
    with Project() as p:
        for host in ("127.0.0.1:1", "localhost:1", "LocalHost:1", "a.localhost:1"):
            p.write("sbx.ini", NO_NET + f"[base]\nimage = {host}/me/tools:1\n")
            refused(p.run("true"), f"sbx.ini:4: the image '{host}/me/tools:1', from a registry on this machine itself as the root")


def test_what_init_wrote_is_not_asked_for():
    """Who names the image himself need not allow it; a profile that asks for more is shown whole."""
    with Project(None) as p:
        secret(p)
        p.sbx("init", "offline", "--base", "localhost/own:1").ok()
        equal(p.sh("cat /secret").ok().out, "secret\n", "the image")
        match("^allowed  the image 'localhost/own:1' of your own store as the root", p.sbx("allow").ok().out, "allow")
        p.sbx("rm", "-f").ok()
        os.unlink(p.path("sbx.ini"))
        profiles = os.path.join(p.parent, "profiles")
        os.mkdir(profiles)
        with open(os.path.join(profiles, "wide.ini"), "w", encoding="ascii") as f:
            f.write("[network]\nmode = none\n[mounts]\n/etc = /outside\n")
        p.env["SBX_PROFILES"] = profiles
        p.sbx("init", "wide", "--base", "localhost/own:1").ok()
        refused(p.run("true"), "the image 'localhost/own:1' of your own store as the root", "mount '/etc' at '/outside'")
        absent("^allowed", p.sbx("allow", "--list").ok().out, "allow --list")


harness.main(__name__)
