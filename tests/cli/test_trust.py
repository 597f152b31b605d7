#!/usr/bin/python3
"""What a profile that nobody allowed gets of what is the user's own: images of his store, his logins, his loopback."""

import hashlib
import json
import os
import socket

import harness
import registries
import roots
from harness import NO_NET, Project, absent, check, equal, match
from registries import ELSEWHERE, Elsewhere, Registry
from registry_hostile import Server
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


# ---- what anybody is given ----------------------------------------------------------------


def put(p, registry, name, layers, *options):
    """An image into the registry, by skopeo; its digest, and its layout."""
    layout = roots.Layout(p.path("up-" + name.replace("/", "-")))
    digest = layout.image("1", layers)
    registries.skopeo("copy", "-q", "--dest-tls-verify=false", *options, f"oci:{layout.path}:1",
                      f"docker://{registry.host}/{name}:1")
    return digest, layout


def on(name, more=""):
    return NO_NET + f"[base]\nimage = {ELSEWHERE}/{name}\n" + more


def sources(p, env):
    return {i["ref"].removeprefix(ELSEWHERE + "/"): i["source"] for i in p.sbx("images", "--json", env=env).json()
            if i["ref"].startswith(ELSEWHERE)}


def test_what_anybody_is_given_is_free():
    """An image of a registry is fetched without a question and without a login; then it is there, also without the network."""
    with Registry(tls=True) as r, Project() as p, Elsewhere(r, registries.stores("free")) as there:
        put(p, r, "me/tools", [roots.tar_of(roots.system()), roots.tar_of([entry("tool", data=b"a tool\n")])])
        there.login()
        p.write("sbx.ini", on("me/tools:1"))
        match(f"^optional  a login of yours for the image '{ELSEWHERE}/me/tools:1' as the root", p.sbx("allow", "--list",
              env=there.env).ok().out, "allow --list")
        equal(p.sh("cat /tool", env=there.env).ok().out, "a tool\n", "inside")
        equal(set(there.wanted), {ELSEWHERE + ":443"}, "who was asked")
        equal(sources(p, there.env), {"me/tools:1": "public"}, "the image")
        match("asks for nothing", p.sbx("allow", env=there.env).ok().err, "allow")
        offline = dict(there.env, https_proxy="http://127.0.0.1:1")
        equal(p.sbx("run", "--create", "-e", "two", "--", "cat", "/tool", env=offline).ok().out, "a tool\n", "from the store")
        # Who fetches it with his login has it for himself, as far as sbx can tell.
        p.sbx("pull", f"{ELSEWHERE}/me/tools:1", env=there.env).ok()
        equal(sources(p, there.env), {"me/tools:1": "pull"}, "fetched with a login at hand")
        refused(p.sbx("run", "--create", "-e", "three", "--", "true", env=there.env),
                f"sbx.ini:4: the image '{ELSEWHERE}/me/tools:1' of your own store as the root")
        refused(p.sbx("reset", "-e", "two", "--rebase", env=there.env), "of your own store as the root")
        for name in ("default", "two"):
            p.sbx("rm", "-f", "-e", name, env=there.env)


def test_a_login_is_not_lent():
    """What needs a login is not fetched for a profile that was not allowed: the login is not even sent."""
    with Registry(auth=True, tls=True) as r, Project() as p, Elsewhere(r, registries.stores("lent")) as there:
        put(p, r, "corp/app", [roots.tar_of([*roots.system(), entry("secret", data=b"of the firm\n")])],
            "--dest-creds", f"{registries.USER}:{registries.PASSWORD}")
        there.login()
        p.write("sbx.ini", on("corp/app:1"))
        with r.requests() as seen:
            error = p.run("true", env=there.env).ok(125).err
        match(f"sbx.ini:4: cannot use the registry '{ELSEWHERE}': the registry '{ELSEWHERE}' wants a login\n"
              "hint: yours is not used for a profile that was not allowed: if you trust it, run: sbx allow$", error, "refused")
        equal(seen, ["GET /v2/ 401"], "what the registry was asked")
        p.sbx("allow", "--yes", env=there.env).ok()
        equal(p.sh("cat /secret", env=there.env).ok().out, "of the firm\n", "allowed")
        p.sbx("rm", "-f", env=there.env)
        # Named by the user himself, it is allowed with that.
        os.unlink(p.path("sbx.ini"))
        p.sbx("images", "-d", f"{ELSEWHERE}/corp/app:1", env=there.env).ok()
        p.sbx("init", "offline", "--base", f"{ELSEWHERE}/corp/app:1", env=there.env).ok()
        equal(p.sh("cat /secret", env=there.env).ok().out, "of the firm\n", "by init")
        p.sbx("rm", "-f", env=there.env)


