#!/usr/bin/python3
"""Published ports under load and under fire: many, large, slow; parts that are killed; real servers."""

import contextlib
import hashlib
import os
import re
import resource
import signal
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness
import procs
from harness import NO_NET, Project, check, equal, fewer, match

# Runs inside: one process for any number of connections.
#   echo    gives back what comes
#   hash    answers the end of file with the SHA-256 of what came before
#   flood   sends zeros without end
SERVER = r"""
import asyncio, hashlib, resource, sys
what = sys.argv[1]
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
async def serve(r, w):
    try:
        h = hashlib.sha256()
        while what == "flood":
            w.write(bytes(65536))
            await w.drain()
        while (block := await r.read(1 << 18)):
            if what == "echo":
                w.write(block)
                await w.drain()
            else:
                h.update(block)
        if what == "hash":
            w.write(h.hexdigest().encode())
            await w.drain()
    except ConnectionError:
        print("reset", flush=True)
    w.close()
async def main():
    s = await asyncio.start_server(serve, "127.0.0.1", 7000, backlog=4096)
    print("up", flush=True)
    await s.serve_forever()
asyncio.run(main())
"""


class Server:
    """A server inside, as long as the context; `port` leads to it."""

    def __init__(self, project, what):
        self.project = project
        self.process = project.start("run", "--", "python3", "-c", SERVER, what)
        self.port = None

    def __enter__(self):
        harness.read_until(self.process.stdout, b"up\n")
        self.port = add(self.project, 7000)
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


def add(project, inside):
    out = project.sbx("port", "add", f"0:{inside}").ok().out
    return int(out.strip().rsplit(":", 1)[1])


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def read_all(s):
    got = b""
    while (block := s.recv(65536)):
        got += block
    return got


def listed(project):
    return project.sbx("port", "list", "--json").json()


def parts(project):
    """The broker and the dialer."""
    guard = project.sbx("status", "--json").json()["guard_pid"]
    found = {p.comm: p for p in procs.tree(guard).values()}
    return found.get("sbx-ports"), found.get("sbx-dialer")


def within(seconds, holds, what):
    procs.until(holds, seconds, what)


@harness.limit(180)
def test_many_at_once():
    """2,000 connections are open at once, each with its own bytes; none is left behind."""
    n = fewer(2000)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Project(NO_NET) as p, Server(p, "echo") as server:
        all_of_them = [connect(server.port) for _ in range(n)]
        for i, s in enumerate(all_of_them):
            s.sendall(b"%08d" % i)
        for i, s in enumerate(all_of_them):
            equal(s.recv(8, socket.MSG_WAITALL), b"%08d" % i, f"the echo of connection {i}")
        equal([e["connections"] for e in listed(p)], [n], "the connections of the list")
        for s in all_of_them:
            s.close()
        within(10, lambda: listed(p)[0]["connections"] == 0, "the connections are gone")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@harness.limit(180)
def test_much():
    """1 GiB arrives byte for byte, and so does its answer."""
    n = fewer(1024 if harness.has_subids() else 128)
    block = os.urandom(1 << 20)
    wanted = hashlib.sha256()
    with Project(NO_NET) as p, Server(p, "hash") as server, connect(server.port) as s:
        for i in range(n):
            part = block[i % 251:] + block[:i % 251]
            wanted.update(part)
            s.sendall(part)
        s.shutdown(socket.SHUT_WR)
        equal(read_all(s).decode(), wanted.hexdigest(), "the digest")


def test_slow_reader():
    """Who does not read holds up nobody else, and takes no memory; who goes away is told of inside."""
    with Project(NO_NET) as p, Server(p, "flood") as server:
        lazy = [connect(server.port) for _ in range(40)]
        for s in lazy:
            check(s.recv(1), "a byte")
        broker, _ = parts(p)
        with connect(server.port) as s:
            got = 0
            while got < 10 << 20:
                got += len(s.recv(1 << 20))
        with open(f"/proc/{broker.pid}/status", encoding="ascii") as f:
            rss = int(re.search(r"VmRSS:\s*(\d+)", f.read()).group(1))
        check(rss < 65536, f"the broker has {rss} KiB of memory")
        for s in lazy:
            s.close()
        harness.read_until(server.process.stdout, b"reset\n" * 20)


