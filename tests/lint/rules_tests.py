"""Lints on what belongs together: hints, modules, parsers and commands with their tests."""

import os
import re

from rules_text import layer_of

LITERAL = re.compile(r'"((?:\\.|[^"\\])*)"')


def leading_literals(args):
    """The string literals at the start of the second argument, joined; None if there is none."""
    m = re.match(r'[^,"]*,\s*((?:"(?:\\.|[^"\\])*"\s*)+)', args)
    return "".join(LITERAL.findall(m.group(1))) if m else None


def plain(text):
    """Text as it would be shown: adjacent literals joined, escapes undone, one kind of space."""
    text = re.sub(r'"\s*\n\s*[bf]?"', "", text)
    text = text.replace('\\"', '"').replace("\\'", "'").replace("%%", "%")
    return re.sub(r"\s+", " ", text)


def longest_words(fmt):
    """The longest piece of a format between its conversions."""
    pieces = re.split(r"%[-+ #0]*(?:\*|\d+)?(?:\.(?:\*|\d+))?(?:hh|h|ll|l|z|j|t)?[a-zA-Z]", fmt)
    return max((plain(p).strip() for p in pieces), key=len)


def hints(tree):
    """7: each hint is asserted by a test; messages do not end in a full stop or a newline."""
    tests = plain("\n".join(tree.read(p) for p in tree.files("", under=("tests",))
                            if not p.endswith((".ini", ".build"))))
    for s in tree.sources(".c"):
        for _, at, args in s.calls(["err_hint"]):
            fmt = leading_literals(args)
            words = longest_words(fmt).strip(" :;,.'()")[:40].strip() if fmt else ""
            if len(words) > 3 and words not in tests:
                yield s.path, s.line(at), f"no test asserts the hint '{words}…'"
        for name, at, args in s.calls(["err_set", "err_errno", "err_hint"]):
            m = LITERAL.search(args)
            if m and re.search(r"([^.]\.|\\n)$", m.group(1)):
                yield s.path, s.line(at), f"the text of {name}() ends in a full stop or a newline"


def unit_texts(tree):
    return {p: tree.read(p) for p in tree.files(".c", under=("tests/unit",))}


def unit_tests(tree):
    """15: each module has a unit test: test_<module>.c, or one that calls a function of it, or one
    whose comment says that it covers <layer>/<module> through another."""
    units = unit_texts(tree)
    registered = tree.read("tests/unit/meson.build") or ""
    for path in units:
        stem = os.path.basename(path)[:-2]
        if stem.startswith("test_") and f"'{stem[5:]}'" not in registered:
            yield path, 1, "is not registered in tests/unit/meson.build"
    words = set(re.findall(r"\w+(?:/\w+)?", "\n".join(units.values())))
    for s in tree.sources(".c"):
        stem = os.path.basename(s.path)[:-2]
        if layer_of(s.path) == "cli" and (stem == "main" or stem.startswith("cmd_")):
            continue  # the command line is tested by tests/cli
        called = [f.name for f in s.functions if not f.static and f.body is not None and f.name in words]
        if f"tests/unit/test_{stem}.c" not in units and not called and s.path[4:-2] not in words:
            yield s.path, 1, f"no unit test: neither tests/unit/test_{stem}.c nor a call of its functions"


def fuzz_targets(tree):
    """15: each parser (…_parse, …_decode in a header) has a fuzz target with a corpus."""
    targets = {p: tree.read(p) for p in tree.files(".c", under=("tests/fuzz",))}
    for s in tree.sources(".h"):
        for f in s.functions:
            if not re.search(r"_(parse|decode)$", f.name):
                continue
            users = [p for p, t in targets.items() if re.search(rf"\b{f.name}\s*\(", t)]
            if not users:
                yield s.path, f.line, f"{f.name} has no target in tests/fuzz"
            for p in users:
                corpus = f"tests/fuzz/corpus/{re.sub('^fuzz_', '', os.path.basename(p)[:-2])}"
                if not tree.files("", under=(corpus,)):
                    yield p, 1, f"has no corpus in {corpus}/"


def done_free(tree):
    """9: each x_done and x_free is called with a zeroed object or NULL in a unit test."""
    tests = "\n".join(unit_texts(tree).values())
    for s in tree.sources(".h"):
        if layer_of(s.path) == "cli":
            continue  # the command line is tested by tests/cli
        for f in s.functions:
            if f.name.startswith("cleanup_"):
                continue
            if f.name.endswith("_free") and not re.search(rf"\b{f.name}\s*\(\s*NULL", tests):
                yield s.path, f.line, f"no unit test calls {f.name}(NULL)"
            if f.name.endswith("_done") and not re.search(rf"\b{f.name}\s*\(", tests):
                yield s.path, f.line, f"no unit test calls {f.name} on a zeroed object"


def commands(tree):
    """13: a command is one file, one function and one table row, and is in a man page."""
    files = {os.path.basename(p)[4:-2]: p for p in tree.files(".c", under=("src/cli",))
             if os.path.basename(p).startswith("cmd_")}
    others = [s for s in tree.sources(".c", under=("src/cli",))
              if not os.path.basename(s.path).startswith("cmd_")]
    rows = [(m.group(1), s.path, s.line(m.start())) for s in others
            for m in re.finditer(r"\bcmd_(\w+)\b(?!\s*\()", s.body_code)]
    pages = tree.files(".1", under=("man",))
    man = "\n".join(tree.read(p) for p in pages) if pages else None
    for name, path in files.items():
        count = sum(1 for row in rows if row[0] == name)
        if count != 1:
            yield path, 1, f"cmd_{name} stands in {count} table rows, not in one"
        defined = [f.name for f in tree.source(path).functions if not f.static and f.body is not None]
        if defined != [f"cmd_{name}"]:
            yield path, 1, f"defines {', '.join(defined) or 'nothing'}: it should be cmd_{name} alone"
        if man is not None and not re.search(rf"^\.(It|Ic|Nm|Ss|Cm|Op|Xo).*\b{name}\b", man, re.M):
            yield "man/sbx.1", 1, f"no page of man/ describes the command {name}"
    for name, path, line in rows:
        if name not in files:
            yield path, line, f"cmd_{name} has no file src/cli/cmd_{name}.c"


def no_sleep(tree):
    """15: tests wait on fds, not on the clock.  A poll against a deadline, where no fd can tell,
    says so in a comment `polls: why` on its line."""
    for path in tree.files(".c", ".py", ".sh", under=("tests",)):
        for n, line in enumerate(tree.read(path).splitlines(), 1):
            if re.search(r"\b(sleep|usleep|nanosleep)\s*\(", line) and "polls:" not in line:
                yield path, n, "sleeps: wait on an fd, or say why not with a comment `polls: …`"


def err_plain(tree):
    """16: struct err is a plain value: no pointer in it.  (Its size: rule headers.)"""
    text = tree.source("src/base/err.h").body_code
    m = re.search(r"struct err\s*\{([^}]*)\}", text)
    if m is None:
        yield "src/base/err.h", 1, "struct err not found"
    elif "*" in m.group(1):
        yield "src/base/err.h", text.count("\n", 0, m.start()) + 1, "struct err holds a pointer"
