"""One OpenAI-compatible server: requests with bounded time, retries with back-off, and counters.

Errors name status codes and kinds of failure only: what a server says in a body may repeat the report that it was sent.
"""

import asyncio
import json
import logging
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import openai

from ecgkit.errors import EndpointError
from ecgkit.knowledge.endpoint.address import check_address

KEY_VARIABLES = ("ECGKIT_API_KEY", "OPENAI_API_KEY")
FATAL = {401: "is not allowed in", 403: "is not allowed in", 404: "does not know the model or the path"}
TRANSIENT = (408, 409, 425, 429)
HOPELESS = 5  # requests in a row that no retry could save: the server is gone
LONGEST_WAIT = 60.0  # s between two tries, unless the server asks for more
LONGEST_RETRY_AFTER = 600.0


@dataclass(frozen=True)
class EndpointSettings:
    """How to talk to a server.

    Args:
        base_url: Such as ``http://localhost:8000/v1``.
        model: Name of the model there.
        allow_remote: Whether text may leave this machine and its private network.
        concurrency: Requests in flight.
        timeout: Of one request, from first to last byte, in s.
        retries: Further tries after a failure that may pass.
        backoff: Wait before the first of them in s; doubled each time, with jitter.
        max_tokens: Longest answer.
    """

    base_url: str
    model: str
    allow_remote: bool = False
    concurrency: int = 16
    timeout: float = 120.0
    retries: int = 7
    backoff: float = 0.5
    max_tokens: int = 1024


@dataclass
class Counters:
    """What a run asked of a server."""

    requests: int = 0
    answers: int = 0
    retries: int = 0
    rate_limited: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    peak_in_flight: int = 0


@dataclass(frozen=True)
class Answer:
    """A model's words; `whole` is false where it was cut short, filtered or refused."""

    text: str
    whole: bool


class RequestRefusedError(Exception):
    """The server will not take this one request; `reason` names the status."""

    def __init__(self, reason: str, status: int) -> None:
        self.reason, self.status = reason, status
        super().__init__(reason)


class _TransientError(Exception):
    def __init__(self, reason: str, wait: float | None = None) -> None:
        self.reason, self.wait = reason, wait
        super().__init__(reason)


@dataclass
class Endpoint:
    """A server in use; open it as an asynchronous context."""

    settings: EndpointSettings
    counters: Counters = field(default_factory=Counters)

    def __post_init__(self) -> None:
        self.host = check_address(self.settings.base_url, allow_remote=self.settings.allow_remote)
        self._in_flight = self._failed = 0
        self._resume_at = 0.0

    async def __aenter__(self) -> Self:
        _silence_loggers()
        # No proxy and no redirect: either could carry the text to another machine than the one that was checked.
        http = openai.DefaultAioHttpClient(trust_env=False, follow_redirects=False)
        key = next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), "none")
        self._client = openai.AsyncOpenAI(
            base_url=self.settings.base_url, api_key=key, max_retries=0, timeout=self.settings.timeout, http_client=http
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def ask(self, messages: Sequence[Mapping[str, str]], response_format: Mapping[str, Any] | None) -> Answer:
        """Send one request until it is answered.

        Raises:
            RequestRefusedError: The server refuses this request, or fails at it again and again.
            EndpointError: The server is gone, or lets nobody in.
        """
        reason = ""
        for attempt in range(self.settings.retries + 1):
            await self._wait_for_leave()
            try:
                answer = await self._send(messages, response_format)
            except _TransientError as failure:
                reason = failure.reason
                if attempt < self.settings.retries:
                    self.counters.retries += 1
                    await self._back_off(attempt, failure)
            else:
                self._failed = 0
                return answer
        self._failed += 1
        if self._failed >= HOPELESS:
            raise EndpointError(
                f"the server at {self.host} does not answer ({reason})",
                "a running server",
                "What was answered is kept: run the same command again.",
            )
        raise RequestRefusedError(reason, 0)

    async def _send(self, messages: Sequence[Mapping[str, str]], response_format: Mapping[str, Any] | None) -> Answer:
        # As an extra body the request goes out as it is; the package's own typing of it would cost more than the rest.
        body: dict[str, Any] = {"messages": list(messages), "temperature": 0, "max_tokens": self.settings.max_tokens}
        if response_format is not None:
            body["response_format"] = response_format
        self.counters.requests += 1
        self._in_flight += 1
        self.counters.peak_in_flight = max(self.counters.peak_in_flight, self._in_flight)
        try:
            async with asyncio.timeout(self.settings.timeout):
                response = await self._client.chat.completions.with_raw_response.create(
                    model=self.settings.model, messages=[], extra_body=body
                )
                return self._read(response.content)
        except (TimeoutError, openai.APIConnectionError):  # transports take a reset for a timeout, or the reverse
            raise _TransientError("connection lost or too slow") from None
        except openai.APIStatusError as error:
            raise self._judged(error.status_code, error.response.headers) from None
        except openai.OpenAIError as error:
            raise _TransientError(type(error).__name__) from None
        finally:
            self._in_flight -= 1

    def _judged(self, status: int, headers: Mapping[str, str]) -> Exception:
        """Return what a status means: an end of the run, of the request, or a wait."""
        if status in FATAL:
            return EndpointError(
                f"the server at {self.host} {FATAL[status]} (status {status})",
                "a model that it serves and, if it wants one, a key",
                f"Give the key in {KEY_VARIABLES[0]}; look at --base-url and --model.",
            )
        if status in TRANSIENT or status >= 500:
            self.counters.rate_limited += status == 429
            return _TransientError(f"status {status}", _retry_after(headers))
        return RequestRefusedError(f"status {status}", status)

    def _read(self, content: bytes) -> Answer:
        try:
            body = json.loads(content)
            choice = body["choices"][0]
            message = choice["message"]
            text = message.get("content") or ""
            whole = not message.get("refusal") and choice.get("finish_reason") in (None, "stop")
            usage = body.get("usage") or {}
            self.counters.prompt_tokens += int(usage.get("prompt_tokens") or 0)
            self.counters.completion_tokens += int(usage.get("completion_tokens") or 0)
            answer = Answer(str(text), whole)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise _TransientError("a body that is no chat completion") from None
        self.counters.answers += 1
        return answer

    async def _wait_for_leave(self) -> None:
        """Wait while the server has asked everybody to."""
        while (rest := self._resume_at - time.monotonic()) > 0:
            await asyncio.sleep(rest)

    async def _back_off(self, attempt: int, failure: _TransientError) -> None:
        wait = min(self.settings.backoff * 2**attempt, LONGEST_WAIT) * random.uniform(0.5, 1.0)
        if failure.wait is not None:
            wait = max(wait, min(failure.wait, LONGEST_RETRY_AFTER))
            self._resume_at = max(self._resume_at, time.monotonic() + wait)
        await asyncio.sleep(wait)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, which may hold a date instead."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _silence_loggers() -> None:
    """Keep request bodies out of logs, whatever ``OPENAI_LOG`` asks for."""
    for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2", "aiohttp"):
        logging.getLogger(name).setLevel(logging.ERROR)
