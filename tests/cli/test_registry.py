#!/usr/bin/python3
"""pull, push, login and logout against Debian's docker-registry; skopeo is the judge of what is there."""

import base64
import http.client
import json
import os
import pty
import re
import shutil
import stat
import tempfile

import harness
from harness import Project, absent, check, command, equal, match
from registries import PASSWORD, USER, Image, Registry, sha, skopeo, sound, stores

FAILED, USAGE = 125, 2
BIG = os.urandom(3 << 20)


def two_layers():
    return Image([{"etc/base": b"base\n", "big": BIG}, {"etc/top": os.urandom(1000)}])


def pull(p, ref, *options, env=None, **kw):
    """The digest that sbx prints."""
    out = p.sbx("pull", *options, ref, env=env or p.env, **kw).ok().out
    return match(r"\Asha256:([0-9a-f]{64})\n\Z", out, "what pull prints").group(1)


def test_pull():
    """What skopeo put there comes with its digest, every blob of it; once, not twice."""
    image = two_layers()
    with Registry() as r, Project() as p:
        ref = r.put(image, "me/tools:1")
        equal(pull(p, ref), image.digest, "the manifest's digest")
        for digest, data in image.blobs.items():
            with open(os.path.join(p.env["XDG_DATA_HOME"], "sbx/blobs", digest), "rb") as f:
                equal(sha(f.read()), sha(data), "a blob in the store")
        with r.requests() as seen:
            again = p.sbx("pull", "--json", ref).json()
        equal(again, {"ref": ref, "manifest": image.digest, "fetched": 0, "reused": 2}, "the second pull")
        equal([one for one in seen if "/blobs/" in one], [], "blobs asked for by the second pull")
        check(any("/manifests/1 200" in one for one in seen), f"the manifest was not asked for: {seen}")
        sound(p)


def test_same_layer_once():
    """A layer that another image brought is not fetched again."""
    with Registry() as r, Project() as p:
        one, two = Image([{"big": BIG}]), Image([{"big": BIG}, {"more": b"more"}])
        pull(p, r.put(one, "me/one:1"))
        ref = r.put(two, "me/two:1")
        with r.requests() as seen:
            equal(pull(p, ref), two.digest, "digest")
        shared = one.layers[0]["digest"]
        check(not any(f"GET /v2/me/two/blobs/{shared}" in line for line in seen), f"fetched again: {seen}")
        check(any(two.layers[1]["digest"] in line for line in seen), f"the new layer: {seen}")


def test_push_keeps_digests():
    """pull, push to another registry, pull by somebody else: the same digest, and skopeo can read it."""
    image = two_layers()
    with Registry() as a, Registry() as b, Project() as p:
        ref = a.put(image, "me/tools:1")
        pull(p, ref)
        sent = p.sbx("push", "--json", f"{b.host}/you/copy:2", ref).json()
        equal(sent, {"ref": f"{b.host}/you/copy:2", "manifest": image.digest, "sent": 3, "reused": 0}, "push")
        equal(b.digest("you/copy:2"), image.digest, "what skopeo finds")
        other = stores("other")
        equal(pull(p, f"{b.host}/you/copy:2", env=other), image.digest, "pulled from there")
        sound(p, other)
        folder = tempfile.mkdtemp(dir=harness.base())
        skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{b.host}/you/copy:2", f"dir:{folder}")
        for digest, data in image.blobs.items():
            with open(os.path.join(folder, digest), "rb") as f:
                equal(f.read() == data, True, f"blob {digest} from the second registry")


def test_push_what_is_there():
    """What the registry has is not sent."""
    image = two_layers()
    with Registry() as r, Project() as p:
        ref = r.put(image, "me/tools:1")
        pull(p, ref)
        with r.requests() as seen:
            equal(p.sbx("push", "--json", f"{r.host}/me/tools:2", ref).json()["sent"], 0, "blobs sent")
        absent("PATCH|POST", "\n".join(seen), "requests")
        equal(r.digest("me/tools:2"), image.digest, "the new tag")


