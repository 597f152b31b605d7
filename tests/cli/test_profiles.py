#!/usr/bin/python3
"""Each profile that comes with sbx does its typical job, with what the host has installed."""

import os
import re
import shutil

import harness
from harness import NO_NET, Project, check, equal, limit, match
from test_jupyter import wheel


def project(profile, more=NO_NET):
    return Project(f"[profile]\nextends = {profile}\n{more}")


def folder():
    return os.environ.get("SBX_PROFILES") or os.path.join(os.path.dirname(harness.SBX), "../share/sbx/profiles")


def test_profiles_are_all_here():
    """Each is listed with a summary, is right, asks for nothing that needs `sbx allow`, and is entered."""
    names = sorted(n[:-4] for n in os.listdir(folder()) if n.endswith(".ini"))
    equal(names, ["agent", "c", "data", "default", "go", "jupyter", "node", "offline", "python", "rust"], "profiles")
    with Project() as p:
        listed = {one["name"]: one for one in p.sbx("profile", "list", "--json").json()}
        for name in names:
            check(len(listed[name]["summary"] or "") > 10, f"{name} has no summary")
            p.write("sbx.ini", f"[profile]\nextends = {name}\n{NO_NET}")
            p.sbx("profile", "check").ok()
            equal(p.sh("echo $SBX").ok().out, "proj\n", name)
            p.sbx("stop").ok()


def test_profile_python():
    """pip installs into the sandbox, as the user and as root, and a virtualenv works."""
    harness.need_program("pip3")
    with project("python") as p:
        name = wheel(p.dir)
        for sudo in ("", "sudo "):
            p.sh(f"cd / && {sudo}pip3 install -q --no-index --no-warn-script-location {p.dir}/{name}", limit=60).ok()
            equal(p.run("python3", "-c", "import sbx_extra; print(sbx_extra.ANSWER)").ok().out, "42\n", "the package")
            p.sh(f"{sudo}pip3 uninstall -q -y sbx-extra", limit=60).ok()
        p.sh("python3 -m venv --without-pip .venv && .venv/bin/python -c 'import sys; assert sys.prefix.endswith(\"v\")'",
             limit=60).ok()
        equal(p.sh("echo $PYTHONUTF8").ok().out, "1\n", "variables")


@limit(120)
def test_profile_c():
    """A library is made, installed by `sudo make install`, linked and run; the host does not get it."""
    harness.need_program("gcc")
    with project("c") as p:
        p.write("Makefile", "install: libx.a\n\tinstall -D libx.a /usr/local/lib/libsbxtest.a\n"
                "libx.a: x.c\n\tgcc -c x.c -o x.o && ar rcs libx.a x.o\n")
        p.write("x.c", "int answer(void) { return 42; }\n")
        p.write("main.c", "#include <stdio.h>\nint answer(void);\nint main(void) { printf(\"%d\\n\", answer()); }\n")
        p.sh("sudo make install && gcc main.c -o main -L/usr/local/lib -lsbxtest", limit=60).ok()
        equal(p.run("./main").ok().out, "42\n", "the program")
        check(not os.path.exists("/usr/local/lib/libsbxtest.a"), "the host got it")
        equal(p.sh("echo $CMAKE_EXPORT_COMPILE_COMMANDS").ok().out, "ON\n", "the variable")


@limit(180)
def test_profile_rust():
    """cargo builds a program with a build script, which sees the private home; tests run."""
    harness.need_program("cargo")
    canary = os.path.join(harness.USER.pw_dir, ".sbx-canary-rust")
    with open(canary, "w", encoding="utf-8") as f:
        f.write("outside")
    try:
        with project("rust") as p:
            os.mkdir(p.path("src"))
            p.write("Cargo.toml", "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2021\"\n")
            p.write("build.rs", "fn main() {\n    let there = std::path::Path::new(\"" + canary + "\").exists();\n"
                    "    println!(\"cargo:rustc-env=SEEN={}\", there);\n}\n")
            p.write("src/main.rs", "fn main() { println!(\"seen: {}\", env!(\"SEEN\")); }\n"
                    "#[test]\nfn works() { assert_eq!(6 * 7, 42); }\n")
            equal(p.sh("cargo run -q --offline", limit=150).ok().out, "seen: false\n", "what the build script saw")
            match(r"1 passed", p.sh("cargo test -q --offline", limit=150).ok().out, "its test")
            check(os.path.isdir(p.path("target/debug")), "no target/ in the project")
    finally:
        os.unlink(canary)


