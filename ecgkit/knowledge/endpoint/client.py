"""One OpenAI-compatible server: requests with bounded time, retries with back-off, and counters.

Errors name status codes and kinds of failure. What a server says in a body may repeat the report that it was sent, so
its own words are shown only where the question was a made-up one.
"""

import asyncio
import json
import logging
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

from ecgkit.errors import EndpointError
from ecgkit.knowledge.endpoint.address import Address
from ecgkit.knowledge.endpoint.reading import Answer, read_completion
from ecgkit.knowledge.endpoint.settings import ServerSettings
from ecgkit.knowledge.endpoint.transport import KEY_VARIABLES, LostError, Reply, Transport, UnusableError

FATAL = {401: "is not allowed in", 403: "is not allowed in", 404: "does not know the model or the path"}
TRANSIENT = (408, 409, 425, 429)
HOPELESS = 5  # requests in a row that no retry could save: the server is gone
LONGEST_WAIT = 60.0  # s between two tries, whatever the server asks for
TOLD_WAIT = 5.0  # s: a longer wait that a server asks for is told
SHARED_RETRIES = 3  # of a request that another server could take
UNUSABLE_TRIES = 2  # tries of a request whose replies cannot be used
LONGEST_MESSAGE = 300  # characters of a server's own words
_CODE = re.compile(r"[a-z][a-z0-9_]{2,39}")
Notify = Callable[[str], None]


@dataclass
class Counters:
    """What a run asked of its servers."""

    requests: int = 0
    answers: int = 0
    retries: int = 0
    rate_limited: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    peak_in_flight: int = 0


class RequestRefusedError(Exception):
    """A server does not answer this one request.

    Args:
        reason: Why, in words that hold nothing of question or answer.
        status: HTTP status; 0 if the request never got one.
        message: The server's own words, which may repeat the question.
        unusable: Whether replies came that cannot be used. Asking again would bring the same.
    """

    def __init__(self, reason: str, status: int = 0, message: str = "", *, unusable: bool = False) -> None:
        self.reason, self.status, self.message, self.unusable = reason, status, message, unusable
        super().__init__(reason)


class ServerGoneError(EndpointError):
    """A server does not answer any more, or lets nobody in."""


class _TransientError(Exception):
    def __init__(self, reason: str, wait: float | None = None, message: str = "", *, unusable: bool = False) -> None:
        self.reason, self.wait, self.message, self.unusable = reason, wait, message, unusable
        super().__init__(reason)


