#!/usr/bin/python3
"""Published ports: what reaches the sandbox over them, and what `sbx port` says."""

import contextlib
import json
import os
import re
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
from harness import NO_NET, Project, absent, check, equal, match

# Runs inside: answers as the name says, at 127.0.0.1 (or ::1) and the port given, and says when it is there.
SERVER = r"""
import os, socket, sys, threading
what, port, family = sys.argv[1], int(sys.argv[2]), sys.argv[3]
kind = socket.SOCK_DGRAM if what == "udp" else socket.SOCK_STREAM
s = socket.socket(socket.AF_INET6 if family == "6" else socket.AF_INET, kind)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("::1" if family == "6" else "127.0.0.1", port))
def echo(c):
    while (block := c.recv(65536)):
        c.sendall(block)
    c.close()
if what != "udp":
    s.listen(4096)
print("up", flush=True)
while what == "udp":
    data, peer = s.recvfrom(65536)
    s.sendto(data, peer)
while True:
    c, _ = s.accept()
    threading.Thread(target=echo, args=(c,), daemon=True).start()
"""


class Server:
    """A server inside, as long as the context."""

    def __init__(self, project, what="echo", port=7000, family="4", env="default"):
        self.process = project.start("run", "-e", env, "--", "python3", "-c", SERVER, what, str(port), family)

    def __enter__(self):
        harness.read_until(self.process.stdout, b"up\n")
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connect(port, host="127.0.0.1"):
    s = socket.create_connection((host, port), timeout=20)
    return s


def read_all(s):
    got = b""
    while (block := s.recv(65536)):
        got += block
    return got


def echoes(port, host="127.0.0.1", text=b"hello"):
    with connect(port, host) as s:
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
        equal(read_all(s), text, f"the echo of port {port}")


def added(project, *ports):
    """The ports that were found for them."""
    out = project.sbx("port", "add", *ports).ok().out
    return [int(re.search(r":(\d+)(/udp)?$", line).group(1)) for line in out.splitlines()]


def listed(project, *options):
    return project.sbx("port", "list", "--json", *options).json()


def bound_at(port, protocol="tcp"):
    """The addresses of this machine at which something has the port, as the kernel lists them."""
    found = set()
    for six in ("", "6"):
        with open(f"/proc/net/{protocol}{six}", encoding="ascii") as f:
            lines = [line.split()[1:4] for line in f][1:]
        # Listening, or bound: what is connected has its port, too.
        found |= {at.split(":")[0] for at, _, state in lines if at.endswith(f":{port:04X}") and state in ("0A", "07")}
    return found


LOOPBACK = {"4": {"0100007F"}, "6": {"00000000000000000000000001000000"}}


