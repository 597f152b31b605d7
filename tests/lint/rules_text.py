"""Lints that read the sources as text.  Each yields (path, line, message)."""

import re

LAYERS = ["base", "conf", "store", "registry", "plan", "run", "cli"]
MAX_LINES, MAX_PARAMS, MAX_NESTING, MAX_FILE = 60, 6, 4, 500


def layer_of(path):
    parts = path.split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "src" else None


def layers(tree):
    """1: includes go to the same folder or to a lower layer."""
    for s in tree.sources():
        own = layer_of(s.path)
        for line, name in s.includes():
            to = name.split("/")[0]
            if "/" not in name or to not in LAYERS:
                yield s.path, line, f'"{name}": write includes from src/, "<layer>/<file>.h"'
            elif own in LAYERS and LAYERS.index(to) > LAYERS.index(own):
                yield s.path, line, f'{own}/ includes "{name}" of {to}/, which is above it'
    for path in tree.files("meson.build"):
        own = layer_of(path)
        for n, text in enumerate(tree.read(path).splitlines(), 1):
            for to in re.findall(r"\b([a-z]+)_(?:dep|lib)\b", text.split("#")[0]):
                if own in LAYERS and to in LAYERS and LAYERS.index(to) > LAYERS.index(own):
                    yield path, n, f"{own}/ links {to}_dep, which is above it"


def opens_statement(before):
    """Does a `{` behind this text open a compound statement, not an initialiser or a ({ })?"""
    if not before or before[-1] in ";{}:" or re.search(r"\b(else|do)$", before):
        return True
    if before[-1] != ")":
        return False
    depth = 0
    for i in range(len(before) - 1, -1, -1):
        depth += (before[i] == ")") - (before[i] == "(")
        if depth == 0:
            # if (…) {, but not the compound literal = (struct x){
            return re.search(r"(?!\breturn\b)\b\w+\s*$", before[:i]) is not None
    return False


def nesting(body):
    """The deepest compound statement; the function's own braces are level 0."""
    depth = deepest = 0
    kinds = []
    for i, c in enumerate(body):
        if c == "{":
            statement = all(kinds[-1:]) and opens_statement(body[:i].rstrip())
            kinds.append(statement)
            depth += statement
            deepest = max(deepest, depth)
        elif c == "}" and kinds:
            depth -= kinds.pop()
    return deepest - 1


def function_size(tree):
    """3: a function has at most 60 lines, 6 parameters, 4 levels of nesting."""
    for s in tree.sources():
        for f in s.functions:
            if len(f.params) > MAX_PARAMS:
                yield s.path, f.line, f"{f.name} has {len(f.params)} parameters, {MAX_PARAMS} at most"
            if f.body is None:
                continue
            lines = f.body.count("\n") - 1
            if lines > MAX_LINES:
                yield s.path, f.line, f"{f.name} has {lines} lines, {MAX_LINES} at most"
            if nesting(f.body) > MAX_NESTING:
                yield s.path, f.line, f"{f.name} nests {nesting(f.body)} deep, {MAX_NESTING} at most"


def file_length(tree):
    """3: a file has at most 500 lines."""
    for path in tree.files(".c", ".h", ".py", ".sh", under=("src", "tests")):
        n = tree.read(path).count("\n")
        if n > MAX_FILE:
            yield path, n, f"{n} lines, {MAX_FILE} at most"


def err_last(tree):
    """4: `struct err *` comes last, such a function returns int, outputs are named ret_…"""
    for s in tree.sources():
        if s.path in ("src/base/err.c", "src/base/err.h"):
            continue
        for f in s.functions:
            at = [i for i, p in enumerate(f.params)
                  if re.match(r"struct err\s*\*\s*\w*$", p)]
            if not at:
                continue
            behind = f.params[at[-1] + 1:]
            if behind and behind[-1] != "...":  # what a format of its own needs may follow
                yield s.path, f.line, f"{f.name}: `struct err *` is not the last parameter"
            if not re.search(r"\b(int|ssize_t|pid_t)\s*$|\b_Noreturn\b|\bnoreturn\b", f.head):
                yield s.path, f.line, f"{f.name} takes `struct err *` but does not return 0 or -1"
            for p in f.params:
                m = re.match(r"(?P<type>.*\*\s*)\*\s*(?P<name>\w+)$", p)
                if m and not m.group("name").startswith("ret") and "*const" not in p.replace(" ", "") \
                        and m.group("name") not in ("argv", "envp"):
                    yield s.path, f.line, f"{f.name}: the output '{m.group('name')}' is not named ret_…"