def test_who_knows_a_digest_has_nothing_by_it():
    """Manifest, blobs and layers of the user's own images are not had by their digests alone, from a registry or a layout."""
    system, own = roots.tar_of(roots.system()), roots.tar_of([entry("secret", data=b"secret\n")])
    with Registry(tls=True) as r, Project() as p, Elsewhere(r, p.env) as there:
        p.env = dict(there.env, XDG_DATA_HOME=os.path.join(p.parent, "data"))
        layout = roots.Layout(p.path("../own"))
        digest = layout.image("1", [system, own])
        p.sbx("load", layout.path, "--name", "own:1").ok()
        # By the manifest's digest, in the profile and by a lock.
        p.write("sbx.ini", on(f"evil/x@sha256:{digest}"))
        match(f"has no 'sha256:{digest}' in 'evil/x'", p.run("true").ok(125).err, "the manifest's digest")
        p.write("sbx.ini", on("evil/x:1"))
        p.write("sbx.lock", json.dumps({"version": 1, "base": {"image": f"{ELSEWHERE}/evil/x:1", "manifest": "sha256:" + digest,
                                        "layers": []}, "profile": "sha256:" + "1" * 64}))
        match(f"has no 'sha256:{digest}' in 'evil/x'", p.run("true").ok(125).err, "a lock")
        os.unlink(p.path("sbx.lock"))
        # By a layout that has no more than the index.
        evil = roots.Layout(p.path("layout"))
        evil.image("1", [system])
        with open(os.path.join(evil.path, "index.json"), encoding="ascii") as f:
            index = json.load(f)
        size = os.path.getsize(os.path.join(layout.path, "blobs/sha256", digest))
        index["manifests"][0].update(digest="sha256:" + digest, size=size)
        p.write("layout/index.json", json.dumps(index))
        p.write("sbx.ini", NO_NET + "[base]\nimage = oci:./layout\n")
        match("cannot use '.*/layout' as an image: .*No such file", p.run("true").ok(125).err, "an index alone")
        # By a config that says of another blob that it is that layer.
        for name in ("registry", "layout"):
            evil = liar(p.path("liar-" + name), [system, own])
            if name == "registry":
                registries.skopeo("copy", "-q", "--dest-tls-verify=false", f"oci:{evil.path}:1", f"docker://{r.host}/evil/liar:1")
                p.write("sbx.ini", on("evil/liar:1"))
            else:
                p.write("sbx.ini", NO_NET + "[base]\nimage = oci:./liar-layout\n")
            match(f"is not the layer sha256:{hashlib.sha256(own).hexdigest()}", p.run("true").ok(125).err, name)
        equal([e for e in p.sbx("list", "--json").json() if e["project"] == p.dir], [], "environments")
        # What somebody gives is taken, though the store has some of it: but it is got from him.
        put(p, r, "me/good", [system, roots.tar_of([entry("good", data=b"good\n")])])
        p.write("sbx.ini", on("me/good:1"))
        with r.requests() as seen:
            equal(p.sh("cat /good").ok().out, "good\n", "an image with a layer of the store")
        packed = hashlib.sha256(roots.packed(system)).hexdigest()
        check(f"GET /v2/me/good/blobs/sha256:{packed} 200" in seen, f"the layer was not got: {seen}")


