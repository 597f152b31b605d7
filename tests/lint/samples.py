"""Small trees, each with one thing wrong (and what the rule must say), or with nothing wrong (None)."""

ERR_H = "struct err {\n\tint kind;\n\tchar msg[64];\n};\n"
LONG = "int f(void)\n{\n" + "\tf();\n" * 61 + "}\n"
DEEP = "int f(int a)\n{\n\tif (a) {\n\t\tif (a) {\n\t\t\tif (a) {\n\t\t\t\tif (a) {\n%s\t\t\t\t}\n\t\t\t}\n\t\t}\n\t}\n\treturn 0;\n}\n"
COMPLEX = "int f(int a);\nint f(int a)\n{\n" + "".join(
    f"\tif (a == {n}) {{\n\t\tif (a > {n + 7}) {{\n\t\t\tif (a)\n\t\t\t\treturn {n};\n\t\t}}\n\t}}\n" for n in range(8)
) + "\treturn 0;\n}\n"


def src(path, text):
    return {path: text}


SAMPLES = [
    ("layers", "which is above it", src("src/base/a.c", '#include "run/launch.h"\n')),
    ("layers", "write includes from src/", src("src/base/a.c", '#include "a.h"\n')),
    ("layers", "links run_dep", src("src/conf/meson.build", "l = static_library('conf', dependencies: run_dep)\n")),
    ("layers", None, src("src/run/a.c", '#include "base/err.h"\n#include "run/a.h"\n/* #include "cli/x.h" */\n')),
    ("calls-down", "base/ calls up", {"src/base/a.c": "int up(void);\nint f(void) { return up(); }\n",
                                      "src/run/b.c": "int up(void) { return 0; }\n"}),
    ("calls-down", None, {"src/run/a.c": "int down(void);\nint f(void) { return down(); }\n",
                          "src/base/b.c": "int down(void) { return 0; }\n"}),
    ("headers", "unknown type name", src("src/base/a.h", "size_t f(void);\n")),
    ("headers", "redefinition", src("src/base/a.h", "struct a {\n\tint x;\n};\n")),
    ("headers", "longer than PIPE_BUF", src(
        "src/base/err.h", "#ifndef E\n#define E\nstruct err {\n\tchar msg[5000];\n};\n#endif\n")),
    ("headers", None, src("src/base/a.h", "#ifndef A\n#define A\n#include <stddef.h>\nsize_t f(void);\n#endif\n")),
    ("function-size", "f has 61 lines", src("src/base/a.c", LONG)),
    ("function-size", "f has 7 parameters", src("src/base/a.h", "int f(int a, int b, int c, int d, int e, int g, int h);\n")),
    ("function-size", "f nests 5 deep", src("src/base/a.c", DEEP % "\t\t\t\t\tfor (;;) {\n\t\t\t\t\t}\n")),
    ("function-size", None, src("src/base/a.c", LONG.replace("\tf();\n", "", 1) + DEEP % "\t\t\t\t\tstruct s x = {{0}};\n")),
    ("file-length", "501 lines", src("src/base/a.c", "\n" * 501)),
    ("file-length", None, src("src/base/a.c", "\n" * 500)),
    ("err-last", "is not the last parameter", src("src/base/a.h", "int f(struct err *err, int a);\n")),
    ("err-last", "does not return 0 or -1", src("src/base/a.h", "void f(int a, struct err *err);\n")),
    ("err-last", "'out' is not named ret_", src("src/base/a.h", "int f(char **out, struct err *err);\n")),
    ("err-last", None, src("src/base/a.h", "int f(char **ret_a, struct err *err);\nvoid log_err(const struct err *e, int x);\n")),
    ("exits", "exit() does not belong here", src("src/cli/cmd_a.c", "void f(void)\n{\n\texit(1);\n}\n")),
    ("exits", "_exit() does not belong here", src("src/store/a.c", "void f(void)\n{\n\t_exit(1);\n}\n")),
    ("exits", "die() does not belong here", src("src/run/a.c", 'void f(void)\n{\n\tdie("x");\n}\n')),
    ("exits", None, {"src/run/a.c": "void f(void)\n{\n\t_exit(1);\n}\n",
                     "src/cli/main.c": "int main(void)\n{\n\texit(0);\n}\n"}),
    ("printing", "printf()", src("src/run/a.c", 'void f(void)\n{\n\tprintf("x");\n}\n')),
    ("printing", "uses stderr", src("src/conf/a.c", 'void f(void)\n{\n\tfputs("x", stderr);\n}\n')),
    ("printing", "write() to the terminal", src("src/run/a.c", 'void f(void)\n{\n\twrite(2, "x", 1);\n}\n')),
    ("printing", None, {"src/cli/a.c": 'void f(void)\n{\n\tprintf("x");\n}\n',
                        "src/run/a.c": "/* printf(stderr) */\nint f(int fd);\n"}),
    ("hints", "no test asserts the hint 'run the doctor", src(
        "src/run/a.c", 'int f(void)\n{\n\treturn err_hint(err, "run the doctor: %s", "x");\n}\n')),
    ("hints", "full stop", src("src/run/a.c", 'int f(void)\n{\n\treturn err_set(err, "cannot.");\n}\n')),
    ("hints", None, {"src/run/a.c": 'int f(void)\n{\n\treturn err_hint(err, "%s: run "\n\t\t"the doctor", "x");\n}\n',
                     "tests/cli/test_a.py": 'assert "run the doctor" in text\n'}),
    ("cleanup", "'fd' has no cleanup attribute", src("src/run/a.c", "int f(void)\n{\n\tint fd = -1;\n\treturn fd;\n}\n")),
    ("cleanup", "'x' has no cleanup attribute", src("src/run/a.c", 'int f(void)\n{\n\tint x = open("/", 0);\n\treturn x;\n}\n')),
    ("cleanup", "'d' has no cleanup attribute", src("src/run/a.c", "int f(void)\n{\n\tDIR *d = fdopendir(3);\n\treturn !d;\n}\n")),
    ("cleanup", "'fd' is not initialised", src("src/run/a.c", "int f(void)\n{\n\t_cleanup_fd_ int fd;\n\treturn 0;\n}\n")),
    ("cleanup", None, src("src/run/a.c", "struct s {\n\tint fd;\n};\nint f(struct s *s)\n{\n\t_cleanup_fd_ int fd = -1;\n"
                          "\tint dir_fd = s->fd;\n\tint raw_fd = -1; /* borrowed */\n\treturn dir_fd;\n}\n")),
    ("goto", "goto", src("src/base/a.c", "int f(void)\n{\nx:\n\tgoto x;\n}\n")),
    ("goto", None, src("src/base/a.c", "/* goto */\n")),
    ("done-free", "no unit test calls a_free(NULL)", src("src/base/a.h", "void a_free(struct a *a);\n")),
    ("done-free", "no unit test calls a_done", src("src/base/a.h", "void a_done(struct a *a);\n")),
    ("done-free", None, {"src/base/a.h": "void a_free(struct a *a);\n", "tests/unit/test_a.c": "int f(void) { a_free(NULL); }\n"}),
    ("state", "writable state at file scope: counter", src("src/run/a.c", "static int counter;\nint f(void) { return ++counter; }\n")),
    ("state", "writable state at file scope: table", src("src/run/a.c", "int table[2] = {1, 2};\n")),
    ("state", "writable state at file scope: inner", src("src/run/a.c", "int f(void) { static int inner; return ++inner; }\n")),
    ("state", None, {"src/run/a.c": "#include <signal.h>\nstatic const char *const names[] = {\"a\"};\n"
                     "static volatile sig_atomic_t got;\nvoid h(int s) { got = s; }\nconst char *f(int i) { return names[i]; }\n",
                     "src/base/log.c": "static int level;\nint f(void) { return ++level; }\n"}),
    ("cloexec", "open() without O_CLOEXEC", src("src/base/a.c", 'int f(void)\n{\n\treturn open("/", O_RDONLY);\n}\n')),
    ("cloexec", "pipe() cannot set O_CLOEXEC", src("src/base/a.c", "int f(int *p)\n{\n\treturn pipe(p);\n}\n")),
    ("cloexec", 'fopen() without "e"', src("src/base/a.c", 'int f(void)\n{\n\treturn !fopen("/", "r");\n}\n')),
    ("cloexec", "recvmsg() without MSG_CMSG_CLOEXEC", src("src/base/a.c", "int f(void)\n{\n\treturn recvmsg(3, &m, 0);\n}\n")),
    ("cloexec", None, src("src/base/a.c", 'int f(void)\n{\n\treturn openat(3, g("a, b"), O_RDONLY | O_CLOEXEC);\n}\n')),
    ("by-fd", "mkdir() by path", src("src/run/a.c", "int f(void)\n{\n\treturn mkdir(path, 0700);\n}\n")),
    ("by-fd", None, src("src/run/a.c", "int f(void)\n{\n\treturn mkdirat(fd, path, 0700);\n}\n")),
    ("banned", "strcpy() is banned", src("src/base/a.c", "void f(char *a)\n{\n\tstrcpy(a, a);\n}\n")),
    ("banned", "numbers are read by base/num", src("src/run/a.c", "void f(char *a)\n{\n\tstrtoul(a, 0, 0);\n}\n")),
    ("banned", "one builder escapes them", {"src/run/a.c": 'char *a = "lowerdir=%s";\n', "src/run/b.c": 'char *b = "lowerdir=";\n'}),
    ("banned", None, src("src/base/num.c", 'void f(char *a)\n{\n\tstrtoul(a, 0, 0); /* not atoi(a) */\n\tputs("atoi(x)");\n}\n')),
    ("commands", "has no file src/cli/cmd_a.c", src("src/cli/main.c", 'struct c t[] = {{"a", cmd_a}};\n')),
    ("commands", "stands in 0 table rows", src("src/cli/cmd_a.c", "int cmd_a(void)\n{\n\treturn 0;\n}\n")),
    ("commands", "it should be cmd_a alone", {"src/cli/main.c": 'struct c t[] = {{"a", cmd_a}};\n', "src/cli/cmd_a.c":
                                              "int cmd_a(void)\n{\n\treturn 0;\n}\nint g(void)\n{\n\treturn 0;\n}\n"}),
    ("commands", "does not describe the command a", {
        "src/cli/main.c": 'struct c t[] = {{"a", cmd_a}};\n', "src/cli/cmd_a.c": "int cmd_a(void)\n{\n\treturn 0;\n}\n",
        "man/sbx.1": ".Sh COMMANDS\n.It Ic b\na\n"}),
    ("commands", None, {"src/cli/main.c": 'struct c t[] = {{"a", cmd_a}};\n', "man/sbx.1": ".It Ic a\n",
                        "src/cli/cmd_a.c": "static int h(void)\n{\n\treturn 0;\n}\nint cmd_a(void)\n{\n\treturn h();\n}\n"}),
    ("pure", "calls getuid", src("src/conf/a.c", "#include <unistd.h>\nint f(void) { return (int)getuid(); }\n")),
    ("pure", "which is not pure", {"src/plan/plan.c": "int fs_x(void);\nint f(void) { return fs_x(); }\n",
                                   "src/base/fs.c": "int fs_x(void) { return 0; }\n"}),
    ("pure", None, {"src/plan/host.c": "#include <unistd.h>\nint f(void) { return (int)getuid(); }\n",
                    "src/conf/a.c": "#include <string.h>\nint g(char *a);\nint g(char *a) { return (int)strlen(a); }\n"}),
    ("unit-tests", "no unit test", src("src/base/a.c", "int f(void)\n{\n\treturn 0;\n}\n")),
    ("unit-tests", "is not registered", src("tests/unit/test_a.c", "int main(void) { }\n")),
    ("unit-tests", None, {"src/base/a.c": "int f(void)\n{\n\treturn 0;\n}\n", "src/base/b.c": "int g(void)\n{\n\treturn 0;\n}\n",
                          "tests/unit/test_a.c": "int main(void) { g(); }\n", "tests/unit/meson.build": "unit_tests = {'a': 1}\n"}),
    ("fuzz-targets", "a_parse has no target", src("src/conf/a.h", "int a_parse(const char *text, struct err *err);\n")),
    ("fuzz-targets", "has no corpus", {"src/conf/a.h": "int a_parse(const char *text);\n", "tests/fuzz/fuzz_a.c": "int x = a_parse(t);\n"}),
    ("fuzz-targets", None, {"src/conf/a.h": "int a_parse(const char *text);\n", "tests/fuzz/fuzz_a.c": "int x = a_parse(t);\n",
                            "tests/fuzz/corpus/a/1": "x"}),
    ("no-sleep", "sleeps", src("tests/cli/a.py", "time.sleep(1)\n")),
    ("no-sleep", None, src("tests/cli/a.py", "time.sleep(0.01)  # polls: /proc has no fd to wait on\n")),
    ("err-plain", "holds a pointer", src("src/base/err.h", "struct err {\n\tchar *msg;\n};\n")),
    ("err-plain", None, src("src/base/err.h", ERR_H)),
    ("format", "code should be clang-formatted", src("src/base/a.c", "int f( void )\n{\n  return 0;\n}\n")),
    ("format", None, src("src/base/a.c", "int f(void)\n{\n\treturn 0;\n}\n")),
    ("man", "skipping end of block", src("man/a.1", ".Dd January 1, 2026\n.Dt A 1\n.Os\n.Sh NAME\n.Nm a\n.Nd b\n.El\n")),
    ("man", None, src("man/a.1", ".Dd January 1, 2026\n.Dt A 1\n.Os\n.Sh NAME\n.Nm a\n.Nd b\n")),
    ("tidy", "cognitive complexity", src("src/base/a.c", COMPLEX)),
    ("tidy", None, src("src/base/a.c", "int f(void);\nint f(void)\n{\n\treturn 0;\n}\n")),
]
