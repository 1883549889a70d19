"""What a store needs before a method can be trained on it: whether it is there, where it came from, and how to add it.

Each need is a supply (`ecgkit.entries.SupplyEntry`), whose entry names the functions of this module.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ecgkit.beats.find import find_beats
from ecgkit.beats.peaks import read_attributes
from ecgkit.entries import SupplyEntry, TextEncoderEntry, load_target
from ecgkit.errors import StoreError
from ecgkit.executor import Executor
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.extractions import chosen_extraction, extractions, read_extraction
from ecgkit.knowledge.labels import DEFAULT_NAME
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.reports import of_store
from ecgkit.knowledge.source import EntitySource
from ecgkit.plugins import host
from ecgkit.progress import Progress, of_stage
from ecgkit.store.reader import Store
from ecgkit.text.config import TextConfig

CHOOSE = "--set entities.name=NAME"


def check_prepared(
    needs: Iterable[str],
    store: Store,
    *,
    owner: str,
    prepare: Progress | None,
    config: Any = None,
    executor: Executor | None = None,
) -> None:
    """Refuse a store that lacks a need, or add what is missing.

    Args:
        needs: ``signal``, and names of supplies.
        store: The store.
        owner: Name of the method, for the error.
        prepare: Adds what is missing, and is called with stage, records done and records in all; None refuses.
        config: The method's config, which may choose among the values of a store.
        executor: Adds what is missing; None for this process.

    Raises:
        StoreError: Something is missing; the message names the command that adds it.
    """
    for entry in lacking(needs, store, config):
        need = entry.name
        if prepare is None or not entry.prepare:
            raise StoreError(
                f"{store.path} holds no {need}, which {owner} needs",
                remedy=f"Add them with: {command_of(entry, store)}"
                + (" (or train with --prepare, which does it first)" if entry.prepare else ""),
            )
        load_target(entry.prepare, f"supply {need!r}")(store, executor, prepare, *setting_of(entry, config))


def lacking(needs: Iterable[str], store: Store, config: Any = None) -> Iterator[SupplyEntry]:
    """Yield the supplies among the needs that a store lacks, as far as this can be told without opening them."""
    entries = host().entries(SupplyEntry)
    for need in needs:
        entry = entries.get(need)
        if entry is not None and entry.holds and not is_there(entry, config, store):
            yield entry


def setting_of(entry: SupplyEntry, config: Any) -> tuple[Any, ...]:
    """Return the further argument of a supply's functions, see `SupplyEntry.setting`; empty if it takes none."""
    if not entry.setting:
        return ()
    kind = load_target(entry.setting, f"supply {entry.name!r}")
    given = (part for part in ({} if config is None else vars(config)).values() if isinstance(part, kind))
    return (next(given, None) or kind(),)


def command_of(entry: SupplyEntry, store: Store) -> str:
    """Return the command that adds a supply to a store."""
    return entry.command.replace("{store}", shlex.quote(str(store.path)))


def origins(needs: Iterable[str], store: Store, config: Any = None) -> Mapping[str, str]:
    """Return where the values of each need come from, for needs that can say it."""
    entries = host().entries(SupplyEntry)
    known = [entries[need] for need in needs if need in entries and entries[need].origin]
    return {
        entry.name: str(load_target(entry.origin, f"supply {entry.name!r}")(store, *setting_of(entry, config)))
        for entry in known
    }


@dataclass(frozen=True)
class TextOrigin:
    """What turns texts into vectors.

    Args:
        name: Name of the text encoder, with its model if it has one.
        summary: One line about it.
        caution: What a user should know of it; empty for nothing.
    """

    name: str
    summary: str
    caution: str


def text_origin(config: Any) -> TextOrigin | None:
    """Return the text encoder of a method's config; None if it has none."""
    for part in vars(config).values():
        if isinstance(part, TextConfig):
            entry = host().get(TextEncoderEntry, part.encoder)
            return TextOrigin(f"{part.encoder} {part.model}".strip(), entry.summary, entry.caution)
    return None


def find_all_beats(store: Store, executor: Executor | None, progress: Progress) -> None:
    """Find the R peaks of a store as ``ecgkit beats`` does."""
    find_beats(store, progress=of_stage(progress, "beats"), executor=executor)


def origin_of_beats(store: Store) -> str:
    """Return the detector that found the R peaks of a store."""
    return f"found by the detector {read_attributes(store).get('detector', 'unknown')}"


def origin_of_reports(store: Store) -> str:
    """Return the dataset whose reports a store holds."""
    return f"as {store.attributes['dataset']} has them"


def is_there(entry: SupplyEntry, config: Any, store: Store) -> bool:
    """Return whether a store has what a supply reads, as the method's config chooses it.

    Raises:
        StoreError: The store holds several, and none of them is chosen.
    """
    return bool(load_target(entry.holds, f"supply {entry.name!r}")(store, *setting_of(entry, config)))


def has_entities(store: Store, source: EntitySource) -> bool:
    """Return whether the chosen extraction of a store is there.

    Raises:
        StoreError: The store holds others, and none of them is chosen.
    """
    if not extractions(store) and source.name in ("", DEFAULT_NAME):
        return False
    return bool(extraction_for(store, source))


def extraction_for(store: Store, source: EntitySource) -> str:
    """Return the name of the extraction that a config chooses; see `chosen_extraction`."""
    return chosen_extraction(store, source.name, CHOOSE)


def extract_by_lexicon(store: Store, executor: Executor | None, progress: Progress, source: EntitySource) -> None:
    """Extract the entities of a store's reports by the lexicon, as ``ecgkit extract-knowledge`` does."""
    extract_knowledge(of_store(store), LexiconBackend(), ExtractOptions(), progress, executor)


def origin_of_entities(store: Store, source: EntitySource) -> str:
    """Return which extraction the entities are of, and what read them: a lexicon, or a model with its prompt."""
    return str(read_extraction(store, extraction_for(store, source)))
