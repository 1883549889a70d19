"""Questions that are put to servers, as many at a time as each server answers best."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ecgkit.errors import EndpointError
from ecgkit.knowledge.endpoint.cache import Cache, Measured
from ecgkit.knowledge.endpoint.client import Endpoint, Notify, RequestRefusedError
from ecgkit.knowledge.endpoint.negotiate import Dialect, negotiate
from ecgkit.knowledge.endpoint.prompts import Prompt
from ecgkit.knowledge.endpoint.questions import Desk, Done, Problem, Question
from ecgkit.knowledge.endpoint.reading import Answer, AnswerError
from ecgkit.knowledge.endpoint.servers import Servers
from ecgkit.knowledge.endpoint.settings import ModelSettings, ServerSettings

T = TypeVar("T")
UNREADABLE = 20  # answers at the start of a run none of which can be read: the model is unfit


class LiveDesk(Desk):
    """Asks questions of open servers.

    Args:
        endpoints: Open servers of one model.
        servers: How to talk to them.
        model: What is asked of the model.
        cache: Where answers are kept.
        made_up: Question with which each server is tried at the start.
        repair: Prompt that asks for a better answer.
        notify: Called with what a person should know.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        servers: ServerSettings,
        model: ModelSettings,
        cache: Cache,
        *,
        made_up: Question[Any],
        repair: Prompt,
        notify: Notify,
    ) -> None:
        super().__init__(model, cache, repair)
        self._made_up, self._notify = made_up, notify
        self._counters = endpoints[0].counters  # which all of them share
        self._servers = Servers(endpoints, servers.concurrency, notify)
        self.dialects: dict[str, Dialect] = {}  # by address
        self.spent = Measured()

    @property
    def left_out(self) -> dict[str, str]:
        """Why a server was left out while the others went on, by its URL."""
        return self._servers.left_out

    async def _ask_all(self, todo: Mapping[str, Question[T]], results: dict[str, T | Problem], done: Done) -> None:
        if not self.dialects:
            await self._negotiate()
        total, began, extracted = len(results) + len(todo), time.monotonic(), 0
        before = replace(self._counters)

        async def do(endpoint: Endpoint, key: str) -> None:
            nonlocal extracted
            answer: T | Problem = await self._ask(endpoint, key, todo[key])
            results[key] = answer
            extracted += todo[key].prompt.stage == "extract"
            done(len(results), total)

        try:
            await self._servers.work(list(todo), do)
        finally:
            now, spent = self._counters, self.spent
            self.spent = Measured(
                spent.answers + extracted,
                spent.prompt_tokens + now.prompt_tokens - before.prompt_tokens,
                spent.completion_tokens + now.completion_tokens - before.completion_tokens,
                spent.seconds + time.monotonic() - began,
            )

    async def _ask(self, endpoint: Endpoint, key: str, question: Question[T]) -> T | Problem:
        """Ask once, and once more for a repair; what cannot be read then is kept raw in quarantine."""
        dialect = self.dialects[endpoint.address.url]
        messages, answer, reason = question.messages(), Answer(""), ""
        for _ in range(2):
            try:
                answer = await endpoint.ask(dialect.body(self.model, messages, question.schema))
            except RequestRefusedError as refusal:
                if refusal.unusable:
                    reason = refusal.reason
                    break
                # Not the model's word but the server's trouble: nothing is kept, so that the next run asks again.
                return Problem(refusal.reason)
            try:
                return self._keep(key, question, question.read(answer))
            except AnswerError as error:
                reason = str(error)
                messages = question.messages((answer, self.repair))
        problem = self._reject(key, question, reason, answer)
        if self.unreadable >= UNREADABLE and not self.readable:
            raise EndpointError(
                f"none of the first {UNREADABLE} answers of {self.model.model} can be read ({reason})",
                "a model that answers in JSON",
                "The answers are in quarantine; try another --model, or a larger --max-tokens.",
            )
        return problem

    async def _negotiate(self) -> None:
        """Find out what each server takes; leave out one that cannot be used, if another can."""
        endpoints = list(self._servers.endpoints)
        found = await asyncio.gather(*map(self._dialect, endpoints), return_exceptions=True)
        unfit = [(e, d) for e, d in zip(endpoints, found, strict=True) if isinstance(d, BaseException)]
        for endpoint, error in unfit:
            if not isinstance(error, EndpointError) or len(unfit) == len(endpoints):
                raise error
            self._servers.leave_out(endpoint, error)

    async def _dialect(self, endpoint: Endpoint) -> None:
        dialect = await negotiate(endpoint, self.model, self._made_up)
        if not dialect.temperature and self.model.temperature is not None:
            self._notify(f"{endpoint.address.shown} takes no temperature and uses its own")
        endpoint.made_up = dialect.body(self.model, self._made_up.messages(), self._made_up.schema)
        self.dialects[endpoint.address.url] = dialect
