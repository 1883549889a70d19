"""Questions to a model, each asked once: cached by its hash, checked, repaired once, else put into quarantine."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args

from ecgkit.errors import EndpointError
from ecgkit.knowledge.endpoint.cache import Cache
from ecgkit.knowledge.endpoint.client import Endpoint, RequestRefusedError
from ecgkit.knowledge.endpoint.prompts import Prompt, load_prompt
from ecgkit.knowledge.endpoint.schemas import EXTRACT, AnswerError, Schema

T = TypeVar("T")
Mode = Literal["json_schema", "json_object", "prompt"]
MODES: tuple[Mode, ...] = get_args(Mode)
PROBE = {"text": "atrial fibrillation, no left bundle branch block"}
UNREADABLE = 20  # answers at the start of a run none of which can be read: the model is unfit
Done = Callable[[int, int], None]


@dataclass(frozen=True)
class Problem:
    """Why there is no answer, in words that hold nothing of question or answer."""

    reason: str


@dataclass(frozen=True)
class Question(Generic[T]):
    """One request of one stage.

    Args:
        prompt: The stage's prompt.
        schema: The form of the answer.
        payload: What the prompt says that the user sends; sent as JSON, so that no text can end its own quotation.
        check: Raises `AnswerError` where an answer of the right form does not fit the question.
    """

    prompt: Prompt
    schema: Schema[T]
    payload: Mapping[str, Any]
    check: Callable[[T], None] = lambda _: None

    @property
    def content(self) -> str:
        """The user's message."""
        return json.dumps(self.payload, ensure_ascii=False)

    def key(self, model: str) -> str:
        """Return the hash of everything that the answer depends on."""
        parts = (model, self.prompt.version, self.prompt.digest, self.schema.text, self.content)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def read(self, text: str) -> T:
        """Read and check a fresh answer."""
        value = self.schema.find(text)
        self.check(value)
        return value


class Desk:
    """Asks questions of one model, and keeps the answers.

    Args:
        endpoint: An open server.
        cache: Where answers are kept.
    """

    def __init__(self, endpoint: Endpoint, cache: Cache) -> None:
        self.endpoint, self.cache = endpoint, cache
        self.mode: Mode | None = None
        self.cached = self.unreadable = self.readable = 0

    async def answers(self, questions: Sequence[Question[T]], done: Done) -> list[T | Problem]:
        """Return an answer or a problem for each question, in order.

        Args:
            questions: Equal ones are asked once.
            done: Called with how many are answered, and how many there are.

        Raises:
            EndpointError: The server is gone, or none of the first answers can be read.
        """
        keys = [question.key(self.endpoint.settings.model) for question in questions]
        results: dict[str, T | Problem] = self._known(dict(zip(keys, questions, strict=True)))
        self.cached += len(results)
        todo = {key: question for key, question in zip(keys, questions, strict=True) if key not in results}
        done(len(results), len(results) + len(todo))
        if todo:
            if self.mode is None:
                self.mode = await self._probe()
            await self._ask_all(todo, results, done)
        return [results[key] for key in keys]

    def _known(self, questions: Mapping[str, Question[T]]) -> dict[str, T | Problem]:
        keys = list(questions)
        found: dict[str, T | Problem] = {}
        for key, answer in self.cache.get(keys).items():
            found[key] = questions[key].schema.read(answer)
        rest = [key for key in keys if key not in found]
        found.update({key: Problem(reason) for key, reason in self.cache.refused(rest).items()})
        return found

    async def _ask_all(self, todo: Mapping[str, Question[T]], results: dict[str, T | Problem], done: Done) -> None:
        """Keep as many requests in flight as the settings say until all are answered."""
        queue = iter(todo.items())
        total = len(results) + len(todo)

        async def work() -> None:
            for key, question in queue:
                answer: T | Problem = await self._ask(key, question)
                results[key] = answer
                done(len(results), total)

        workers = min(self.endpoint.settings.concurrency, len(todo))
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(workers):
                    tasks.create_task(work())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _ask(self, key: str, question: Question[T]) -> T | Problem:
        """Ask once, and once more for a repair; what cannot be read then is kept raw in quarantine."""
        assert self.mode is not None
        messages = [
            {"role": "system", "content": question.prompt.text},
            {"role": "user", "content": question.content},
        ]
        raw, reason = "", ""
        for _ in range(2):
            try:
                answer = await self.endpoint.ask(messages, response_format(self.mode, question.schema))
            except RequestRefusedError as refusal:
                # Not the model's word but the server's trouble: nothing is kept, so that the next run asks again.
                return Problem(refusal.reason)
            raw = answer.text
            try:
                if not answer.whole:
                    raise AnswerError("cut short or refused")
                value = question.read(raw)
            except AnswerError as error:
                reason = str(error)
                messages = [*messages[:2], {"role": "assistant", "content": raw}, _repair()]
            else:
                self.readable += 1
                self.cache.put(key, question.prompt.stage, question.schema.write(value))
                return value
        self.cache.quarantine(key, question.prompt.stage, reason, raw)
        self.unreadable += 1
        if self.unreadable >= UNREADABLE and not self.readable:
            raise EndpointError(
                f"none of the first {UNREADABLE} answers of {self.endpoint.settings.model} can be read ({reason})",
                "a model that answers in JSON",
                "The answers are in quarantine; try another --model.",
            )
        return Problem(reason)

    async def _probe(self) -> Mode:
        """Find out what the server does with ``response_format``, by its answers to a made-up statement.

        A server may refuse a format or ignore it without a word. The first format whose answer has the right form is
        used; where none has, the prompt alone must do.
        """
        question = Question(load_prompt("extract"), EXTRACT, PROBE)
        settings = self.endpoint.settings
        key = hashlib.sha256(f"probe\0{self.endpoint.host}\0{question.key(settings.model)}".encode()).hexdigest()
        known = self.cache.get([key]).get(key)
        if known in MODES:
            return known
        messages = [{"role": "system", "content": question.prompt.text}, {"role": "user", "content": question.content}]
        for mode in MODES:
            try:
                answer = await self.endpoint.ask(messages, response_format(mode, EXTRACT))
                question.read(answer.text)
            except (RequestRefusedError, AnswerError):
                continue
            self.cache.put(key, "probe", mode)
            return mode
        return "prompt"


def response_format(mode: Mode, schema: Schema[Any]) -> dict[str, Any] | None:
    """Return the ``response_format`` of a request."""
    if mode == "json_schema":
        return {"type": mode, "json_schema": {"name": schema.name, "schema": schema.json_schema, "strict": True}}
    return {"type": mode} if mode == "json_object" else None


def _repair() -> dict[str, str]:
    return {"role": "user", "content": load_prompt("repair").text}
