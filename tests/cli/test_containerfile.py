"""sbx build: a Containerfile's image is buildah's, steps are cached, and neither context nor image leads out."""

import gzip
import hashlib
import io
import json
import os
import tarfile
import threading

import harness
import roots
from harness import Project, absent, check, equal, match, need_program

BASE = "FROM scratch AS base\nADD system.tar /\n"

WHOLE = """# syntax=docker/dockerfile:1
ARG WHERE=/opt
FROM scratch AS base
ADD system.tar /
FROM base AS tools
ARG WHERE
ENV DIR=${WHERE}/tools PLAIN="a b"
WORKDIR $DIR
COPY --chmod=750 bin/*.sh ./
COPY data sub/
RUN echo "$PLAIN" > made && mkdir -p /var/x && \\
    # a comment
    touch /var/x/y /tmp/t && rm /etc/issue
RUN ["/usr/bin/touch", "/exec form"]
RUN echo one > here && chmod 4755 here
COPY data/f data/deep/g /docs/
USER %s
RUN id > /tmp/id && pwd >> /tmp/id
USER root
FROM base
LABEL a=b
COPY --from=tools /opt/tools /copied
COPY --from=tools /tmp/id /docs/g /one/
COPY --from=tools --chown=%s /docs /owned
ADD data.tar.gz /unpacked/
RUN rm -r /one/g && mkdir /usr/made && mkdir -p /copied/sub/deep/deeper
EXPOSE 80
CMD ["/usr/bin/true"]
"""


def make_context(p, text):
    for name in ("bin", "data/deep", "../canary"):
        os.makedirs(p.path(name))
    p.write("Containerfile", text)
    p.write("system.tar", roots.tar_of(roots.system()))
    p.write("bin/a.sh", "echo a\n", 0o755)
    p.write("bin/b.sh", "echo b\n", 0o600)
    p.write("bin/no", "no\n")
    p.write("data/f", "f\n", 0o640)
    p.write("data/deep/g", "g\n")
    p.write("data/ignored.o", "o\n")
    os.link(p.path("data/f"), p.path("data/hard"))
    os.symlink("deep/g", p.path("data/link"))
    p.write(".dockerignore", "**/*.o\n")
    gz = roots.tar_of([roots.folder("d", 0o700), roots.entry("d/x", data=b"x"), roots.link("d/l", "x")])
    p.write("data.tar.gz", gzip.compress(gz))


def build(p, *args, **kw):
    return p.sbx("build", *args, **kw)


def project():
    return Project("[network]\nmode = none\n")


# ---- what an image holds ----

def config_of(folder):
    def blob(digest):
        with open(os.path.join(folder, "blobs/sha256", digest.split(":")[1]), "rb") as f:
            return f.read()
    with open(os.path.join(folder, "index.json"), "rb") as f:
        manifest = json.loads(blob(json.load(f)["manifests"][0]["digest"]))
    return json.loads(blob(manifest["config"]["digest"])), [blob(x["digest"]) for x in manifest["layers"]]


def put(tree, tar, m):
    name = m.name.strip("/").removeprefix("./").strip("/")
    head, _, last = name.rpartition("/")
    if last.startswith(".wh."):
        gone = head + "/" if last == ".wh..wh..opq" else os.path.join(head, last[4:])
        for path in [x for x in tree if x == gone or x.startswith(gone.rstrip("/") + "/")]:
            del tree[path]
        return
    if name in ("", "."):
        return
    if m.islnk():
        tree[name] = tree[m.linkname.strip("/").removeprefix("./")]
        return
    data = tar.extractfile(m).read() if m.isreg() else b""
    tree[name] = (m.type, oct(m.mode & 0o7777), m.uid, m.gid, m.linkname, hashlib.sha256(data).hexdigest()[:16])


def flat(folder):
    """{path: what it is}, all layers applied."""
    config, layers = config_of(folder)
    tree = {}
    for layer in layers:
        data = gzip.decompress(layer) if layer[:2] == b"\x1f\x8b" else layer
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for m in tar:
                put(tree, tar, m)
    return config, tree


