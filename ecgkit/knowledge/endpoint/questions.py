"""Questions to a model, each asked once: cached by its hash, checked, repaired once, else put into quarantine."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ecgkit.knowledge.endpoint.cache import Cache
from ecgkit.knowledge.endpoint.prompts import Prompt
from ecgkit.knowledge.endpoint.reading import Answer
from ecgkit.knowledge.endpoint.schemas import Schema
from ecgkit.knowledge.endpoint.settings import ModelSettings

T = TypeVar("T")
Done = Callable[[int, int], None]
LONGEST_REPEATED = 4000  # characters of a bad answer that are shown to the model again


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
        sample: Number of the sample, from 0, if the same question is asked several times.
    """

    prompt: Prompt
    schema: Schema[T]
    payload: Mapping[str, Any]
    check: Callable[[T], None] = lambda _: None
    sample: int = 0

    @property
    def content(self) -> str:
        """The user's message."""
        return json.dumps(self.payload, ensure_ascii=False)

    def key(self, model: ModelSettings) -> str:
        """Return the hash of everything that the answer depends on."""
        parts = [model.model, self.prompt.version, self.prompt.digest, self.schema.text, self.content]
        further = [part for part in (model.key, f"sample {self.sample}" if self.sample else "") if part]
        return hashlib.sha256("\0".join(parts + further).encode("utf-8", "surrogatepass")).hexdigest()

    def messages(self, repair: tuple[Answer, Prompt] | None = None) -> list[dict[str, str]]:
        """Return the messages to send.

        Args:
            repair: An answer that cannot be read, and the prompt that asks for a better one.
        """
        messages = self.prompt.messages(self.content)
        if repair:
            answer, prompt = repair
            messages.append({"role": "assistant", "content": answer.text[:LONGEST_REPEATED] or "(no answer)"})
            messages.append({"role": "user", "content": prompt.text})
        return messages

    def read(self, answer: Answer) -> T:
        """Read and check a fresh answer.

        Raises:
            AnswerError: It cannot be read, or does not fit.
        """
        value = self.schema.find(answer)
        self.check(value)
        return value


class Desk(ABC):
    """Gets answers to questions, from the cache as far as it has them.

    Args:
        model: What is asked of the model.
        cache: Where answers are kept.
        repair: Prompt that asks for a better answer.
    """

    def __init__(self, model: ModelSettings, cache: Cache, repair: Prompt) -> None:
        self.model, self.cache, self.repair = model, cache, repair
        self.cached = self.unreadable = self.readable = 0

    async def answers(self, questions: Sequence[Question[T]], done: Done) -> list[T | Problem]:
        """Return an answer or a problem for each question, in order.

        Args:
            questions: Equal ones are asked once.
            done: Called with how many are answered, and how many there are.

        Raises:
            EndpointError: The servers are gone, or none of the first answers can be read.
        """
        keys = [question.key(self.model) for question in questions]
        results: dict[str, T | Problem] = self._known(dict(zip(keys, questions, strict=True)))
        self.cached += len(results)
        todo = {key: question for key, question in zip(keys, questions, strict=True) if key not in results}
        done(len(results), len(results) + len(todo))
        if todo:
            await self._ask_all(todo, results, done)
        return [results[key] for key in keys]

    @abstractmethod
    async def _ask_all(self, todo: Mapping[str, Question[T]], results: dict[str, T | Problem], done: Done) -> None:
        """Put an answer or a problem into `results` for each question."""

    def unanswered(self, questions: Sequence[Question[Any]]) -> list[Question[Any]]:
        """Return the questions that neither cache nor quarantine holds, each once."""
        by_key = {question.key(self.model): question for question in questions}
        known = self._known(by_key)
        return [question for key, question in by_key.items() if key not in known]

    def _known(self, questions: Mapping[str, Question[T]]) -> dict[str, T | Problem]:
        found: dict[str, T | Problem] = {}
        for key, answer in self.cache.get(list(questions)).items():
            found[key] = questions[key].schema.read(answer)
        rest = {self._quarantine_key(key): key for key in questions if key not in found}
        found.update({rest[k]: Problem(reason) for k, reason in self.cache.refused(list(rest)).items()})
        return found

    def _quarantine_key(self, key: str) -> str:
        """Return the key of a bad answer: under another longest answer, the question is asked again."""
        return f"{key}:{self.model.max_tokens}"

    def _keep(self, key: str, question: Question[T], value: T) -> T:
        self.readable += 1
        self.cache.put(key, question.prompt.stage, question.schema.write(value), self._quarantine_key(key))
        return value

    def _reject(self, key: str, question: Question[T], reason: str, answer: Answer) -> Problem:
        self.unreadable += 1
        self.cache.quarantine(self._quarantine_key(key), question.prompt.stage, reason, answer.raw)
        return Problem(reason)
