#!/usr/bin/python3
"""What looks after the store: fsck finds each kind of damage, gc removes what nothing needs, du counts,
squash changes nothing that shows."""

import contextlib
import fcntl
import json
import os
import threading

import harness
from harness import NO_NET, Project, check, equal, limit, match

# A snapshot of some folders, made inside by root.
SNAPSHOT = r"""
import hashlib, os, stat, sys
first = {}  # names of one file; an overlay's st_nlink counts names that are no longer its own
def look(top):
    for d, dirs, files in os.walk(top):
        dirs.sort()
        for n in sorted(dirs + files):
            p = os.path.join(d, n)
            s = os.lstat(p)
            what = os.readlink(p) if stat.S_ISLNK(s.st_mode) else ""
            if stat.S_ISREG(s.st_mode):
                what = hashlib.sha256(open(p, "rb").read()).hexdigest() + " " + first.setdefault(s.st_ino, p)
            try:
                xattrs = [(x, os.getxattr(p, x, follow_symlinks=False))
                          for x in sorted(os.listxattr(p, follow_symlinks=False))]
            except OSError:
                xattrs = []
            size = s.st_size if not stat.S_ISDIR(s.st_mode) else 0
            print(repr(p), oct(s.st_mode), s.st_uid, s.st_gid, size, s.st_mtime_ns, what, xattrs)
for top in sys.argv[1:]:
    look(top)
"""


class Care(Project):
    """A project with a store of its own."""

    def __init__(self, ini=NO_NET, like=None):
        super().__init__(ini)
        self.env["XDG_DATA_HOME"] = like.env["XDG_DATA_HOME"] if like \
            else os.path.join(self.parent, "data")
        self.store = os.path.join(self.env["XDG_DATA_HOME"], "sbx")

    def __exit__(self, *exc):
        # What was put aside may belong to subordinate ids: gc can remove it.
        aside = os.path.join(self.store, "quarantine")
        with contextlib.suppress(OSError):
            for name in os.listdir(aside):
                os.rename(os.path.join(aside, name), self.layer(name.split("-")[0]))
        with contextlib.suppress(harness.Failed, OSError):
            self.sbx("stop")
            for env in self.sbx("list", "--json").json():
                if env["project"] == self.dir:
                    self.sbx("rm", "-f", env["id"])
            for name in os.listdir(os.path.join(self.store, "tags")):
                self.sbx("tag", "-d", name.split(".")[0])
            self.sbx("gc", "--all")
        return super().__exit__(*exc)

    def layer(self, digest):
        return os.path.join(self.store, "layers", digest)

    def root(self, script, **kw):
        return self.sbx("run", "--root", "--", "sh", "-ec", script, **kw).ok()

    def commit(self, script, message="m"):
        """A layer of what the script, run by root inside, changes."""
        self.root(script)
        return self.sbx("commit", "-m", message).ok().out.strip()

    def layers(self):
        return sorted(os.listdir(os.path.join(self.store, "layers")))

    def outside(self, script, *args):
        """Python, as one who may change all that is in the store."""
        auto = ["--map-auto"] if harness.has_subids() else []
        r = harness.command(["unshare", "--user", "--map-root-user", *auto, "python3", "-c",
                             "import os, shutil, sys\nargs = sys.argv[1:]\n" + script, *args])
        return r.ok().out

    def snapshot(self, *tops):
        return self.sbx("run", "--root", "--", "python3", "-c", SNAPSHOT, *tops, limit=100).ok().out


CHANGES = """
mkdir -p /opt/d/sub
printf content >/opt/d/file
ln /opt/d/file /opt/d/second
ln -s target /opt/d/link
mkfifo /opt/d/pipe
chmod 640 /opt/d/file
chown 3:4 /opt/d/sub
rm -rf /usr/share/doc/bash
rm -rf /usr/share/doc/apt
mkdir /usr/share/doc/apt
"""