def saved(p, ref, name):
    p.sbx("save", ref, "--format", "oci-dir", "-o", p.path(name)).ok()
    return flat(p.path(name))


def tree_of(p, text, *args):
    p.write("Containerfile", text)
    build(p, "-t", "x", *args).ok()
    return saved(p, "localhost/x:latest", "out" + hashlib.sha256(text.encode()).hexdigest()[:8])[1]


# ---- tests ----

@harness.limit(200)
def test_the_tree_is_the_one_that_buildah_makes():
    """A Containerfile of two stages and more than fifteen lines: entry by entry, and the config."""
    need_program("buildah")
    if not harness.has_subids():
        return  # buildah needs them, as other users' files do.
    with project() as p:
        make_context(p, WHOLE % ("7:8", "5:6"))
        build(p, "-t", "mine:1").ok()
        config, tree = saved(p, "mine:1", "mine")
        storage = ["--root", p.path("cs"), "--runroot", p.path("cr"), "--storage-driver", "vfs"]
        p.env["XDG_RUNTIME_DIR"] = p.path("xdg")
        os.makedirs(p.path("xdg"), 0o700)
        try:
            for args in (["bud", "--isolation", "chroot", "--layers=false", "-t", "theirs", "."],
                         ["push", "theirs", "oci:" + p.path("theirs")]):
                harness.command(["buildah", *storage, *args], cwd=p.dir, env=p.env, limit=150).ok()
            theirs, wanted = flat(p.path("theirs"))
        finally:
            harness.command(["buildah", "unshare", "rm", "-rf", p.path("cs"), p.path("cr")], env=p.env)
        for name in ("etc/hosts", "etc/resolv.conf", "etc/hostname", "run/.containerenv", "run", "dev", "proc", "sys"):
            tree.pop(name, None)
            wanted.pop(name, None)
        other = [f"{path}: {tree.get(path)} instead of {wanted.get(path)}"
                 for path in sorted(set(tree) | set(wanted)) if tree.get(path) != wanted.get(path)]
        equal(other, [], "what differs")
        check(len(tree) > 30, "there is something to compare")
        for key in ("Cmd", "Labels", "ExposedPorts", "WorkingDir"):
            mine, other = config["config"].get(key), theirs["config"].get(key)
            if key == "Labels":
                other = {k: v for k, v in other.items() if not k.startswith("io.buildah")}
            equal(mine or None, other or None, key)


def test_here_documents():
    """RUN and COPY of here-documents; variables in those whose name is not quoted."""
    with project() as p:
        make_context(p, "")
        tree = tree_of(p, BASE + "ENV X=1\nRUN <<EOT\nset -e\necho $X > /got\nEOT\nRUN cat <<A > /two\n$X\nA\n"
                                 "COPY <<A <<\"B\" /docs/\nin $X\nA\nin $X\nB\n")
        for name, text in (("got", "1\n"), ("two", "1\n"), ("docs/A", "in 1\n"), ("docs/B", "in $X\n")):
            equal(tree[name][5], hashlib.sha256(text.encode()).hexdigest()[:16], name)


def test_steps_are_cached():
    """A known step is not done again; names, modes and contents count, times and what is ignored do not."""
    with project() as p:
        make_context(p, BASE + "COPY data /d\nRUN cat /d/f > /made\n")
        first = build(p).ok()
        absent("(COPY|RUN).*CACHED", first.err, "the first time")
        match(r"\[4/4\] RUN cat /d/f > /made", first.err, "the steps")
        second = build(p).ok()
        equal((second.err.count("CACHED"), second.out), (3, first.out), "the second time")
        os.utime(p.path("data/f"), (5, 5))
        p.write("data/ignored.o", "another")
        equal(build(p).ok().err.count("CACHED"), 3, "times and what is ignored")
        p.write("data/f", "other\n")
        equal(build(p).ok().err.count("CACHED"), 1, "another content")
        os.chmod(p.path("data/f"), 0o600)
        equal(build(p).ok().err.count("CACHED"), 1, "another mode")
        equal(build(p, "--no-cache").ok().err.count("CACHED"), 0, "--no-cache")
        p.sbx("gc").ok()
        equal(build(p).ok().err.count("CACHED"), 3, "gc keeps what the cache knows")
        equal(p.sbx("fsck").status, 0, "fsck")