def test_mount():
    """What another repository of the registry has is taken from there, not sent again."""
    image = two_layers()
    with Registry() as r, Project() as p:
        ref = r.put(image, "me/tools:1")
        pull(p, ref)
        with r.requests() as seen:
            p.sbx("push", f"{r.host}/you/tools:1", ref).ok()
        for layer in image.layers:
            check(any(one.startswith("POST /v2/you/tools/blobs/uploads/?") and one.endswith(" 201")
                      and layer["digest"][7:] in one for one in seen), f"not mounted: {seen}")
        equal(len([one for one in seen if one.startswith("PATCH")]), 1, "uploads: the config alone")
        equal(r.digest("you/tools:1"), image.digest, "what skopeo finds")


def test_environment():
    """A pushes an environment's layers; B pulls them: the same digest, and skopeo knows it."""
    with Registry() as r, Project() as p:
        p.sh("sudo sh -c 'echo mine >/opt/mine'").ok()
        p.sbx("commit", "-m", "mine").ok()
        pushed = p.sbx("push", "--json", f"{r.host}/me/env:1").json()
        equal(r.digest("me/env:1"), pushed["manifest"], "what skopeo finds")
        match(r"\A[0-9a-f]{64}\Z", pushed["manifest"], "the digest")
        equal(pushed["sent"], 2, "a layer and the config")
        other = stores("b")
        equal(pull(p, f"{r.host}/me/env:1", env=other), pushed["manifest"], "pulled by somebody else")
        sound(p, other)
        again = p.sbx("push", "--json", f"{r.host}/me/env:2", "--compress", "zstd").json()
        check(again["manifest"] != pushed["manifest"], "another compression, the same manifest")
        match("tar.zstd", skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{r.host}/me/env:2").out,
              "the layer's type")
        match("'lzma' is no compression", p.sbx("push", "--compress", "lzma", f"{r.host}/me/env:3").ok(USAGE).err,
              "another one")


def test_docker_manifest():
    """Docker's own manifest keeps its bytes and type."""
    with Registry() as a, Registry() as b, Project() as p:
        ref = a.put(two_layers(), "me/tools:1", "--format", "v2s2")
        digest = a.digest("me/tools:1")
        equal(pull(p, ref), digest, "digest")
        p.sbx("push", f"{b.host}/me/tools:1", ref).ok()
        equal(b.digest("me/tools:1"), digest, "digest in the second registry")


def test_by_digest():
    """NAME@sha256:… is fetched by its digest."""
    image = two_layers()
    with Registry() as r, Project() as p:
        r.put(image, "me/tools:1")
        equal(pull(p, f"{r.host}/me/tools@sha256:{image.digest}"), image.digest, "digest")


def put_index(r, name, images):
    """An index of images for several machines, put beside them."""
    for one in images.values():
        r.put(one, f"{name}:part")
    index = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + one.digest,
         "size": len(one.text), "platform": {"os": "linux", "architecture": machine}}
        for machine, one in images.items()]}).encode()
    folder = tempfile.mkdtemp(dir=harness.base())
    with open(os.path.join(folder, "index"), "wb") as f:
        f.write(index)
    connection = http.client.HTTPConnection(r.host)
    connection.request("PUT", f"/v2/{name}/manifests/all", index,
                       {"Content-Type": "application/vnd.oci.image.index.v1+json"})
    equal(connection.getresponse().status, 201, "putting the index")
    connection.close()


def test_index():
    """Of an index, the image for this machine, or for the one that is asked for."""
    here = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    images = {here: Image([{"a": b"here"}], here), "riscv64": Image([{"a": b"there"}], "riscv64")}
    with Registry() as r, Project() as p:
        put_index(r, "me/many", images)
        equal(pull(p, f"{r.host}/me/many:all"), images[here].digest, "this machine's")
        equal(pull(p, f"{r.host}/me/many:all", "--platform", "linux/riscv64"), images["riscv64"].digest,
              "another one's")
        match("s390x", p.sbx("pull", "--platform", "linux/s390x", f"{r.host}/me/many:all").ok(FAILED).err,
              "of a platform that is not there")
        refused = p.sbx("pull", "--platform", "linux", f"{r.host}/me/many:all").ok(USAGE).err
        equal(refused, "sbx: error: 'linux' is not a platform\nhint: such as linux/amd64 or linux/arm/v7\n",
              "of what is no platform")


