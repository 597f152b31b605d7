"""A registry that does what it is told, right or wrong, for tests: http.server in threads."""

import base64
import hashlib
import http.server
import os
import re
import socket
import ssl
import struct
import threading
import urllib.parse

import registries


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *args):
        """Nothing: a test says itself what is wrong."""

    def answer(self, status, body=b"", **headers):
        """A whole answer; header_name="value" is Header-Name: value."""
        self.send_response(status)
        for name, value in {"content_length": len(body), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def cut(self, reset=True):
        """End the connection: at once, which may take back what was sent, or behind what was sent."""
        self.wfile.flush()
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True
        self.connection.close()

    def blob(self, data, ranges=True):
        """A blob, from where it is asked for."""
        asked = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        start = int(asked.group(1)) if asked and ranges else 0
        if not start:
            return self.answer(200, data)
        if start >= len(data):
            return self.answer(416)
        return self.answer(206, data[start:], content_range=f"bytes {start}-{len(data) - 1}/{len(data)}")

    def usual(self):
        """As a registry that means well."""
        image = self.server.image
        what = self.path.split("?")[0].rsplit("/", 1)[1]
        if self.path == "/v2/":
            self.answer(200)
        elif "/manifests/" in self.path:
            self.answer(200, image.text, content_type="application/vnd.oci.image.manifest.v1+json")
        elif "/blobs/" in self.path and what.removeprefix("sha256:") in image.blobs:
            self.blob(image.blobs[what.removeprefix("sha256:")])
        else:
            self.answer(404)

    def do_any(self):
        body = self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            self.server.seen.append((self.command, self.path, dict(self.headers.items()), body))
        try:
            if not (self.server.hook and self.server.hook(self)):
                self.usual()
        except (BrokenPipeError, ConnectionResetError, ValueError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_any


class Server(http.server.ThreadingHTTPServer):
    """`hook(handler)` is true where it answered itself; `seen` is all that was asked."""
    daemon_threads = True

    def __init__(self, image=None, hook=None, tls=None, address="127.0.0.1"):
        super().__init__((address, 0), Handler)
        self.image, self.hook, self.seen, self.lock = image, hook, [], threading.Lock()
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(os.path.join(tls, "host.crt"), os.path.join(tls, "host.key"))
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.host = f"{address}:{self.server_address[1]}"
        self.ref = f"{self.host}/me/tools:1"

    def handle_error(self, request, client_address):
        """Clients that go away are what is tested."""

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.shutdown()
        self.server_close()
        return False

    def told(self):
        """What requests had in their Authorization, each once."""
        return {headers["Authorization"] for _, _, headers, _ in self.seen if "Authorization" in headers}

    def paths(self, method="GET"):
        return [path for how, path, _, _ in self.seen if how == method]


class Uploads:
    """A hook that takes blobs as distribution-spec says: of an upload that is cut, it keeps what came."""

    def __init__(self):
        self.lock, self.parts, self.blobs, self.resumed, self.taken = threading.Lock(), {}, {}, 0, 0

    def __call__(self, h):
        path, _, query = h.path.partition("?")
        if h.command == "HEAD" and "/blobs/" in path:
            h.answer(200 if path.rsplit(":", 1)[1] in self.blobs else 404)
        elif h.command == "PUT" and "/manifests/" in path:
            h.answer(201)
        elif "/uploads/" not in path:
            return False
        else:
            with self.lock:
                self.upload(h, path, query)
        return True

    def upload(self, h, path, query):
        if h.command == "POST":
            path += f"u{len(self.parts)}"
            self.parts[path] = bytearray()
            return h.answer(202, location=path)
        part = self.parts.get(path)
        if part is None:
            return h.answer(404)
        if h.command == "PATCH":
            start = int(h.headers.get("Content-Range", "0-").split("-")[0])
            if start != len(part):
                return h.answer(416, location=path, range=f"0-{len(part) - 1}")
            part += h.body
            self.resumed += start > 0
            self.taken += len(h.body)
        if h.command == "PUT":
            digest = hashlib.sha256(part).hexdigest()
            if f"digest=sha256:{digest}" not in urllib.parse.unquote(query):
                return h.answer(400)
            self.blobs[digest] = bytes(part)
            return h.answer(201)
        return h.answer(204 if h.command == "GET" else 202, location=path, range=f"0-{max(0, len(part) - 1)}")


BASIC = "Basic " + base64.b64encode(f"{registries.USER}:{registries.PASSWORD}".encode()).decode()


def challenge(text):
    """A hook that lets nobody in who has no Authorization."""
    def hook(h):
        if "Authorization" in h.headers:
            return False
        h.answer(401, www_authenticate=text)
        return True
    return hook
