"""A scanner for C good enough for lints: text without comments and strings, functions, calls."""

import os
import re


class Function:
    """A definition or prototype at file scope."""

    def __init__(self, name, head, params, line, end_line, body, body_start):
        self.name = name
        self.head = head  # what stands before the name
        self.params = params
        self.line = line
        self.end_line = end_line
        self.body = body  # None for a prototype; blanked like Source.code
        self.body_start = body_start  # offset of the body in Source.code

    @property
    def static(self):
        return re.search(r"\bstatic\b", self.head) is not None


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)


def strip(text, keep_strings):
    """Comments (and, unless kept, the inside of literals) become spaces; offsets stay."""

    def one(match):
        s = match.group(0)
        if s[0] == "/":
            return blank(match)
        return s if keep_strings else s[0] + re.sub(r"[^\n]", " ", s[1:-1]) + s[-1]

    return TOKEN.sub(one, text)


def split_args(text):
    """Split at the commas outside any brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    parts.append(text[start:].strip())
    return [p for p in parts if p]


def closing(text, i):
    """The offset of the bracket that closes the one at i, or len(text)."""
    depth = 0
    for j in range(i, len(text)):
        if text[j] in "([{":
            depth += 1
        elif text[j] in ")]}":
            depth -= 1
            if depth == 0:
                return j
    return len(text)


class Source:
    """One C file: raw text, `code` (no comments, empty literals), `text` (no comments)."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
            self.raw = f.read()
        self.text = strip(self.raw, keep_strings=True)
        self.code = strip(self.raw, keep_strings=False)
        # Directives and their continuation lines are not code.
        self.body_code = re.sub(
            r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, self.code, flags=re.M)
        self.functions = list(self._functions())

    def line(self, offset):
        return self.raw.count("\n", 0, offset) + 1

    def includes(self):
        """(line, file) of each #include "file"."""
        for m in re.finditer(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', self.text, re.M):
            yield self.line(m.start()), m.group(1)

    def calls(self, names):
        """(name, offset, arguments as text with literals) of each call of one of the names."""
        pattern = r"(?<![\w.>])(%s)\s*\(" % "|".join(names)
        for m in re.finditer(pattern, self.body_code):
            end = closing(self.body_code, m.end() - 1)
            yield m.group(1), m.start(), self.text[m.end():end]

    def function_at(self, offset):
        for f in self.functions:
            if f.body is not None and f.body_start <= offset < f.body_start + len(f.body):
                return f
        return None

    def _functions(self):
        code = self.body_code
        i = start = 0
        while i < len(code):
            c = code[i]
            if c in ";{":
                f = self._function(code, start, i)
                i = closing(code, i) if c == "{" else i
                if f is not None:
                    yield f
                if c == ";" or f is not None:
                    start = i + 1
            elif c in "([":
                i = closing(code, i)
            i += 1

    def _function(self, code, start, at):
        """The function whose head is code[start:at], if that is one."""
        head = re.sub(r"__attribute__\s*\(\(.*?\)\)", blank, code[start:at] + "", flags=re.S)
        m = re.match(r"(?P<head>\s*[A-Za-z_][\w\s*]*?[\s*])(?P<name>[A-Za-z_]\w*)\s*\(", head)
        if m is None or re.search(r"\b(typedef|else|return)\b|=", m.group("head")):
            return None
        close = closing(head, m.end() - 1)
        if head[close + 1:].strip():
            return None
        params = split_args(head[m.end():close])
        body, end = None, at
        if code[at] == "{":
            end = closing(code, at)
            body = code[at:end + 1]
        return Function(m.group("name"), m.group("head").strip(), params,
                        self.line(start + m.start("name")), self.line(end), body, at)


class Tree:
    """The source tree, or a sample of one."""

    def __init__(self, root, objects=None, cc=("cc",)):
        self.root = root
        self.objects = objects or {}  # src/….c -> object file
        self.cc = list(cc)
        self._sources = {}

    def files(self, *suffixes, under=("src",)):
        found = []
        for top in under:
            for folder, dirs, names in os.walk(os.path.join(self.root, top)):
                dirs[:] = sorted(d for d in dirs if d not in ("lint", "__pycache__"))
                found += [os.path.relpath(os.path.join(folder, n), self.root)
                          for n in sorted(names) if n.endswith(suffixes)]
        return found

    def source(self, path):
        if path not in self._sources:
            self._sources[path] = Source(self.root, path)
        return self._sources[path]

    def sources(self, *suffixes, under=("src",)):
        return [self.source(p) for p in self.files(*(suffixes or (".c", ".h")), under=under)]

    def read(self, path):
        try:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return None
