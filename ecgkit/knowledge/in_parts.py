"""Texts that workers read in parts, as all long work is done; see `ecgkit.parts`.

A part is a table of mentions, as `ecgkit.knowledge.mention_table` makes it. It holds the hashes of its texts alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ecgkit.executor import Executor
from ecgkit.knowledge.backends import LocalReader, Readings, Watch
from ecgkit.knowledge.mention_table import mention_table, read_mentions
from ecgkit.knowledge.mentions import Mention
from ecgkit.knowledge.statements import text_hash
from ecgkit.parquet import write_frame
from ecgkit.parts import Part, made_again_if_damaged, make_parts
from ecgkit.progress import of_stage
from ecgkit.unfinished import Unfinished, whole_file

PART_TEXTS = 1024  # about half a second of the lexicon


@dataclass(frozen=True)
class SomeTexts:
    """The texts of one part. A message that shows it shows no text.

    Args:
        name: Name of the part.
        texts: The texts.
    """

    name: str
    texts: Sequence[str]

    def __repr__(self) -> str:
        return f"{len(self.texts)} texts of part {self.name}"


def read_in_parts(
    unfinished: Unfinished, reader: LocalReader, texts: Sequence[str], watch: Watch, executor: Executor | None
) -> Readings:
    """Read texts in parts. Parts that an earlier call has read are not read again.

    Args:
        unfinished: The folder of the labels, open and begun.
        reader: Reads the texts.
        texts: Unique cleaned texts.
        watch: Called with the stage, texts done and texts in total.
        executor: Runs the work; None for as many processes as pay.

    Raises:
        StoreError: A part is damaged. It is forgotten, so the same call makes it again.
        Interrupted: Ctrl-C was pressed; finished parts are kept.
        WorkerError: A worker ended before its work was done.
    """
    names = {start: f"{start:09d}.parquet" for start in range(0, len(texts), PART_TEXTS)}
    some = [SomeTexts(name, texts[start : start + PART_TEXTS]) for start, name in names.items()]
    parts = [Part(each.name, len(each.texts), each) for each in some]
    make = partial(_read_part, reader, unfinished.parts)
    make_parts(unfinished, make, parts, executor, of_stage(watch, "extract"), unit="texts")
    with made_again_if_damaged(unfinished):
        found = [_of_part(unfinished.parts / part.name, part.call.texts) for part in parts]
    return Readings([mentions for part in found for mentions in part])


def _read_part(reader: LocalReader, folder: Path, some: SomeTexts) -> None:
    with whole_file(folder / some.name) as path:
        write_frame(path, mention_table(some.texts, reader.read_texts(some.texts), {}))


def _of_part(file: Path, texts: Sequence[str]) -> list[tuple[Mention, ...]]:
    by_text = read_mentions(file)
    return [by_text.get(text_hash(text), ()) for text in texts]
