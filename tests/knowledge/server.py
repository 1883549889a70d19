"""A scripted OpenAI-compatible server: a reader of reports that is right, and every way in which one can fail.

As a program, ``python server.py PORT LOG``, it answers after a short delay and writes one line a request.
"""

import contextlib
import json
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ecgkit.knowledge.lexicon.backend import LexiconBackend

LEXICON = LexiconBackend()
Answerer = Callable[[str, dict[str, Any]], dict[str, Any]]


def reader(stage: str, payload: dict[str, Any]) -> dict[str, Any]:
    """Answer as a perfect reader would: by the lexicon's rules."""
    if stage == "extract":
        found = LEXICON.read_text(payload["text"])
        return {"entities": [{"name": m.name, "polarity": m.polarity} for m in found]}
    if stage == "verify":
        return {"verdicts": [{"name": name, "supported": True} for name in payload["candidates"]]}
    if stage == "merge":
        return {"synonyms": [{"name": name, "entity": name} for name in payload["names"]]}
    return {"parents": [{"name": name, "parent": ""} for name in payload["names"]]}


def question_of(body: dict[str, Any]) -> str:
    """The question: the last JSON object of the user's, behind examples and before a request for a repair."""
    return next(m["content"] for m in reversed(body["messages"]) if m["role"] == "user" and m["content"][0] == "{")


def stage_of(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    payload = json.loads(question_of(body))
    keys = set(payload)
    if "candidates" in keys:
        return "verify", payload
    if "text" in keys:
        return "extract", payload
    return ("merge" if "spelling" in body["messages"][0]["content"] else "fold"), payload


class ScriptedServer(ThreadingHTTPServer):
    """Answers on a loopback port.

    Args:
        answer: What a request is answered with, by stage and payload.
        fault: Given the content of a question and how often it came before, the name of a fault, or nothing.
        port: 0 for a free one.
        delay: Before an answer, in s.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(
        self,
        answer: Answerer = reader,
        fault: Callable[[str, int], str] = lambda *_: "",
        *,
        port: int = 0,
        delay: float = 0.0,
        log: str = "",
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.answer, self.fault, self.delay, self.log = answer, fault, delay, log
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.seen: Counter[str] = Counter()
        self.guard = threading.Lock()
        self.in_flight = self.peak = 0
        self.dead = False  # resets whatever still comes over open connections

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def stages(self) -> Counter[str]:
        return Counter(stage_of(body)[0] for body in self.bodies if "statement" not in body)

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of the play."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        content = question_of(body)
        server = self.server
        if server.dead:
            self.reset()
            return
        with server.guard:
            before = server.seen[content]
            server.seen[content] += 1
            server.bodies.append(body)
            server.headers.append(dict(self.headers))
            server.in_flight += 1
            server.peak = max(server.peak, server.in_flight)
        if server.log:
            with open(server.log, "a") as file:
                file.write(json.dumps(content) + "\n")
        try:
            time.sleep(server.delay)
            stage, payload = stage_of(body)
            self.play(server.fault(content, before), json.dumps(server.answer(stage, payload)), content)
        finally:
            with server.guard:
                server.in_flight -= 1

    def play(self, fault: str, good: str, content: str) -> None:
        if fault == "hang":
            time.sleep(0.8)
        elif fault == "reset":
            self.reset()
        elif fault == "slow":
            self.head(200, len(good) + 1000)
            with contextlib.suppress(OSError):
                for _ in range(20):
                    self.wfile.write(b" ")
                    time.sleep(0.04)
            self.close_connection = True
        elif fault.isdigit():
            # A server that repeats in its error what it was sent.
            extra = {"retry-after": "0.2"} if fault == "429" else {}
            self.send(json.dumps({"error": {"message": f"cannot handle {content}"}}), int(fault), extra)
        elif fault == "no completion":
            self.send("<html>gateway</html>")
        else:
            self.complete(*ANSWERS.get(fault, lambda text: (text, "stop", None))(good))

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def complete(self, text: str, finish: str, refusal: str | None) -> None:
        message = {"role": "assistant", "content": text, "refusal": refusal}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        choice = {"index": 0, "finish_reason": finish, "message": message}
        self.send(
            json.dumps(
                {
                    "id": "1",
                    "object": "chat.completion",
                    "created": 1,
                    "model": "m",
                    "choices": [choice],
                    "usage": usage,
                }
            )
        )

    def send(self, text: str, status: int = 200, extra: dict[str, str] | None = None) -> None:
        data = text.encode()
        self.head(status, len(data), extra or {})
        self.wfile.write(data)

    def head(self, status: int, length: int, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(length), **(extra or {})}.items():
            self.send_header(name, value)
        self.end_headers()


ANSWERS: dict[str, Callable[[str], tuple[str, str, str | None]]] = {
    "malformed": lambda good: (good[: len(good) // 2] + "}}]", "stop", None),
    "truncated": lambda good: (good[: len(good) // 2], "length", None),
    "refusal": lambda good: ("", "stop", "I cannot help with that"),
    "wrong schema": lambda good: ('{"findings": ["atrial fibrillation"]}', "stop", None),
    "wrong polarity": lambda good: ('{"entities": [{"name": "x", "polarity": "maybe"}]}', "stop", None),
    "empty": lambda good: ("", "stop", None),
    "filtered": lambda good: (good, "content_filter", None),
    "fenced": lambda good: (f"<think>hm {{}}</think>Here it is:\n```json\n{good}\n```\nDone.", "stop", None),
}


@contextlib.contextmanager
def serving(*args: Any, **settings: Any) -> Iterator[ScriptedServer]:
    server = ScriptedServer(*args, **settings)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    ScriptedServer(port=int(sys.argv[1]), delay=0.03, log=sys.argv[2]).serve_forever()
