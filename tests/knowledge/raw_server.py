"""A server of raw bytes, for replies that no honest server sends."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

Send = Callable[[bytes], None]


@contextlib.contextmanager
def raw_server(reply: Callable[[bytes, Send], None], certificate: tuple[Path, Path] | None = None) -> Iterator[int]:
    """Serve on a loopback port, which is yielded; `reply` gets the body of each request and a way to send bytes."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)

    def handle(connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            stream = context.wrap_socket(connection, server_side=True) if context else connection
            with stream, stream.makefile("rb") as file:
                length = 0
                while (line := file.readline()).strip():
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                reply(file.read(length), stream.sendall)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def http(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a whole reply that closes its connection."""
    lines = (b"HTTP/1.1 " + status, b"content-type: application/json", b"connection: close", *headers)
    return b"\r\n".join(lines) + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body