# name: (Python that does it, with the layer's folder in args[0]; what fsck must say)
DAMAGES = {
    "a bit in the tree": ("""
f = args[0] + "/tree/opt/d/file"; s = os.stat(f)
open(f, "r+b").write(b"C"); os.utime(f, ns=(s.st_atime_ns, s.st_mtime_ns))""",
                          r"the contents of a file in tree/ or of skeleton\.zst are not what they were"),
    "a bit in the skeleton": ("""
f = args[0] + "/skeleton.zst"; b = bytearray(open(f, "rb").read()); b[len(b) // 2] ^= 1
open(f, "wb").write(b)""", r"cannot read the skeleton|not what they were|layer's tar"),
    "a short skeleton": ("""os.truncate(args[0] + "/skeleton.zst", 20)""", r"skeleton"),
    "no skeleton": ("""os.unlink(args[0] + "/skeleton.zst")""", r"skeleton"),
    "layer.json": ("""open(args[0] + "/layer.json", "w").write("{")""", r"layer\.json"),
    "no layer.json": ("""os.unlink(args[0] + "/layer.json")""", r"layer\.json"),
    "no tree": ("""shutil.rmtree(args[0] + "/tree")""", r"its folder 'tree' is missing"),
    "something beside": ("""open(args[0] + "/beside", "w")""", r"'beside' does not belong there"),
    "a longer file": ("""open(args[0] + "/tree/opt/d/file", "a").write("x")""",
                      r"opt/d/file"),
    "a missing file": ("""os.unlink(args[0] + "/tree/opt/d/link")""",
                       r"tree/opt/d/link: it is missing"),
    "a further file": ("""open(args[0] + "/tree/opt/d/more", "w")""",
                       r"tree/opt/d/more: it does not belong there"),
    "a mode": ("""os.chmod(args[0] + "/tree/opt/d/file", 0o4755)""",
               r"tree/opt/d/file: the mode is 4755, not 0640"),
    "a folder's mode": ("""os.chmod(args[0] + "/tree/opt/d", 0o777)""",
                        r"tree/opt/d: the mode is 0777, not 0755"),
    "a time": ("""os.utime(args[0] + "/tree/opt/d/file", (5, 5))""",
               r"tree/opt/d/file: the time is 5, not \d+"),
    "a target": ("""
f = args[0] + "/tree/opt/d/link"; s = os.lstat(f); os.unlink(f); os.symlink("/etc", f)
os.chown(f, s.st_uid, s.st_gid, follow_symlinks=False)
os.utime(f, ns=(s.st_atime_ns, s.st_mtime_ns), follow_symlinks=False)""",
                 r"tree/opt/d/link: it leads somewhere else"),
    "a hard link": ("""
f = args[0] + "/tree/opt/d/second"; os.unlink(f); shutil.copy2(args[0] + "/tree/opt/d/file", f)""",
                    r"tree/opt/d/second: not the same file as 'opt/d/file'"),
    "a further name": ("""os.link(args[0] + "/tree/opt/d/pipe", args[0] + "/../../pipe")""",
                       r"tree/opt/d/pipe: it has 2 names, not 1"),
    "a kind": ("""
f = args[0] + "/tree/opt/d/pipe"; os.unlink(f); open(f, "w")""",
               r"tree/opt/d/pipe: it is a file, not a fifo"),
    "an attribute": ("""os.setxattr(args[0] + "/tree/opt/d/file", "user.x", b"1")""",
                     r"tree/opt/d/file: the attribute user\.x is too many"),
    "an overlay's mark": ("""os.setxattr(args[0] + "/tree/opt/d", "user.overlay.redirect", b"/etc")""",
                          r"tree/opt/d: it has the attribute user\.overlay\.redirect"),
    "no deletion": ("""os.unlink(args[0] + "/tree/usr/share/doc/bash")""",
                    r"tree/usr/share/doc/bash: it is missing"),
    "a further deletion": ("""os.mknod(args[0] + "/tree/opt/d/gone", 0o20000, 0)""",
                           r"tree/opt/d/gone: it does not belong there"),
    "hiding no more": ("""os.removexattr(args[0] + "/tree/usr/share/doc/apt", "user.overlay.opaque")""",
                       r"tree/usr/share/doc/apt: it hides no longer what lies below"),
    "hiding": ("""os.setxattr(args[0] + "/tree/opt/d", "user.overlay.opaque", b"y")""",
               r"tree/opt/d: it hides what lies below"),
}
OWNER = {"an owner": ("""os.chown(args[0] + "/tree/opt/d/file", 9, 9)""",
                      r"tree/opt/d/file: the owner is \d+:\d+, not 0:0")}