@limit(240)
def test_profile_go():
    """go builds, tests and installs a module; its caches are inside."""
    harness.need_program("go")
    with project("go") as p:
        p.write("go.mod", "module example.org/demo\n\ngo 1.18\n")
        p.write("main.go", "package main\n\nimport \"fmt\"\n\nfunc answer() int { return 42 }\n\n"
                "func main() { fmt.Println(answer()) }\n")
        p.write("main_test.go", "package main\n\nimport \"testing\"\n\nfunc TestAnswer(t *testing.T) {\n"
                "\tif answer() != 42 {\n\t\tt.Fail()\n\t}\n}\n")
        equal(p.sh("go run .", limit=200).ok().out, "42\n", "the program")
        match(r"^ok\s+example.org/demo", p.sh("go test ./...", limit=200).ok().out, "its test")
        equal(p.sh("go install . && ~/go/bin/demo", limit=100).ok().out, "42\n", "installed")
        check(not os.path.exists(os.path.join(harness.USER.pw_dir, "go")), "the home outside got a go/")


@limit(120)
def test_profile_node():
    """A package is installed from its folder; its install script finds a private home."""
    if not shutil.which("npm"):
        # Debian's npm cannot be installed beside another nodejs than Debian's: not asked of every machine.
        with project("node") as p:
            equal(p.sh("echo $npm_config_fund").ok().out, "false\n", "the variable")
        return
    canary = ".sbx-canary-node"
    with open(os.path.join(harness.USER.pw_dir, canary), "w", encoding="utf-8") as f:
        f.write("outside")
    with project("node") as p:
        os.mkdir(p.path("dep"))
        p.write("dep/package.json", '{"name": "dep", "version": "1.0.0", "main": "x.js", "scripts": {"install": '
                '"ls -A ~ > seen.txt"}}')
        p.write("dep/x.js", "module.exports = 42;\n")
        p.write("package.json", '{"name": "demo", "version": "1.0.0", "dependencies": {"dep": "file:./dep"}}')
        p.sh("npm install --offline --install-links", limit=100).ok()
        equal(p.sh("node -e \"console.log(require('dep'))\"").ok().out, "42\n", "the package")
        seen = p.read("node_modules/dep/seen.txt")
        os.unlink(os.path.join(harness.USER.pw_dir, canary))
        check(".profile" in seen and canary not in seen, f"what its script saw at home: {seen}")


def test_profile_offline():
    """Nothing is reached, and pip says so at once."""
    with Project("[profile]\nextends = offline\n") as p:
        equal(p.sh("ls /sys/class/net").ok().out, "lo\n", "interfaces")
        r = p.sh("python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 80), 5)'")
        match(r"Network is unreachable", r.err, "a connection")
        equal(p.sh("echo $PIP_NO_INDEX $npm_config_offline").ok().out, "1 true\n", "variables")


@limit(60)
def test_profile_agent():
    """What runs there changes the project and its own system alone: no keys, no other project, no host port."""
    home = harness.USER.pw_dir
    secret = os.path.join(home, ".sbx-canary-agent")
    with open(secret, "w", encoding="utf-8") as f:
        f.write("key")
    try:
        with Project("[profile]\nextends = agent\n") as p:
            p.env["THE_KEY"] = "secret"
            r = p.sh(f"cat {secret}; echo hello >made; sudo touch /usr/local/bin/tool && ls /usr/local/bin/tool; "
                     "env; echo changed >>sbx.ini; unshare -Ur true; ls -A ~/.ssh", limit=40)
            equal(p.read("made"), "hello\n", "a file of the project")
            match(r"^/usr/local/bin/tool$", r.out, "the system inside")
            harness.absent(r"secret", r.out, "a variable of outside")
            match(r"cat: .*sbx-canary-agent.*No such file", r.err, "a file of the home outside")
            match(r"sbx\.ini: Read-only file system", r.err, "the profile")
            match(r"unshare: unshare failed", r.err, "a user namespace")
            match(r"\.ssh.*No such file", r.err, "keys")
            equal(p.sbx("status", "--json").json()["network"], "slirp", "the network")
            shown = p.sbx("profile", "show").ok().out
            harness.absent(r"^\[mounts\]", shown, "mounts of the profile")
            check(not re.search(r"^pass = ", shown, re.M), "it passes a variable")
    finally:
        os.unlink(secret)


@limit(90)
def test_profile_data():
    """Data from outside is read and cannot be changed; results go into the project."""
    with project("data", NO_NET + "[mounts]\n./raw = /data:ro\n") as p:
        os.mkdir(p.path("raw"))
        p.write("raw/a.csv", "x\n1\n2\n")
        r = p.run("python3", "-c", "import csv, os\n"
                  "n = sum(int(r['x']) for r in csv.DictReader(open('/data/a.csv')))\n"
                  "open('sum.txt', 'w').write(str(n))\nprint(os.environ['PYTHONHASHSEED'])\n"
                  "open('/data/b.csv', 'w')")
        match(r"Read-only file system: '/data/b.csv'", r.err, "a write to the data")
        equal((r.out, p.read("sum.txt")), ("0\n", "3"), "the result")


if __name__ == "__main__":
    harness.main(__name__)