def exits(tree):
    """5: exit only in cli/main.c, _exit only in run/ and base/proc.c, abort only in base/mem.c."""
    for s in tree.sources():
        for name, at, _ in s.calls(["exit", "_exit", "_Exit", "quick_exit", "abort", "die", "err",
                                    "errx", "error"]):
            fine = {
                "exit": s.path == "src/cli/main.c",
                "_exit": s.path == "src/base/proc.c" or layer_of(s.path) == "run",
                "abort": s.path == "src/base/mem.c",
            }.get(name, False)
            if not fine:
                yield s.path, s.line(at), f"{name}() does not belong here"


def printing(tree):
    """6: only cli/ and base/log print."""
    for s in tree.sources():
        if layer_of(s.path) == "cli" or s.path == "src/base/log.c":
            continue
        for m in re.finditer(r"\b(stdout|stderr)\b(?!_)", s.body_code):
            yield s.path, s.line(m.start()), f"uses {m.group(1)}: only cli/ and base/log print"
        for name, at, _ in s.calls(["printf", "vprintf", "puts", "putchar", "perror", "psignal"]):
            yield s.path, s.line(at), f"{name}(): only cli/ and base/log print"
        for name, at, args in s.calls(["write", "dprintf", "vdprintf", "fs_write_all"]):
            if re.match(r"\s*(1|2|STDOUT_FILENO|STDERR_FILENO)\s*,", args):
                yield s.path, s.line(at), f"{name}() to the terminal: only cli/ and base/log print"


def goto(tree):
    """8: no goto."""
    for s in tree.sources(under=("src", "tests")):
        for m in re.finditer(r"\bgoto\b", s.body_code):
            yield s.path, s.line(m.start()), "goto"


OPENERS = ("open|openat|openat2|creat|socket|accept4|dup|epoll_create1|timerfd_create|signalfd|eventfd|"
           "memfd_create|inotify_init1|pidfd_open|proc_pidfd|open_tree|fsopen|fsmount|fopen|fdopen|"
           "fmemopen|opendir|fdopendir|mkostemp|arena_new")
HANDLE = re.compile(
    r"(?<=[;{}\n])[ \t]*(?P<attr>(?:_cleanup_\w+_\s+)?)"
    r"(?:(?:const\s+)?int\s+(?P<fd>\w+)|(?:FILE|DIR)\s*\*\s*(?P<file>\w+)|struct arena\s*\*\s*(?P<arena>\w+))"
    r"\s*(?P<init>=[^;]*)?;")


def cleanup(tree):
    """8: OS handles carry a cleanup attribute and are initialised.  A handle that belongs to
    somebody else is marked with the comment `borrowed` on its line."""
    for s in tree.sources(".c"):
        raw = s.raw.split("\n")
        for m in HANDLE.finditer(s.body_code):
            if s.function_at(m.start()) is None:
                continue
            name = m.group("fd") or m.group("file") or m.group("arena")
            init = (m.group("init") or "").lstrip("= ").strip()
            opened = re.match(r"(?:TAKE_FD|%s)\s*\(" % OPENERS, init)
            named = re.search(r"(^|_)(fd|sock|pidfd)$", name) or not m.group("fd")
            empty = init in ("", "-1", "NULL")
            line = s.line(m.start("init") if m.group("init") else m.end() - 1)
            if not (opened or (named and empty)) or "borrowed" in raw[line - 1]:
                continue
            if not m.group("attr"):
                yield s.path, line, f"the handle '{name}' has no cleanup attribute"
            elif not init:
                yield s.path, line, f"the handle '{name}' is not initialised"