@limit(400)
def test_fsck_names_every_damage():
    """Each of two dozen damages to a layer is found and named, by exit status 1; undone, all is well."""
    with Care() as p:
        digest = p.commit(CHANGES)
        equal(p.sbx("fsck").ok().out, "", "what fsck says of a sound store")
        equal(p.sbx("fsck", "--json").json(), [], "fsck --json of a sound store")
        backup = os.path.join(p.parent, "backup")
        p.outside("os.mkdir(args[1]); os.system('cp -a %s %s/' % (args[0], args[1]))",
                  p.layer(digest), backup)
        for name, (script, words) in {**DAMAGES, **(OWNER if harness.has_subids() else {})}.items():
            p.outside(script, p.layer(digest))
            r = p.sbx("fsck")
            equal(r.status, 1, f"status of fsck after {name} ({r.out!r}, {r.err!r})")
            found = match(words, r.out, f"what fsck says after {name}")
            check(f"layer {digest}: " in r.out[:found.end()], f"{name}: the layer is not named")
            p.outside("""
import glob
shutil.rmtree(args[0])
os.system('cp -a %s/* %s' % (args[1], args[0]))
for f in glob.glob(args[0] + "/../../pipe"): os.unlink(f)""", p.layer(digest), backup)
            equal(p.sbx("fsck").status, 0, f"status of fsck when {name} was undone")
        p.outside("shutil.rmtree(args[0])", backup)


@limit(200)
def test_fsck_names_what_a_damage_hurts():
    """--json says the same; environments and tags of a damaged layer are named, with the hint that mends."""
    with Care() as p:
        low = p.commit("echo 1 >/opt/low", "low")
        high = p.commit("echo 2 >/opt/high", "high")
        p.sbx("tag", "keep").ok()
        p.outside("""os.chmod(args[0] + "/tree/opt/high", 0o777)""", p.layer(high))
        r = p.sbx("fsck", "--json")
        equal(r.status, 1, "status")
        found = json.loads(r.out)
        equal(sorted(f["kind"] for f in found), ["environment", "layer", "tag"], "what was found")
        r = p.sbx("fsck", "--repair")
        equal(r.status, 1, "status of --repair")
        match(r"put 1 damaged layer aside", r.err, "what --repair says")
        match(rf"hint: sbx reset -C {p.dir} -e default {low[:12]} goes back to what lies below",
              r.out, "the hint of the environment")
        match(r"hint: sbx tag -d keep forgets it", r.out, "the hint of the tag")
        equal(p.layers(), [low], "layers that are left")
        aside = os.listdir(os.path.join(p.store, "quarantine"))
        check(len(aside) == 1 and aside[0].startswith(high + "-"), f"put aside: {aside}")
        match(rf"its layer {high[:12]} \(high\) is not there", p.sbx("fsck").out, "afterwards")
        # The hints, as they are.
        p.sbx("reset", "-C", p.dir, "-e", "default", low[:12]).ok()
        p.sbx("tag", "-d", "keep").ok()
        p.sbx("fsck").ok()
        equal(p.sh("cat /opt/low; ls -d /opt/low /opt/high || true").ok().out, "1\n/opt/low\n", "what is left")


