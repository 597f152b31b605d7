"""Environments on images: tar:, oci:, layer: and localhost/ bases, sbx.lock, and hostile images (THREATS.md
A1, A7, A9, C9)."""

import os
import re
import subprocess

import harness
import roots
from harness import NO_NET, Project, absent, check, equal, match
from roots import entry, folder, link

_tar = None


def base_tar():
    """A small system, made once."""
    global _tar
    if _tar is None:
        _tar = os.path.join(harness.base(), "system.tar")
        with open(_tar, "wb") as f:
            f.write(roots.tar_of(roots.system()))
    return _tar


def write_tar(p, name, entries):
    return p.write(name, roots.tar_of(entries))


def on(image, more=""):
    return f"[base]\nimage = {image}\n{NO_NET}{more}"


def project(image, more=""):
    p = Project(on(image, more))
    if image.startswith(("tar:/", "oci:/")):
        p.allow()
    return p


def test_a_tar_is_a_base():
    """run, diff, commit, log, reset, squash and fork on a root out of a tar; nothing of the host shows."""
    with project("tar:" + base_tar()) as p:
        out = p.sh("id -un; cat /etc/issue /etc/passwd /etc/resolv.conf; ls /usr/bin").ok().out
        match(rf"^{harness.USER.pw_name}\nof the image\nroot:x:0:0:root:/root:/bin/bash\n"
              rf"{harness.USER.pw_name}:x:\d+:\d+::{harness.USER.pw_dir}:\S+\n", out, "what shows")
        absent("192.0.2.7|python3|perl", out, "the image's resolv.conf, or the host's programs")
        equal(p.sbx("diff").ok().out, "", "a fresh one has no changes")
        p.sbx("run", "--root", "--", "sh", "-c", "echo made > /etc/made; rm /etc/issue").ok()
        equal(p.sbx("diff").ok().out, "D /etc/issue\nA /etc/made\n", "the changes")
        p.sbx("commit", "-m", "one").ok()
        p.sbx("run", "--root", "--", "touch", "/etc/two").ok()
        p.sbx("commit", "-m", "two").ok()
        log = p.sbx("log", "--json").json()
        equal([(e["image"], e["by"]) for e in log],
              [(False, "sbx commit"), (False, "sbx commit"), (True, "image")], "log")
        p.sbx("squash").ok()
        log = p.sbx("log", "--json").json()
        equal([e["image"] for e in log], [False, True], "squashed is what lies over the image")
        equal(p.sh("cat /etc/made; ls /etc/issue /etc/two").out, "made\n/etc/two\n", "after squash")
        p.sbx("reset", "base").ok()
        equal(p.sh("cat /etc/issue; ls /etc/made").out, "of the image\n", "at the base")
        p.sbx("reset", "-").ok()
        p.sbx("fork", "other").ok()
        equal(p.sbx("run", "--create", "-e", "other", "--", "cat", "/etc/made").ok().out, "made\n", "the fork")
        s = p.sbx("status", "--json").json()
        equal((s["image"], s["image_layers"], s["layers"]), ("tar:" + base_tar(), 1, 2), "status")
        match("image +tar:", p.sbx("status").ok().out, "status as text")
        p.sbx("rm", "-f", "-e", "other")


def test_the_fuse_driver_has_images_too():
    """The same where the kernel's overlay does not work."""
    with project("tar:" + base_tar()) as p:
        p.env = harness.environment(SBX_TEST_NO_OVERLAYFS="1")
        p.sbx("run", "--root", "--", "sh", "-c", "echo made > /etc/made; rm /etc/issue").ok()
        match("fuse-overlayfs", p.sbx("status").ok().out, "the driver")
        equal(p.sbx("diff").ok().out, "D /etc/issue\nA /etc/made\n", "the changes")
        p.sbx("commit", "-m", "one").ok()
        equal(p.sh("cat /etc/made; ls /etc/issue").out, "made\n", "committed")