@dataclass
class Endpoint:
    """A server in use; open it as an asynchronous context.

    Args:
        address: Its checked address.
        settings: How to talk to servers.
        counters: Where its work is counted.
        notify: Called with what a person should know.
    """

    address: Address
    settings: ServerSettings
    counters: Counters = field(default_factory=Counters)
    notify: Notify = lambda _: None

    def __post_init__(self) -> None:
        self.transport = Transport(self.address, self.settings.timeout, self.settings.headers)
        self.in_flight = self.slowed = 0
        self.alone = True  # no other server can take over
        self.made_up: Mapping[str, Any] = {}  # a request that is known to be answered
        self._failed = 0
        self._resume_at = self._told_until = 0.0

    async def __aenter__(self) -> Self:
        _silence_loggers()
        await self.transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.transport.__aexit__(kind, error, trace)

    async def ask(self, body: Mapping[str, Any], *, retries: int | None = None, made_up: bool = False) -> Answer:
        """Send one request until it is answered.

        Args:
            body: The whole request.
            retries: Further tries after a failure that may pass; by default those of the settings.
            made_up: Whether the question holds nothing of a report, so that the server's words may be shown.

        Raises:
            RequestRefusedError: The server refuses this request, or fails at it again and again.
            ServerGoneError: The server is gone, or lets nobody in.
        """
        tries = 1 + (self._retries if retries is None else retries)
        failure, unusable = _TransientError("no answer"), 0
        for attempt in range(tries):
            await self._wait_for_leave()
            try:
                answer = await self._send(body, made_up)
            except _TransientError as error:
                failure = error
                unusable += error.unusable
                if unusable >= UNUSABLE_TRIES:
                    break
                if attempt + 1 < tries:
                    self.counters.retries += 1
                    await self._back_off(attempt, failure)
            else:
                self._failed = 0
                return answer
        if not self.alone and not failure.unusable and not await self._lives():
            raise self.gone(failure.reason)
        self._failed += not failure.unusable
        if self._failed >= HOPELESS:
            raise self.gone(failure.reason)
        raise RequestRefusedError(failure.reason, message=failure.message, unusable=failure.unusable)

    @property
    def _retries(self) -> int:
        """Where another server can take over, a dead one is not waited for."""
        return self.settings.retries if self.alone else min(self.settings.retries, SHARED_RETRIES)

    async def _lives(self) -> bool:
        """Return whether the server still answers the made-up statement: if so, the question is to blame."""
        try:
            await self._send(self.made_up, made_up=True)
        except (_TransientError, RequestRefusedError, ServerGoneError):
            return False
        return True

    def gone(self, reason: str) -> ServerGoneError:
        """Return the error of a server that does not answer."""
        return ServerGoneError(
            f"the server at {self.address.shown} does not answer ({reason})",
            "a running server",
            "What was answered is kept: run the same command again.",
        )

    async def _send(self, body: Mapping[str, Any], made_up: bool) -> Answer:
        self.counters.requests += 1
        self.in_flight += 1
        self.counters.peak_in_flight = max(self.counters.peak_in_flight, self.in_flight)
        try:
            reply = await self.transport.post("/chat/completions", body)
        except LostError as error:
            self.slowed += 1
            raise _TransientError(str(error)) from None
        except UnusableError as error:
            raise _TransientError(str(error), unusable=True) from None
        finally:
            self.in_flight -= 1
        if reply.status != 200:
            raise self._judged(reply, body, made_up)
        return self._read(reply.content)

    def _judged(self, reply: Reply, body: Mapping[str, Any], made_up: bool) -> Exception:
        """Return what a status means: an end of the run, of the request, or a wait."""
        status, (code, message) = reply.status, self._words(reply.content)
        known_code = code if _CODE.fullmatch(code) and code not in json.dumps(body["messages"]) else ""
        if status in FATAL:
            said = f': "{message}"' if made_up and message else ""
            return ServerGoneError(
                f"the server at {self.address.shown} {FATAL[status]} (status {status}{said})",
                "a model that it serves and, if it wants one, a key",
                f"Give the key in {KEY_VARIABLES[0]}; look at --base-url and --model.",
            )
        if status in TRANSIENT or status >= 500:
            self.counters.rate_limited += status == 429
            self.slowed += status in (429, 503)
            return _TransientError(f"status {status}", _retry_after(reply.headers), message)
        redirect = ", a redirect, which is not followed" if 300 <= status < 400 else ""
        return RequestRefusedError(" ".join(filter(None, (f"status {status}", known_code))) + redirect, status, message)

    def _words(self, content: bytes) -> tuple[str, str]:
        """Return the code and the words of an error, bounded, printable and without secrets."""
        try:
            body = json.loads(content)
            error = body.get("error", body)
            error = error if isinstance(error, dict) else {"message": error}
            words = error.get("message") or error.get("detail") or ""
            code = str(error.get("code") or error.get("type") or "")
        except (ValueError, AttributeError, RecursionError):
            code, words = "", content[: 4 * LONGEST_MESSAGE].decode("utf-8", "replace")
        text = words if isinstance(words, str) else json.dumps(words)
        for secret in self.transport.secrets:
            text = text.replace(secret, "***")
        text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
        return code, text[:LONGEST_MESSAGE] + ("..." if len(text) > LONGEST_MESSAGE else "")

    def _read(self, content: bytes) -> Answer:
        try:
            body = json.loads(content.removeprefix(b"\xef\xbb\xbf"))
            answer = read_completion(body)
            usage = body.get("usage") or {}
            self.counters.prompt_tokens += int(usage.get("prompt_tokens") or 0)
            self.counters.completion_tokens += int(usage.get("completion_tokens") or 0)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError):
            said = self._words(content)[1] if b'"error"' in content else ""
            raise _TransientError("a body that is no chat completion", message=said, unusable=True) from None
        self.counters.answers += 1
        return answer

    async def _wait_for_leave(self) -> None:
        """Wait while the server has asked everybody to."""
        while (rest := self._resume_at - time.monotonic()) > 0:
            await asyncio.sleep(rest)

    async def _back_off(self, attempt: int, failure: _TransientError) -> None:
        wait = min(self.settings.backoff * 2**attempt, LONGEST_WAIT) * random.uniform(0.5, 1.0)
        if failure.wait is not None:
            wait = max(wait, min(failure.wait, LONGEST_WAIT))
            now = time.monotonic()
            self._resume_at = max(self._resume_at, now + wait)
            if failure.wait >= TOLD_WAIT and now >= self._told_until:
                self._told_until = now + wait
                asked = f"{self.address.shown} asks to wait {failure.wait:.0f} s ({failure.reason})"
                self.notify(f"{asked}. Trying again in {wait:.0f} s")
        await asyncio.sleep(wait)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, which may hold a date instead."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
        return min(max(0.0, seconds), 1e9) if seconds == seconds else None  # not NaN
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _silence_loggers() -> None:
    """Keep requests out of logs, whatever the environment asks for."""
    for name in ("aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)
