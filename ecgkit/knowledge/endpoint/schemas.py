"""What a model's answers must look like: dataclasses that make the JSON schema and check each answer."""

import json
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from ecgkit.knowledge.endpoint.reading import Answer, AnswerError, json_values
from ecgkit.knowledge.mentions import CERTAINTIES, CHANGES, SEVERITIES, Certainty, Change, Polarity, Severity

T = TypeVar("T")


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _one_of(known: tuple[str, ...]) -> BeforeValidator:
    """Read what is none of the known words as nothing said: a doubtful detail is no reason to lose the finding."""
    return BeforeValidator(lambda value: _lower(value) if _lower(value) in known else "")


_Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]


@dataclass(frozen=True)
class FoundEntity:
    """A finding that a text mentions, what the text says of it, and the words that say so."""

    name: str
    polarity: Annotated[Polarity, BeforeValidator(_lower)]
    quote: _Text = ""
    certainty: Annotated[Certainty | Literal[""], _one_of(CERTAINTIES)] = ""
    severity: Annotated[Severity | Literal[""], _one_of(SEVERITIES)] = ""
    location: _Text = ""
    change: Annotated[Change | Literal[""], _one_of(CHANGES)] = ""


@dataclass(frozen=True)
class Extracted:
    """All findings of a text."""

    entities: tuple[FoundEntity, ...]


@dataclass(frozen=True)
class Verdict:
    """Whether a text supports a finding."""

    name: str
    supported: bool


@dataclass(frozen=True)
class Verified:
    """A verdict per candidate."""

    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class Synonym:
    """A name and the entity that it means."""

    name: str
    entity: str


@dataclass(frozen=True)
class Merged:
    """An entity per name."""

    synonyms: tuple[Synonym, ...]


@dataclass(frozen=True)
class Kinship:
    """An entity and the one that it is a kind of."""

    name: str
    parent: str


@dataclass(frozen=True)
class Folded:
    """A parent per entity, empty where it has none."""

    parents: tuple[Kinship, ...]


@dataclass(frozen=True)
class Schema(Generic[T]):
    """One form of answer.

    Args:
        name: Name of the form.
        kind: Its dataclass, which has one field, a list.
        names: The only names that its entities may have, for servers that enforce a form; empty for any.
    """

    name: str
    kind: type[T]
    names: tuple[str, ...] = ()

    @cached_property
    def _adapter(self) -> TypeAdapter[T]:
        return TypeAdapter(self.kind)

    @cached_property
    def json_schema(self) -> dict[str, Any]:
        """The JSON schema, as ``response_format`` takes it: strict servers want every key required and no default."""
        schema: dict[str, Any] = _strict(self._adapter.json_schema())
        for part in schema["$defs"].values() if self.names else ():
            part["properties"]["name"]["enum"] = list(self.names)
        return schema

    @cached_property
    def text(self) -> str:
        """The JSON schema in canonical form."""
        return json.dumps(self.json_schema, sort_keys=True)

    def read(self, answer: str) -> T:
        """Read an answer that `write` returned."""
        return self._adapter.validate_json(answer)

    def find(self, answer: Answer) -> T:
        """Return the answer in a model's words, by the rule of `ecgkit.knowledge.endpoint.reading`.

        Raises:
            AnswerError: There is none.
        """
        problem = ""
        only = fields(self.kind)[0].name  # type: ignore[arg-type]  # every kind is a dataclass
        for value in json_values(answer):
            if not _is_text(value):
                problem = problem or "half a character"
                continue
            try:
                return self._adapter.validate_python({only: value} if isinstance(value, list) else value)
            except ValidationError as error:
                problem = problem or (_reason(error) if isinstance(value, dict) else "")
        cause = "refused" if answer.refused else "cut short" if answer.cut else ""
        raise AnswerError(cause or problem or "no complete JSON object")

    def write(self, value: T) -> str:
        """Return an answer as it is kept."""
        return self._adapter.dump_json(value).decode()


def _is_text(value: Any) -> bool:
    """Return whether all strings of a value can be written: JSON lets half of a pair of surrogates through."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _reason(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) if isinstance(part, int) else "key" for part in first["loc"]) or "answer"
    return f"{first['type']} at {where}"


def _strict(schema: Any) -> Any:
    """Return a JSON schema without titles and defaults, whose objects have all their keys and no other."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {k: _strict(v) for k, v in schema.items() if k not in ("title", "default", "description")}
    if "properties" in schema:
        kept["properties"] = {name: _strict(part) for name, part in schema["properties"].items()}
        kept |= {"required": list(schema["properties"]), "additionalProperties": False}
    return kept


EXTRACT = Schema("extract", Extracted)
VERIFY = Schema("verify", Verified)
MERGE = Schema("merge", Merged)
FOLD = Schema("fold", Folded)
SCHEMAS: dict[str, Schema[Any]] = {schema.name: schema for schema in (EXTRACT, VERIFY, MERGE, FOLD)}