@limit(200)
def test_fsck_and_gc_with_damaged_records():
    """An environment or tag that cannot be read is named by fsck, and gc then removes no layer."""
    with Care() as p, Care(like=p) as q:
        p.commit("echo 1 >/opt/x")
        p.sbx("tag", "keep").ok()
        q.commit("echo 2 >/opt/x")
        q.sbx("rm", "-f").ok()
        envs = os.path.join(p.store, "envs")
        record = os.path.join(envs, os.listdir(envs)[0], "env.json")
        kept = os.path.join(p.store, "tags", "keep.json")
        for path, words, hint in (
                (record, "the environment",
                 "sbx fsck shows all that is damaged; move the environment's folder out of the store, "
                 "and run sbx gc again"),
                (kept, "the tag 'keep'",
                 "sbx fsck shows all that is damaged; to forget the tag, run: sbx tag -d keep")):
            with open(path, encoding="utf-8") as f:
                good = f.read()
            with open(path, "w", encoding="utf-8") as f:
                f.write(good[:-10])
            r = p.sbx("fsck")
            equal(r.status, 1, "status of fsck")
            match(r"^(environment|tag) ", r.out, "what fsck says")
            r = p.sbx("gc", "--all").ok(125)
            match(rf"cannot tell which layers are needed, so none was removed: {words}", r.err, "gc")
            match(hint, " ".join(r.err.split()), "gc's hint")
            p.sbx("gc", "--all", "--dry-run").ok(125)
            equal(len(p.layers()), 2, "layers")
            with open(path, "w", encoding="utf-8") as f:
                f.write(good)
        match("removed 1 layer and 0 leftovers: ", p.sbx("gc", "--all").ok().err, "gc")
        p.sbx("fsck").ok()


@limit(200)
def test_gc_removes_what_nothing_needs():
    """Layers stay while a chain or a tag needs them; a dry run names the others and removes nothing."""
    with Care() as p:
        low = p.commit("echo 1 >/opt/low")
        high = p.commit("dd if=/dev/zero of=/opt/high bs=1k count=300 2>&1")
        match("nothing to remove", p.sbx("gc", "--all").ok().err, "gc of what is needed")
        p.sbx("tag", "keep", low[:8]).ok()
        p.sbx("reset", "base").ok()
        r = p.sbx("gc", "--all", "--dry-run").ok()
        match(rf"^layers/{high}  3\d\d\.\d KB$", r.out, "gc --dry-run")
        check(low not in r.out, "the tag's layer is in the dry run")
        equal(p.layers(), sorted([low, high]), "layers after a dry run")
        match(r"removed 1 layer and 0 leftovers: 3\d\d\.\d KB", p.sbx("gc", "--all").ok().err, "gc")
        equal(p.layers(), [low], "layers after gc")
        p.sbx("tag", "-d", "keep").ok()
        p.sbx("gc", "--all").ok()
        equal(p.layers(), [], "layers at last")
        p.sbx("fsck").ok()


@limit(200)
def test_gc_removes_what_crashes_left():
    """Staging folders nobody has locked go, also those of subordinate ids; a locked one and a pending one stay."""
    with Care() as p:
        p.commit(CHANGES)
        tmp = os.path.join(p.store, "tmp")
        for name in ("layer-dead", "layer-alive", "layer-pending", "gone-x", "new-e-0000-1"):
            os.mkdir(os.path.join(tmp, name))
        with open(os.path.join(tmp, "a-file"), "w", encoding="ascii"):
            pass
        old = os.path.join(p.store, "tags", ".keep.json.0123456789abcdef.tmp")
        young = old.replace("keep", "young")
        for path in (old, young):
            with open(path, "w", encoding="ascii"):
                pass
        os.utime(old, (1, 1))
        p.outside("f = args[0] + '/sub'; os.mkdir(f); os.mkdir(f + '/x')\n"
                  "if args[1] == 'yes': os.chown(f, 7, 7); os.chmod(f, 0o700)",
                  os.path.join(tmp, "layer-dead"), "yes" if harness.has_subids() else "no")
        envs = os.path.join(p.store, "envs")
        record = os.path.join(envs, os.listdir(envs)[0], "env.json")
        with open(record, encoding="utf-8") as f:
            good = json.load(f)
        with open(record, "w", encoding="utf-8") as f:
            pending = {**good, "pending": {**good["chain"][0], "stage": "layer-pending"}}
            json.dump(pending, f)
        alive = os.open(os.path.join(tmp, "layer-alive"), os.O_RDONLY)
        fcntl.flock(alive, fcntl.LOCK_EX)
        r = p.sbx("gc", "--all", "-n").ok()
        equal(sorted(line.split()[0] for line in r.out.splitlines()),
              ["tmp/a-file", "tmp/gone-x", "tmp/layer-dead", "tmp/new-e-0000-1"], "gc --dry-run")
        # While somebody holds the environment, nobody settles what is pending.
        lock = os.open(os.path.join(os.path.dirname(record), "start"), os.O_RDWR | os.O_CREAT)
        with open(record, "w", encoding="utf-8") as f:
            json.dump(good, f)
        match(r"removed 0 layers and \d leftovers", p.sbx("gc", "--all").ok().err, "gc")
        equal(sorted(os.listdir(tmp)), ["layer-alive"], "tmp/ afterwards")
        equal(sorted(os.listdir(os.path.dirname(old))), [os.path.basename(young)], "tags/ afterwards")
        os.close(alive)
        os.close(lock)
        p.sbx("gc", "--all").ok()
        equal(os.listdir(tmp), [], "tmp/ at last")
        p.sbx("fsck").ok()


