"""What a server takes: found out once, at the start, with a made-up statement.

Servers differ in the name of the longest answer, in whether they take a temperature, in how thinking is turned off, and
in how an answer is kept to a form. A server may refuse a field or ignore it without a word, so what counts is an answer
of the asked form.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from ecgkit.errors import EndpointError
from ecgkit.knowledge.endpoint.client import Endpoint, RequestRefusedError
from ecgkit.knowledge.endpoint.prompts import Prompt
from ecgkit.knowledge.endpoint.questions import Question
from ecgkit.knowledge.endpoint.reading import Answer, AnswerError
from ecgkit.knowledge.endpoint.schemas import EXTRACT, Extracted, Schema
from ecgkit.knowledge.endpoint.settings import ModelSettings

Mode = Literal["json_schema", "json_object", "prompt"]
MODES: tuple[Mode, ...] = get_args(Mode)
Limit = Literal["max_tokens", "max_completion_tokens", ""]
LIMITS: tuple[Limit, ...] = get_args(Limit)
MADE_UP = {"text": "atrial fibrillation, no left bundle branch block"}
MOST_TRIES = 12
FAILED = "status 500"  # what some servers answer to a field that they cannot handle
# Ways to say how much a model thinks, from the most to the least common.
THINKING: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "": ({},),
    "off": (
        {"reasoning_effort": "none", "chat_template_kwargs": {"enable_thinking": False}},
        {"reasoning_effort": "none"},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"reasoning_effort": "minimal"},
    ),
    **{level: ({"reasoning_effort": level}, {"reasoning": {"effort": level}}) for level in ("low", "medium", "high")},
}


@dataclass(frozen=True)
class Dialect:
    """The form of a request that a server takes.

    Args:
        mode: How an answer is kept to its form; ``prompt`` by words alone.
        limit: Name of the field for the longest answer; empty for none.
        temperature: Whether the temperature is sent.
        thinking: Which of the ways in `THINKING` is used.
    """

    mode: Mode = "json_schema"
    limit: Limit = "max_tokens"
    temperature: bool = True
    thinking: int = 0

    def body(self, model: ModelSettings, messages: Sequence[Mapping[str, str]], schema: Schema[Any]) -> dict[str, Any]:
        """Return a whole request."""
        body: dict[str, Any] = {"model": model.model, "messages": list(messages)}
        if self.temperature:
            body["temperature"] = model.heat
        if self.limit:
            body[self.limit] = model.max_tokens
        if self.mode == "json_schema":
            form = {"name": schema.name, "schema": schema.json_schema, "strict": True}
            body["response_format"] = {"type": self.mode, "json_schema": form}
        elif self.mode == "json_object":
            body["response_format"] = {"type": self.mode}
        body |= THINKING[model.reasoning][self.thinking]
        body |= model.extra_body
        return {name: value for name, value in body.items() if value is not None}

    def to_dict(self, model: ModelSettings) -> dict[str, Any]:
        """Return what is kept with the labels: the form, and the fields that a model was asked with."""
        fields = {k: v for k, v in self.body(model, (), EXTRACT).items() if k not in ("model", "messages")}
        return {**fields, "response_format": self.mode}


def made_up(prompt: Prompt, schema: Schema[Extracted]) -> Question[Extracted]:
    """Return the question about a made-up statement."""
    return Question(prompt, schema, MADE_UP)


async def negotiate(endpoint: Endpoint, model: ModelSettings, question: Question[Any]) -> Dialect:
    """Return the first form of request that is answered in the asked form.

    Args:
        endpoint: An open server.
        model: What is asked of the model.
        question: A made-up question; see `made_up`.

    Raises:
        EndpointError: The server refuses every form, and the error gives its own words; or it cuts every answer short.
    """
    messages = question.messages()
    dialect = Dialect()
    refusal: RequestRefusedError | None = None
    usable: Dialect | None = None  # was answered, though not in the asked form
    answer = Answer("")
    tried = set[Dialect]()
    while dialect not in tried and len(tried) < MOST_TRIES:
        tried.add(dialect)
        try:
            answer = await _first_answer(endpoint, dialect.body(model, messages, question.schema))
            question.read(answer)
        except RequestRefusedError as error:
            refusal = error
            if not error.status and not error.unusable and error.reason != FAILED:
                raise endpoint.gone(error.reason) from None  # no field of the request is to blame
            if not error.status and dialect.mode == MODES[-1]:
                break
            dialect = next((d for d in _without(dialect, error, model) if d not in tried), dialect)
        except AnswerError:
            usable = dialect
            if dialect.mode != MODES[-1]:
                dialect = replace(dialect, mode=MODES[MODES.index(dialect.mode) + 1])
        else:
            return dialect
    if usable is None:
        raise _refused(endpoint, refusal)
    if answer.cut:
        raise EndpointError(
            f"the model {model.model!r} cannot answer a made-up statement within {model.max_tokens} tokens",
            "",
            "Give more with --max-tokens, or keep it from thinking with --reasoning off.",
        )
    return replace(usable, mode="prompt")


async def _first_answer(endpoint: Endpoint, body: Mapping[str, Any]) -> Answer:
    """Ask with patience for a server that is busy, and with none for one that fails at a field of the request."""
    if "response_format" not in body:
        return await endpoint.ask(body, made_up=True)
    try:
        return await endpoint.ask(body, made_up=True, retries=1)
    except RequestRefusedError as error:
        if error.status or error.unusable or error.reason == FAILED:
            raise
        endpoint.notify(f"{endpoint.address.shown} does not answer yet ({error.reason}). Trying for a while")
        return await endpoint.ask(body, made_up=True)


def _without(dialect: Dialect, error: RequestRefusedError, model: ModelSettings) -> Iterator[Dialect]:
    """Yield other forms of request: first without what the server's words name, then in a fixed order."""
    words = error.message.lower()
    thinking = dialect.thinking + 1
    other_limit = replace(dialect, limit=LIMITS[(LIMITS.index(dialect.limit) + 1) % len(LIMITS)])
    cooler = replace(dialect, temperature=False)
    freer = replace(dialect, mode=MODES[min(MODES.index(dialect.mode) + 1, len(MODES) - 1)])
    if re.search(r"reasoning|thinking|chat_template", words) and thinking < len(THINKING[model.reasoning]):
        yield replace(dialect, thinking=thinking)
    if re.search(r"max_(completion_)?tokens", words):
        yield other_limit
    if "temperature" in words:
        yield cooler
    if re.search(r"response_format|schema|json", words):
        yield freer
    yield freer
    if thinking < len(THINKING[model.reasoning]):
        yield replace(dialect, thinking=thinking)
    yield other_limit
    yield cooler


def _refused(endpoint: Endpoint, refusal: RequestRefusedError | None) -> EndpointError:
    reason = refusal.reason if refusal else "no answer"
    said = f', and says "{refusal.message}"' if refusal and refusal.message else ""
    return EndpointError(
        f"the server at {endpoint.address.shown} does not answer a made-up statement ({reason}){said}",
        "",
        "Look at --model; leave out or add fields with --extra-body, --reasoning and --temperature.",
    )
