#!/usr/bin/env python3
"""Hostile manifests, indexes and configs (THREATS.md C8, C10, C11), and JSON that parsers differ about (C14).

    hostile_json.py PROGRAM          read-json; each case is refused with its message, or accepted
    hostile_json.py --write FOLDER   the small ones as files, for fuzz_manifest
"""

import copy
import errno
import json
import os
import resource
import subprocess
import sys
import tempfile

HEX = "0123456789abcdef" * 4
OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker.distribution.manifest."
LAYER = {"mediaType": OCI + "layer.v1.tar+gzip", "digest": "sha256:" + HEX, "size": 10}
MANIFEST = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
            "config": {"mediaType": OCI + "config.v1+json", "digest": "sha256:" + HEX, "size": 2},
            "layers": [LAYER], "annotations": {"a": "b"}}
INDEX = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json",
         "manifests": [{"mediaType": OCI + "manifest.v1+json", "digest": "sha256:" + HEX, "size": 2,
                        "platform": {"os": "linux", "architecture": "amd64"}}]}
CONFIG = {"os": "linux", "architecture": "amd64", "config": {"Env": ["A=b"], "Cmd": ["sh"]},
          "rootfs": {"type": "layers", "diff_ids": ["sha256:" + HEX]}, "history": [{"created_by": "x"}]}
WHOLE = {"manifest": MANIFEST, "index": INDEX, "config": CONFIG}
MISSING = object()


def changed(kind, path, value):
    """The document with another value at the path; as text."""
    doc = copy.deepcopy(WHOLE[kind])
    at = doc
    for step in path[:-1]:
        at = at[step]
    if value is MISSING:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return json.dumps(doc)


# Each digest, in each place that has one.
DIGESTS = {
    "up": "sha256:../../../etc/passwd", "empty": "", "no-algorithm": HEX, "no-digits": "sha256:",
    "short": "sha256:" + HEX[:-1], "long": "sha256:" + HEX + "0", "upper": "sha256:" + HEX.upper(),
    "upper-algorithm": "SHA256:" + HEX, "sha512": "sha512:" + HEX + HEX, "md5": "md5:" + HEX[:32],
    "blank": "sha256: " + HEX, "newline": "sha256:" + HEX + "\n", "slash": "sha256/" + HEX,
    "two": "sha256:sha256:" + HEX, "other-digits": "sha256:" + "g" * 64, "wide": "sha256:" + "０" * 64,
}
PLACES = {"config": ("manifest", ["config", "digest"]), "layer": ("manifest", ["layers", 0, "digest"]),
          "entry": ("index", ["manifests", 0, "digest"]), "diffid": ("config", ["rootfs", "diff_ids", 0])}

# name: (kind, text, what the message has)
REFUSED = {f"c10-{place}-{name}": (kind, changed(kind, path, digest), "digest")
           for place, (kind, path) in PLACES.items() for name, digest in DIGESTS.items()}
for _name, _size in {"negative": -1, "text": "10", "fraction": 1.5, "null": None, "list": [], "true": True,
                     "missing": MISSING}.items():
    REFUSED["c10-size-" + _name] = ("manifest", changed("manifest", ["layers", 0, "size"], _size), "no number of bytes")
REFUSED["c10-size-huge"] = ("manifest", changed("manifest", ["layers", 0, "size"], 2**80), "too big integer")
REFUSED["c10-config-huge"] = ("manifest", changed("manifest", ["config", "size"], 2**40), "at most")

