#!/usr/bin/python3
"""Images in and out: what sbx writes, other people's tools read, and the other way round; what is damaged is refused,
and nothing of it stays."""

import gzip
import json
import os
import shutil
import stat
import tarfile
import tempfile

import harness
import history
import layers
from harness import check, command, equal, limit, match, need_program
from layouts import pack, sha256, small_layout

# Two layers, with what a layer can hold: deletions, an opaque folder, hard links, setuid, attributes, odd names.
FIRST = r"""
mkdir -p /opt/d/gone /opt/d/anew
printf content >/opt/d/file; chmod 4755 /opt/d/file
ln /opt/d/file /opt/d/second
ln -s target /opt/d/link
mkfifo -m 640 /opt/d/pipe
echo x >/opt/d/gone/x; echo old >/opt/d/anew/old
printf odd >"/opt/d/a b	c"
touch -d @1000000000 /opt/d/file
"""
SECOND = r"""
rm -r /opt/d/gone
rm -r /opt/d/anew; mkdir /opt/d/anew; echo new >/opt/d/anew/new
printf more >>"/opt/d/a b	c"
"""


def tool(p, *argv, **kw):
    """Another tool, with its files in the test's folder."""
    kw.setdefault("cwd", p.dir)
    env = dict(p.env, TMPDIR=p.parent)
    return command([need_program(argv[0]), *argv[1:]], env=env, **kw)


def digests(text):
    return [line for line in text.split("\n") if line.startswith("sha256:")]


def load(p, *args):
    return digests(p.sbx("load", *args, limit=60).ok().out)[0]


def fresh(p, name):
    """Another store, as on another machine."""
    p.env["XDG_DATA_HOME"] = os.path.join(p.parent, name)
    return p


def nothing_left(p):
    """No blob, no image, no layer, and fsck content."""
    p.sbx("fsck").ok()
    store = os.path.join(p.env["XDG_DATA_HOME"], "sbx")
    equal(sorted(os.listdir(os.path.join(store, "blobs"))), ["partial"], "blobs")
    for name in ("blobs/partial", "images", "layers"):
        equal(os.listdir(os.path.join(store, name)), [], name)


def blob(layout, digest):
    with open(os.path.join(layout, "blobs/sha256", digest.split(":")[-1]), "rb") as f:
        return f.read()


def manifest_of(layout):
    with open(os.path.join(layout, "index.json"), "rb") as f:
        entry = json.load(f)["manifests"][0]
    return entry["digest"], json.loads(blob(layout, entry["digest"]))


def entries(top):
    """Type, mode, time, content and names of one file, of all below `top`."""
    found, names = {}, {}
    for folder, dirs, files in os.walk(top):
        for name in sorted(dirs + files):
            path = os.path.join(folder, name)
            st = os.lstat(path)
            short = os.path.relpath(path, top)
            what = [oct(st.st_mode)]
            if stat.S_ISLNK(st.st_mode):
                what.append(os.readlink(path))
            elif stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    what.append(f.read())
                what += [int(st.st_mtime), names.setdefault(st.st_ino, short)]
            found[short] = what
    return found


INSIDE = r"""
import os, runpy, sys
sys.path.insert(0, os.getcwd())
print(repr(runpy.run_path(sys.argv[1])["entries"](sys.argv[2])))
"""


def entries_inside(p, top):
    with open(__file__, encoding="utf-8") as f:
        text = f.read()
    begin, end = text.index("def entries("), text.index("INSIDE = ")
    p.write("look.py", "import os, stat\n" + text[begin:end])
    out = p.run("python3", "-c", INSIDE, "look.py", top).ok().out
    return eval(out, {"__builtins__": {}})  # our own repr


def made(ini=None):
    """A project with two layers, tagged."""
    p = history.alone(ini) if ini else history.alone()
    history.made(p, FIRST)
    history.made(p, SECOND, "-t", "tools")
    return p