def test_a_layout_is_a_base():
    """oci: several layers with whiteouts, the config's variables, tags; another image of the name is told of, and
    not taken before reset --rebase."""
    upper = roots.tar_of([folder("etc"), entry("etc/.wh.issue"), entry("etc/new", data=b"new\n"),
                          folder("opt"), folder("opt/bin"),
                          entry("opt/bin/hi", mode=0o755, data=b"#!/bin/sh\necho hi\n")])
    with Project(on("oci:./layout:a")) as p:
        layout = roots.Layout(p.path("layout"))
        system = roots.tar_of(roots.system())
        layout.image("b", [system])
        digest = layout.image("a", [system, upper],
                              Env=["PATH=/opt/bin:/usr/bin", "FROM_IMAGE=yes", "HOME=/x", "TERM=x"])
        out = p.sh('hi; cat /etc/new; ls /etc/issue; echo "$FROM_IMAGE $HOME"').out
        equal(out, f"hi\nnew\nyes {harness.USER.pw_dir}\n", "what the image gives")
        s = p.sbx("status", "--json").json()
        equal((s["image_digest"], s["image_layers"], s["note"]), (digest, 2, None), "status")
        two = p.sbx("log", "--json").json()
        r = p.sbx("reset", two[1]["digest"][:12])
        equal((r.status, r.err.splitlines()[1]), (2, "hint: 'base' is the whole of it"), "inside it")
        p.sbx("stop")
        newer = layout.image("a", [system, upper, roots.tar_of([entry("newer")])])
        # The store learns of it by whoever asks for a new environment.
        p.sbx("run", "--create", "-e", "second", "--", "ls", "/newer").ok()
        r = p.sh("ls /newer")
        check(r.status != 0, "the first one stays with what it has")
        match("'oci:./layout:a' is another image by now", r.err, "the warning")
        match("another by now", p.sbx("status").ok().out, "status")
        p.sbx("reset", "--rebase").ok()
        equal(p.sbx("status", "--json").json()["image_digest"], newer, "after the rebase")
        p.sh("ls /newer").ok()
        p.sbx("rm", "-f", "second")
        p.write("sbx.ini", on("oci:./layout:c"))
        r = p.sbx("run", "--create", "-e", "third", "--", "true").ok(125)
        match("it has no image 'c'.*skopeo list-tags oci:.* shows those that it has", r.err, "no tag")


def test_a_layer_and_a_name_of_the_store():
    """layer: what was committed over a host is a base; localhost/ is this store's alone."""
    with Project(NO_NET) as p:
        p.sbx("run", "--root", "--", "sh", "-c", "echo over > /etc/over-host").ok()
        digest = p.sbx("commit", "-m", "x").ok().out.strip()
        p.profile(on("layer:" + digest))
        r = p.sh("true").ok(125)
        match("sbx.ini:2: cannot enter 'default': it stands on the host's root, or a folder, and the "
              "profile's base is 'layer:", r.err, "another base")
        match("hint: to put it there, without what was changed in it: sbx reset --rebase; or make "
              "another one: --create -e NAME", r.err, "its hint")
        equal(p.sbx("run", "--create", "-e", "two", "--", "cat", "/etc/over-host").ok().out, "over\n",
              "the layer over this host")
        p.sbx("tag", "-e", "two", "t").ok()
        r = p.sbx("reset", "t")
        equal(r.status, 2, "a tag of another base")
        match("the tag 't' lies on another base: image:.*an environment on that base can have it",
              r.err, "a tag of another base")
        p.profile(on("localhost/no/such:1"))
        r = p.sbx("run", "--create", "-e", "three", "--", "true").ok(125)
        match("the store has no image of that name", r.err, "not there")
        match("hint: sbx images lists those that it has; sbx load, sbx build and sbx init --bootstrap "
              "make one", r.err, "its hint")
        p.sbx("tag", "-d", "t").ok()
        p.sbx("rm", "-f", "-e", "two")


def test_init_fetches_the_base():
    """init --base reads it at once, and says what is wrong with it."""
    with Project(None) as p:
        r = p.sbx("init", "--base", "tar:none.tar").ok(125)
        match("none.tar", r.err, "what is not there")
        check(os.path.exists(p.path("sbx.ini")), "the profile stays")
        os.unlink(p.path("sbx.ini"))
        os.link(base_tar(), p.path("root.tar"))
        r = p.sbx("init", "--base", "tar:root.tar").ok()
        match("'tar:root.tar' is there: 1 layer", r.err, "init")
        match(r"^image = tar:root.tar$", p.read("sbx.ini"), "as it was written")