def refused(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0


# ---- tests ----------------------------------------------------------------------------------


def test_from_the_profile():
    """`ports` of the profile are there from the start, with no network at all, and gone at the end."""
    port = free_port()
    with Project(f"[network]\nmode = none\nports = {port}:7000\n") as p:
        with Server(p):
            echoes(port)
            equal([(e["host"], e["inside"], e["from"], e["published"]) for e in listed(p)],
                  [(port, 7000, "profile", True)], "the list")
            equal(bound_at(port), LOOPBACK["4"], "where it is published: on this machine alone")
        p.sbx("stop").ok()
        check(refused(port), "the port is still there after the end")


def test_while_it_runs():
    """`add` prints where, `list` shows it, `rm` ends it; what is open goes on."""
    with Project(NO_NET) as p, Server(p):
        port, = added(p, "0:7000")
        echoes(port)
        with connect(port) as s:
            s.sendall(b"one")
            equal(s.recv(10), b"one", "the echo")
            equal([(e["host"], e["connections"], e["from"]) for e in listed(p)], [(port, 1, "add")], "the list")
            p.sbx("port", "rm", str(port)).ok()
            check(refused(port), "a removed port takes connections")
            s.sendall(b"two")
            equal(s.recv(10), b"two", "the echo over a port that was removed")
        equal(listed(p), [], "the list")
        match("no port is published", p.sbx("port", "list").ok().err, "list of none")


def test_text():
    """The list for people."""
    with Project(NO_NET) as p, Server(p):
        port, = added(p, "0:7000")
        match(rf"^ports +127\.0\.0\.1:{port} -> 7000$", p.sbx("status").ok().out, "status")
        equal(p.sbx("status", "--json").json()["ports"], listed(p), "the ports of status")
        match(rf"^HOST +INSIDE +CONNECTIONS +FROM +STATE\n127\.0\.0\.1:{port} +7000 +0 +add +published\n\Z",
              p.sbx("port", "list").ok().out, "the list")


def test_half_close_and_reset():
    """An end of file goes one way only; a reset comes as a reset, from either side."""
    with Project(NO_NET) as p, Server(p):
        port, = added(p, "0:7000")
        with connect(port) as s:
            s.sendall(b"x" * 100000)
            s.shutdown(socket.SHUT_WR)
            equal(len(read_all(s)), 100000, "bytes after the half-close")
        nobody, = added(p, "0:7999")
        # The reset may come before connect() has returned.
        with contextlib.suppress(ConnectionResetError), connect(nobody) as s:
            got = s.recv(10)
            raise harness.Failed(f"nobody listens inside, and yet: {got!r}")


def test_ipv6():
    """At ::1 of the host, and to what listens at ::1 alone inside."""
    with Project(NO_NET) as p, Server(p, family="6"):
        four, six = added(p, "0:7000", "[::1]:0:7000")
        echoes(four)
        echoes(six, "::1")
        equal((bound_at(four), bound_at(six)), (LOOPBACK["4"], LOOPBACK["6"]), "where they are published")


def asks(port, text, host="127.0.0.1", s=None):
    """A datagram there, and the answer."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as stack:
        s = s or stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        s.settimeout(20)
        s.connect((host, port))
        s.send(text)
        equal(s.recv(65536), text, f"the answer of UDP port {port}")


def test_udp():
    """Datagrams there and back: of several peers, of any size, to either loopback; list and rm."""
    port = free_port()
    with Project(f"[network]\nmode = none\nports = {port}:7000/udp\n") as p:
        with Server(p, "udp"):
            for text in (b"hello", b"", b"x" * 60000):
                asks(port, text)
            peers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]
            for i, s in enumerate(peers):
                asks(port, b"%d" % i, s=s)
            for i, s in enumerate(peers):
                asks(port, b"again %d" % i, s=s)
                s.close()
            six, = added(p, "[::1]:0:7000/udp")
            equal((bound_at(port, "udp"), bound_at(six, "udp")), (LOOPBACK["4"], LOOPBACK["6"]), "where they are published")
            asks(six, b"six", "::1")
            found = [(e["host"], e["protocol"], e["connections"] > 1) for e in listed(p)]
            check((port, "udp", True) in found and (six, "udp", False) in found, f"the list: {found}")
            p.sbx("port", "rm", f"{six}/udp").ok()
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
                s.connect(("::1", six))
                s.send(b"x")
                try:
                    s.settimeout(20)
                    raise harness.Failed(f"the removed port answers: {s.recv(10)!r}")
                except ConnectionRefusedError:
                    pass
        with Server(p, "udp", family="6"):
            asks(port, b"at ::1 alone")


def listeners():
    """What listens at each address of this machine, by which something inside could try to reach it."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "0.0.0.0")):
        s = socket.socket(family, socket.SOCK_STREAM)
        with contextlib.suppress(OSError):
            s.bind((address, 0))
            s.listen()
            s.setblocking(False)
            yield s


TRY = r"""
import socket, struct, sys
routes = [line.split() for line in open("/proc/net/route")][1:]
gateways = [socket.inet_ntoa(struct.pack("=L", int(r[2], 16))) for r in routes if r[2] != "00000000"]
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own.connect(("192.0.2.77", 9))
for address in ["127.0.0.1", "::1", "10.0.2.2", "169.254.1.1", own.getsockname()[0]] + gateways:
    for port in sys.argv[1:]:
        s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        s.settimeout(0.5)
        s.connect_ex((address, int(port)))
        s.close()
print("tried", *gateways)
"""


def test_pasta():
    """B14: `driver = pasta` gives a network and names, no way to the host's loopback, and ports work beside it."""
    harness.need_program("pasta")
    hosts = list(listeners())
    with Project("[network]\ndriver = pasta\n") as p:
        r = p.run("python3", "-c", TRY, *(str(s.getsockname()[1]) for s in hosts))
        match(r"^tried \d", r.ok().out, "an address and a gateway inside")
        for s in hosts:
            try:
                raise harness.Failed(f"reached from inside: {s.getsockname()} by {s.accept()[1]}")
            except BlockingIOError:
                s.close()
        match("nameserver 169.254.1.1", p.sh("cat /etc/resolv.conf").ok().out, "resolv.conf")
        with Server(p):
            port, = added(p, "0:7000")
            echoes(port)
        # Nothing that listens inside shows up outside by itself.
        with Server(p, port=7123):
            check(refused(7123), "pasta publishes a port by itself")


NEWER_PASTA = """#!{bash}
for n in {{3..254}}; do eval "exec $n>&-"; done
exec {pasta} "$@"
"""


def test_newer_pasta():
    """A pasta that closes what it did not open itself, as those since 2024 do, before it looks at its arguments."""
    pasta = harness.need_program("pasta")
    with Project("[network]\ndriver = pasta\n") as p:
        os.mkdir(p.path("bin"))
        p.write("bin/pasta", NEWER_PASTA.format(bash=harness.need_program("bash"), pasta=pasta), 0o755)
        p.env["PATH"] = p.path("bin") + ":" + p.env["PATH"]
        match("nameserver 169.254.1.1", p.sh("cat /etc/resolv.conf").ok().out, "resolv.conf")
        match(r"^tap0\b", p.sh("tail -n +2 /proc/net/route").ok().out, "the routes")


def test_slirp():
    """Ports work beside slirp4netns."""
    with Project("[network]\nmode = slirp\n") as p, Server(p):
        port, = added(p, "0:7000")
        echoes(port)


def test_taken():
    """A port that somebody has is an error that names it, at the start and later."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        hint = rf"another program has it, `ss -lntp` says which; or use another one: {port + 1}:7000"
        with Project(f"[network]\nmode = none\nports = {port}:7000\n") as p:
            r = p.run("true").ok(125)
            match(rf"sbx\.ini:3: cannot publish port {port} at '127\.0\.0\.1:{port}': Address already in use",
                  r.err, "the start")
            match(hint, r.err, "the hint")
        with Project(NO_NET) as p, Server(p):
            r = p.sbx("port", "add", f"{port}:7000").ok(125)
            match(f"cannot publish port {port} at '127.0.0.1:{port}': Address already in use", r.err, "add")
            match(hint, r.err, "the hint")
            equal(listed(p), [], "the list")
            mine, = added(p, "0:7000")
            r = p.sbx("port", "add", f"{mine}:80").ok(125)
            match(f"'127.0.0.1:{mine}' is published already, to port 7000 inside", r.err, "twice")
            match(f"hint: sbx port rm 127.0.0.1:{mine}", r.err, "the hint")


def test_taken_by_a_fork():
    """Two environments of a project have one sbx.ini: the second starts without what the first has, and says so."""
    port, own = free_port(), free_port()
    with Project(f"[network]\nmode = none\nports = {port}:7000 {own}:7001\n") as p, Server(p):
        p.sbx("fork", "trial").ok()
        p.sbx("port", "rm", str(own)).ok()
        r = p.sbx("run", "-e", "trial", "--", "true").ok()
        match(rf"^sbx: warning: 127\.0\.0\.1:{port} is not published for 'trial': the environment 'default' has it; "
              rf"sbx port add -e trial 0:7000 takes another one$", r.err, "the warning")
        absent(str(own), r.err, "the warning")
        with Server(p, env="trial"):
            equal([(e["host"], e["published"], e["trouble"]) for e in listed(p, "-e", "trial") if e["host"] == port],
                  [(port, False, "Address already in use")], "the list")
            match(rf"^127\.0\.0\.1:{port} +7000 +0 +profile +the environment 'default' has it$",
                  p.sbx("port", "list", "-e", "trial").ok().out, "the list for people")
            equal([e["published"] for e in listed(p, "-e", "trial") if e["host"] == own], [True], "the other port")
            # It is not there twice when the first gives it up, and is again the profile's.
            r = p.sbx("port", "add", "-e", "trial", f"{port}:7000").ok(125)
            match(rf"cannot publish port {port} at '127\.0\.0\.1:{port}': Address already in use, by the environment "
                  rf"'default' of '{p.dir}'\nhint: sbx stop -C {p.dir} ends that one; or use another port: "
                  rf"{port + 1}:7000$", r.err, "add")
            p.sbx("port", "rm", str(port)).ok()
            equal(added(p, "-e", "trial", f"{port}:7000"), [port], "add, when it is free")
            echoes(port)
            equal(sorted((e["host"], e["from"], e["published"]) for e in listed(p, "-e", "trial")),
                  sorted([(port, "profile", True), (own, "profile", True)]), "the list")
        p.sbx("rm", "-f", "-e", "trial").ok()


def test_taken_by_another_project():
    """What the sandbox of another project has is refused, and the project named."""
    port = free_port()
    ini = f"[network]\nmode = none\nports = {port}:7000\n"
    with Project(ini, "one's") as first, Project(ini) as p, Server(first):
        r = p.run("true").ok(125)
        match(re.escape(f"sbx.ini:3: cannot publish port {port} at '127.0.0.1:{port}': Address already in use, by the "
                        f"environment 'default' of '{first.dir}'\nhint: sbx stop -C '{first.parent}/one'\\''s' ends that "
                        f"one; or use another port: {port + 1}:7000\n"), r.err, "the start")


def test_low_port():
    """Ports below 1024 are root's."""
    with Project(NO_NET) as p, Server(p):
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as f:
            if int(f.read()) <= 81:
                raise harness.Skip("low ports are everybody's here")
        r = p.sbx("port", "add", "81:7000").ok(125)
        match("cannot publish port 81 at '127.0.0.1:81': Permission denied", r.err, "a low port")
        match("ports below 1024 are root's here: use another one, 8081:7000", r.err, "the hint")


def test_mistakes():
    """Words that are none, ports that are none, a sandbox that does not run or has no network of its own."""
    with Project(NO_NET) as p:
        p.run("true").ok()
        p.sbx("stop").ok()
        r = p.sbx("port", "add", "8888").ok(125)
        match("is not running", r.err, "stopped")
        match("`sbx enter` starts it; with `ports` under \\[network\\] in sbx.ini a port is published from "
              "the start", r.err, "the hint")
        match("hint: did you mean 'sbx port list'\\?", p.sbx("port", "lisst").ok(2).err, "a near word")
        match("hint: sbx port --help", p.sbx("port", "quux").ok(2).err, "a far word")
        match("'sbx port add' needs a port.*hint: sbx port add 8888", p.sbx("port", "add").ok(2).err, "no port")
        match("'sbx port list' has no use for the argument 'x'", p.sbx("port", "list", "x").ok(2).err, "list x")
        match("'http' is not a port: a number from 0 to 65535", p.sbx("port", "add", "http").ok(2).err, "a name")
        match("'0' does not say which port inside.*hint: 0 is any port of the host's that is free: write 0:8888",
              p.sbx("port", "add", "0").ok(2).err, "0 alone")
        with Server(p):
            r = p.sbx("port", "rm", "8888").ok(125)
            match("cannot remove port 8888: it is not published\nhint: sbx port list", r.err, "rm")
            free = free_port()
            r = p.sbx("port", "add", "--json", f"{free}:80", f"{free}:80").ok(125)
            match("is published already, to port 80 inside\nhint: sbx port rm", r.err, "the second of two")
            equal([(o["host"], o["inside"]) for o in json.loads(r.out)], [(free, 80)], "the first is told all the same")
    with Project("[network]\nmode = host\n[sandbox]\nlinger = 30s\n") as p:
        p.allow()
        p.run("true").ok()
        r = p.sbx("port", "add", "8888").ok(125)
        match("cannot publish ports: the sandbox is in the network of the host", r.err, "mode = host")
        match("with `mode = host` what listens inside is reached as it is", r.err, "the hint")


def test_strangers_profile():
    """An address that others reach has to be allowed."""
    port = free_port()
    with Project(f"[network]\nmode = none\nports = 0.0.0.0:{port}:7000\n") as p:
        r = p.run("true").ok(125)
        match(rf"port {port} on the address 0\.0\.0\.0, for others to reach", r.err, "what is asked")
        p.allow()
        with Server(p):
            echoes(port)


harness.main(__name__)
