#!/usr/bin/python3
"""Mistakes in a profile: status 125, FILE:LINE, what is wrong, and where it helps the right name."""

import os

import harness
from harness import Project, absent, check, equal, match

# What was written, the line of the mistake, the message, the hint (None: none asked for).
MISTAKES = [
    ("[netwrok]\nmode = none\n", 1, r"section.*netwrok", r"network"),
    ("[network]\nmoed = none\n", 2, r"key.*moed|moed", r"mode"),
    ("[network]\nmode = nonne\n", 2, r"nonne", r"none"),
    ("[network]\nmode =\n", 2, r"mode", None),
    ("[network]\nmode\n", 2, r"neither.*key = value", None),
    ("mode = none\n", 1, r"mode", None),
    ("[network\nmode = none\n", 1, r".", None),
    ("[network]\nmode = none\nmode = host\n", 3, r"mode.*(twice|again|already|line 2)", None),
    ("[network]\nmode = none\n[network]\ndriver = auto\n", 3,
     r"network.*(twice|again|already|line 1)", None),
    ("[network]\ndriver = slirp4nets\n", 2, r"driver|slirp", r"slirp4netns"),
    ("[network]\nports = 99999\n", 2, r"99999.*port|port.*99999", None),
    ("[network]\nports = 80:x\n", 2, r"port", None),
    ("[network]\nports = 8080/sctp\n", 2, r"8080/sctp", None),
    ("[user]\nas = me\n", 2, r"self.*root", None),
    ("[user]\nname = x\n", 2, r"name", None),
    ("[base]\nimage = dir:\n", 2, r"path", None),
    ("[base]\nimage = dir:/no/such/root\n", 2, r"/no/such/root", None),
    ("[base]\nimage = hots\n", 2, r"hots", r"host"),
    ("[limits]\nmemory = lots\n", 2, r"memory|lots", None),
    ("[limits]\nmemory = 4G\n", 2, r"memory", r"best-effort"),
    ("[limits]\ncpus = -1\n", 2, r"cpus|-1", None),
    ("[limits]\npids = 0\n", 2, r"pids", None),
    ("[limits]\nbest-effort = maybe\n", 2, r"yes or no", None),
    ("[security]\nseccomp = offf\n", 2, r"offf", r"off"),
    ("[security]\nseccomp = strict\n", 2, r"strict", None),
    ("[security]\nnested = 2\n", 2, r"yes or no", None),
    ("[sandbox]\nlinger = soon\n", 2, r"time|linger", None),
    ("[sandbox]\nlinger = 99999d\n", 2, r"days|linger", None),
    ("[mounts]\n/tmp = relative\n", 2, r"absolute", None),
    ("[mounts]\n/tmp = /a/../b\n", 2, r"\.\.", None),
    ("[mounts]\n/tmp = /data:rx\n", 2, r"rx", r"ro"),
    ("[mounts]\n/tmp = /\n", 2, r"root", None),
    ("[mounts]\n/tmp = /proc\n", 2, r"/proc", None),
    ("[mounts]\n/tmp = /x\n/var = /x\n", 3, r"/x.*twice", None),
    ("[mounts]\n./no-such-folder = /data\n", 2, r"no-such-folder", None),
    ("[env]\nset.1X = y\n", 2, r"1X", None),
    ("[env]\npass = A=B\n", 2, r"A=B", None),
    ("[env]\nsett.X = y\n", 2, r"sett", r"set\."),
    ("[profile]\nextends = no-such-profile\n", 2, r"no-such-profile", r"profile list"),
    ("[profile]\nextends = ../evil\n", 2, r"evil|letters", None),
    ("[profile]\nname = a b\n", 2, r"letters", None),
    ("[build]\ncopy = x\n", 2, r"what is copied", None),
    ("[network]\n; fine\n\n\nmode = wrong\n", 5, r"wrong", None),
    (b"[network]\nmode = no\0ne\n", 2, r"NUL", None),
    (b"[network]\r\nmode = none\r\n", 1, r"carriage return", None),
    (b"[profile]\n; \xff\xfe\nname = x\n", 2, r"UTF-8", None),
    ("[profile]\n; \x1b[2Khidden\nname = x\n", 2, r"U\+001B|control", None),
    ("[profile]\n; \u202eevil\nname = x\n", 2, r"U\+202E|invisible", None),
    ("[env]\nset.X = " + "y" * 100000 + "\n", 2, r"longer", None),
]