def test_a_lock_pins_the_base():
    """lock, lock --check, and what is not as locked is refused by name."""
    with Project(on("tar:root.tar")) as p:
        r = p.sbx("lock", "--check").ok(125)
        match("sbx.lock'.*hint: sbx lock makes it", r.err, "no lock")
        write_tar(p, "root.tar", roots.system())
        p.sbx("lock").ok()
        text = p.read("sbx.lock")
        match(r'"image": "tar:root.tar"', text, "the lock")
        p.sbx("lock", "--check").ok()
        p.sh("true").ok()
        p.sbx("stop")
        # The same again is the same.
        os.unlink(p.path("root.tar"))
        write_tar(p, "root.tar", roots.system())
        p.sbx("lock", "--check").ok()
        os.unlink(p.path("root.tar"))
        write_tar(p, "root.tar", [*roots.system(), entry("more")])
        r = p.sbx("lock", "--check").ok(1)
        match(r"^base tar:root.tar: locked sha256:\w{64}, now sha256:\w{64} \(from layer 1 on\)", r.out,
              "what differs")
        p.sh("true").ok()
        r = p.sbx("run", "--create", "-e", "new", "--", "true").ok(125)
        match("'tar:root.tar' is not what sbx.lock pins.*hint: if it was meant to change: sbx lock; else "
              "bring back what was locked", r.err, "a new environment")
        p.sbx("lock").ok()
        p.sbx("stop")
        r = p.sh("true").ok(125)
        match("does not stand on what sbx.lock pins.*hint: to put it there, without what was changed in "
              "it: sbx reset --rebase; or lock what there is: sbx lock", r.err, "the old environment")
        p.sbx("reset", "--rebase").ok()
        p.sh("ls /more").ok()
        p.write("sbx.ini", on("tar:root.tar") + "\n; changed\n")
        match("^profile: locked", p.sbx("lock", "--check").ok(1).out, "the profile")
        p.write("sbx.ini", NO_NET)
        r = p.sbx("run", "--create", "-e", "host", "--", "true").ok(125)
        match("the profile's base is 'host', and sbx.lock is for 'tar:root.tar'.*hint: to lock what the "
              "profile says now: sbx lock", r.err, "another base")
        p.write("sbx.lock", "{")
        r = p.sbx("run", "--create", "-e", "host", "--", "true").ok(125)
        match("sbx.lock: line 1: .*hint: make it again: sbx lock", r.err, "a torn one")


def test_a_lock_of_the_host():
    """The host is in the lock by its fingerprint; another one is a warning."""
    with Project(NO_NET) as p:
        p.sbx("lock").ok()
        p.sbx("lock", "--check").ok()
        absent("sbx.lock was made on", p.sh("true").ok().err, "the same host")
        p.write("sbx.lock", p.read("sbx.lock").replace('"host": "', '"host": "other:'))
        match("^host: locked other:", p.sbx("lock", "--check").ok(1).out, "lock --check")
        match("sbx.lock was made on other:", p.sbx("run", "--create", "-e", "x", "--", "true").ok().err, "run")
        p.sbx("stop", "-e", "x")
        p.sbx("rm", "-f", "-e", "x").ok()


def environments(p):
    return [e["env"] for e in p.sbx("list", "--json").json() if e["project"] == p.dir]


def test_what_bootstrap_says():
    """init --bootstrap: what it cannot make, and what it could not."""
    with Project(None) as p:
        r = p.sbx("init", "--bootstrap").ok(2)
        match("--bootstrap needs --base", r.err, "no base")
        for bad in ("fedora:40", "debian", "debian:", "debian:a b", "debian:Bookworm", "ubuntu:-x"):
            r = p.sbx("init", "--base", bad, "--bootstrap").ok(2)
            match("no release of Debian or Ubuntu.*hint: such as: sbx init --base debian:bookworm "
                  "--bootstrap", r.err, bad)
            check(not os.path.exists(p.path("sbx.ini")), "nothing was written")
        env = harness.environment(http_proxy="http://127.0.0.1:1", https_proxy=None)
        r = p.sbx("init", "--base", "debian:bookworm", "--bootstrap", env=env, limit=110).ok(125)
        match(r"mmdebstrap ended with status \d+.*hint: what it said stands above; it needs the mirror that "
              "the host's apt uses", r.err, "no mirror")
        equal(environments(p), [], "nothing of it stays")


