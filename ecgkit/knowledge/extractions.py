"""The extractions of a store or table: which there are, which one is meant, and where each came from."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ecgkit.errors import StoreError, did_you_mean
from ecgkit.knowledge.labels import DEFAULT_NAME, MENTIONS, REMAKE, Entities, read_labels
from ecgkit.knowledge.reports import FOLDER, Reports
from ecgkit.store.products import StoreFolder, folders, store_around
from ecgkit.store.reader import Store

SHOWN = 8  # digits of a prompt's hash in a sentence
PILOT = "-pilot"  # end of the name of an extraction from a sample
Source = StoreFolder | Reports | Path  # a store, reports, or a folder that holds extractions


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """Where the entities of a store come from.

    Args:
        name: Name of the extraction.
        entities: Number of its entities.
        backend: Back-end that read the reports, such as ``lexicon``.
        model: Model that it asked; empty for none.
        host: Server of the model.
        version: Version of the lexicon; empty for a model.
        prompts: Version and hash of the model's prompt, by stage.
        voters: For a vote, the extractions that voted, each with its origin in words.
        date: Date of the extraction.
        sha256: First 16 hex digits of a hash over the names of the entities and the labels of all records.
    """

    name: str
    entities: int = 0
    backend: str = ""
    model: str = ""
    host: str = ""
    version: str = ""
    prompts: Mapping[str, str] = field(default_factory=dict)
    voters: Mapping[str, str] = field(default_factory=dict)
    date: str = ""
    sha256: str = ""

    @property
    def reader(self) -> str:
        """What read the reports, in words."""
        if self.voters:
            return "a vote of " + ", ".join(f"{name} ({origin})" for name, origin in self.voters.items())
        if not self.model:
            return " ".join(filter(None, (f"the {self.backend or 'unknown back-end'}", self.version)))
        prompt = _short(self.prompts.get("extract", ""))
        return f"the model {self.model} on {self.host or 'a server'}" + (f", prompt {prompt}" if prompt else "")

    def __str__(self) -> str:
        """Return the origin in words."""
        return f"{self.entities} of extraction {self.name}, read by {self.reader}"


def extractions(source: Source) -> tuple[str, ...]:
    """Return the names of the extractions."""
    paths = [path for folder in _folders(source) for path in folder.iterdir()]
    return tuple(sorted({path.name for path in paths if path.name[0] != "." and (path / MENTIONS).is_file()}))


def _folders(source: Source) -> list[Path]:
    if isinstance(source, Path):
        return [source] if source.is_dir() else []
    if isinstance(source, Reports):
        return [place for place in (source.shared, source.folder) if place is not None and place.is_dir()]
    return folders(source.path, source.content_hash, FOLDER)


def _owner(source: Source) -> Path:
    """Return the path that a user knows."""
    if isinstance(source, Reports):
        return source.folder if source.shared is None else source.shared.parent
    return source if isinstance(source, Path) else source.path


def chosen_extraction(source: Source, name: str, option: str) -> str:
    """Return the name of an extraction: the given one, or the only one. Pilots count only where there is nothing else.

    Args:
        source: Where it is looked for.
        name: Name of the extraction; empty for the only one.
        option: The option with which a user chooses one, such as ``--set entities.name=NAME``, for the error.

    Raises:
        StoreError: There is none, none of this name, or several and none is named.
    """
    found, owner = extractions(source), _owner(source)
    if name in found:
        return name
    if not found:
        make = f"{REMAKE} {owner}" + (f" --name {name}" if name not in ("", DEFAULT_NAME) else "")
        raise StoreError(f"{owner} holds no entities" + (f" of extraction {name!r}" if name else ""), remedy=make)
    held = f"{owner} holds " + (f"the extraction {found[0]}" if len(found) == 1 else f"{len(found)} extractions")
    if name:
        listed = "" if len(found) == 1 else f": {', '.join(found)}"
        remedy = did_you_mean(name, found) or f"Choose one with {option}"
        raise StoreError(f"{held}{listed} and none called {name!r}", remedy=remedy)
    whole = [one for one in found if not one.endswith(PILOT)] or found
    if len(whole) > 1:
        listed = "; ".join(f"{one} ({read_extraction(source, one).reader})" for one in found)
        raise StoreError(f"{held} of entities: {listed}", remedy=f"Choose one with {option}")
    return whole[0]


def read_extraction(source: Source, name: str) -> Extraction:
    """Return where the entities of an extraction come from.

    Raises:
        StoreError: The labels are damaged, or belong to other records.
    """
    return extraction_of(read_labels(source.extraction(name) if isinstance(source, Reports) else source, name), name)


def chosen_labels(path: Path, name: str, option: str) -> Entities:
    """Read the labels at a path: of an extraction's folder, or of the extraction that is chosen in a store or folder.

    Args:
        path: Store, folder of an extraction, or folder of a table's extractions.
        name: Name of the extraction; empty for the only one. It says nothing of the folder of an extraction.
        option: See `chosen_extraction`.

    Raises:
        StoreError: See `chosen_extraction` and `read_labels`.
    """
    if (path / MENTIONS).is_file() or store_around(path, FOLDER) is not None:
        return read_labels(path)
    source = Store(path) if (path / "signal").is_dir() else path
    return read_labels(source, chosen_extraction(source, name, option))


def extraction_of(entities: Entities, name: str) -> Extraction:
    """Return where labels come from."""
    digest = hashlib.sha256("\n".join(entities.names).encode())
    digest.update(np.ascontiguousarray(entities.values).data)
    digest.update(np.ascontiguousarray(entities.complete).data)
    found = _described(entities.provenance, name)
    return replace(found, entities=len(entities.names), sha256=digest.hexdigest()[:16])


def _described(about: Mapping[str, Any], name: str) -> Extraction:
    prompts = about.get("prompts") or {}
    voters = about.get("voters") or {}
    return Extraction(
        name=name,
        backend=str(about.get("backend", "")),
        model=str(about.get("model", "")),
        host=str(about.get("host", "")),
        version=str(about.get("lexicon_version", "")),
        prompts={stage: str(version) for stage, version in prompts.items()} if isinstance(prompts, Mapping) else {},
        voters={voter: _described(of, voter).reader for voter, of in voters.items()},
        date=str(about.get("date", "")),
    )


def _short(prompt: str) -> str:
    """Return the version of a prompt with the first digits of its hash."""
    version, _, digest = prompt.partition(" ")
    return f"{version} {digest[:SHOWN]}".strip()