def test_reset_from_inside_out():
    """SO_LINGER 0 outside is a reset inside."""
    with Project(NO_NET) as p, Server(p, "echo") as server:
        with connect(server.port) as s:
            s.sendall(b"x")
            equal(s.recv(1), b"x", "the echo")
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        harness.read_until(server.process.stdout, b"reset\n")


@harness.limit(120)
def test_killed_at_once():
    """A broker that is killed as soon as it is there comes again, several times; then when somebody asks for it."""
    with Project(NO_NET) as p, Server(p, "echo") as server:
        within(5, lambda: all(parts(p)), "both are there")
        guard = p.sbx("status", "--json").json()["guard_pid"]
        supervisor = next(x.pid for x in procs.tree(guard).values() if x.comm == "sbx-super")
        seen = []

        def another():
            # By the kernel's own list: each look has to be faster than the time in which one counts as sound.
            with open(f"/proc/{supervisor}/task/{supervisor}/children", encoding="ascii") as f:
                for pid in map(int, f.read().split()):
                    # It may end at any of these steps.
                    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/comm", encoding="ascii") as name:
                        if name.read() == "sbx-ports\n" and pid not in seen:
                            return pid
            return None

        for n in range(20):
            try:
                seen.append(procs.until(another, 1 if n > 5 else 10, "another broker"))
            except harness.Failed:
                break
            os.kill(seen[-1], signal.SIGKILL)
        check(len(seen) > 5, f"only {len(seen)} brokers came")
        within(5, lambda: [e["host"] for e in listed(p)] == [server.port], "the list has the port again")
        with connect(server.port) as s:
            s.sendall(b"y")
            equal(s.recv(1), b"y", "the echo after it all")


@harness.limit(120)
def test_killed_parts():
    """A broker or a dialer that is killed is there again with its ports; with the supervisor all is gone."""
    with Project(NO_NET) as p, Server(p, "echo") as server:
        for which in (0, 1):
            with connect(server.port) as s:
                s.sendall(b"x")
                equal(s.recv(1), b"x", "the echo")
                within(5, lambda: all(parts(p)), "both are there")
                old = parts(p)
                os.kill(old[which].pid, signal.SIGKILL)
                try:
                    equal(s.recv(1), b"", "what comes of a killed broker")
                except ConnectionResetError:
                    pass
            within(2, lambda: all(parts(p)) and parts(p)[0].key() != old[0].key(), "there is another")
            check(all(procs.has_ended(x.pid) for x in old), "one of the old ones is still there")
            with connect(server.port) as s:
                s.sendall(b"y")
                equal(s.recv(1), b"y", "the echo after the kill")
            equal([e["host"] for e in listed(p)], [server.port], "the list after the kill")
        guard = p.sbx("status", "--json").json()["guard_pid"]
        old = parts(p)
        supervisor = next(x for x in procs.tree(guard).values() if x.comm == "sbx-super")
        os.kill(supervisor.pid, signal.SIGKILL)
        within(2, lambda: all(procs.has_ended(x.pid) for x in old), "they end with the supervisor")
        with socket.socket() as s:
            check(s.connect_ex(("127.0.0.1", server.port)) != 0, "the port is still there")


