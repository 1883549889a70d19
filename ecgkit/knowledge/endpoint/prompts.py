"""The prompts: those that ship with the package, one file per stage and version, or files of the user's.

A folder of the user's may hold ``extract.md``, ``verify.md``, ``merge.md``, ``fold.md`` and ``repair.md``. Where it
lacks one, the prompt that ships is used. ``STAGE.examples.jsonl`` holds examples, one JSON object per line:
``{"user": QUESTION, "assistant": ANSWER}``. They are sent before the question, as if the model had answered them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from ecgkit.atomic import atomic_file
from ecgkit.errors import ConfigError, OutputError
from ecgkit.knowledge.endpoint.schemas import SCHEMAS

VERSIONS = {"extract": 2, "verify": 1, "merge": 1, "fold": 1, "repair": 1}
READS_REPORTS = ("extract", "verify")
LONGEST = 200_000  # characters of a file
EXAMPLES = ".examples.jsonl"
ONLY = (
    "These are the only names that a finding may have. Take the name that fits best, and leave out a finding that none "
    "of them fits:"
)


@dataclass(frozen=True)
class Prompt:
    """What a model is told in one stage.

    Args:
        stage: Such as ``extract``.
        version: Stage and number, such as ``extract.v1``, or ``extract.user`` for a file of the user's.
        text: The system message.
        examples: Pairs of a question and its answer, as they are sent.
    """

    stage: str
    version: str
    text: str
    examples: tuple[tuple[str, str], ...] = ()

    @cached_property
    def digest(self) -> str:
        """Hash of text and examples: an edited prompt never meets the answers of the old one."""
        parts = (self.text, *(part for pair in self.examples for part in pair))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def messages(self, content: str) -> list[dict[str, str]]:
        """Return the messages of a question: the prompt, the examples, and the question."""
        shown = (({"role": "user", "content": q}, {"role": "assistant", "content": a}) for q, a in self.examples)
        return [
            {"role": "system", "content": self.text},
            *(message for pair in shown for message in pair),
            {"role": "user", "content": content},
        ]


def load_prompt(stage: str, folder: Path | None = None, language: str = "", names: Sequence[str] = ()) -> Prompt:
    """Load the prompt of a stage.

    Args:
        stage: Such as ``extract``.
        folder: Folder of the user's prompts.
        language: Language of the reports, told where reports are read.
        names: The only names that findings may have; empty for any.

    Raises:
        ConfigError: The folder or one of its files cannot be used.
    """
    prompt = _of_user(stage, folder) if folder else _shipped(stage)
    further = [f"The reports are written in {language}."] if language and stage in READS_REPORTS else []
    if names and stage == "extract":
        further.append("\n".join([ONLY, *(f"- {name}" for name in names)]))
    return replace(prompt, text="\n\n".join([prompt.text, *further])) if further else prompt


@cache
def _shipped(stage: str) -> Prompt:
    version = f"{stage}.v{VERSIONS[stage]}"
    text = resources.files("ecgkit.knowledge.endpoint").joinpath("prompts", f"{version}.md").read_text("utf-8")
    return Prompt(stage, version, text.strip())


@cache
def _of_user(stage: str, folder: Path) -> Prompt:
    known = {f"{name}{suffix}" for name in VERSIONS for suffix in (".md", EXAMPLES)}
    if not any((folder / name).is_file() for name in known):
        remedy = "Write the prompts that ship with: ecgkit extract-knowledge prompts FOLDER"
        raise ConfigError(f"--prompts {folder} holds no prompt", "files such as extract.md", remedy)
    shipped = _shipped(stage)
    text, lines = _text(folder / f"{stage}.md"), _text(folder / f"{stage}{EXAMPLES}")
    examples = tuple(
        _example(stage, line, f"{folder / stage}{EXAMPLES}, line {number}")
        for number, line in enumerate(lines.splitlines(), 1)
        if line.strip()
    )
    if (not text or text == shipped.text) and not examples:
        return shipped
    return Prompt(stage, f"{stage}.user", text or shipped.text, examples)


def _text(path: Path) -> str:
    if not path.exists():
        return ""
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path} cannot be read ({type(error).__name__})", "a text file in UTF-8") from None
    if len(text) > LONGEST:
        raise ConfigError(f"{path} has {len(text)} characters", f"at most {LONGEST}")
    return text


def _example(stage: str, line: str, where: str) -> tuple[str, str]:
    from ecgkit.knowledge.endpoint.reading import Answer, AnswerError

    try:
        values: Mapping[str, Any] = json.loads(line)
        question, answer = (json.dumps(values[part], ensure_ascii=False) for part in ("user", "assistant"))
        SCHEMAS[stage].find(Answer(answer))
    except (ValueError, KeyError, TypeError, RecursionError, AnswerError) as error:
        what = str(error) if isinstance(error, AnswerError) else type(error).__name__
        form = '{"user": QUESTION, "assistant": ANSWER} in the form of the stage'
        raise ConfigError(f"{where} is no example ({what})", form) from None
    return question, answer


def write_prompts(folder: Path, *, overwrite: bool = False) -> tuple[Path, ...]:
    """Write the prompts that ship into a folder, to be edited.

    Raises:
        OutputError: A prompt is there already, or the folder cannot be written.
    """
    paths = {folder / f"{stage}.md": _shipped(stage).text for stage in VERSIONS}
    there = [path for path in paths if path.exists()]
    if there and not overwrite:
        raise OutputError(f"{there[0]} already exists", remedy="Give another folder, or replace it with --overwrite.")
    for path, text in paths.items():
        with atomic_file(path) as staging:
            staging.write_text(f"{text}\n", encoding="utf-8", newline="\n")
    return tuple(paths)