def test_login():
    """A registry with passwords: refused without, told so; let in with; the file is as others write it."""
    image = two_layers()
    with Registry(auth=True) as r, Project() as p:
        ref = r.put(image, "me/tools:1", "--dest-creds", f"{USER}:{PASSWORD}")
        wants = (f"sbx: error: cannot use the registry '{r.host}': the registry '{r.host}' wants a login\n"
                 f"hint: sbx login {r.host}\n")
        equal(p.sbx("pull", ref).ok(FAILED).err, wants, "without a login")
        wrong = p.sbx("login", "-u", USER, "--password-stdin", r.host, stdin=b"wrong\n").ok(FAILED)
        match("does not accept this user and password", wrong.err, "a wrong password")
        file = os.path.join(p.env["XDG_CONFIG_HOME"], "containers/auth.json")
        check(not os.path.exists(file), "a wrong password was kept")
        os.makedirs(os.path.dirname(file))
        with open(file, "w", encoding="utf-8") as f:
            json.dump({"auths": {"other.example": {"auth": "YTpi"}}, "mine": 1}, f)
        p.sbx("login", "-u", USER, "--password-stdin", r.host, stdin=PASSWORD.encode() + b"\n").ok()
        equal(stat.S_IMODE(os.stat(file).st_mode), 0o600, "the mode of the file")
        with open(file, encoding="utf-8") as f:
            kept = json.load(f)
        equal(kept["auths"]["other.example"], {"auth": "YTpi"}, "what was there")
        equal(kept["mine"], 1, "what sbx does not know")
        equal(base64.b64decode(kept["auths"][r.host]["auth"]).decode(), f"{USER}:{PASSWORD}", "the login")
        equal(pull(p, ref), image.digest, "with a login")
        p.sbx("push", f"{r.host}/me/tools:2", ref).ok()
        equal(r.digest("me/tools:2", "--authfile", file), image.digest, "skopeo with that file")
        p.sbx("logout", r.host).ok()
        equal(p.sbx("pull", ref).ok(FAILED).err, wants, "after the logout")
        match(r"there is no login of .*\nhint: --authfile FILE names another file; what 'docker login' keeps "
              "is removed by 'docker logout'", p.sbx("logout", r.host).ok(FAILED).err, "a second logout")
        os.remove(file)


def test_login_on_a_terminal():
    """Asked on a terminal, the password does not show."""
    with Registry(auth=True) as r, Project() as p:
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(p.dir)
            os.execve(harness.SBX, [harness.SBX, "login", "--authfile", p.path("auth"), r.host], p.env)
        said = harness.read_until(fd, b"user: ")
        os.write(fd, USER.encode() + b"\n")
        said += harness.read_until(fd, b"password: ")
        os.write(fd, PASSWORD.encode() + b"\n")
        said += harness.read_until(fd, b"the password is in")
        equal(harness.shell_status(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])), 0, "status")
        os.close(fd)
        check(PASSWORD.encode() not in said, f"the password shows: {said!r}")
        match(r.host, p.read("auth"), "the file")


