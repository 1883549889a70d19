"""A local stand-in for a Hugging Face hub: what it is asked to do for models, and a list of all requests."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hub:
    """Repositories by name, each with its files; and the method and path of every request."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.asked: list[str] = []
        self.address = ""

    def commit(self, repo: str) -> str:
        content = b"".join(name.encode() + data for name, data in sorted(self.repos[repo].items()))
        return hashlib.sha1(content).hexdigest()


@contextmanager
def serve() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def answer(self, code: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def say(self, values: Any, code: int = 200) -> None:
            self.answer(code, json.dumps(values).encode())

        def missing(self) -> None:
            self.answer(404, b'{"error": "Repository not found"}', X_Error_Code="RepoNotFound")

        def do_GET(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            path = self.path.partition("?")[0]
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/[^/]+)?", path):
                if found[1] not in hub.repos:
                    return self.missing()
                files = [{"rfilename": name} for name in hub.repos[found[1]]]
                return self.say({"id": found[1], "sha": hub.commit(found[1]), "siblings": files, "private": False})
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/[^/]+.*", path):
                tree = [
                    {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for name, data in hub.repos[found[1]].items()
                ]
                return self.say(tree)
            if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
                data = hub.repos.get(found[1], {}).get(found[2])
                if data is None:
                    return self.answer(404, b"", X_Error_Code="EntryNotFound")
                return self.answer(
                    200,
                    data,
                    "application/octet-stream",
                    ETag=f'"{hashlib.sha1(data).hexdigest()}"',
                    X_Repo_Commit=hub.commit(found[1]),
                )
            return self.missing()

        do_HEAD = do_GET  # noqa: N815

        def do_POST(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/api/repos/create":
                asked = json.loads(body)
                name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
                if name in hub.repos:
                    return self.say({"error": "exists", "url": f"{hub.address}/{name}"}, 409)
                hub.repos[name] = {}
                hub.private[name] = asked.get("private", asked.get("visibility") == "private")
                return self.say({"url": f"{hub.address}/{name}"})
            if self.path.startswith("/api/validate-yaml"):
                return self.say({"errors": [], "warnings": []})
            if found := re.match(r"/api/models/([^/]+/[^/]+)/preupload/", self.path):
                files = [
                    {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for file in json.loads(body)["files"]
                ]
                return self.say({"files": files})
            if found := re.match(r"/api/models/([^/]+/[^/]+)/commit/", self.path):
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        hub.repos[found[1]][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                commit = hub.commit(found[1])
                return self.say({"commitUrl": f"{hub.address}/{found[1]}/commit/{commit}", "commitOid": commit})
            return self.missing()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