if os.environ.get("SBX_SOAK"):
    @harness.limit(1800)
    def test_bootstrap():
        """A Debian by mmdebstrap inside, and apt-get install on it."""
        with Project(None) as p:
            p.sbx("init", "--base", "debian:bookworm", "--bootstrap", limit=1500).ok()
            equal(environments(p), [], "nothing of it stays but the image")
            match("^image = localhost/debian:bookworm$", p.read("sbx.ini"), "the profile")
            r = p.sbx("run", "--root", "--", "sh", "-c", "apt-get update && apt-get install -y "
                      "--no-install-recommends hello && hello", limit=500)
            match("Hello, world!", r.ok().out, "hello")
            match(r"^root +overlayfs$", p.sbx("status").ok().out, "the driver")


def test_A1_A9_links_out_of_an_image_lead_nowhere():
    """Each place that sbx sets up is a link out of the image: nothing of the host is made or shown."""
    outside = os.path.join(harness.base(), "outside")
    os.mkdir(outside)
    with open(os.path.join(outside, "canary"), "w", encoding="ascii") as f:
        f.write("canary\n")
    places = ("dev", "proc", "sys", "etc", "tmp", "run", "home", "root", "var")
    files = ("etc/passwd", "etc/group", "etc/hosts", "etc/hostname", "etc/resolv.conf",
             "usr/local", "etc/apt")
    targets = (outside, "../../../../../.." + outside, "/proc/self/cwd", "/oldroot/home")
    # All at once, but for what hides the others; and one by one, which takes longer, for one target.
    cases = [(target, group) for target in targets for group in (places, files)]
    cases += [(outside, (one,)) for one in (*places, *files)] if os.environ.get("SBX_SOAK") else []
    for target, group in cases:
        entries = [e for e in roots.system()
                   if not any(e[0].name == bad or e[0].name.startswith(bad + "/") for bad in group)]
        bad = [link(name, target) for name in group]
        with Project(on("tar:root.tar")) as p:
            write_tar(p, "root.tar", [*entries, *bad])
            tries = "; ".join(f"cat /{b}/canary; echo x > /{b}/made; echo x > /{b}" for b in group)
            r = p.sbx("run", "--root", "--", "sh", "-c", tries, limit=30)
            absent("^canary$", r.out, f"{group} -> {target}")
            r = p.sh("; ".join(f"cat /{b}/canary" for b in group), limit=30)
            absent("^canary$", r.out, f"{group} -> {target}")
        equal(sorted(os.listdir(outside)), ["canary"], f"links to {target}")
    with open(os.path.join(outside, "canary"), encoding="ascii") as f:
        equal(f.read(), "canary\n", "the canary")


def test_A7_nothing_of_the_image_is_loaded_by_sbx():
    """The image's name service and character sets run in the commands inside, never in sbx."""
    if subprocess.run(["sh", "-c", "command -v cc"], stdout=subprocess.DEVNULL, check=False).returncode:
        raise harness.Skip("no compiler")
    with Project(on("tar:root.tar")) as p:
        p.write("mark.c", '#include <fcntl.h>\n__attribute__((constructor)) static void mark(void) '
                          '{ (void)open("/MARK", O_CREAT | O_WRONLY, 0666); }\n')
        subprocess.run(["cc", "-shared", "-fPIC", "-o", p.path("mark.so"), p.path("mark.c")], check=True)
        with open(p.path("mark.so"), "rb") as f:
            mark = f.read()
        libs = {os.path.dirname(n) for n in roots.program_files() if "libc.so" in n}
        bad = []
        for lib in sorted(libs):
            bad += [entry(f"{lib}/libnss_hostile.so.2", mode=0o755, data=mark), folder(f"{lib}/gconv"),
                    entry(f"{lib}/gconv/HOSTILE.so", mode=0o755, data=mark),
                    entry(f"{lib}/gconv/gconv-modules",
                          data=b"module INTERNAL UTF-8// HOSTILE 1\nmodule UTF-8// INTERNAL HOSTILE 1\n")]
        names = b"passwd: hostile files\ngroup: hostile files\nhosts: hostile files\n"
        write_tar(p, "root.tar", [*roots.system(), *bad, entry("etc/nsswitch.conf", data=names)])
        p.sbx("run", "--root", "--", "chmod", "0777", "/").ok()
        for command in ("true", "cat /etc/issue"):
            p.run(*command.split()).ok()
            p.sbx("run", "--root", "--", *command.split()).ok()
        p.sbx("commit", "-m", "x")
        p.sbx("status").ok()
        check(p.run("ls", "/MARK").status != 0, "a library of the image was loaded")
        # It would have been seen.
        p.run("id").ok()
        p.run("ls", "/MARK").ok()


