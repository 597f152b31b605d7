#!/usr/bin/python3
"""Real work inside: compile against an apt-installed library, pip and npm install."""

import base64
import hashlib
import os
import shutil
import zipfile

import harness
from harness import Project, absent, check, equal, limit, match

SLIRP = "[network]\nmode = slirp\n"

CONFUSE = r"""
#include <confuse.h>
#include <stdio.h>

int main(void)
{
	cfg_opt_t options[] = {CFG_INT("answer", 0, CFGF_NONE), CFG_END()};
	cfg_t *cfg = cfg_init(options, CFGF_NONE);

	if (!cfg || cfg_parse_buf(cfg, "answer = 42") != CFG_SUCCESS)
		return 1;
	printf("answer %ld\n", cfg_getint(cfg, "answer"));
	cfg_free(cfg);
	return 0;
}
"""


def apt(p, *packages, limit=300):
    """Install inside; on failure show what apt said."""
    script = ("export DEBIAN_FRONTEND=noninteractive; sudo apt-get update -q && "
              "sudo apt-get install -yq --no-install-recommends " + " ".join(packages))
    result = p.sh(script, limit=limit)
    result.ok()
    # What apt and dpkg only warn of would hide a root that is not one.
    absent(r"Permission denied|Operation not permitted",
           result.out + result.err, "apt's own messages")


def header(name):
    return os.path.join("/usr/include", name)


@limit(600)
def test_c_program_with_a_library_installed_inside():
    """apt-get install of a -dev package, gcc, run; the host gets neither."""
    if os.path.exists(header("confuse.h")):
        raise harness.Skip("this host has libconfuse-dev: nothing could be proved with it")
    with Project(ini=SLIRP) as p:
        p.write("answer.c", CONFUSE)
        tools = [] if shutil.which("gcc") else ["gcc", "libc6-dev"]
        apt(p, "libconfuse-dev", *tools)
        p.sh("gcc -Wall -o answer answer.c -lconfuse").ok()
        equal(p.run("./answer").ok().out, "answer 42\n", "the program")
        st = os.stat(p.path("answer"))
        equal((st.st_uid, st.st_mode & 0o111), (os.getuid(), 0o111), "owner and mode of the binary")
        check(not os.path.exists(header("confuse.h")), "the host has no header")
        check(not os.path.exists("/var/lib/dpkg/info/libconfuse-dev.list"), "nor the package")
        p.sbx("stop").ok()
        equal(p.run("./answer").ok().out, "answer 42\n", "the program after a new start")


@limit(600)
def test_packages_with_users_groups_and_file_modes():
    """A package that makes a user, chowns, and ships setgid files installs and removes cleanly."""
    with Project(ini=SLIRP) as p:
        apt(p, "at", "uuid-runtime")
        p.sh("test -u /usr/bin/at || test -g /usr/bin/at").ok()
        p.sh("sudo useradd --system --no-create-home sbx-made && id sbx-made").ok()
        p.sh("sudo install -o sbx-made -g 0 -m 2755 /bin/true /opt/owned").ok()
        p.sh("sudo dpkg --audit && sudo apt-get check -q").ok()
        mode = p.run("stat", "-c", "%a", "/opt/owned").ok().out
        equal(mode, "2755\n", "mode of an installed file")
        if harness.has_subids():
            equal(p.run("stat", "-c", "%U", "/opt/owned").ok().out, "sbx-made\n", "its owner")
        check(not os.path.exists("/opt/owned"), "the host has none of it")
        with open("/etc/passwd", encoding="utf-8") as f:
            absent("sbx-made", f.read(), "the host's users")


@limit(300)
def test_make_install_into_usr_local():
    """make install writes to /usr/local inside alone, and is kept."""
    with Project() as p:
        p.write("hello.sh", "#!/bin/sh\necho hello from /usr/local\n")
        p.write("Makefile", "install:\n\tinstall -m 755 hello.sh /usr/local/bin/sbx-test-hello\n")
        harness.need_program("make")
        p.sh("sudo make install").ok()
        equal(p.run("sbx-test-hello").ok().out, "hello from /usr/local\n", "found by PATH")
        p.sbx("stop").ok()
        equal(p.run("sbx-test-hello").ok().out, "hello from /usr/local\n", "kept")
        check(not os.path.exists("/usr/local/bin/sbx-test-hello"), "the host has none")


