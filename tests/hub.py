# SPDX-License-Identifier: Apache-2.0
"""A hub of models on this machine, as Hugging Face speaks: what it has, and what goes wrong."""

import contextlib
import hashlib
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit


class Hub:
    """`trouble` is taken from the front, one for each request of a file's content: a status, a
    status and Retry-After, ("break", bytes): so many, then the connection ends, or ("gate", bytes,
    event): the rest after the event. Each request is in `requests`: path and headers."""

    def __init__(self, certificate: Path | None = None):
        self.repos: dict[str, dict[str, bytes]] = {}
        self.hashes: dict[str, str] = {}  # other than the right ones
        self.extra: list[dict] = []  # more entries of each list
        self.lists: dict[str, bytes] = {}  # in the place of a list
        self.moved_to = ""  # files are there
        self.page = 1000  # entries of a list at once
        self.next_at = ""  # another hub has the next pages; "/": said without a host
        self.token = ""  # is needed
        self.trouble: list = []
        self.requests: list[tuple[str, dict]] = []
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def add(self, repo: str, path: str, data: bytes) -> bytes:
        self.repos.setdefault(repo, {})[path] = data
        return data

    def contents(self) -> list[dict]:
        """Headers of the requests for a file's content."""
        with self.lock:
            return [h for path, h in self.requests if "/resolve/" in path]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        with self.hub.lock:
            self.hub.requests.append((path, dict(self.headers)))
        if self.hub.token and self.headers["Authorization"] != f"Bearer {self.hub.token}":
            return self.answer(401)
        if path.startswith("/api/models/"):
            return self.list(path.removeprefix("/api/models/").removesuffix("/tree/main"))
        repo, _, name = path.removeprefix("/").partition("/resolve/main/")
        data = self.hub.repos.get(repo, {}).get(name)
        if data is None:
            return self.answer(404)
        if self.hub.moved_to:
            return self.answer(302, Location=self.hub.moved_to + self.path)
        return self.file(data)

    def list(self, repo: str) -> None:
        if repo in self.hub.lists:
            return self.answer(200, self.hub.lists[repo])
        if repo not in self.hub.repos:
            return self.answer(404)
        entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "folder"}]
        for path, data in self.hub.repos[repo].items():
            oid = self.hub.hashes.get(path) or hashlib.sha256(data).hexdigest()
            lfs = {"oid": oid, "size": len(data), "pointerSize": 134}
            entry = {"type": "file", "oid": "1" * 40, "size": len(data), "path": path}
            entries.append(entry | {"lfs": lfs})
        entries += self.hub.extra
        first = int(dict(parse_qsl(urlsplit(self.path).query)).get("cursor", 0))
        page = json.dumps(entries[first : first + self.hub.page]).encode()
        first += self.hub.page
        if first >= len(entries):
            return self.answer(200, page)
        host = "" if self.hub.next_at == "/" else self.hub.next_at or self.hub.url
        url = f"{host}/api/models/{repo}/tree/main"
        link = f'<{url}?recursive=1&cursor={first}>; rel="next", <{url}>; rel="first"'
        return self.answer(200, page, Link=link)

    def file(self, data: bytes) -> None:
        with self.hub.lock:
            trouble = self.hub.trouble.pop(0) if self.hub.trouble else None
        if isinstance(trouble, int):
            return self.answer(trouble)
        if trouble and isinstance(trouble[0], int):
            return self.answer(trouble[0], Retry_After=trouble[1])
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        first = 0
        asked = self.headers["Range"]
        if asked and self.headers.get("If-Range", tag) == tag:
            first = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(data) - first))
        self.end_headers()
        rest = data[first:]
        if trouble:
            self.wfile.write(rest[: trouble[1]])
            rest = rest[trouble[1] :]
        if trouble and trouble[0] == "break":
            self.close_connection = True
            return None
        if trouble:
            trouble[2].wait(60)
        with contextlib.suppress(OSError):  # the client has gone
            self.wfile.write(rest)
        return None
