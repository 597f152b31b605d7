#!/usr/bin/python3
"""Registries that fail, lie and attack: the right result or a clear error, and a store that is sound."""

import base64
import json
import os
import random
import signal
import tempfile
import threading
import time
import urllib.parse

import harness
from harness import Project, check, equal, match
from registries import PASSWORD, USER, Image, make_ca, sha, sound
from registry_hostile import BASIC, Server, challenge

FAILED = 125
CUTS = 100 if os.environ.get("SBX_SOAK") == "1" else 20


def image_of(n=4, size=300000):
    return Image([{f"f{i}": os.urandom(size)} for i in range(n)])


def pulled(p, server, image, *options, env=None, clean=True):
    out = p.sbx("pull", *options, server.ref, env=env or p.env).ok().out
    equal(out, f"sha256:{image.digest}\n", "what pull prints")
    for digest, data in image.blobs.items():
        with open(os.path.join(p.env["XDG_DATA_HOME"], "sbx/blobs", digest), "rb") as f:
            equal(sha(f.read()), sha(data), "a blob in the store")
    if clean:
        sound(p)


def refused(p, server, pattern, *options, env=None, clean=True):
    """A clear error; nothing of it is in the store but what may be resumed."""
    result = p.sbx("pull", *options, server.ref, env=env or p.env).ok(FAILED)
    match(pattern, result.err, "what pull says")
    if clean:
        sound(p)
    return result.err


def login_file(p, server):
    """The login for this server; the variables that make it known."""
    word = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    p.write("auth", json.dumps({"auths": {server.host: {"auth": word}}}))
    return dict(p.env, REGISTRY_AUTH_FILE=p.path("auth"))


# ---- C13: cuts, storms -----------------------------------------------------------------------


def test_c13_cut():
    """The connection is cut at random points of blobs, again and again: it goes on where it was."""
    image, left, lock = image_of(), [CUTS], threading.Lock()
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)

    def hook(h):
        if "/blobs/" not in h.path or h.path.endswith(image.config["digest"]):
            return False
        data = image.blobs[h.path.rsplit(":", 1)[1]]
        with lock:
            cut = left[0] > 0
            left[0] -= cut
            part = dice.random()
        if not cut:
            return False
        start = int((h.headers.get("Range") or "bytes=0-")[6:-1])
        h.send_response(206 if start else 200)
        h.send_header("Content-Length", str(len(data) - start))
        if start:
            h.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        h.end_headers()
        h.wfile.write(data[start:start + 1 + int(part * (len(data) - start - 1) / 4)])
        h.cut(reset=False)
        return True

    with Server(image, hook) as s, Project() as p:
        try:
            pulled(p, s, image)
        except harness.Failed as e:
            raise harness.Failed(f"seed {seed}: {e}") from e
        check(any("Range" in headers for _, _, headers, _ in s.seen), "nothing was resumed")
        equal(left[0], 0, "cuts that were not made")


def test_c13_killed():
    """sbx is killed in the middle of a blob: the next pull goes on there."""
    image = Image([{"f": os.urandom(3 << 20)}])
    name = image.layers[0]["digest"]
    gate = threading.Event()

    def hook(h):
        data = image.blobs[name[7:]]
        if not h.path.endswith(name) or gate.is_set():
            return False
        h.send_response(200)
        h.send_header("Content-Length", str(len(data)))
        h.end_headers()
        h.wfile.write(data[:1 << 20])
        h.wfile.flush()
        gate.wait(60)
        h.cut()
        return True

    with Server(image, hook) as s, Project() as p:
        partial = os.path.join(p.env["XDG_DATA_HOME"], "sbx/blobs/partial", name[7:])
        child = p.start("pull", s.ref)
        while not (os.path.exists(partial) and os.path.getsize(partial) == 1 << 20):
            time.sleep(0.02)  # polls: the file of another process grows
        child.send_signal(signal.SIGKILL)
        harness.wait_process(child)
        gate.set()
        pulled(p, s, image, clean=False)
        ranges = [headers.get("Range") for _, path, headers, _ in s.seen if path.endswith(name)]
        equal(ranges, [None, f"bytes={1 << 20}-"], "what was asked for")
        check(not os.path.exists(partial), "the partial file is left")
        p.sbx("gc").ok()  # what the killed one held
        sound(p)