REFUSED.update({
    "c11-both": ("manifest", changed("manifest", ["manifests"], INDEX["manifests"]), "both"),
    "c11-both-index": ("index", changed("index", ["layers"], [LAYER]), "both"),
    "c11-index-config": ("index", changed("index", ["config"], MANIFEST["config"]), "both"),
    "c11-neither": ("manifest", '{"schemaVersion": 2}', "neither"),
    "c11-says-index": ("manifest", changed("manifest", ["mediaType"], INDEX["mediaType"]), "but it is a manifest"),
    "c11-says-manifest": ("index", changed("index", ["mediaType"], MANIFEST["mediaType"]), "but it is an index"),
    "c11-says-text": ("manifest", changed("manifest", ["mediaType"], "text/plain"), "no image"),
    "c11-says-number": ("manifest", changed("manifest", ["mediaType"], 1), "no string"),
    "c11-index-as-manifest": ("manifest", json.dumps(INDEX), "it is an index"),
    "c11-manifest-as-index": ("index", json.dumps(MANIFEST), "it is a manifest"),
    "c11-config-as-manifest": ("manifest", json.dumps(CONFIG), "schemaVersion"),
    "c11-manifest-as-config": ("config", json.dumps(MANIFEST), "rootfs"),
    "c11-given-as-index": (OCI + "index.v1+json", json.dumps(MANIFEST), "given as"),
    "c11-given-as-docker": (DOCKER + "v2+json", json.dumps(MANIFEST), "given as"),
    "c11-given-as-text": ("text/plain", json.dumps(MANIFEST), "no image"),
    "c11-schema-1": ("manifest", '{"schemaVersion": 1, "fsLayers": []}', "schema 1"),
    "c11-schema-1-hidden": ("manifest", changed("manifest", ["fsLayers"], []), "schema 1"),
    "c11-schema-1-signed": (DOCKER + "v1+prettyjws", json.dumps(MANIFEST), "schema 1"),
    "c11-schema-3": ("manifest", changed("manifest", ["schemaVersion"], 3), "not 2"),
    "c11-schema-text": ("manifest", changed("manifest", ["schemaVersion"], "2"), "not 2"),
    "c11-schema-fraction": ("manifest", changed("manifest", ["schemaVersion"], 2.0), "not 2"),
    "c11-artifact": ("manifest", changed("manifest", ["config", "mediaType"], "application/vnd.oci.empty.v1+json"),
                     "no config of an image"),
    "c11-chart": ("manifest", changed("manifest", ["layers", 0, "mediaType"],
                                      "application/vnd.cncf.helm.chart.content.v1.tar+gzip"), "no layer of an image"),
    "c11-twice": ("manifest", '{"schemaVersion": 2, "layers": [], "layers": []}', "duplicate"),
    "c11-twice-deep": ("manifest", json.dumps(MANIFEST).replace('"size": 10', '"size": 10, "size": 11'), "duplicate"),
    "c11-twice-escaped": ("manifest", '{"schemaVersion": 2, "layers": [], "\\u006cayers": []}', "duplicate"),
    "c11-layers-object": ("manifest", changed("manifest", ["layers"], {}), "no list"),
    "c11-layers-null": ("manifest", changed("manifest", ["layers"], None), "no list"),
    "c11-layers-text": ("manifest", changed("manifest", ["layers"], ["x"]), "no object"),
    "c11-config-list": ("manifest", changed("manifest", ["config"], []), "no object"),
    "c11-annotations": ("manifest", changed("manifest", ["annotations"], {"a": {}}), "no string"),
    "c11-platform": ("index", changed("index", ["manifests", 0, "platform"], "linux"), "no object"),
    "c11-os": ("index", changed("index", ["manifests", 0, "platform", "os"], 1), "no string"),
    "c11-rootfs": ("config", changed("config", ["rootfs"], []), "rootfs"),
    "c11-rootfs-type": ("config", changed("config", ["rootfs", "type"], "tree"), "not of layers"),
    "c11-env": ("config", changed("config", ["config", "Env"], "A=b"), "no list"),
    "c11-env-number": ("config", changed("config", ["config", "Env"], [1]), "no string"),
    "c11-user": ("config", changed("config", ["config", "User"], {"x": 1}), "no string"),
    "c11-history": ("config", changed("config", ["history"], {}), "no list"),
    "c11-nul": ("config", changed("config", ["config", "User"], "root\0x"), "u0000"),
    "c8-depth": ("manifest", '{"a":' * 1000000 + "1" + "}" * 1000000, "at most"),
    "c8-depth-small": ("manifest", '{"a":' * 40 + "1" + "}" * 40, "nested deeper"),
    "c8-brackets": ("manifest", "[" * 1000000, "nested deeper"),
    "c8-layers": ("manifest", changed("manifest", ["layers"], [LAYER] * 501), "at most 500"),
    "c8-layers-100k": ("manifest", changed("manifest", ["layers"], [LAYER] * 100000), "at most"),
    "c8-entries": ("index", changed("index", ["manifests"], INDEX["manifests"] * 1001), "at most 1000"),
    "c8-diffids": ("config", changed("config", ["rootfs", "diff_ids"], ["sha256:" + HEX] * 501), "at most 500"),
    "c8-values": ("config", changed("config", ["history"], [{}] * 100001), "more than 100000 values"),
    "c8-empties": ("config", changed("config", ["x"], [[]] * 1000000), "more than 100000 values"),
    "c8-large": ("config", changed("config", ["author"], "x" * (5 << 20)), "at most"),
})