CLOEXEC = {
    "open": "O_CLOEXEC", "openat": "O_CLOEXEC", "pipe2": "O_CLOEXEC", "mkostemp": "O_CLOEXEC",
    "socket": "SOCK_CLOEXEC", "socketpair": "SOCK_CLOEXEC", "accept4": "SOCK_CLOEXEC",
    "epoll_create1": "EPOLL_CLOEXEC", "timerfd_create": "TFD_CLOEXEC", "signalfd": "SFD_CLOEXEC",
    "eventfd": "EFD_CLOEXEC", "inotify_init1": "IN_CLOEXEC", "memfd_create": "MFD_CLOEXEC",
    "recvmsg": "MSG_CMSG_CLOEXEC", "open_tree": "OPEN_TREE_CLOEXEC", "fsopen": "FSOPEN_CLOEXEC",
    "fsmount": "FSMOUNT_CLOEXEC", "fspick": "FSPICK_CLOEXEC",
}
NO_CLOEXEC = {"pipe": "pipe2", "accept": "accept4", "dup": "fcntl(F_DUPFD_CLOEXEC)",
              "creat": "open", "epoll_create": "epoll_create1", "inotify_init": "inotify_init1",
              "mkstemp": "mkostemp"}


def cloexec(tree):
    """11: every fd is born with O_CLOEXEC.  One that is meant to pass an exec says so with the
    comment `inherited` or NOLINT on its line."""
    for s in tree.sources():
        raw = s.raw.split("\n")
        for name, at, args in s.calls(CLOEXEC):
            if s.function_at(at) and CLOEXEC[name] not in args \
                    and not re.search("inherited|NOLINT", raw[s.line(at) - 1]):
                yield s.path, s.line(at), f"{name}() without {CLOEXEC[name]}"
        for name, at, _ in s.calls(NO_CLOEXEC):
            if s.function_at(at):
                yield s.path, s.line(at), f"{name}() cannot set O_CLOEXEC: use {NO_CLOEXEC[name]}"
        for name, at, args in s.calls(["fopen", "freopen"]):
            if s.function_at(at) and not re.search(r',\s*"[^"]*e[^"]*"', args):
                yield s.path, s.line(at), f'{name}() without "e" (O_CLOEXEC) in its mode'
        for name, at, args in s.calls(["fcntl"]):
            if re.search(r"\bF_DUPFD\b", args):
                yield s.path, s.line(at), "F_DUPFD: use F_DUPFD_CLOEXEC"


BANNED = ["strcpy", "stpcpy", "strcat", "strncpy", "sprintf", "vsprintf", "strtok",
          "atoi", "atol", "atoll", "atof", "system", "popen", "gets", "mktemp", "tmpnam", "tempnam",
          "alloca", "asctime", "ctime", "gmtime", "localtime", "setjmp", "longjmp", "vfork"]
STRTOL = ["strtol", "strtoll", "strtoul", "strtoull", "strtoimax", "strtoumax", "strtod", "strtof"]


def banned(tree):
    """12: functions that invite mistakes; strtol's family only in base/num.c; overlay options
    are written in one file."""
    writers = []
    for s in tree.sources():
        for name, at, _ in s.calls(BANNED):
            yield s.path, s.line(at), f"{name}() is banned"
        for name, at, _ in s.calls(STRTOL):
            if s.path != "src/base/num.c":
                yield s.path, s.line(at), f"{name}(): numbers are read by base/num"
        m = re.search(r'"[^"\n]*\blowerdir[=+]', s.text)
        if m:
            writers.append((s.path, s.line(m.start())))
    for path, line in writers[1:]:
        yield path, line, f"builds overlay options, as {writers[0][0]} does: one builder escapes them"


BY_PATH = ["mkdir", "rmdir", "unlink", "rename", "symlink", "link", "mknod", "chmod", "chown", "lchown",
           "truncate", "utimes", "utime", "remove", "setxattr", "creat", "chroot"]


def by_fd(tree):
    """11: store/ and run/ change files by directory fd, not by path."""
    for s in tree.sources():
        if layer_of(s.path) in ("store", "run"):
            for name, at, args in s.calls(BY_PATH):
                if s.function_at(at) and not re.match(r'\s*"/(proc|sys)/', args):
                    yield s.path, s.line(at), f"{name}() by path: use the …at() form below a directory fd"