def test_arguments_and_targets():
    """--build-arg, --target and -f; what a RUN prints is no result."""
    with project() as p:
        make_context(p, "")
        p.write("other", BASE + "ARG A=x\nFROM base AS b\nARG A=y\nRUN echo got $A\nFROM b\nRUN false\n")
        r = build(p, "-f", "other", "--target", "b", "--build-arg", "A=z").ok()
        match("^got z$", r.err, "the argument")
        match(r"\Asha256:[0-9a-f]{64}\n\Z", r.out, "the result alone")
        match("^got y$", build(p, "-f", "other", "--target", "1").ok().err, "the default")
        r = build(p, "-f", "other", "--target", "none")
        equal(r.status, 2, r.err)
        match("other has no stage 'none'", r.err, "a stage that is not there")


def test_a_step_that_fails():
    """The line, the status, and how to look around; nothing is left of it."""
    with project() as p:
        make_context(p, BASE + "\nRUN touch /x && exit 3\n")
        r = build(p)
        equal(r.status, 125, "status")
        match(r"Containerfile:4: RUN: the command ended with status 3", r.err, "message")
        match(r"^hint: to look around before it: end the file above line 4, sbx build -t localhost/look, and in another "
              r"folder sbx init --base localhost/look$", r.err, "hint")
        store = os.path.join(p.env.get("XDG_DATA_HOME", os.path.join(p.env["HOME"], ".local/share")), "sbx")
        p.sbx("gc").ok()
        equal(os.listdir(os.path.join(store, "tmp")), [], "litter")


def test_check_builds_twice():
    """The same layers are said to be the same; a step that writes something else each time is named."""
    with project() as p:
        make_context(p, BASE + "COPY data /d\nRUN echo same > /etc/same\n")
        match("the same again: 3 layers", build(p, "--check").ok().err, "reproducible")
        p.write("Containerfile", BASE + "RUN echo same > /etc/same\nRUN cat /proc/sys/kernel/random/uuid > /etc/other\n")
        r = build(p, "--check")
        equal(r.status, 125, r.err)
        match(r"Containerfile:4: RUN cat \S+ > /etc/other: the layer is another one the second time: /etc/other", r.err,
              "the step")
        match("^hint: what a command writes there depends on the time, on random numbers or on the network: make it write "
              "the same, or remove it in the same step$", r.err, "hint")


def test_refused_by_line():
    """What is not done, each with its line and a hint where there is one."""
    cases = [
        ("FROM scratch\nONBUILD RUN x", "Containerfile:2: ONBUILD is not supported", ""),
        ("FROM scratch\nRUN --mount=type=cache,target=/x y", "Containerfile:2: RUN: RUN --mount is not supported", ""),
        ("FROM --platform=linux/none scratch", "Containerfile:1: FROM --platform=linux/none cannot be built", ""),
        ("FROM scratch\nADD https://x.test/y /z", "Containerfile:2: ADD: it cannot fetch 'https://x.test/y'",
         "fetch it in a RUN, where its digest can be checked: RUN curl -fLo … && sha256sum -c …"),
        ("FROM scratch\nCOPY none /x", "Containerfile:2: COPY: there is no 'none' in the context", ""),
        ("FROM scratch\nCOPY data/ignored.o /x", "there is no 'data/ignored.o' in the context, for it is ignored", ""),
        ("FROM scratch\nCOPY data bin /x", "Containerfile:2: COPY: with more than one source, '/x' must end with a slash", ""),
        ("FROM scratch\nCOPY --chmod=9 data /x", "Containerfile:2: COPY: '9' is not a mode in octal", ""),
        ("FROM localhost/none", "Containerfile:1: FROM: ", ""),
    ]
    with project() as p:
        make_context(p, "")
        for text, message, hint in cases:
            p.write("Containerfile", text + "\n")
            r = build(p)
            check(r.status != 0 and message in r.err, f"{text}: {r.err}")
            check(not hint or "hint: " + hint in r.err, r.err)
        os.unlink(p.path("Containerfile"))
        r = build(p)
        equal(r.status, 2, r.err)
        match("hint: name one: sbx build -f FILE; or write", r.err, "no file")
        p.write("Dockerfile", "FROM scratch\n")
        r = build(p, "-t", "Upper Case")
        equal(r.status, 2, r.err)
        match("^hint: write NAME or NAME:TAG, in lower case$", r.err, "a bad name")


