"""What is asked of a model, and of which servers. What changes an answer is part of its key in the cache."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ecgkit.errors import ConfigError
from ecgkit.knowledge.vocabulary import Vocabulary

Reasoning = Literal["", "off", "low", "medium", "high"]
REASONING: tuple[Reasoning, ...] = get_args(Reasoning)
OWN_FIELDS = ("messages", "model", "stream", "n")  # fields of a request that only ecgkit sets
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LANGUAGE = re.compile(r"[^\W\d_][^\d_\n.;:\"]{0,58}")
VARIED = 0.7  # temperature of repeated questions, which must be able to differ


@dataclass(frozen=True)
class ModelSettings:
    """What is asked of a model.

    Args:
        model: Name of the model on its servers.
        max_tokens: Longest answer in tokens, thoughts included.
        temperature: Temperature of the answers. None for 0, or for 0.7 with several samples.
        reasoning: How much the model thinks first: ``off``, ``low``, ``medium`` or ``high``. Empty for its own default.
        extra_body: Further fields of each request. A field with the value None is left out of the request.
        samples: How often each statement is read. With more than one, the readings vote.
        language: Language of the reports, which the model is told; empty to say nothing.
        prompts: Folder of prompts to use instead of those that ship with ecgkit.
    """

    model: str
    max_tokens: int = 4096
    temperature: float | None = None
    reasoning: Reasoning = ""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 1
    language: str = ""
    prompts: Path | None = None

    def __post_init__(self) -> None:
        if self.reasoning not in REASONING:
            raise ConfigError(f"reasoning {self.reasoning!r}", f"one of {', '.join(REASONING[1:])}")
        if self.max_tokens < 1 or self.samples < 1:
            raise ConfigError(f"max_tokens {self.max_tokens}, samples {self.samples}", "1 or more")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise ConfigError(f"temperature {self.temperature}", "a number from 0 to 2")
        if taken := [name for name in OWN_FIELDS if name in self.extra_body]:
            raise ConfigError(f"--extra-body sets {taken[0]!r}, which ecgkit sets itself")
        if self.samples > 1 and self.heat == 0:
            raise ConfigError("several samples at temperature 0 are equal", remedy="Raise --temperature.")
        if self.language and not _LANGUAGE.fullmatch(self.language):
            raise ConfigError(f"language {self.language[:60]!r}", "the English name of a language, such as German")

    @property
    def heat(self) -> float:
        """Temperature that is asked for."""
        if self.temperature is not None:
            return self.temperature
        return VARIED if self.samples > 1 else 0.0

    @property
    def key(self) -> str:
        """What changes answers besides model, prompt and text; empty for the defaults.

        The longest answer is left out: an answer that fits is the same under every limit.
        """
        changed = {"temperature": self.heat, "reasoning": self.reasoning, "extra_body": dict(self.extra_body)}
        return json.dumps({k: v for k, v in changed.items() if v}, sort_keys=True) if any(changed.values()) else ""

    def to_dict(self) -> dict[str, Any]:
        """Return what is kept with the labels."""
        return {
            "max_tokens": self.max_tokens,
            "temperature": self.heat,
            "reasoning": self.reasoning,
            "extra_body": dict(self.extra_body),
            "samples": self.samples,
            "language": self.language,
        }


@dataclass(frozen=True)
class ServerSettings:
    """Which servers are asked, and how hard.

    Args:
        base_urls: One or more, such as ``http://localhost:8000/v1``. All serve the same model.
        allow_remote: Whether text may leave this machine and its private network.
        headers: Further headers of each request. They are never shown or stored.
        concurrency: Most requests in flight per server.
        timeout: Limit of one request, from first to last byte, in s.
        retries: Further tries after a failure that may pass.
        backoff: Wait before the first of them in s; doubled each time, with jitter.
    """

    base_urls: tuple[str, ...]
    allow_remote: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    concurrency: int = 64
    timeout: float = 120.0
    retries: int = 7
    backoff: float = 0.5


@dataclass(frozen=True)
class OpenAISettings:
    """Settings of the backend ``openai``.

    Args:
        model: What is asked of the model.
        servers: Which servers are asked. None to write the questions into files.
        batch: Folder of a batch; see `ecgkit.knowledge.endpoint.batch`.
        verify: Whether findings that the text does not hold literally are asked about again.
        retry_quarantined: Whether answers that could not be read before are asked for again.
        closed: The only entities that the model may name. What it names otherwise is left out and counted.
    """

    model: ModelSettings
    servers: ServerSettings | None = None
    batch: Path | None = None
    verify: bool = True
    retry_quarantined: bool = False
    closed: Vocabulary | None = None

    def __post_init__(self) -> None:
        if self.closed is not None and not self.closed.entities:
            raise ConfigError("--closed holds no entity", "a vocabulary with the entities that the model may name")


def parse_extra_body(text: str) -> dict[str, Any]:
    """Return the fields of a JSON object.

    Raises:
        ConfigError: The text is no JSON object.
    """
    try:
        value = json.loads(text) if text else {}
        finite = all(math.isfinite(v) for v in value.values() if isinstance(v, float))
    except (ValueError, AttributeError, RecursionError):
        value, finite = None, False
    if not isinstance(value, dict) or not finite:
        raise ConfigError(f"--extra-body {text[:60]!r}", "one JSON object, such as '{\"top_p\": 0.9}'")
    return value


def parse_headers(lines: Sequence[str]) -> dict[str, str]:
    """Return headers that were given as ``Name: value``.

    Raises:
        ConfigError: A line has another form. The message does not show the value, which may be secret.
    """
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        value = value.strip()
        if not colon or not _HEADER.fullmatch(name.strip()) or not value or not value.isprintable():
            raise ConfigError(f"--header {name.strip()[:40]!r} has no usable value", "a header such as 'Name: value'")
        headers[name.strip()] = value
    return headers