@limit(300)
def test_gc_beside_commits():
    """Commits and resets in two environments, and gc and fsck in a loop meanwhile: nothing is lost."""
    with Care() as p, Care(like=p) as q:
        done = threading.Event()
        wrong = []

        def collect():
            while not done.is_set():
                for args in (["gc", "--all"], ["fsck"]):
                    r = p.sbx(*args, limit=120)
                    if r.status:
                        wrong.append((args, r.status, r.out, r.err))

        gc = threading.Thread(target=collect)
        gc.start()
        try:
            for n in range(4):
                for x in (p, q):
                    x.commit(f"echo {n} >/opt/f{n}")
                    if n == 2:
                        x.sbx("reset", "base").ok()
                        equal(x.sh("ls /opt/f*").status, 2, "status of ls of what a reset took away")
        finally:
            done.set()
            gc.join()
        equal(wrong, [], "gc and fsck meanwhile")
        for x in (p, q):
            equal(x.sh("cat /opt/f3").ok().out, "3\n", "the last commit")
        p.sbx("fsck").ok()


@limit(200)
def test_du_counts_as_du_does():
    """Its numbers are du(1)'s; a shared layer counts once in the sum; tables and JSON agree."""
    with Care() as p:
        low = p.commit("dd if=/dev/urandom of=/opt/low bs=1k count=200 2>&1; ln /opt/low /opt/low2")
        p.sbx("fork", "other").ok()
        high = p.commit("dd if=/dev/urandom of=/opt/high bs=1k count=100 2>&1")
        p.sbx("tag", "keep").ok()
        p.root("dd if=/dev/urandom of=/opt/loose bs=1k count=50 2>&1")
        p.sbx("stop").ok()
        got = p.sbx("du", "--json").json()

        def real(path):
            return int(p.outside("sys.stdout.write(os.popen(\"du -s -B1 '%s'\" % args[0]).read())",
                                 path).split()[0])

        layers = {l["digest"]: l for l in got["layers"]}
        for digest, users in ((low, 3), (high, 2)):
            equal(layers[digest]["bytes"], real(p.layer(digest)), "bytes of a layer")
            equal(layers[digest]["users"], users, "users of a layer")
        both = layers[low]["bytes"] + layers[high]["bytes"]
        sums = sorted(e["layers"] for e in got["environments"])
        equal(sums, [layers[low]["bytes"], both], "layers of the environments")
        equal([e["layersOwn"] for e in got["environments"]], [0, 0], "of their own")
        equal(got["tags"][0]["layers"], both, "layers of the tag")
        for e in got["environments"]:
            equal(e["bytes"], real(os.path.join(p.store, "envs", e["id"])), "bytes of an environment")
        equal(got["total"], both + got["tmp"] + got["quarantine"] + got["blobs"] +
              sum(e["bytes"] for e in got["environments"]), "the sum")
        text = p.sbx("du").ok().out
        match(rf"^{low[:12]} +\d+\.\d KB +3$", text, "the table of layers")
        match(r"^keep +\d+\.\d KB +0 B$", text, "the table of tags")
        p.sbx("tag", "-d", "keep").ok()


