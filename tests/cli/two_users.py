#!/usr/bin/python3
"""two_users.py — two users on one machine: one commits and pushes to a registry, the other pulls and enters.

Each of the two rungs is on both sides: the user with subordinate ids gives to the one without, and the other
way round.  Root's part alone: it runs the registry and becomes both (as-user).  The digests are the same, and so is the
tree; owners are those of the giver where the taker has the ids for them, else nobody's but root's.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import traceback

import harness
import registries

HERE = os.path.dirname(os.path.abspath(__file__))


def part(rung, what, host):
    done = subprocess.run([os.path.join(HERE, "../as-user"), rung, os.path.join(HERE, "two_users_part.py"), what, host],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=200, check=False)
    if done.returncode == 77:
        raise harness.Skip(done.stderr.decode(errors="replace").strip())
    harness.equal(done.returncode, 0, f"{what} on {rung}: {done.stderr.decode(errors='replace')}")
    return json.loads(done.stdout)


def without_owners(lines):
    return [words[:2] + words[4:] if len(words) > 5 else words for words in lines]


def owners(lines):
    return {(words[2], words[3]) for words in lines if len(words) > 5}


def compare(name, given, taken):
    harness.equal(taken["pulled"], given["pushed"], f"{name}: the digest that pull prints")
    harness.equal("sha256:" + taken["image"], given["pushed"], f"{name}: what the environment stands on")
    # The giver's log has his base's layers too; on the host there are none.
    harness.equal(taken["layers"], given["layers"], f"{name}: layers")
    harness.equal(without_owners(taken["tree"]), without_owners(given["tree"]), f"{name}: the tree")
    mine = {("0", "0"), ("105", "106")} if given["ids"] == "subordinate ids" else {("0", "0")}
    harness.equal(owners(given["tree"]), mine, f"{name}: owners where it was made")
    if taken["ids"] == "subordinate ids":
        harness.equal(owners(taken["tree"]), mine, f"{name}: owners with subordinate ids")
    else:
        harness.equal(owners(taken["tree"]), {("0", "0")}, f"{name}: owners on one id")


def give_and_take(giver, taker):
    with registries.Registry() as registry:
        given = part(giver, "give", registry.host)
        taken = part(taker, "take", registry.host)
        harness.equal(sorted(taken), sorted(given), "what was taken")
        harness.check(given["host"]["uid"] != taken["host"]["uid"], "they are two users")
        for name, value in given.items():
            compare(name, value, taken[name])


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP becoming two users takes root")
        sys.exit(1 if os.environ.get("SBX_MUST_RUN") == "1" else 77)
    failed = 0
    pairs = (("sub", "one"), ("one", "sub"))
    print(f"1..{len(pairs)}", flush=True)
    try:
        for number, (giver, taker) in enumerate(pairs, 1):
            before = time.monotonic()
            try:
                give_and_take(giver, taker)
                print(f"ok {number} - {giver} gives, {taker} takes")
            except harness.Skip as why:
                print(f"ok {number} - {giver} gives, {taker} takes # SKIP {why}")
                failed += os.environ.get("SBX_MUST_RUN") == "1"
            except Exception:  # pylint: disable=broad-except
                harness.diagnose(traceback.format_exc())
                print(f"not ok {number} - {giver} gives, {taker} takes")
                failed += 1
            harness.diagnose(f"{time.monotonic() - before:.2f} s")
    finally:
        shutil.rmtree(harness.base(), ignore_errors=True)
    sys.exit(1 if failed else 0)


main()