def test_login_words():
    """What login and logout refuse before anything is asked."""
    with Project() as p:
        equal(p.sbx("login", "https://r.x").ok(USAGE).err,
              "sbx: error: 'https://r.x' is not a registry: it is an address of the web, not an image's name\n"
              "hint: such as registry.example or localhost:5000\n", "an address")
        match("--password-stdin needs --username", p.sbx("login", "--password-stdin", "r.x").ok(USAGE).err,
              "no user")
        match("a user's name is not empty and has no ':'",
              p.sbx("login", "-u", "a:b", "--password-stdin", "r.x", stdin=b"x\n").ok(USAGE).err, "a colon")
        match("there is none", p.sbx("login", "-u", "a", "--password-stdin", "r.x").ok(FAILED).err, "no password")
        r = p.sbx("login", "-u", "a", "r.x", preexec_fn=os.setsid).ok(USAGE)
        match("there is no terminal to ask for the password on\n"
              "hint: give them: sbx login -u USER --password-stdin REGISTRY <FILE", r.err, "no terminal")


def test_helper():
    """A credential helper is asked by its protocol; one that is not there is named."""
    image = two_layers()
    with Registry(auth=True) as r, Project() as p:
        ref = r.put(image, "me/tools:1", "--dest-creds", f"{USER}:{PASSWORD}")
        os.mkdir(p.path("bin"))
        p.write("bin/docker-credential-test", "#!/bin/sh\n[ \"$1\" = get ] && [ \"$(cat)\" = "
                f"{r.host} ] || exit 1\necho '{{\"Username\": \"{USER}\", \"Secret\": \"{PASSWORD}\"}}'\n", 0o755)
        p.write("auth", json.dumps({"credHelpers": {r.host: "test"}}))
        env = dict(p.env, PATH=p.path("bin") + ":" + p.env["PATH"], REGISTRY_AUTH_FILE=p.path("auth"))
        equal(pull(p, ref, env=env), image.digest, "with a helper")
        env["PATH"] = p.env["PATH"]
        equal(p.sbx("pull", ref, env=env).ok(FAILED).err,
              f"sbx: error: cannot ask 'docker-credential-test' for the password of '{r.host}': there is no such "
              "program\nhint: install it, or take its name out of the file that names it\n", "without it")
        p.write("auth", json.dumps({"credsStore": "../../bin/sh"}))
        match("is not the name of a credential helper", p.sbx("pull", ref, env=env).ok(FAILED).err, "a path")


def test_tls():
    """A certificate of an authority that nobody knows is refused; named by --cert-dir or in certs.d, it is good."""
    image = two_layers()
    with Registry(tls=True) as r, Project() as p:
        ref = r.put(image, "me/tools:1")
        refused = p.sbx("pull", ref).ok(FAILED).err
        match("hint: its certificate is of an authority that this machine does not know, or of another host: "
              "--cert-dir DIR names a folder", refused, "an unknown authority")
        os.mkdir(p.path("certs"))
        shutil.copy(os.path.join(r.dir, "ca.crt"), p.path("certs/ca.crt"))
        equal(pull(p, ref, "--cert-dir", p.path("certs")), image.digest, "--cert-dir")
        folder = os.path.join(p.env["XDG_CONFIG_HOME"], "containers/certs.d", r.host)
        os.makedirs(folder)
        shutil.copy(p.path("certs/ca.crt"), folder)
        p.sbx("push", f"{r.host}/me/tools:2", ref).ok()
        equal(r.digest("me/tools:2"), image.digest, "pushed by https")
        match("cannot open the folder of certificates",
              p.sbx("pull", "--cert-dir", p.path("none"), ref).ok(FAILED).err, "a folder that is not there")
        # By name, plain http: this one speaks none, and says so.
        match("answers 400|is no registry", p.sbx("pull", "--plain-http", ref).ok(FAILED).err, "--plain-http")


def test_no_tls():
    """Beyond this machine, plain http is spoken by name alone; a registry without TLS is told apart."""
    image = two_layers()
    with Registry() as r, Project() as p:
        r.put(image, "me/tools:1")
        # It leads here, but is not this machine's name: sbx takes it for another's.
        ref = r.host.replace("127.0.0.1", "0.0.0.0") + "/me/tools:1"
        env = dict(p.env, no_proxy="*")
        match("hint: if it speaks no TLS, and you trust the network up to it: --plain-http",
              p.sbx("pull", ref, env=env).ok(FAILED).err, "a registry without TLS")
        equal(pull(p, ref, "--plain-http", env=env), image.digest, "by name")


