#!/usr/bin/python3
"""THREATS C13, the way out: a push over a line that is cut at random points, again and again."""

import os
import random
import tempfile
import threading

import harness
from harness import Project, check, equal
from registries import Cutter, Image, Registry, sha, skopeo, sound
from registry_hostile import Server, Uploads

CUTS = 100 if os.environ.get("SBX_SOAK") == "1" else 12


def test_c13_resumed():
    """The line is cut at random points of uploads: each goes on where it was, no byte is taken twice."""
    seed = random.randrange(1 << 32)
    dice, lock, left = random.Random(seed), threading.Lock(), [CUTS]
    image, uploads = Image([{"f": os.urandom(8 << 20)}, {"g": os.urandom(8 << 20)}]), Uploads()

    def allowance():
        with lock:
            left[0] -= 1
            return dice.randrange(5000, (12 << 20) // CUTS) if left[0] >= 0 else None

    with Server(image, lambda h: h.server.uploading and uploads(h)) as s, Cutter(s.host, allowance) as line, \
            Project() as p:
        s.uploading = False
        p.sbx("pull", s.ref).ok()
        s.uploading = True
        try:
            p.sbx("push", f"{line.host}/you/tools:1", s.ref, limit=240).ok()
            equal(uploads.blobs, image.blobs, "what has arrived")
        except harness.Failed as e:
            raise harness.Failed(f"seed {seed}: {e}") from e
        check(line.cuts >= CUTS // 2, f"{line.cuts} cuts")
        check(uploads.resumed >= CUTS // 4, f"{uploads.resumed} times an upload went on where it was")
        # What is on its way when a line is cut may be lost; it is never all of it.
        check(uploads.taken < 2 * sum(map(len, image.blobs.values())), f"{uploads.taken} bytes were sent")
        sound(p)


def test_c13_real():
    """
    A real registry behind a line that is cut at random points of uploads, again and again: what arrives is whole.
    (docker-registry forgets an upload that was cut; the one above does not.)
    """
    seed = random.randrange(1 << 32)
    dice, lock, left = random.Random(seed), threading.Lock(), [0]

    def allowance():
        """Behind the first requests, and seldom to the end."""
        with lock:
            left[0] -= 1
            return dice.randrange(20000, 1500000) if left[0] >= 0 else None

    try:
        with Registry() as r, Cutter(r.host, allowance) as line, Project() as p:
            for n in range(CUTS // 3):
                image = Image([{"f": os.urandom(1 << 20)}, {"g": os.urandom(2 << 20)}])
                p.sbx("pull", r.put(image, f"me/tools:{n}")).ok()
                left[0] = 3
                report = p.sbx("push", "--json", f"{line.host}/you/{n}", f"{r.host}/me/tools:{n}", limit=120).json()
                equal(report["manifest"], image.digest, "the digest of what was pushed")
                # By somebody else, who checks each byte.
                folder = tempfile.mkdtemp(dir=harness.base())
                skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{r.host}/you/{n}", f"dir:{folder}")
                for digest, data in image.blobs.items():
                    with open(os.path.join(folder, digest), "rb") as f:
                        equal(sha(f.read()), sha(data), f"the blob {digest} in the registry")
            check(line.cuts >= CUTS // 6, f"only {line.cuts} cuts were made")
            check('"PATCH' in r.log(), "uploads in the registry's log")
            sound(p)
    except harness.Failed as e:
        raise harness.Failed(f"seed {seed}: {e}") from e


if __name__ == "__main__":
    harness.main(__name__)