LAYERS = [
    "mkdir -p /opt/s/a/b/c /opt/s/t; echo 1 >/opt/s/a/1; echo c >/opt/s/a/b/c/f; echo t >/opt/s/t/f; "
    "ln /opt/s/a/1 /opt/s/a/one; ln -s a /opt/s/l; echo x >/opt/s/x; rm -rf /usr/share/doc/bash",
    "rm -rf /opt/s/a/b; mkdir /opt/s/a/b; echo new >/opt/s/a/b/new; rm /opt/s/x; rm -rf /opt/s/t; echo f >/opt/s/t; "
    "rm -rf /usr/share/doc/apt; mkdir /usr/share/doc/apt; echo d >/usr/share/doc/apt/d",
    "rm /opt/s/t; mkdir /opt/s/t; echo again >/opt/s/t/again; mkdir /usr/share/doc/bash; chmod 700 /opt/s/a; "
    "rm /opt/s/l; mkdir /opt/s/l; mv /opt/s/a/b /opt/s/l/b; echo 2 >>/opt/s/a/one; echo y >/opt/s/x",
    "chown 5:6 /opt/s/t/again; touch -d @-5 /opt/s/x; rm -rf /usr/share/doc/apt; "
    "python3 -c 'import os; os.setxattr(\"/opt/s/x\", \"user.k\", b\"v\")'; mkfifo /opt/s/pipe",
]
TOPS = ("/opt/s", "/usr/share/doc/apt", "/usr/share/doc/bash")


@limit(300)
def test_squash_changes_nothing_that_shows():
    """Deletions, opaque folders, files in place of folders and back, links: the same tree, to the byte."""
    with Care() as p:
        for n, script in enumerate(LAYERS):
            p.commit(script, f"layer {n}")
        p.root("echo loose >/opt/s/loose; rm /opt/s/l/b/new")
        before = p.snapshot(*TOPS)
        loose = p.sbx("diff", "--name-only").ok().out
        r = p.sbx("squash").ok()
        match(r"^[0-9a-f]{64}\n$", r.out, "what squash prints")
        match(r"made one layer of 4", r.err, "what squash says")
        equal(p.snapshot(*TOPS), before, "the tree afterwards")
        equal(p.sbx("diff", "--name-only").ok().out, loose, "what is not committed")
        log = p.sbx("log", "--json").json()
        equal([(e["digest"], e["message"]) for e in log],
              [(r.out.strip(), "; ".join(f"layer {n}" for n in range(4)))], "the log")
        p.sbx("fsck").ok()
        match(r"removed 4 layers", p.sbx("gc", "--all").ok().err, "gc afterwards")
        equal(p.snapshot(*TOPS), before, "the tree after gc")
        match(r"nothing to squash: 'default' has 1 layer$", p.sbx("squash").ok().err, "once more")
        p.commit("echo more >/opt/more")
        two = p.sbx("squash", "-m", "all").ok().out.strip()
        equal([e["message"] for e in p.sbx("log", "--json").json()], ["all"], "the log")
        p.sbx("fsck").ok()
        check(two in p.layers(), "the layer is not in the store")


@limit(900)
def test_squash_of_many():
    """Many layers (128 with SBX_SOAK) are one afterwards, which shows the same."""
    many = 128 if os.environ.get("SBX_SOAK") else 24
    with Care() as p:
        for n in range(many):
            p.commit(f"mkdir -p /opt/m; cd /opt/m; echo {n} >same; echo {n} >f{n}; rm -f f{n - 2}; "
                     f"mkdir d{n}")
        equal(len(p.sbx("log", "--json").json()), many, "layers")
        before = p.snapshot("/opt/m")
        p.sbx("squash", limit=200).ok()
        equal(p.snapshot("/opt/m"), before, "the tree afterwards")
        p.sbx("fsck").ok()
        p.sbx("gc", "--all", limit=200).ok()
        equal(len(p.layers()), 1, "layers at last")


@limit(100)
def test_squash_refuses_what_runs():
    """While a command runs, squash fails with the hint to stop it."""
    with Care() as p:
        for n in range(2):
            p.commit(f"echo {n} >/opt/f{n}")
        with p.start("run", "sh", "-c", "echo ready; cat") as w:
            harness.read_until(w.stdout, b"ready")
            r = p.sbx("squash").ok(125)
            match(r"cannot squash 'default': 1 command runs in it", r.err, "the message")
            match(r"hint: end it first: sbx stop", r.err, "the hint")
            w.stdin.close()
            equal(harness.wait_process(w), 0, "the command that ran")
        p.sbx("squash").ok()


harness.main(__name__)