ACCEPTED = {
    "good-manifest": ("manifest", json.dumps(MANIFEST)),
    "good-index": ("index", json.dumps(INDEX)),
    "good-config": ("config", json.dumps(CONFIG)),
    "good-same-layer-twice": ("manifest", changed("manifest", ["layers"], [LAYER, LAYER])),
    "good-no-layer": ("manifest", changed("manifest", ["layers"], [])),
    "good-no-media-type": ("manifest", changed("manifest", ["mediaType"], MISSING)),
    "good-docker": (DOCKER + "v2+json", changed("manifest", ["mediaType"], DOCKER + "v2+json")),
    "good-given": (OCI + "manifest.v1+json", json.dumps(MANIFEST)),
    "good-nulls": ("config", changed("config", ["config"], {"Env": None, "Cmd": None, "Labels": None})),
    "good-500": ("manifest", changed("manifest", ["layers"], [LAYER] * 500)),
    "good-brackets-in-text": ("config", changed("config", ["author"], "[{" * 1000)),
    "good-urls": ("manifest", changed("manifest", ["layers", 0, "urls"], ["http://127.0.0.1/x"])),
}

# The classes of JSONTestSuite, as values of an object's key, for a document's root is an object.
YES = [s.encode() if isinstance(s, str) else s for s in [
    "[]", "{}", "[ ]", " [] ", "[[]   ]", '[""]', '["a"]', "[false]", '[null, 1, "1", {}]', "[null]", "[1\n]", " [1]",
    "[1,null,null,null,2]", "[2] ", "[123e65]", "[0e+1]", "[0e1]", "[ 4]", "[-0.0000000001]", "[20e1]", "[-0]", "[-123]",
    "[-1]", "[1E22]", "[1E-2]", "[1E+2]", "[123e45]", "[123.456e78]", "[1e-2]", "[1e+2]", "[123]", "[123.456789]",
    '{"asd":"sdf", "dfg":"fgh"}', '{"asd":"sdf"}', '{"":0}', '{"min": -1.0e+28, "max": 1.0e+28}', '{"a":[]}',
    '{"x":[{"id": "x"}], "id": "x"}', '{"title":"\\u041f\\u043e"}', '{\n"a": "b"\n}', '["\\u0060\\u012a\\u12AB"]',
    '["\\uD801\\udc37"]', '["\\ud83d\\ude39\\ud83d\\udc8d"]', '["\\"\\\\\\/\\b\\f\\n\\r\\t"]', '["\\\\u0000"]', '["\\""]',
    '["a/*b*/c/*d//e"]', '["\\\\a"]', '["\\\\n"]', '["\\u0012"]', '["\\uFFFF"]', '["asd"]', '[ "asd"]',
    '["\\uDBFF\\uDFFF"]', '["new\\u00A0line"]', '["\U0010ffff"]', '["\uffff"]', '["\\u0000"]'.replace("0000", "0001"),
    '["\\u002c"]', '["π"]', '["\U0001bfff"]', '["asd "]', '" "', '["\\uD834\\uDd1e"]', '["\\u0821"]', '["\\u0123"]',
    '["\u2028"]', '["\u2029"]', '["\\u0061\\u30af\\u30EA\\u30b9"]', '["new\\u000Aline"]', '["\x7f"]', '["\\uA66D"]',
    '["\\u005C"]', '["⍂㈴⍂"]', '["\\u200B"]', '["\\u2064"]', '["\\uFDD0"]', '["\\uFFFE"]', '["\\u0022"]', '["€𝄞"]',
    '["a\x7fa"]', "false", "42", "-0.1", "null", '"asd"', "true", '""', '["a"]\n', "[true]", " [] ", "\t[]\r\n",
    '["\\uDBFF\\uDFFE"]', "[1.5]", "[1e5]", "[0]", "[0.0]", "[[[[]]]]", '{"a":{"b":{}}}']]