def test_thirty_kinds_of_mistake():
    """Each mistake is found where it stands, by run and by profile check, before anything starts."""
    wrong = []
    with Project() as p:
        for ini, line, message, hint in MISTAKES:
            p.write("sbx.ini", ini)
            for args in (["run", "true"], ["run", "--dry-run", "true"]):
                result = p.sbx(*args)
                try:
                    equal(result.status, 125, "status")
                    match(rf"sbx\.ini:{line}: .*({message})", result.err, "the message")
                    if hint:
                        match(rf"^hint: .*{hint}", result.err, "the hint")
                    absent(r"[\x00-\x08\x0b-\x1f\x7f\u202e]|Sanitizer", result.err, "raw bytes")
                    check(len(result.err) < 3000, "a message of reasonable length")
                except harness.Failed as e:
                    wrong.append(f"{ini[:60]!r} with {args[1]}: {e}")
                    break
            equal(p.sbx("list", "--json").json(), [], f"nothing was made for {ini[:60]!r}")
    check(not wrong, f"{len(wrong)} of {len(MISTAKES)}:\n" + "\n".join(wrong))


def test_an_image_that_is_not_there():
    """The start says where it is asked for; --dry-run fetches nothing, and does not know."""
    with Project(ini="[base]\nimage = oci:./dir\n") as p:
        result = p.run("true").ok(125)
        match(r"sbx\.ini:2: cannot open 'dir': No such file", result.err, "the message")
        equal(p.sbx("list", "--json").json(), [], "environments")
        p.sbx("run", "--dry-run", "true").ok()


def test_extends():
    """A profile is extended by name, from the user's folder; a loop and a mistake name both files."""
    with Project(ini="[profile]\nextends = mine\n") as p:
        folder = os.path.join(p.env["XDG_CONFIG_HOME"], "sbx/profiles")
        os.makedirs(folder, exist_ok=True)

        def write(name, text):
            with open(os.path.join(folder, name + ".ini"), "w", encoding="utf-8") as f:
                f.write(text)

        write("mine", "[network]\nmode = none\n[env]\nset.FROM = mine\n")
        equal(p.sh("echo $FROM").ok().out, "mine\n", "a value of the extended profile")
        p.sbx("stop")
        write("mine", "[network]\nmoed = none\n")
        result = p.run("true")
        equal(result.status, 125, "status")
        match(r"mine\.ini:2: .*moed", result.err, "the file of the mistake")
        write("mine", "[profile]\nextends = other\n")
        write("other", "[profile]\nextends = mine\n")
        result = p.run("true")
        equal(result.status, 125, "status of a loop")
        match(r"\.ini:2: .*(loop|itself|circle)", result.err, "the loop")


def test_profile_check_and_show():
    """profile check says the same as run; show prints the merged profile with its origins."""
    with Project() as p:
        p.sbx("profile", "check").ok()
        match(r"mode = none.*sbx\.ini:2", p.sbx("profile", "show").ok().out, "show")
        p.write("sbx.ini", "[network]\nmode = wrong\n")
        result = p.sbx("profile", "check")
        check(result.status not in (0, 2), f"status {result.status}")
        match(r"sbx\.ini:2: ", result.err + result.out, "check")


def test_trust_asks_once_and_again_after_a_change():
    """What widens the sandbox needs sbx allow, and a changed profile asks again."""
    outside = os.path.join(harness.base(), "outside")
    os.makedirs(outside, exist_ok=True)
    with open(os.path.join(outside, "f"), "w", encoding="utf-8") as f:
        f.write("from outside\n")
    asks = [(f"[mounts]\n{outside} = /data\n", r"outside"), ("[security]\nseccomp = off\n", r"seccomp"),
            ("[security]\nnested = yes\n", r"nested"), ("[env]\npass = SECRET\n", r"SECRET"),
            ("[network]\nmode = host\n", r"network")]
    for text, named in asks:
        ini = text if "[network]" in text else harness.NO_NET + text
        with Project(ini=ini) as p:
            result = p.run("true")
            equal(result.status, 125, f"before allow: {text!r}")
            match(named, result.err, "what is asked")
            match(r"^hint: .*sbx allow", result.err, "the hint")
            check(p.sbx("allow", stdin=b"").status != 0, "allow without a terminal asks for --yes")
            p.allow()
            p.run("true").ok()
            p.sbx("stop")
            p.write("sbx.ini", ini + "; changed\n")
            equal(p.run("true").status, 125, f"after a change: {text!r}")


def test_mounts():
    """A mount is there, read-only by default, writable with :rw."""
    outside = os.path.join(harness.base(), "data-to-mount")
    os.makedirs(outside, exist_ok=True)
    with open(os.path.join(outside, "f"), "w", encoding="utf-8") as f:
        f.write("from outside\n")
    ini = harness.NO_NET + f"[mounts]\n{outside} = /data\n./sub = /srv/sub:rw\n"
    with Project(ini=ini) as p:
        os.mkdir(p.path("sub"))
        p.allow()
        equal(p.run("cat", "/data/f").ok().out, "from outside\n", "content")
        result = p.sh("echo x > /data/g")
        check(result.status != 0, "a read-only mount was written")
        match(r"Read-only", result.err, "the reason")
        check(p.run("sudo", "mount", "-o", "remount,rw,bind", "/data").status != 0, "remounted")
        p.sh("echo x > /srv/sub/g").ok()
        equal(p.read("sub/g"), "x\n", "written through :rw")


harness.main(__name__)
