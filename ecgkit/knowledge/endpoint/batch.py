"""Questions that are answered elsewhere: files of requests out, files of answers in.

The lines are those of OpenAI's batch interface and of ``vllm run-batch``. A question is known by its `custom_id`, which
is its key in the cache. The folder of the batch holds ``questions-0001.jsonl`` and so on; every other ``.jsonl`` file
in it is read as answers. The steps need each other's answers, so the same command is given again after each batch,
until nothing is left to ask.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ecgkit.atomic import naming
from ecgkit.errors import BatchWaitingError, EndpointError
from ecgkit.knowledge.endpoint.cache import Cache
from ecgkit.knowledge.endpoint.negotiate import Dialect
from ecgkit.knowledge.endpoint.prompts import Prompt
from ecgkit.knowledge.endpoint.questions import Desk, Done, Problem, Question
from ecgkit.knowledge.endpoint.reading import Answer, AnswerError, read_completion
from ecgkit.knowledge.endpoint.settings import ModelSettings
from ecgkit.knowledge.sheets import private_file

T = TypeVar("T")
QUESTIONS = "questions-{:04}.jsonl"
MOST_LINES, MOST_BYTES = 50_000, 180 * 2**20  # of one file; OpenAI takes 50,000 lines and 200 MB
REPAIR = ":repair"
# Both OpenAI's models and vLLM take this name for the longest answer.
DIALECT = Dialect(limit="max_completion_tokens")


class BatchDesk(Desk):
    """Takes answers from a folder, and writes the questions that are left into it.

    Args:
        folder: Folder of the batch.
        model: What is asked of the model.
        cache: Where answers are kept.
        repair: Prompt that asks for a better answer.

    Raises:
        EndpointError: A file of answers cannot be read.
        OutputError: The folder cannot be made.
    """

    def __init__(self, folder: Path, model: ModelSettings, cache: Cache, repair: Prompt) -> None:
        super().__init__(model, cache, repair)
        self.folder = folder
        with naming(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._answers: dict[str, Answer] = {}
        self.prompt_tokens = self.completion_tokens = self.failed = 0
        for path in sorted(folder.glob("[!.]*.jsonl")):
            if not path.name.startswith("questions-"):
                self._take(path)

    @property
    def counters(self) -> dict[str, int]:
        """What the files of answers held."""
        return {
            "batch_answers": len(self._answers),
            "batch_failed": self.failed,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }

    def _take(self, path: Path) -> None:
        """Take the answers of a file; a request that failed there is asked again."""
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                    key, response = str(row["custom_id"]), row.get("response") or {}
                    failed = bool(row.get("error")) or response.get("status_code", 200) != 200
                except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                    raise EndpointError(
                        f"{path}, line {number} is no answer of a batch",
                        "lines with custom_id and response, as vllm run-batch writes them",
                        "Name files of questions questions-*.jsonl, and keep nothing else in the folder.",
                    ) from None
                if failed:
                    self.failed += 1
                else:
                    self._answers[key] = self._completion(response.get("body"))

    def _completion(self, body: Any) -> Answer:
        """Read one chat completion; one that cannot be read counts as a bad answer."""
        try:
            answer = read_completion(body)
            usage = body.get("usage") or {}
            self.prompt_tokens += int(usage.get("prompt_tokens") or 0)
            self.completion_tokens += int(usage.get("completion_tokens") or 0)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError):
            return Answer("")
        return answer

    async def _ask_all(self, todo: Mapping[str, Question[T]], results: dict[str, T | Problem], done: Done) -> None:
        waiting: list[tuple[str, list[dict[str, str]], Question[T]]] = []
        for key, question in todo.items():
            outcome = self._outcome(key, question)
            if isinstance(outcome, _Waiting):
                waiting.append((outcome.custom_id, outcome.messages, question))
            else:
                results[key] = outcome
        done(len(results), len(results) + len(waiting))
        if waiting:
            paths = self._write(waiting)
            raise BatchWaitingError([str(path) for path in paths], len(waiting), waiting[0][2].prompt.stage)

    def _outcome(self, key: str, question: Question[T]) -> "T | Problem | _Waiting":
        """Read the answer to a question; a bad one is repaired once, as on a server."""
        first = self._answers.get(key)
        if first is None:
            return _Waiting(key, question.messages())
        try:
            return self._keep(key, question, question.read(first))
        except AnswerError:
            pass
        second = self._answers.get(key + REPAIR)
        if second is None:
            return _Waiting(key + REPAIR, question.messages((first, self.repair)))
        try:
            return self._keep(key, question, question.read(second))
        except AnswerError as error:
            return self._reject(key, question, str(error), second)

    def _write(self, waiting: Sequence[tuple[str, list[dict[str, str]], Question[Any]]]) -> list[Path]:
        """Write requests into new files, which only their owner can read."""
        for old in self.folder.glob("questions-*.jsonl"):
            old.unlink()
        lines = (self._line(custom_id, messages, question) for custom_id, messages, question in waiting)
        paths: list[Path] = []
        for part in _parts(lines):
            paths.append(self.folder / QUESTIONS.format(len(paths) + 1))
            with private_file(paths[-1]) as staging:
                staging.write_bytes(b"".join(part))
        return paths

    def _line(self, custom_id: str, messages: Sequence[Mapping[str, str]], question: Question[Any]) -> bytes:
        body = DIALECT.body(self.model, messages, question.schema)
        request = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return json.dumps(request).encode() + b"\n"


@dataclass(frozen=True)
class _Waiting:
    """A question without an answer."""

    custom_id: str
    messages: list[dict[str, str]]


def _parts(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Cut lines into files that a batch interface takes."""
    part, size = list[bytes](), 0
    for line in lines:
        if part and (len(part) >= MOST_LINES or size + len(line) > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line)
    if part:
        yield part