@harness.limit(120)
def test_A7_no_library_of_the_root_is_opened_by_sbx():
    """strace of a start on an image: after the pivot, nobody opens a .so before it becomes the user's command."""
    if harness.has_subids():
        return  # newuidmap is set-user-id, and is not under a tracer: the other user's run tells.
    strace = harness.need_program("strace")
    with Project(on("tar:root.tar") + "[sandbox]\nlinger = 0\n") as p:
        write_tar(p, "root.tar", roots.system())
        p.run("true").ok()
        harness.command([strace, "-f", "-qq", "-o", p.path("trace"), "-e", "trace=execve,open,openat,openat2,pivot_root",
                         harness.SBX, "run", "--", "/usr/bin/cat", "/etc/issue"], cwd=p.dir, env=p.env, limit=60).ok()
        p.sbx("stop")
        with open(p.path("trace"), encoding="utf-8", errors="replace") as f:
            lines = f.read().splitlines()
        pivoted = [n for n, line in enumerate(lines) if "pivot_root(" in line]
        check(pivoted, "the trace shows the pivot")
        commands, early, loaded = set(), [], 0
        for line in lines[pivoted[0]:]:
            pid, _, call = line.partition(" ")
            if "execve(" in call:
                commands.add(pid)
            elif re.search(r"open.*\.so[.\d]*\"", call) and "= -1" not in call:
                loaded += pid in commands
                if pid not in commands:
                    early.append(line)
        equal(len(commands), 1, "programs that were started inside")
        check(loaded > 0, "the command itself loads some")
        check(not early, "opened by sbx: " + "; ".join(early[:5]))


def test_C9_pipes_for_accounts_hang_nothing():
    """passwd and group that are pipes, links, huge or binary: the environment starts at once."""
    kinds = {"fifo": lambda n: entry(n, roots.tarfile.FIFOTYPE, 0o666),
             "link": lambda n: link(n, "/dev/zero"),
             "loop": lambda n: link(n, os.path.basename(n)),
             "binary": lambda n: entry(n, data=b"root:x:0:0\0\n"),
             "huge": lambda n: entry(n, data=b"x" * (2 << 20)),
             "folder": folder}
    for kind, make in kinds.items():
        entries = [e for e in roots.system() if e[0].name not in ("etc/passwd", "etc/group")]
        with Project(on("tar:root.tar")) as p:
            write_tar(p, "root.tar", [*entries, make("etc/passwd"), make("etc/group")])
            r = p.run("true", limit=20)
            check(r.status == 0 or r.err, f"{kind}: {r.status} without a word")
            if kind != "folder":
                r.ok()


@harness.limit(600)
def test_apt_works_on_a_debian():
    """apt-get install on a real Debian root, with the kernel's overlay."""
    tar = os.environ.get("SBX_TEST_DEBIAN_TAR")
    if not tar or not os.path.exists(tar):
        raise harness.Skip("no Debian root: SBX_TEST_DEBIAN_TAR names none")
    with Project(f"[base]\nimage = tar:{tar}\n[env]\npass = http_proxy https_proxy\n") as p:
        p.allow()
        r = p.sbx("run", "--root", "--", "sh", "-c",
                  "apt-get update && apt-get install -y --no-install-recommends hello && hello", limit=500)
        match("Hello, world!", r.ok().out, "hello")
        match(r"^root +overlayfs$", p.sbx("status").ok().out, "the driver")
        match(r"^A /usr/bin/hello$", p.sbx("diff").ok().out, "diff")
        p.sbx("commit", "-m", "hello", limit=120).ok()
        match("Hello", p.run("hello").ok().out, "committed")


harness.main(__name__)
