#!/usr/bin/python3
"""[share]: what of the user's session shows inside, each behind `sbx allow`."""

import os
import socket
import stat
import subprocess

import harness
from harness import NO_NET, Project, absent, check, equal, limit, match


def refused(p, key, what):
    """Without `sbx allow` nothing is shared, and it says what was asked."""
    r = p.run("true")
    equal(r.status, 125, f"{key} without allow")
    match(what, r.err, f"what {key} asks")
    match(r"hint: if you trust it, run: sbx allow", r.err, "its hint")


def project(*keys):
    return Project(NO_NET + "[share]\n" + "".join(f"{k} = yes\n" for k in keys))


@limit(60)
def test_share_ssh_agent():
    """A real ssh-agent: its keys are listed and sign inside; the key itself is not there; others get nothing."""
    for name in ("ssh-agent", "ssh-add", "ssh-keygen"):
        harness.need_program(name)
    with project("ssh-agent") as p:
        refused(p, "ssh-agent", r"the use of your ssh keys, through the agent: ssh-agent = yes")
        r = p.sbx("allow", "--yes")
        equal(r.status, 125, "to allow what is not there")
        match(r"cannot share the ssh agent: SSH_AUTH_SOCK names no socket", r.err, "no agent")
        match(r'hint: start one: eval "\$\(ssh-agent\)" && ssh-add', r.err, "its hint")
        sock = os.path.join(p.parent, "agent")
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.PIPE, env=p.env)
        try:
            harness.read_until(agent.stdout, b"SSH_AUTH_SOCK", 10)
            p.env["SSH_AUTH_SOCK"] = sock
            p.allow()
            key = os.path.join(p.parent, "key")
            harness.command(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mine", "-f", key], env=p.env).ok()
            harness.command(["ssh-add", "-q", key], env=p.env).ok()
            outside = harness.command(["ssh-add", "-l"], env=p.env).ok().out
            equal(p.run("ssh-add", "-l").ok().out, outside, "ssh-add -l inside")
            with open(key + ".pub", encoding="ascii") as f:
                p.write("key.pub", f.read())
            p.sh("ssh-keygen -Y sign -f key.pub -n file sbx.ini </dev/null >/dev/null 2>&1; "
                 "echo text >text && ssh-keygen -q -Y sign -f key.pub -n file text && test -s text.sig").ok()
            check(p.run("test", "-e", key).status != 0, "the private key is inside")
            with Project() as other:
                other.env["SSH_AUTH_SOCK"] = sock
                absent(r"SSH_AUTH_SOCK", other.run("env").ok().out, "a profile that does not share")
        finally:
            agent.terminate()
            agent.wait()
            agent.stdout.close()


@limit(60)
def test_share_git():
    """Name and mail alone, read-only; the rest of ~/.gitconfig stays outside."""
    harness.need_program("git")
    with project("git") as p:
        refused(p, "git", r"your name and mail address, as git has them: git = yes")
        home = os.path.join(p.parent, "home")
        os.makedirs(os.path.join(home, ".config/git"))
        p.env.update(HOME=home, XDG_CONFIG_HOME=None)
        p.env["XDG_CONFIG_HOME"] = os.path.join(home, ".config")
        r = p.sbx("allow", "--yes")
        match(r"cannot share git's identity: there is none", r.err, "no identity")
        match(r"hint: git config --global user.name NAME, and user.email ADDRESS", r.err, "its hint")
        with open(os.path.join(home, ".gitconfig"), "w", encoding="utf-8") as f:
            f.write('[user]\n\tname = "Ada \\"L\\" Ünder"\n\temail = ada@example.org ; mine\n\tsigningkey = SECRETKEY\n'
                    "[credential]\n\thelper = store --file SECRETFILE\n")
        wanted = harness.command(["git", "config", "--global", "user.name"], env=p.env).ok().out
        # git's own reading of the name; one with quotes in it is not shared, the mail is.
        check('"' in wanted, "the name has quotes")
        harness.command(["git", "config", "--global", "user.name", "Ada Ünder"], env=p.env).ok()
        p.allow()
        equal(p.run("git", "config", "user.name").ok().out, "Ada Ünder\n", "the name")
        equal(p.run("git", "config", "user.email").ok().out, "ada@example.org\n", "the mail address")
        absent(r"SECRET", p.sh("git config -l; cat /run/sbx/gitconfig").ok().out, "the rest")
        check(p.sh("echo x >>/run/sbx/gitconfig").status != 0, "it can be written")
        p.sh("git init -q repo && cd repo && git commit -q --allow-empty -m x").ok()
        equal(p.sh("cd repo && git log -1 --format=%an").ok().out, "Ada Ünder\n", "a commit's author")
        # As git itself has it, where files include others, for this project or for none.
        with open(os.path.join(home, ".gitconfig"), "a", encoding="utf-8") as f:
            f.write(f'[include]\n\tpath = extra\n[includeIf "gitdir:{p.parent}/"]\n\tpath = ~/job\n')
        for name, text in (("extra", "[user]\nname = Extra\n"), ("job", "[user]\nemail = job@example.org\n")):
            with open(os.path.join(home, name), "w", encoding="utf-8") as f:
                f.write(text)
        harness.command(["git", "init", "-q", p.dir], env=p.env).ok()
        wanted = [harness.command(["git", "-C", p.dir, "config", key], env=p.env).ok().out for key in ("user.name", "user.email")]
        equal(wanted, ["Extra\n", "job@example.org\n"], "what git itself says")
        p.sbx("stop").ok()
        equal([p.run("git", "config", key).ok().out for key in ("user.name", "user.email")], wanted, "with includes")


@limit(60)
def test_share_wayland():
    """The socket of the compositor is at a name of its own, and a connection to it is one to outside."""
    with project("wayland") as p, socket.socket(socket.AF_UNIX) as server:
        refused(p, "wayland", r"your Wayland display: wayland = yes")
        r = p.sbx("allow", "--yes")
        equal(r.status, 125, "to allow what is not there")
        match(r"cannot share the Wayland display: WAYLAND_DISPLAY names no socket", r.err, "no display")
        match(r"hint: start sbx from a program on that display, or put `wayland = no` under \[share\]", r.err, "hint")
        run = os.path.join(p.parent, "run")
        os.mkdir(run)
        server.bind(os.path.join(run, "wayland-7"))
        server.listen()
        p.env.update(XDG_RUNTIME_DIR=run, WAYLAND_DISPLAY="wayland-7")
        p.allow()
        with p.start("run", "--", "python3", "-c", "import os, socket; s = socket.socket(socket.AF_UNIX)\n"
                     "s.connect(os.path.join(os.environ['XDG_RUNTIME_DIR'], os.environ['WAYLAND_DISPLAY']))\n"
                     "s.sendall(b'hello'); print(s.recv(9).decode())") as inside:
            harness.read_ready(server, 20, "a connection from inside")
            with server.accept()[0] as c:
                equal(c.recv(9), b"hello", "from inside")
                c.sendall(b"welcome")
            equal(inside.communicate(timeout=20)[0], b"welcome\n", "from outside")


@limit(90)
def test_share_x11():
    """A real X server: xdpyinfo works inside by a cookie of its own, and the user's cookie is not there."""
    for name in ("Xvfb", "xauth", "xdpyinfo"):
        harness.need_program(name)
    with project("x11") as p:
        refused(p, "x11", r"your X11 display, on which it may see and type: x11 = yes")
        r = p.sbx("allow", "--yes")
        equal(r.status, 125, "to allow what is not there")
        match(r"cannot share the X11 display: DISPLAY names no socket", r.err, "no display")
        match(r"hint: start sbx from a program on that display, or put `x11 = no` under \[share\]", r.err, "its hint")
        authority = os.path.join(p.parent, "Xauthority")
        secret = os.urandom(16).hex()
        p.env["XAUTHORITY"] = authority
        number, writer = os.pipe()
        harness.command(["xauth", "-q", "-f", authority, "add", ":0", ".", secret], env=p.env).ok()
        server = subprocess.Popen(["Xvfb", "-displayfd", str(writer), "-auth", authority, "-nolisten", "tcp", "-noreset", "-screen", "0",
                                   "320x200x24"], pass_fds=[writer], env=p.env, stderr=subprocess.DEVNULL)
        try:
            os.close(writer)
            display = ":" + harness.read_until(number, b"\n", 20).decode().strip()
            p.env["DISPLAY"] = display
            harness.command(["xauth", "-q", "-f", authority, "add", display, ".", secret], env=p.env).ok()
            p.allow()
            match(r"dimensions: +320x200", p.run("xdpyinfo").ok().out, "xdpyinfo inside")
            shown = p.run("xauth", "list").ok().out
            match(r"MIT-MAGIC-COOKIE-1", shown, "a cookie inside")
            absent(secret, shown, "the user's own cookie")
            # Without it, nothing: it is the cookie that lets it in.
            check(p.sh("XAUTHORITY=/dev/null xdpyinfo").status != 0, "it is let in without a cookie")
            home = p.sbx("status", "--json").json()["home"]
            equal(stat.S_IMODE(os.stat(os.path.join(home, ".Xauthority")).st_mode), 0o600, "the mode of the cookie")
            check("xauthority" not in os.listdir(os.path.dirname(home)), "xauth's file is left behind")
            p.sbx("stop").ok()
            # The server is asked anew; one that does not know us gives none.
            p.env["XAUTHORITY"] = "/dev/null"
            r = p.run("true")
            equal(r.status, 125, "a server that does not know us")
            match(r"cannot get a cookie of its own for the X11 display", r.err, "its message")
            match(r"hint: the X server must have the SECURITY extension, and xauth must be installed; or put `x11 = no` "
                  r"under \[share\]", r.err, "its hint")
        finally:
            server.terminate()
            server.wait()
            os.close(number)


def test_share_gpu():
    """Its device nodes; where there is none, that is said."""
    with project("gpu") as p:
        refused(p, "gpu", r"the device nodes of the GPU: gpu = yes")
        r = p.sbx("allow", "--yes")
        if r.status == 0:
            check(p.sh("ls /dev/dri /dev/nvidia* 2>/dev/null; true").out.strip(), "no node inside")
            return
        match(r"cannot share the GPU: there is no device node", r.err, "its message")
        match(r"hint: put `gpu = no` under \[share\]; sbx looks for /dev/dri and /dev/nvidia\*", r.err, "its hint")


if __name__ == "__main__":
    harness.main(__name__)