def liar(path, layers):
    """A layout whose config says of its last blob that it is the last of `layers`."""
    layout = roots.Layout(path)
    layout.image("1", [*layers[:-1], roots.tar_of([entry("nothing")])])
    with open(os.path.join(path, "index.json"), encoding="ascii") as f:
        d = json.load(f)["manifests"][0]["digest"][7:]
    with open(os.path.join(path, "blobs/sha256", d), encoding="ascii") as f:
        manifest = json.load(f)
    with open(os.path.join(path, "blobs/sha256", manifest["config"]["digest"][7:]), encoding="ascii") as f:
        config = json.load(f)
    config["rootfs"]["diff_ids"][-1] = "sha256:" + hashlib.sha256(layers[-1]).hexdigest()
    manifest["config"] = layout.blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
    d = layout.blob(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    layout.manifests = [{**d, "annotations": {"org.opencontainers.image.ref.name": "1"}}]
    with open(os.path.join(path, "index.json"), "w", encoding="ascii") as f:
        json.dump({"schemaVersion": 2, "manifests": layout.manifests}, f)
    return layout


def test_this_machine_by_other_names():
    """However a profile calls this machine, what listens on its loopback hears nothing before it was allowed."""
    with Server() as s, Project() as p:
        port = s.host.split(":")[1]
        p.env.update(http_proxy="", https_proxy="", no_proxy="")
        for host in ("127.1", "0.0.0.0", "127.0.1.1"):
            p.write("sbx.ini", NO_NET + f"[base]\nimage = {host}:{port}/me/tools:1\n")
            match("it is this machine itself, which an image that was not allowed may not come from|"
                  "from a registry on this machine itself", p.run("true").ok(125).err, host)
        equal(s.seen, [], "what it heard")


def test_a_lock_names_no_image_of_the_own_store():
    """The image that sbx.lock names for what [build] makes: one of the user's is asked for, and by its digest."""
    with Project(NO_NET + "[build]\nrun = echo built > /etc/built\n") as p:
        equal(p.sh("cat /etc/built").ok().out, "built\n", "built")
        p.sbx("lock").ok()
        p.sbx("run", "--create", "-e", "own", "--", "true").ok()
        lock = json.loads(p.read("sbx.lock"))
        other = Project(NO_NET + "[build]\nrun = echo secret > /etc/built\n", "other")
        with other:
            other.sbx("build").ok()
            other.sbx("lock").ok()
            lock["build"].update({k: json.loads(other.read("sbx.lock"))["build"][k] for k in ("image", "manifest", "layers")})
            p.write("sbx.lock", json.dumps(lock))
            refused(p.sbx("run", "--create", "-e", "new", "--", "true"),
                    r"sbx.lock: the image 'localhost/other:latest' of your own store, for what \[build\] makes")
            match("^asked  the image 'localhost/other:latest' of your own store, for what .build. makes  .*/sbx.lock.$",
                  p.sbx("allow", "--list").ok().out, "allow --list")
            p.allow()
            equal(p.sbx("run", "--create", "-e", "new", "--", "cat", "/etc/built").ok().out, "secret\n", "allowed")
            # Another one asks again.
            other.write("sbx.ini", NO_NET + "[build]\nrun = echo more > /etc/built\n")
            other.sbx("build").ok()
            other.sbx("lock").ok()
            lock["build"].update({k: json.loads(other.read("sbx.lock"))["build"][k] for k in ("image", "manifest", "layers")})
            p.write("sbx.lock", json.dumps(lock))
            refused(p.sbx("run", "--create", "-e", "newer", "--", "true"), "for what .build. makes")
        for name in ("own", "new", "newer"):
            p.sbx("stop", "-e", name)
            p.sbx("rm", "-f", "-e", name)


# ---- what ran before --------------------------------------------------------------------------


def test_who_had_no_network_gives_himself_none():
    """
    sbx.ini is replaced outside while its sandbox runs, which ends its protection, and written to inside: without a word
    it gets no more than it had, also in another environment, after `rm`, and by a build.
    """
    with Project(NO_NET) as p:
        with p.start("run", "--", "sh", "-c", "echo ready; read x; printf '[build]\\nrun = true\\n' > sbx.ini; echo wrote; read x") as inside:
            harness.read_until(inside.stdout, b"ready\n")
            p.write("new", NO_NET + "; edited\n")
            os.rename(p.path("new"), p.path("sbx.ini"))
            inside.stdin.write(b"go\n")
            harness.read_until(inside.stdout, b"wrote\n")
            equal(p.read("sbx.ini"), "[build]\nrun = true\n", "what code inside wrote")
            what = "sbx.ini: a network, of which it had none when it ran last"
            refused(p.run("true"), what)
            inside.stdin.write(b"end\n")
            harness.wait_process(inside)
        p.sbx("stop")
        refused(p.run("true"), what)
        refused(p.sbx("run", "--create", "-e", "two", "--", "true"), what)
        refused(p.sbx("build"), what)
        refused(p.sbx("lock"), what)
        p.write("sbx.ini", "[network]\nports = 8000\n[user]\nas = self\n")
        p.sbx("rm", "-f").ok()
        refused(p.run("true"), what)
        p.write("sbx.ini", "[network]\nmode = slirp\n")
        refused(p.run("true"), "sbx.ini:2: a network, of which it had none when it ran last")
        # As before, it is not asked for.
        p.write("sbx.ini", NO_NET + "[env]\nset.X = 1\n")
        p.run("true").ok()
        p.sbx("stop")
        p.profile("[network]\ndriver = auto\n")
        p.run("true").ok()
        # It had one by then: changes that ask for nothing are free again.
        p.write("sbx.ini", "[env]\nset.X = 2\n")
        p.sbx("stop")
        p.run("true").ok()


def test_ports_are_told_of_once():
    """A port at the own loopback is not asked for, but told of, once for each text of the profile."""
    with Project(f"[network]\nmode = none\nports = {free_port()}:80 {free_port()}:81\n") as p:
        line = r"^sbx: (127.0.0.1:\d+, )?127.0.0.1:\d+ leads? into the sandbox, for every user of this machine \(.*sbx.ini:3\)$"
        match(line, p.run("true").ok().err, "the first time")
        for words in ([], ["stop"]):
            if words:
                p.sbx(*words).ok()
            absent("leads? into", p.run("true").ok().err, "again")
        p.sbx("stop")
        p.write("sbx.ini", p.read("sbx.ini") + "; changed\n")
        match(line, p.run("true").ok().err, "another text")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


harness.main(__name__)