@limit(100)
def test_others_read_what_is_saved():
    """skopeo finds the same digests in each form that sbx writes, umoci the same tree."""
    with made() as p:
        p.sbx("save", "-o", "e.tar").ok()
        p.sbx("save", "tools", "--format", "oci-dir", "-o", "dir").ok()
        p.sbx("save", "--compress", "zstd", "-o", "z.tar").ok()
        p.sbx("save", "--format", "docker", "-o", "d.tar").ok()
        check(not [n for n in os.listdir(p.dir) if n.endswith(".part")], "a file beside is left")
        chain = history.chain(p)
        digest, manifest = manifest_of(p.path("dir"))
        config = json.loads(blob(p.path("dir"), manifest["config"]["digest"]))
        equal([d.split(":")[1] for d in config["rootfs"]["diff_ids"]], chain, "the layers")
        equal(manifest["annotations"]["io.sbx.base"], "host", "what it lies on")
        for source in ("oci-archive:e.tar", "oci:dir", "oci-archive:z.tar", "docker-archive:d.tar"):
            seen = json.loads(tool(p, "skopeo", "inspect", "--config", source).ok().out)
            equal(seen["rootfs"]["diff_ids"], config["rootfs"]["diff_ids"], source)
        seen = json.loads(tool(p, "skopeo", "inspect", "oci-archive:e.tar").ok().out)
        equal(seen["Digest"], digest, "the manifest's digest as skopeo sees it")
        seen = json.loads(tool(p, "skopeo", "inspect", "--raw", "oci-archive:z.tar").ok().out)
        match("zstd", seen["layers"][0]["mediaType"], "the layers' form")
        tool(p, "umoci", "unpack", "--rootless", "--image", "dir:localhost/tools:latest", "um").ok()
        equal(entries(p.path("um/rootfs/opt/d")), entries_inside(p, "/opt/d"), "the tree")


@limit(60)
def test_the_same_layers_give_the_same_image():
    """Saved twice, and by another store that loaded it, the manifest is the same."""
    with made() as p:
        first = p.sbx("save").ok()
        second = p.sbx("save", "tools", "--name", "localhost/proj:latest", "--format", "oci", "-o", "e.tar").ok()
        check(os.path.getsize(p.path("e.tar")) > 0, "nothing saved")
        equal(first.err.split("sha256:")[1], second.err.split("sha256:")[1], "the manifest")
        fresh(p, "other")
        digest = load(p, "e.tar")
        equal(digest, "sha256:" + second.err.split("sha256:")[1].strip(), "as it was loaded")
        p.sbx("save", "localhost/proj:latest", "--format", "oci-dir", "-o", "again").ok()
        equal(manifest_of(p.path("again"))[0], digest, "and saved again")
        # What can be made anew goes, and is made anew: what sbx packed itself, the same.
        match("2 blobs", p.sbx("gc", "--blobs").ok().err, "what gc removed")
        p.sbx("save", "proj", "--format", "oci-dir", "-o", "packed").ok()
        equal(manifest_of(p.path("packed"))[0], digest, "packing is the same each time")
        p.sbx("fsck").ok()


def layout_by_umoci(p):
    """A layout with two layers, the second of which deletes."""
    tool(p, "umoci", "init", "--layout", "l").ok()
    tool(p, "umoci", "new", "--image", "l:1").ok()
    tool(p, "umoci", "unpack", "--rootless", "--image", "l:1", "b").ok()
    for name in ("bin", "etc/gone", "etc/anew"):
        os.makedirs(p.path("b/rootfs/" + name))
    shutil.copy(need_program("busybox"), p.path("b/rootfs/bin/busybox"))
    for name in ("etc/gone/x", "etc/anew/old", "etc/one"):
        p.write("b/rootfs/" + name, name)
    os.link(p.path("b/rootfs/etc/one"), p.path("b/rootfs/etc/two"))
    tool(p, "umoci", "repack", "--refresh-bundle", "--image", "l:1", "b").ok()
    shutil.rmtree(p.path("b/rootfs/etc/gone"))
    shutil.rmtree(p.path("b/rootfs/etc/anew"))
    os.mkdir(p.path("b/rootfs/etc/anew"))
    p.write("b/rootfs/etc/anew/new", "new", 0o4755)
    tool(p, "umoci", "repack", "--image", "l:1", "b").ok()


def runs_it(p):
    """An environment on it has what umoci's bundle has; a layer more is saved, and umoci reads that."""
    p.profile(layers.COLD + "[base]\nimage = localhost/l:1\n")
    listing = ("for f in anew gone; do busybox find /etc/$f -exec busybox stat -c '%n %a %F' {} ';'; done 2>/dev/null; "
               "busybox stat -c '%n %h %s' /etc/one /etc/two; busybox cat /etc/anew/new")
    out = p.run("/bin/busybox", "sh", "-c", "PATH=/bin; " + listing).ok().out.split("\n")
    equal(out, ["/etc/anew 755 directory", "/etc/anew/new 4755 regular file",
                "/etc/one 2 7", "/etc/two 2 7", "new"], "what shows inside")
    p.sbx("run", "--root", "--", "/bin/busybox", "sh", "-c", "echo more >/etc/more; /bin/busybox rm /etc/two").ok()
    p.sbx("commit", "-m", "more").ok()
    p.sbx("save", "--format", "oci-dir", "-o", "more").ok()
    tool(p, "umoci", "unpack", "--rootless", "--image", "more:localhost/proj:latest", "um").ok()
    found = entries(p.path("um/rootfs/etc"))
    equal(sorted(n for n in found if n in ("one", "two", "more", "gone", "anew", "anew/old", "anew/new")),
          ["anew", "anew/new", "more", "one"], "what umoci finds")
    equal(found["one"][1], b"etc/one", "a file of the base")
    p.sbx("rm", "-f").ok()
    p.write("sbx.ini", layers.COLD)