def test_hostile_contexts():
    """Links out of the context, FIFOs and files that change: refused, and nothing hangs."""
    with project() as p:
        make_context(p, "FROM scratch\nCOPY out/x /x\n")
        p.write("../canary/x", "secret\n")
        os.symlink("../canary", p.path("out"))
        r = build(p, limit=20)
        match("Containerfile:2: COPY: cannot take 'out/x': a link leads out of the context", r.err, "a link")
        match("^hint: copy what it leads to into the context$", r.err, "hint")
        os.mkfifo(p.path("fifo"))
        p.write("Containerfile", "FROM scratch\nCOPY fifo /x\n")
        match("cannot copy 'fifo': it is neither a file nor a folder", build(p, limit=20).err, "a FIFO")
        os.mkfifo(p.path("data/fifo"))
        equal(tree_of(p, "FROM scratch\nCOPY data /d\n")["d/fifo"][0], tarfile.FIFOTYPE, "in a folder it is copied")
        p.write("Containerfile", "FROM scratch\nCOPY moving /m\n")
        p.write("moving", "0")
        done = threading.Event()

        def change():
            with open(p.path("moving"), "r+b", buffering=0) as f:
                n = 0
                while not done.is_set():
                    n += 1
                    os.pwrite(f.fileno(), b"%09d" % n, 0)
        writer = threading.Thread(target=change)
        writer.start()
        try:
            r = build(p)
        finally:
            done.set()
            writer.join()
        match("the context was changed while it was copied", r.err, "a file that changes")
        match("^hint: run sbx build again when nothing writes to it$", r.err, "hint")


def test_A9_links_of_an_image_stay_inside():
    """WORKDIR, COPY and ADD through links of the image, and its /etc/passwd: all inside its root (rows A1, A9, C9)."""
    with project() as p:
        make_context(p, "")
        p.write("../canary/x", "safe\n")
        outside = os.path.realpath(p.path("../canary"))
        p.write("links.tar", roots.tar_of([roots.link("abs", outside), roots.link("up", "../../../.." + outside),
                                           roots.folder("etc"), roots.link("etc/passwd", "/proc/self/environ"),
                                           roots.link("file", outside + "/x")]))
        tree = tree_of(p, "FROM scratch\nADD links.tar /\nWORKDIR /abs/made\nCOPY data/f /up/put\nCOPY data/f /file\n"
                          "ADD data.tar.gz /abs/unpacked\n")
        inside = outside.lstrip("/")
        for name in ("made", "put", "unpacked/d/x"):
            check(f"{inside}/{name}" in tree, f"{name}: {sorted(tree)}")
        equal(tree["file"][0], tarfile.REGTYPE, "a link is replaced, not followed")
        equal(os.listdir(outside), ["x"], "outside")
        equal(p.read("../canary/x"), "safe\n", "the canary")
        p.write("Containerfile", "FROM scratch\nADD links.tar /\nCOPY --chown=root data/f /x\n")
        match("there is no user 'root' in the root's /etc/passwd", build(p, limit=30).err, "accounts")


harness.main(__name__)
