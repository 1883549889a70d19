"""A local server in PhysioNet's layout that misbehaves as it is told."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass
class Mirror:
    """What the server holds and how it behaves.

    Args:
        files: Content by path under the version's folder.
        faults: For each path, what the next requests for it meet, in order: ``500``, ``429``, ``drop``, ``truncate``,
            ``corrupt``, ``stall``, ``elsewhere``, ``moved``, ``no-range``, or ``ok``.
        user: Credentials as ``user:password`` that each request needs; empty for none.
    """

    files: dict[str, bytes]
    faults: dict[str, list[str]] = field(default_factory=dict)
    user: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    address: str = ""
    busiest: int = 0
    running: Counter[str] = field(default_factory=Counter)

    def list_files(self) -> None:
        """Add the list of checksums."""
        lines = [f"{hashlib.sha256(raw).hexdigest()} {path}" for path, raw in self.files.items()]
        self.files["SHA256SUMS.txt"] = ("\n".join(lines) + "\n").encode()


@contextmanager
def serving(mirror: Mirror, prefix: str = "/files/ludb/1.0.1/") -> Iterator[Mirror]:
    """Serve a mirror on this machine during the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(send=False)

        def do_GET(self) -> None:
            self.answer(send=True)

        def answer(self, *, send: bool) -> None:
            path = unquote(self.path).removeprefix(prefix)
            wanted = self.headers.get("Range", "")
            mirror.asked.append((self.command, path, wanted))
            mirror.headers.append(dict(self.headers.items()))
            faults = mirror.faults.get(path, [])
            fault = faults.pop(0) if faults and send else "ok"
            if fault in ("500", "429"):
                self.plain(int(fault), {"Retry-After": "3600"} if fault == "429" else {})
            elif fault == "elsewhere":
                self.plain(302, {"Location": "http://localhost.example/evil"})
            elif fault == "moved":
                self.plain(302, {"Location": self.path})
            elif mirror.user and self.headers.get("Authorization", "") != mirror.user:
                self.plain(401, {})
            elif path not in mirror.files:
                self.plain(404, {})
            else:
                self.file(mirror.files[path], wanted if fault != "no-range" else "", fault, send=send)

        def plain(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def file(self, raw: bytes, wanted: str, fault: str, *, send: bool) -> None:
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            if start >= len(raw) and wanted:
                self.plain(416, {})
                return
            body = raw[start:]
            if fault == "corrupt":
                body = bytes([body[0] ^ 1]) + body[1:]
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if not send:
                return
            if fault in ("drop", "truncate", "stall"):
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                if fault == "stall":
                    time.sleep(3)
                self.close_connection = True
                self.connection.close()
                return
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # it misbehaves on purpose
    mirror.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        server.server_close()