@limit(100)
def test_sbx_reads_what_others_write():
    """A layout by umoci, archives of it by skopeo, packed by gzip or not, from a pipe: the same layers, the same digest."""
    with history.alone() as p:
        layout_by_umoci(p)
        wanted, manifest = manifest_of(p.path("l"))
        config = json.loads(blob(p.path("l"), manifest["config"]["digest"]))
        chain = [d.split(":")[1] for d in config["rootfs"]["diff_ids"]]
        equal(load(p, "l"), wanted, "the layout")
        images = p.sbx("images", "--json").json()
        equal([(i["ref"], i["layers"]) for i in images], [("localhost/l:1", chain)], "images")
        runs_it(p)
        tool(p, "skopeo", "copy", "-q", "oci:l:1", "oci-archive:a.tar:tools:2").ok()
        tool(p, "skopeo", "copy", "-q", "oci:l:1", "docker-archive:d.tar:debian:12").ok()
        tool(p, "gzip", "-k", "a.tar").ok()
        fresh(p, "second")
        equal(load(p, "a.tar"), wanted, "an archive by skopeo")
        equal(load(p, "a.tar.gz", "--name", "me/other"), wanted, "compressed")
        with open(p.path("a.tar"), "rb") as f:
            equal(digests(p.sbx("load", "-", stdin=f.read()).ok().out)[0], wanted, "a pipe")
        load(p, "d.tar")
        images = p.sbx("images", "--json").json()
        equal([i["ref"] for i in images],
              ["docker.io/library/debian:12", "localhost/me/other:latest", "localhost/tools:2"], "names")
        for image in images:
            equal(image["layers"], chain, image["ref"])
        p.sbx("fsck").ok()
        # Nobody else's gzip is made anew; the layers are the same.
        p.sbx("gc", "--blobs").ok()
        r = p.sbx("save", "tools:2", "--format", "oci-dir", "-o", "packed").ok()
        match("its layers were packed anew, so its manifest is another one now", r.err, "what it says")
        config = json.loads(blob(p.path("packed"), manifest_of(p.path("packed"))[1]["config"]["digest"]))
        equal([d.split(":")[1] for d in config["rootfs"]["diff_ids"]], chain, "the layers, packed anew")


@limit(100)
def test_podman_and_buildah():
    """podman runs what sbx saved of an image that buildah made, and sbx loads what podman saves of it."""
    for name in ("buildah", "podman", "runc"):
        need_program(name)
    if not harness.has_subids():
        return  # Neither works without: the suite of the other user has it.
    with history.alone() as p:
        # Podman takes none of more than 50 characters.
        runroot = tempfile.mkdtemp(dir="/tmp")
        storage = ["--root", p.path("cs"), "--runroot", runroot, "--storage-driver", "vfs"]
        p.env["XDG_RUNTIME_DIR"] = p.path("xdg")
        os.makedirs(p.path("xdg"), 0o700)
        os.makedirs(p.path("root/bin"))
        shutil.copy(need_program("busybox"), p.path("root/bin/busybox"))
        try:
            box = tool(p, "buildah", *storage, "from", "scratch").ok().out.strip()
            tool(p, "buildah", *storage, "copy", box, "root", "/").ok()
            tool(p, "buildah", *storage, "commit", "-q", box, "oci-archive:" + p.path("b.tar") + ":box:1").ok()
            digest = load(p, "b.tar")
            p.sbx("save", "box:1", "-o", "s.tar").ok()
            tool(p, "podman", *storage, "load", "-q", "-i", "s.tar").ok()
            run = tool(p, "podman", *storage, "--runtime", "runc", "run", "--rm", "--net", "none", "localhost/box:1",
                       "/bin/busybox", "echo", "hello", limit=60)
            equal(run.ok().out, "hello\n", "what podman ran")
            for form in ("oci-archive", "docker-archive"):
                tool(p, "podman", *storage, "save", "-q", "--format", form, "-o", form + ".tar", "localhost/box:1").ok()
                load(p, form + ".tar")
                equal(p.sbx("images", "--json").json()[0]["ref"], "localhost/box:1", form)
            equal(len(p.sbx("images", "--json").json()[0]["layers"]), 1, "layers")
            check(digest, "no digest")
        finally:
            # Files of subordinate ids.
            tool(p, "podman", "unshare", "rm", "-rf", p.path("cs"), runroot)