def test_confined_parts():
    """Both parts have no capability and a system call filter, and do their work."""
    with Project(NO_NET) as p, Server(p, "echo") as server:
        with connect(server.port) as s:
            s.sendall(b"x")
            equal(s.recv(1), b"x", "the echo")
        for part in parts(p):
            with open(f"/proc/{part.pid}/status", encoding="ascii") as f:
                found = dict(line.split(":\t", 1) for line in f.read().splitlines())
            equal({name: found[name] for name in ("CapPrm", "CapEff", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp")},
                  {"CapPrm": "0" * 16, "CapEff": "0" * 16, "CapInh": "0" * 16, "CapAmb": "0" * 16, "NoNewPrivs": "1",
                   "Seccomp": "2"}, f"the status of {part.comm}")


def test_idle_parts_end():
    """Without a port there is no broker; `list` leaves none behind."""
    with Project(NO_NET) as p, Server(p, "echo") as server:
        p.sbx("port", "rm", str(server.port)).ok()
        equal(listed(p), [], "the list")
        within(2, lambda: parts(p) == (None, None), "they end when there is nothing to do")


def test_nothing_inside_reaches_it():
    """No process inside finds the socket by which ports are published."""
    with Project(NO_NET) as p, Server(p, "echo"):
        r = p.sh("find /run /tmp /var/tmp ~ . -xdev -type s -name ports 2>/dev/null; cat /proc/net/unix | grep -c /run/ports; "
                 "ls /proc/*/comm | xargs cat 2>/dev/null | grep -c -e sbx-ports -e sbx-dialer")
        equal(r.out, "0\n0\n", "what is seen inside")


NGINX = """
daemon off; pid /tmp/nginx.pid; error_log stderr; worker_processes 1;
events {{ worker_connections 4096; }}
http {{ access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f;
  uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
  server {{ listen 127.0.0.1:8080; root {root}; }} }}
"""


@harness.limit(120)
def test_nginx():
    """nginx inside, wrk outside: no error; for a minute with SBX_SOAK=1."""
    harness.need_program("nginx")
    wrk = harness.need_program("wrk")
    seconds = 60 if os.environ.get("SBX_SOAK") == "1" else 3
    with Project(NO_NET) as p:
        p.write("index.html", "x" * 2000)
        p.write("nginx.conf", NGINX.format(root=p.dir))
        server = p.start("run", "--", "nginx", "-p", "/tmp", "-c", p.path("nginx.conf"), stdin=None)
        try:
            within(20, lambda: p.sh("test -s /tmp/nginx.pid").status == 0, "nginx is up")
            at = add(p, 8080)
            r = harness.command([wrk, "-t2", "-c100", f"-d{seconds}s", f"http://127.0.0.1:{at}/index.html"], limit=100)
            out = r.ok().out
            harness.diagnose(out)
            harness.absent("Socket errors|Non-2xx", out, "what wrk says")
            match(r"\b[1-9]\d{2,} requests in ", out, "what wrk says")
        finally:
            server.kill()
            harness.wait_process(server)


@harness.limit(120)
def test_postgresql():
    """PostgreSQL inside; the host's psql reaches it through a port that was added while it ran."""
    psql = harness.need_program("psql")
    folder = "/usr/lib/postgresql"
    versions = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    programs = [f"{folder}/{v}/bin" for v in versions if os.path.exists(f"{folder}/{v}/bin/initdb")]
    if not programs:
        raise harness.Skip("the host has no PostgreSQL server")
    with Project(NO_NET + "[sandbox]\nlinger = 60s\n") as p:
        p.sh(f"{programs[-1]}/initdb -D /tmp/pg -A trust -U alice --no-sync >/dev/null && "
             f"{programs[-1]}/pg_ctl -D /tmp/pg -w -l /tmp/log -o '-k /tmp -F' start >/dev/null", limit=100).ok()
        port = add(p, 5432)
        r = harness.command([psql, "-h", "127.0.0.1", "-p", str(port), "-U", "alice", "-At", "-c",
                             "create table t as select generate_series(1, 100000) as n; select sum(n) from t",
                             "postgres"], limit=60)
        equal(r.ok().out.split()[-1], "5000050000", "the answer")


harness.main(__name__)