NO = [s.encode("utf-8") if isinstance(s, str) else s for s in [
    "[1 true]", b"[a\xe5]", '["": 1]', '[""],', "[,1]", "[1,,2]", '["x",,]', '["x"]]', '["",]', '["x"', "[x", "[3[4]]",
    b"[\xff]", "[1:2]", "[,]", "[-]", "[   , \"\"]", '["a",\n4\n,1,', "[1,]", "[1,,]", '["\x0ba"\\f]', "[*]", '[""', "[1,",
    "[1,\n1\n,1", "[{}", "[fals]", "[nul]", "[tru]", "[++1234]", "[+1]", "[+Inf]", "[-01]", "[-1.0.]", "[-2.]", "[-NaN]",
    "[.-1]", "[.2e-3]", "[0.1.2]", "[0.3e+]", "[0.3e]", "[0.e1]", "[0E+]", "[0E]", "[0e+]", "[0e]", "[1.0e+]", "[1.0e-]",
    "[1.0e]", "[1 000.0]", "[1eE2]", "[2.e+3]", "[2.e-3]", "[2.e3]", "[9.e+]", "[Inf]", "[NaN]", "[１]", "[1+2]", "[0x1]",
    "[0x42]", "[Infinity]", "[0e+-1]", "[-123.123foo]", b"[123\xe5]", b"[1e1\xe5]", b"[0\xe5]", "[-Infinity]", "[-foo]",
    "[- 1]", "[-012]", "[-.123]", "[-1x]", "[1ea]", b"[1e\xe5]", "[1.]", "[.123]", "[1.2a-3]", "[1.8011670033376514H-308]",
    "[012]", '["x", truth]', "{[: \"x\"}\n", '{"x", null}', '{"x"::"b"}', "{🇨🇭}", '{"a":"a" 123}', "{key: 'value'}",
    b'{"\xb9":"0",}', '{"a" b}', "{:\"b\"}", '{"a" "b"}', '{"a":', '{"a"', "{1:1}", "{9999E9999:1}", "{null:null,null:null}",
    '{"id":0,,,,,}', "{'a':0}", '{"id":0,}', '{"a":"b"}/**/', '{"a":"b"}/**//', '{"a":"b"}//', '{"a":"b"}/',
    '{"a":"b",,"c":"d"}', "{a: \"b\"}", '{"a":"a', '{ "foo" : "bar", "a" }', '{"a":"b"}#', " ", '["\\uD800\\"]',
    '["\\uD800\\u"]', '["\\uD800\\u1"]', '["\\uD800\\u1x"]', "[é]", '["\\x00"]', '["\\\\\\"]', '["\\\t"]', '["\\🌀"]', '["\\"]',
    '["\\u00A"]', '["\\uD834\\uDd"]', '["\\uD800\\uD800\\x"]', b'["\\u\xe5"]', '["\\a"]', '["\\uqqqq"]', b'["\\\xe5"]',
    "[\\u0020\"asd\"]", "[\\n]", '"', "['single quote']", "abc", '["\\', b'["a\x00a"]', '["new\nline"]', '["\t"]', '"\\UA66D"',
    '""x', "<.>", "[<null>]", "[1]x", "[1]]", '["asd]', "aå", "[True]", "1]", '{"x": true,', "[][]", "]", b"\xef\xbb{}", b"\xe5",
    "[", "", b"[\x00]", "2@", "{}}", '{"":', '{"a":/*comment*/"b"}', '{"a": true} "x"', "['", "[a", '["a', "[,", "{,", "{'a'",
    "[\"", '{"a', "{\"a\":\"", '*', '{"a":"b"}#{}', "[\\u000A\"\"]", "[1", "[ false, nul", "[ true, fals", "[ false, tru",
    '{"asd":"asd"', "å", b"[\xe2\x81\xa0]", b"\xef\xbb\xbf", "[\x0c]", "nan", "tru", "fals", "nul", "-", "+1", "1 2", "\u2060[]",
    "[\u00a01]", "[1;2]", '{"a":1;"b":2}', '{"a"=1}', "(1)", "[1}", '{"a":1]']]