@limit(60)
def test_C10_a_flipped_byte_is_found():
    """One byte of each blob of an archive and of a folder is changed: refused, and nothing of it stays."""
    with history.alone() as p:
        files = small_layout(p)
        for changed in [n for n in files if n.startswith("blobs/")]:
            data = bytearray(files[changed])
            data[len(data) // 2] ^= 1
            bad = dict(files, **{changed: bytes(data)})
            p.write("bad.tar", pack(sorted(bad.items())))
            r = p.sbx("load", "bad.tar").ok(125)
            match(r"cannot load 'bad\.tar': .* what came has the digest sha256:", r.err, "the message")
            os.makedirs(p.path("bad/blobs/sha256"))
            for name, content in bad.items():
                p.write("bad/" + name, content)
            r = p.sbx("load", "bad").ok(125)
            match("what came has the digest", r.err, "of the folder")
            shutil.rmtree(p.path("bad"))
            nothing_left(p)
        p.write("good.tar", pack(sorted(files.items(), reverse=True)))
        load(p, "good.tar")
        match(r"localhost/good:latest", p.sbx("images").ok().out, "its name")
        # And in the store.
        store = os.path.join(p.env["XDG_DATA_HOME"], "sbx", "blobs")
        for name in [n for n in os.listdir(store) if n != "partial"]:
            path = os.path.join(store, name)
            with open(path, "rb") as f:
                whole = f.read()
            os.unlink(path)
            with open(path, "wb") as f:
                f.write(whole[:-1] + bytes([whole[-1] ^ 1]))
            match(f"blob {name}: it is not what it was", p.sbx("fsck").ok(1).out, "fsck")
            with open(path, "wb") as f:
                f.write(whole)
        p.sbx("fsck").ok()


@limit(60)
def test_C11_what_is_two_things_is_refused():
    """A layer that is not the config's, a manifest that is an index, too: refused, and nothing of it stays."""
    with history.alone() as p:
        files = small_layout(p)
        index = json.loads(files["index.json"])
        name = "blobs/sha256/" + index["manifests"][0]["digest"].split(":")[1]

        def with_manifest(change):
            manifest = json.loads(files[name])
            change(manifest)
            text = json.dumps(manifest).encode()
            entry = dict(index["manifests"][0], digest="sha256:" + sha256(text), size=len(text))
            rest = {n: d for n, d in files.items() if n not in (name, "index.json")}
            return dict(rest, **{"index.json": json.dumps(dict(index, manifests=[entry])).encode(),
                                 "blobs/sha256/" + sha256(text): text})

        def other_layer(manifest):
            manifest["layers"][0].update(digest=manifest["config"]["digest"], size=manifest["config"]["size"])

        cases = [
            (lambda m: m.update(manifests=[]), "it has both 'manifests' and 'layers' or 'config'"),
            (lambda m: m["layers"].append(m["layers"][0]), "the image has 2 layers, but its config knows 1"),
            (lambda m: m["layers"][0].update(size=1), "bytes, not 1"),
            (lambda m: m["layers"][0].update(digest="sha256:../../x"), "is not sha256: and 64 digits"),
            (lambda m: m.update(mediaType="text/plain"), "'text/plain', which is no image"),
            (other_layer, "layer 1 of 1: "),
        ]
        for change, why in cases:
            p.write("bad.tar", pack(sorted(with_manifest(change).items())))
            match(why.replace("(", r"\("), p.sbx("load", "bad.tar").ok(125).err, why)
            nothing_left(p)


@limit(60)
def test_C5_C6_nothing_is_forged_in_an_image():
    """Names of whiteouts cannot be committed; attributes of an overlay's do not come into what is saved."""
    with history.alone() as p:
        history.made(p, "mkdir /opt/x; echo a >/opt/x/a; "
                        "python3 -c 'import os; os.setxattr(\"/opt/x\", \"user.mine\", b\"1\")' || true")
        p.sbx("run", "--root", "--", "mkdir", "/opt/.wh.etc").ok()
        match(r"\.wh\.", p.sbx("commit", "-m", "x").ok(125).err, "the refusal")
        p.sbx("run", "--root", "--", "rmdir", "/opt/.wh.etc").ok()
        p.sbx("save", "--compress", "none", "-o", "e.tar").ok()
        with open(p.path("e.tar"), "rb") as f:
            data = f.read()
        for word in (b".wh.etc", b".wh..wh..opq", b"overlay.", b"fuseoverlayfs", b"override_stat"):
            check(word not in data, f"{word} is in the image")
        fresh(p, "other")
        load(p, "e.tar")
        p.sbx("fsck").ok()


@limit(60)
def test_messages():
    """What cannot be done is said, with what to do instead."""
    with history.alone() as p:
        history.refused(p.sbx("load", "nothing"), 125,
                        "cannot open 'nothing': No such file or directory",
                        "sbx load takes a file or a folder; 'sbx pull' gets images from registries")
        for name, text in (("text", b"hello\n"), ("empty", b""), ("random", os.urandom(9000)), ("text.gz", gzip.compress(b"x"))):
            with open(p.path(name), "wb") as f:
                f.write(text)
            history.refused(p.sbx("load", name), 125, f"cannot load '{name}': it is no archive",
                            "sbx load takes what `sbx save`, `podman save`, `docker save` or `skopeo copy` wrote")
        with tarfile.open(p.path("root.tar"), "w") as tar:
            tar.add(p.path("text"), "etc/text")
        history.refused(p.sbx("load", "root.tar"), 125,
                        "cannot load 'root.tar': it has neither 'index.json' nor 'manifest.json', so it is no image",
                        "the files of a root, in a tar, are a base as they are: sbx init --base tar:FILE; in a folder: dir:FOLDER")
        history.refused(p.sbx("images", "-d", "x"), 125,
                        "cannot remove the image 'localhost/x:latest': No such file or directory",
                        "'sbx images' lists them")
        history.refused(p.sbx("images", "x"), 2, "sbx images takes a name only with --delete", "'sbx images' lists them")
        history.refused(p.sbx("images", "-d"), 2, "sbx images --delete takes the name of one image",
                        "'sbx images' lists them")
        history.refused(p.sbx("save", "--format", "oci-dir"), 2, "a folder is nothing for standard output",
                        "name it: sbx save --format oci-dir -o FOLDER")
        match("no image yet", p.sbx("images").ok().err, "an empty list")
        match("'x' is no format", p.sbx("save", "--format", "x").ok(2).err, "a format")
        match("'x' is no compression", p.sbx("save", "--compress", "x").ok(2).err, "a compression")
        match("docker's archives have plain layers",
              p.sbx("save", "--format", "docker", "--compress", "gzip").ok(2).err, "docker's")
        match("no image 'localhost/x:1'", p.sbx("save", "x:1").ok(125).err, "an image that is not there")
        p.sbx("run", "true").ok()
        history.refused(p.sbx("save"), 2, "'default' has no layer that could be saved", "sbx commit makes one")
        two = {**small_layout(p)}
        entry = json.loads(two["index.json"])["manifests"][0]
        two["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [
            dict(entry, annotations={"org.opencontainers.image.ref.name": n}) for n in ("one", "two")]}).encode()
        p.write("two.tar", pack(list(two.items())))
        history.refused(p.sbx("load", "--name", "x", "two.tar"), 2,
                        "cannot load 'two.tar': there are 2 images, and --name is for one",
                        "leave out --name: each has its own")
        p.sbx("load", "two.tar").ok()
        equal([i["ref"] for i in p.sbx("images", "--json").json()], ["localhost/two:one", "localhost/two:two"], "both")
        os.mkdir(p.path("there"))
        history.refused(p.sbx("save", "two:one", "--format", "oci-dir", "-o", "there"), 125,
                        "cannot write 'there': File exists", "name a folder that is not there yet")
        # One that cannot be read stops gc, which says how to go on.
        image = p.sbx("images", "--json").json()[0]
        path = os.path.join(p.env["XDG_DATA_HOME"], "sbx/blobs", image["manifest"].split(":")[1])
        os.unlink(path)
        r = p.sbx("gc").ok(125)
        match(r"hint: sbx fsck shows all that is damaged; to forget the image, run: sbx images -d localhost/two:one",
              r.err, "the hint")
        match("damaged", p.sbx("images").ok().out, "the list")
        for name in ("one", "two"):
            p.sbx("images", "-d", "two:" + name).ok()
        p.sbx("gc").ok()
        p.sbx("fsck").ok()


harness.main(__name__)