def test_c13_no_ranges():
    """A server that knows no ranges, and one that lies about them, begin anew."""
    image, cuts = image_of(1), [2]

    def hook(h):
        if not h.path.endswith(image.layers[0]["digest"]):
            return False
        data = image.blobs[h.path.rsplit(":", 1)[1]]
        if cuts[0] > 0:
            cuts[0] -= 1
            h.send_response(200)
            h.send_header("Content-Length", str(len(data)))
            h.end_headers()
            h.wfile.write(data[:len(data) // 2])
            h.cut()
        elif cuts[0] == 0 and "Range" in h.headers:
            cuts[0] -= 1
            h.answer(206, data[5:], content_range=f"bytes 5-{len(data) - 1}/{len(data)}")
        else:
            h.answer(200, data)
        return True

    with Server(image, hook) as s, Project() as p:
        match("a piece out of the middle|digest", p.sbx("pull", s.ref).err or "digest", "a lie about a range")
        pulled(p, s, image)


def test_c13_storm():
    """503, 429 with Retry-After and resets: it waits, and tries again; five times, then it says so."""
    image, count, lock = image_of(2), {}, threading.Lock()

    def hook(h):
        with lock:
            count[h.path] = n = count.get(h.path, 0) + 1
        if n == 1:
            h.answer(503)
        elif n == 2 and "/blobs/" in h.path:
            h.answer(429, retry_after="1")
        elif n == 2:
            h.cut()
        else:
            return False
        return True

    with Server(image, hook) as s, Project() as p:
        pulled(p, s, image)

    def always(h):
        h.answer(503, b'{"errors": [{"code": "UNAVAILABLE", "message": "in a bad mood"}]}')
        return True

    with Server(image, always) as s, Project() as p:
        refused(p, s, "cannot log in: the registry '.*' answers 503: in a bad mood")
        equal(len(s.seen), 5, "tries")


# ---- C10, C11: bytes that are not what they should be ---------------------------------------------


def test_c10_blobs():
    """Of each blob: a bit flipped, cut short, made longer, and not there; found every time."""
    changes = {
        "flip": (lambda d: d[:50] + bytes([d[50] ^ 1]) + d[51:], "digest"),
        "long": (lambda d: d + b"more", "larger than"),
        "none": (None, "answers 404"),
        "short": (lambda d: d[:-10], "ends after|answers 416"),
    }
    for name, (change, pattern) in changes.items():
        # To find out that it stays short takes five tries: for one of them only.
        for which in range(1 if name == "short" else 3):
            image = image_of(2, 3000)
            target = [image.config, *image.layers][which]["digest"]

            def hook(h, image=image, target=target, change=change):
                if not h.path.endswith(target):
                    return False
                if change:
                    h.blob(change(image.blobs[target[7:]]))
                else:
                    h.answer(404)
                return True

            with Server(image, hook) as s, Project() as p:
                refused(p, s, pattern, clean=False)
                stored = os.listdir(os.path.join(p.env["XDG_DATA_HOME"], "sbx/blobs"))
                check(target[7:] not in stored, f"{name}: the bad blob has its name in the store")
                s.hook = None
                pulled(p, s, image, clean=which == 0)


def manifest_hook(text, content_type="application/vnd.oci.image.manifest.v1+json"):
    def hook(h):
        if "/manifests/" not in h.path:
            return False
        h.answer(200, text, content_type=content_type, docker_content_digest="sha256:" + "0" * 64)
        return True
    return hook


def test_c10_digests():
    """Digests that are none are refused before anything is asked for by them."""
    for bad in ("sha256:../../x", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "sha512:" + "a" * 128,
                "md5:" + "a" * 32, "sha256:" + "a" * 64 + "/..", "", 7):
        image = image_of(1, 100)
        image.layers[0]["digest"] = bad
        image.build()
        with Server(image) as s, Project() as p:
            refused(p, s, "digest", clean=bad == 7)
            equal([path for path in s.paths() if "/blobs/" in path], [], "blobs asked for")


def test_c10_header_lies():
    """A digest in a header is a hint: what counts are the bytes.  By digest, other bytes are refused."""
    image = image_of(1, 100)
    with Server(image, manifest_hook(image.text)) as s, Project() as p:
        pulled(p, s, image)
        s.ref = f"{s.host}/me/tools@sha256:{'1' * 64}"
        refused(p, s, f"has the digest sha256:{image.digest}")


def test_c11():
    """Bytes with two meanings, a type that does not fit, an index in an index, another number of layers."""
    image = image_of(1, 100)
    both = json.dumps({**json.loads(image.text), "manifests": []}).encode()
    index_type = "application/vnd.oci.image.index.v1+json"
    old = json.dumps({"schemaVersion": 1, "fsLayers": []}).encode()
    few = image_of(2, 100)
    few.layers.pop()
    few.build()
    for text, kind, pattern in (
            (both, None, "two images"), (image.text, index_type, "index"),
            (old, "application/vnd.docker.distribution.manifest.v1+json", "schema 1"),
            (b"<html>", "text/html", "JSON|json|'<'"), (b"", None, "."), (b"[" * 100000, None, ".")):
        with Server(image, manifest_hook(text, kind)) as s, Project() as p:
            refused(p, s, pattern, clean=False)
    with Server(few) as s, Project() as p:
        refused(p, s, "layers")


def endless(first, again):
    def hook(h):
        if "/manifests/" not in h.path:
            return False
        h.wfile.write(first)
        while True:
            h.wfile.write(again)
    return hook


def test_endless():
    """A manifest, a head and a chain of redirects without an end."""
    image = image_of(1, 100)
    block = b"10000\r\n" + b" " * 65536 + b"\r\n"
    with Server(image, endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", block)) as s, \
            Project() as p:
        refused(p, s, "its answer has more than 4194304 bytes")
    with Server(image, endless(b"HTTP/1.1 200 OK\r\n", b"X-More: " + b"x" * 1000 + b"\r\n")) as s, \
            Project() as p:
        refused(p, s, "the head of its answer has more than 65536 bytes")

    def ring(h):
        if "/v2/me" in h.path:
            h.answer(302, location=h.path)
            return True
        return False

    with Server(image, ring) as s, Project() as p:
        refused(p, s, "sends us on and on: more than 3 times")
        equal(len(s.paths()), 5, "requests: /v2/, one, and three more")


def test_slow():
    """One that sends a byte now and then is given up, in the time that was set."""
    image, over = image_of(1, 100), threading.Event()

    def hook(h):
        if "/manifests/" not in h.path:
            return False
        h.send_response(200)
        h.send_header("Content-Length", "1000")
        h.end_headers()
        while not over.wait(0.3):
            h.wfile.write(b" ")
        return True

    with Server(image, hook) as s, Project() as p:
        env = dict(p.env, SBX_REGISTRY_TIMEOUT="1")
        refused(p, s, "(too slow|timed out|timeout).*hint: it, or the network up to it, stands still: try once more later", env=env)
        equal(len(s.paths()), 6, "requests: /v2/ and five tries")
        match("SBX_REGISTRY_TIMEOUT", p.sbx("pull", s.ref, env=dict(env, SBX_REGISTRY_TIMEOUT="0")).ok(FAILED).err,
              "no time at all")
        over.set()


# ---- C12: credentials, and whom they are told -----------------------------------------------------


def token_giver(token="secret-token"):
    """A server that gives tokens, and a registry that wants one from it."""
    def give(h):
        h.answer(200, json.dumps({"token": token}).encode())
        return True

    def registry(realm):
        def hook(h):
            if h.path.startswith("/token"):
                return give(h)
            if h.headers.get("Authorization") == f"Bearer {token}":
                return False
            h.answer(401, www_authenticate=f'Bearer realm="{realm}",service="s"')
            return True
        return hook
    return give, registry


def test_c12_realm_of_its_own():
    """The registry gives tokens itself: the password is told there, and the token used."""
    image = image_of(1, 100)
    _, registry = token_giver()
    with Server(image) as s, Project() as p:
        s.hook = registry(f"http://{s.host}/token")
        pulled(p, s, image, env=login_file(p, s))
        equal(s.told(), {BASIC, "Bearer secret-token"}, "what it was told")
        equal({urllib.parse.unquote(path) for path in s.paths() if "token" in path},
              {f"/token?service=s&scope=repository:me/tools:pull&account={USER}"}, "what was asked")


def test_c12_realm_elsewhere():
    """A realm on another host, named by plain http, is never told the password."""
    image = image_of(1, 100)
    give, registry = token_giver()
    with Server(image) as s, Server(hook=give) as other, Project() as p:
        s.hook = registry(f"http://{other.host}/token")
        refused(p, s, "wants the login sent to 'http://.*/token', which is not the registry and was not named by "
                "https: refused", env=login_file(p, s))
        equal(other.seen, [], "what the other one saw")
        # Without a password there is nothing to lose: a token for everybody.
        pulled(p, s, image)
        equal(other.told(), set(), "what the other one was told")


def test_c12_http_realm():
    """A registry that is spoken to by https names a realm by http: refused, even on the same machine."""
    image, ca = image_of(1, 100), tempfile.mkdtemp(dir=harness.base())
    make_ca(ca)
    give, registry = token_giver()
    with Server(image, tls=ca) as s, Server(hook=give) as other, Server(hook=give, tls=ca) as safe, Project() as p:
        env = login_file(p, s)
        s.hook = registry(f"http://{other.host}/token")
        refused(p, s, "which is plain http: refused", "--cert-dir", ca, env=env)
        equal(other.seen, [], "what the realm saw")
        # By https, another host may give tokens, as the Docker Hub's does; the token is for the registry alone.
        s.hook = registry(f"https://{safe.host}/token")
        pulled(p, s, image, "--cert-dir", ca, env=env)
        equal(safe.told(), {BASIC}, "what the giver of tokens was told")
        equal(s.told(), {"Bearer secret-token"}, "what the registry was told")


def test_c12_redirect():
    """Redirected to another host, nothing of the login goes there; back from there, neither."""
    image = image_of(1, 100)
    layer = image.layers[0]["digest"]
    with Server(image) as other, Server(image) as s, Project() as p:
        lock = challenge('Basic realm="x"')

        def hook(h):
            if h.path == "/back" + layer:
                h.blob(image.blobs[layer[7:]])
                return True
            if h.path.endswith(layer) and "Authorization" in h.headers:
                h.answer(307, location=f"http://{other.host}/away{layer}")
                return True
            return lock(h)

        def away(h):
            h.answer(302, location=f"http://{s.host}/back{layer}")
            return True

        s.hook, other.hook = hook, away
        pulled(p, s, image, env=login_file(p, s))
        equal(other.told(), set(), "what the other host was told")
        equal(s.told(), {BASIC}, "what the registry was told")
        back = [headers for _, path, headers, _ in s.seen if path.startswith("/back")]
        check(back and not any("Authorization" in h for h in back), f"what came back: {back}")
        # The other one asks for a login, too: it is none of its business.
        other.hook = challenge('Basic realm="x"')
        fresh = Image([{"f": b"fresh"}])
        s.image, layer = fresh, fresh.layers[0]["digest"]
        refused(p, s, "answers 401", env=login_file(p, s))
        equal(other.told(), set(), "what the other host was told")


def test_c12_downgrade():
    """From https to http nobody is sent on."""
    image, ca = image_of(1, 100), tempfile.mkdtemp(dir=harness.base())
    make_ca(ca)
    with Server(image) as other, Server(image, tls=ca) as s, Project() as p:
        def hook(h):
            if "/blobs/" not in h.path:
                return False
            h.answer(302, location=f"http://{other.host}{h.path}")
            return True

        s.hook = hook
        refused(p, s, "which is plain http: refused", "--cert-dir", ca)
        equal(other.seen, [], "what the other one saw")


def test_c12_refusals():
    """A token that is refused, one that does not help, and one that is no token."""
    image = image_of(1, 100)
    for give, pattern in ((lambda h: h.answer(403), "gives no token: status 403.*hint: sbx login"),
                          (lambda h: h.answer(200, b'{"token": "other"}'), "does not let us in"),
                          (lambda h: h.answer(200, b'{"token": "a\\r\\nX: y"}'), "none that can be used"),
                          (lambda h: h.answer(302, location="http://127.0.0.2:1/"), "status 302"),
                          (lambda h: h.answer(200, b"{}"), "none that can be used")):
        with Server(image) as s, Project() as p:
            def hook(h, give=give, s=s):
                if h.path.startswith("/token"):
                    give(h)
                else:
                    h.answer(401, www_authenticate=f'Bearer realm="http://{s.host}/token"')
                return True

            s.hook = hook
            refused(p, s, pattern, clean=False)
    with Server(image, challenge("Negotiate")) as s, Project() as p:
        refused(p, s, "wants a login of a kind that sbx does not know: Negotiate")


def test_c12_foreign_urls():
    """A layer whose manifest says that another host has it: not asked, and refused by name."""
    image = image_of(1, 100)
    with Server(image) as other, Project() as p:
        image.layers[0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        image.layers[0]["urls"] = [f"http://{other.host}/layer"]
        image.build()
        with Server(image) as s:
            refused(p, s, "foreign")
        equal(other.seen, [], "what the other host saw")


def test_c12_upload_elsewhere():
    """A blob may have to be sent to another host; the login is not."""
    image = image_of(1, 100)
    with Server(image) as other, Server(image) as s, Project() as p:
        pulled(p, s, image)
        lock = challenge('Basic realm="x"')

        def hook(h):
            if h.path.startswith("/v2/you/blobs/uploads/"):
                return lock(h) or h.answer(202, location=f"http://{other.host}/up") is None
            if h.command == "PUT" and lock(h) is False:
                h.answer(201)
                return True
            return lock(h) or (h.path.startswith("/v2/you/") and h.answer(404) is None)

        def take(h):
            if h.command == "PATCH":
                h.answer(202, location="/up2")
            else:
                h.answer(201)
            return True

        s.hook, other.hook = hook, take
        p.sbx("push", f"{s.host}/you:1", s.ref, env=login_file(p, s)).ok()
        check(len(other.seen) >= 4, f"nothing was sent there: {other.seen}")
        equal(other.told(), set(), "what the other host was told")
        equal(s.told(), {BASIC}, "what the registry was told")


if __name__ == "__main__":
    harness.main(__name__)