# What implementations may do as they like: what this one does.
EITHER = {
    b"[123.456e-789]": True, b"[0.4e00669999999999999999999999999999999999]": False, b"[-1e+9999]": False, b"[1.5e+9999]": False,
    b"[-123123e100000]": False, b"[123123e100000]": False, b"[123e-10000000]": True, b"[-123123123123123123123123123123]": False,
    b"[100000000000000000000]": False, b"[-237462374673276894279832749832423479823246327846]": False,
    b'["\\uDADA"]': False, b'["\\uD888\\u1234"]': False, b'["\\uD800\\n"]': False, b'["\\uDd1ea"]': False,
    b'["\\uD800\\uD800\\n"]': False, b'["\\ud800"]': False, b'["\\ud800abc"]': False, b'["\\uDd1e\\uD834"]': False,
    b'["\\uDFAA"]': False, b'{"\\uDFAA":0}': False, "[\"é\"]".encode("utf-16"): False, "[\"é\"]".encode("utf-16-le"): False,
    "[\"é\"]".encode("utf-16-be"): False, b'["\xff"]': False, b'["\xe6\x97\xa5\xd1\x88\xfa"]': False, b'["\xed\xa0\x80"]': False,
    b'["\xe0\xff"]': False, b'["\xf4\xbf\xbf\xbf"]': False, b'["\xfc\x80\x80\x80\x80\x80"]': False, b'["\xfc\x83\xbf\xbf\xbf\xbf"]': False,
    b'["\xc0\xaf"]': False, b'["\x81"]': False, b'["\xe9"]': False, b"[" * 500 + b"]" * 500: False, b"\xef\xbb\xbf{}": False,
    # Valid by RFC 8259, and refused here: a key twice, NUL in a string.
    b'{"a":"b","a":"c"}': False, b'{"a":"b","a":"b"}': False, b'["\\u0000"]': False, b'{"foo\\u0000bar": 42}': False,
}


def to_bytes(text):
    return text if isinstance(text, bytes) else text.encode()


def cases():
    """name: (kind, bytes, refused with this message, or None)"""
    found = {name: (kind, to_bytes(text), why) for name, (kind, text, why) in REFUSED.items()}
    found.update({name: (kind, to_bytes(text), None) for name, (kind, text) in ACCEPTED.items()})
    for name, texts in (("c14-y", dict.fromkeys(YES, True)), ("c14-n", dict.fromkeys(NO, False)), ("c14-i", EITHER)):
        for n, (text, good) in enumerate(texts.items()):
            found[f"{name}-{n}"] = ("json", b'{"a":' + text + b"}", None if good else "")
    return found


def limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def look(program, kind, names, texts, world):
    """What the program says of each, and how much memory it took at most, in bytes."""
    paths = []
    for name in names:
        paths.append(os.path.join(world, name))
        with open(paths[-1], "wb") as f:
            f.write(texts[name][1])
    p = subprocess.run([program, kind, *paths], stdout=subprocess.PIPE, check=False, preexec_fn=limits)
    lines = p.stdout.decode("utf-8", "replace").rstrip("\n").split("\n")
    if p.returncode != 0 or len(lines) != len(names):
        return [f"crashed: {p.returncode}, after {len(lines)} lines"] * len(names)
    return lines


def main():
    texts = cases()
    if sys.argv[1] == "--write":
        for name, (_, text, _) in texts.items():
            if len(text) < 2000 and not name.startswith("c14"):
                with open(os.path.join(sys.argv[2], name + ".json"), "wb") as f:
                    f.write(text)
        return 0
    bad = 0
    with tempfile.TemporaryDirectory(prefix="sbx-hostile-") as world:
        for kind in sorted({t[0] for t in texts.values()}):
            names = sorted(n for n, t in texts.items() if t[0] == kind)
            for name, line in zip(names, look(sys.argv[1], kind, names, texts, world)):
                why = texts[name][2]
                good = line == "ok" if why is None else line.startswith(f"{errno.EBADMSG} ") and why in line
                bad += not good
                if not good:
                    print(f"{name}: {texts[name][1][:80]!r}: {line[:300]} (wanted {why!r})")
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    if "--sanitized" not in sys.argv and most > 256 << 20:
        bad += 1
        print(f"{most} bytes of memory")
    print(f"{len(REFUSED)} refused, {len(ACCEPTED)} accepted, {len(set(YES))} y, {len(set(NO))} n, {len(EITHER)} i; "
          f"{bad} problems")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