def test_damaged_blob():
    """A blob that was damaged in the store is not taken by the registry, and sbx says where to look."""
    image = Image([{"f": os.urandom(5000)}])
    with Registry() as a, Registry() as b, Project() as p:
        env = stores("damaged")
        ref = a.put(image, "me/tools:1")
        pull(p, ref, env=env)
        blob = os.path.join(env["XDG_DATA_HOME"], "sbx/blobs", image.layers[0]["digest"][7:])
        os.chmod(blob, 0o600)
        with open(blob, "r+b") as f:
            f.seek(100)
            byte = f.read(1)
            f.seek(100)
            f.write(bytes([byte[0] ^ 1]))
        match("hint: sbx fsck tells whether the store is damaged",
              p.sbx("push", f"{b.host}/me/tools:1", ref, env=env).ok(FAILED).err, "a damaged blob")
        shutil.rmtree(os.path.join(env["XDG_DATA_HOME"], "sbx/blobs"))


def test_built_without():
    """Without sbx-registry beside it, sbx says how to get it, and what goes without."""
    with Project() as p:
        shutil.copy(harness.SBX, p.path("sbx"))
        result = command([p.path("sbx"), "pull", "r.x/a"], cwd=p.dir, env=p.env).ok(FAILED)
        equal(result.err, "sbx: error: this sbx was built without registries: there is no 'sbx-registry' beside it\n"
              "hint: install libcurl's headers (libcurl4-openssl-dev) and build sbx again; sbx load reads what "
              "'skopeo copy' or 'podman save' fetched\n", "what it says")


def test_not_there():
    """A name, a tag, a registry that is not there; a name that is none."""
    with Registry() as r, Project() as p:
        equal(p.sbx("pull", f"{r.host}/me/none:1").ok(FAILED).err,
              f"sbx: error: the registry '{r.host}' has no '1' in 'me/none'\nhint: look at its name and tag; what "
              f"is not public needs a login, too: sbx login {r.host}\n", "a name")
        for words, name, hint in (
                ("pull", "debian:12", "sbx pull REGISTRY/NAME[:TAG]; docker's name of that is docker.io/library/debian:12"),
                ("push", "me/x", "sbx push REGISTRY/NAME[:TAG] [WHAT]; docker's name of that is docker.io/me/x:latest"),
                ("pull", "Debian", "sbx pull REGISTRY/NAME[:TAG]"), ("push", "Debian", "sbx push REGISTRY/NAME[:TAG] [WHAT]")):
            match(r"it names no registry\nhint: " + re.escape(hint) + "$", p.sbx(words, name).ok(USAGE).err, words)
        host = r.host
    with Project() as p:
        gone = f"cannot use the registry '{host}': .*\nhint: nothing answers there: look at its name and port, and whether it runs$"
        p.write("Containerfile", f"FROM {host}/a:1\n")
        for words in (["pull", f"{host}/a:1"], ["build", "-f", "Containerfile"], ["login", "-u", "me", "--password-stdin", host]):
            match(gone, p.sbx(*words, stdin=b"x\n").ok(FAILED).err, f"nobody there: {words}")
        match("cannot use the registry 'r.invalid': .*\nhint: look at its name; where that is right, this machine has no network, "
              "or no name server that knows it$", p.sbx("pull", "r.invalid/a").ok(FAILED).err, "no such name")
        match("\nhint: look at the variables https_proxy, http_proxy and all_proxy$",
              p.sbx("pull", "r.invalid/a", env=dict(p.env, https_proxy="http://p.invalid:1")).ok(FAILED).err, "no such proxy")
        match("cannot read the password: there is none\nhint: give it on standard input, in a line: … --password-stdin "
              "REGISTRY <FILE", p.sbx("login", "-u", "me", "--password-stdin", host).ok(FAILED).err, "no password")


if __name__ == "__main__":
    harness.main(__name__)
