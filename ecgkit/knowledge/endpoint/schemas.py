"""What a model's answers must look like: dataclasses that make the JSON schema and check each answer."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ecgkit.knowledge.mentions import Polarity

T = TypeVar("T")
_FORBID = ConfigDict(extra="forbid")
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)


class AnswerError(Exception):
    """An answer that cannot be read; its message says why and holds no word of it."""


@dataclass(frozen=True)
class FoundEntity:
    """A finding that a text mentions."""

    __pydantic_config__: ClassVar[ConfigDict] = _FORBID
    name: str
    polarity: Polarity


@dataclass(frozen=True)
class Extracted:
    """All findings of a text."""

    __pydantic_config__: ClassVar[ConfigDict] = _FORBID
    entities: tuple[FoundEntity, ...]


@dataclass(frozen=True)
class Verdict:
    """Whether a text supports a finding."""

    __pydantic_config__: ClassVar[ConfigDict] = _FORBID
    name: str
    supported: bool


@dataclass(frozen=True)
class Verified:
    """A verdict a candidate."""

    __pydantic_config__: ClassVar[ConfigDict] = _FORBID
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Synonym:
    """A name and the entity that it means."""

    __pydantic_config__: ClassVar[ConfigDict] = _FORBID
    name: str
    entity: str


@dataclass(frozen=True)
class Merged:
    """An entity a name."""

    __pydantic_config__: ClassVar[ConfigDict] = _FORBID
    synonyms: tuple[Synonym, ...]


@dataclass(frozen=True)
class Kinship:
    """An entity and the one that it is a kind of."""

    __pydantic_config__: ClassVar[ConfigDict] = _FORBID
    name: str
    parent: str


@dataclass(frozen=True)
class Folded:
    """A parent an entity, empty where it has none."""

    __pydantic_config__: ClassVar[ConfigDict] = _FORBID
    parents: tuple[Kinship, ...]


@dataclass(frozen=True)
class Schema(Generic[T]):
    """One form of answer.

    Args:
        name: Of the form.
        kind: Its dataclass.
    """

    name: str
    kind: type[T]

    @cached_property
    def _adapter(self) -> TypeAdapter[T]:
        return TypeAdapter(self.kind)

    @cached_property
    def json_schema(self) -> dict[str, Any]:
        """The JSON schema, as ``response_format`` takes it."""
        return self._adapter.json_schema()

    @cached_property
    def text(self) -> str:
        """The JSON schema in canonical form."""
        return json.dumps(self.json_schema, sort_keys=True)

    def read(self, answer: str) -> T:
        """Check a stored answer, or one of a model that kept to the form.

        Raises:
            AnswerError: It is of another form.
        """
        try:
            return self._adapter.validate_json(answer)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            where = ".".join(str(part) if isinstance(part, int) else "key" for part in first["loc"]) or "answer"
            raise AnswerError(f"{first['type']} at {where}") from None

    def find(self, answer: str) -> T:
        """Read the JSON object in an answer, which may have thoughts, a code fence or words around it."""
        answer = _THOUGHT.sub("", answer)
        start, stop = answer.find("{"), answer.rfind("}")
        if start < 0 or stop < start:
            raise AnswerError("no JSON object")
        return self.read(answer[start : stop + 1])

    def write(self, value: T) -> str:
        """Return an answer as it is kept."""
        return self._adapter.dump_json(value).decode()


EXTRACT = Schema("extract", Extracted)
VERIFY = Schema("verify", Verified)
MERGE = Schema("merge", Merged)
FOLD = Schema("fold", Folded)