def record_line(name, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def write_wheel(path):
    """A wheel by hand: PEP 427."""
    files = {
        "sbxwheel/__init__.py": b"def main():\n    print('from the wheel')\n",
        "sbxwheel-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: sbxwheel\nVersion: 1.0\n",
        "sbxwheel-1.0.dist-info/WHEEL":
            b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "sbxwheel-1.0.dist-info/entry_points.txt":
            b"[console_scripts]\nsbx-wheel = sbxwheel:main\n",
    }
    record = "".join(record_line(n, d) for n, d in files.items()) + "sbxwheel-1.0.dist-info/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as z:
        for name, data in files.items():
            z.writestr(name, data)
        z.writestr("sbxwheel-1.0.dist-info/RECORD", record)


def host_has_pip():
    return harness.command(["/usr/bin/python3", "-m", "pip", "--version"]).status == 0


@limit(400)
def test_pip_install_of_a_local_wheel():
    """pip of the system's Python, as root for all and as the user for himself."""
    wheel = "sbxwheel-1.0-py3-none-any.whl"
    with Project(ini=SLIRP) as p:
        write_wheel(p.path(wheel))
        if not host_has_pip():
            apt(p, "python3-pip")
        pip = f"/usr/bin/python3 -m pip install --no-index --break-system-packages ./{wheel}"
        p.sh(pip + " --user").ok()
        equal(p.sh("~/.local/bin/sbx-wheel").ok().out, "from the wheel\n", "for the user")
        p.sh("sudo " + pip + " --force-reinstall --no-warn-script-location").ok()
        equal(p.run("/usr/local/bin/sbx-wheel").ok().out, "from the wheel\n", "for all")
        check(not os.path.exists("/usr/local/bin/sbx-wheel"), "the host has none")
        home = os.path.join(harness.USER.pw_dir, ".local/bin/sbx-wheel")
        check(not os.path.exists(home), "nor the host's home")


@limit(400)
def test_venv_in_the_project():
    """A virtual environment in the project works inside, with a wheel that lies beside it."""
    with Project(ini=SLIRP) as p:
        ready = harness.command(["/usr/bin/python3", "-c", "import ensurepip"]).status == 0
        if not ready:
            apt(p, "python3-venv")
        p.run("/usr/bin/python3", "-m", "venv", ".venv", limit=120).ok()
        wheel = "sbxwheel-1.0-py3-none-any.whl"
        write_wheel(p.path(wheel))
        p.sh(f".venv/bin/pip install -q --no-index ./{wheel}", limit=120).ok()
        equal(p.run(".venv/bin/sbx-wheel").ok().out, "from the wheel\n", "the package")
        link = os.readlink(p.path(".venv/bin/python3"))
        check(link.startswith("/usr/bin/"), f"the interpreter is the system's, not {link}")


def need_npm(p):
    """npm of the host shows inside; where there is none it is installed there, as a user would."""
    if p.sh("command -v npm").status != 0:
        apt(p, "npm", limit=600)


@limit(900)
def test_npm_install_of_a_folder_and_of_a_package():
    """npm install of a local package with an install script, and of one from the registry."""
    with Project(ini=SLIRP) as p:
        need_npm(p)
        os.makedirs(p.path("dep"))
        p.write("dep/package.json", '{"name": "sbx-dep", "version": "1.0.0", "bin": "cli.js", '
                '"scripts": {"postinstall": "node -e \\"fs.writeFileSync(\'ran\', \'yes\')\\""}}')
        p.write("dep/cli.js", "#!/usr/bin/env node\nconsole.log('from the folder');\n", 0o755)
        p.write("package.json", '{"name": "sbx-top", "version": "1.0.0", "private": true}')
        p.sh("npm install --no-audit --no-fund --install-links ./dep", limit=200).ok()
        equal(p.run("node_modules/.bin/sbx-dep").ok().out, "from the folder\n", "the folder's")
        equal(p.read("node_modules/sbx-dep/ran"), "yes", "its install script ran")
        p.sh("npm install --no-audit --no-fund is-odd@3.0.1", limit=200).ok()
        equal(p.run("node", "-p", "require('is-odd')(3)").ok().out, "true\n", "the registry's")
        equal(os.stat(p.path("node_modules/is-odd/package.json")).st_uid, os.getuid(), "owner")
        p.sh("sudo npm install --no-audit --no-fund -g is-odd@3.0.1", limit=200).ok()


@limit(300)
def test_files_of_odd_kinds_in_the_root():
    """What builds do to system files: append, chmod, links, rename of folders, deletion, xattrs."""
    script = """
set -e
echo '# added' >> /etc/hosts.allow; grep -q added /etc/hosts.allow
chmod 600 /etc/login.defs; test "$(stat -c %a /etc/login.defs)" = 600
ln -s /usr/bin/env /usr/local/bin/l; test -x /usr/local/bin/l
ln /etc/fstab /etc/fstab.link 2>/dev/null || ln /etc/passwd /etc/fstab.link
mkdir -p /opt/a/b; echo x > /opt/a/b/c; mv /opt/a /opt/d; test -f /opt/d/b/c
mv /usr/share/doc /usr/share/doc.moved; test ! -e /usr/share/doc; mv /usr/share/doc.moved /usr/share/doc
rm /etc/debian_version 2>/dev/null || true; test ! -e /etc/debian_version
mkfifo /opt/fifo; touch -d '2001-02-03 04:05:06 UTC' /opt/old; test "$(stat -c %Y /opt/old)" = 981173106
truncate -s 1M /opt/sparse; test "$(stat -c %s /opt/sparse)" = 1048576
echo fine
"""
    with Project() as p:
        before = os.path.exists("/etc/debian_version")
        equal(p.run("sudo", "sh", "-c", script).ok().out, "fine\n", "the script")
        p.sbx("stop").ok()
        out = p.sh("tail -n 1 /etc/hosts.allow; stat -c %a /etc/login.defs; "
                   "test -e /etc/debian_version || echo gone; ls /opt").ok().out
        match(r"^# added\n600\ngone\n", out, "kept over a new start")
        equal(os.path.exists("/etc/debian_version"), before, "the host's file")
        check(not os.path.exists("/opt/d"), "nothing on the host")


harness.main(__name__)
