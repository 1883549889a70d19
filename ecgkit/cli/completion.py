"""Shell completion of registered names, and of the stores and runs of the folder.

Install it once with ``ecgkit --install-completion``. Presets and settings are read from the config of the
method that was typed before.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ecgkit.entries import (
    ArchiveEntry,
    DatasetEntry,
    DetectorEntry,
    Entry,
    HeadEntry,
    KnowledgeBackendEntry,
    LoggerEntry,
    MethodEntry,
    ProtocolEntry,
    TaskEntry,
    load_target,
)
from ecgkit.plugins import host

Completion = Callable[[str], list[tuple[str, str]]]


def _names_of(kind: type[Entry]) -> Completion:
    def complete(incomplete: str) -> list[tuple[str, str]]:
        entries = host().entries(kind).values()
        return [(entry.name, entry.summary) for entry in entries if entry.name.startswith(incomplete)]

    return complete


methods = _names_of(MethodEntry)


def pretrained_methods(incomplete: str) -> list[str]:
    """Return the methods that ``ecgkit pretrain`` can train."""
    entries = host().entries(MethodEntry)
    return [name for name, entry in entries.items() if entry.pretrains and name.startswith(incomplete)]


tasks = _names_of(TaskEntry)
heads = _names_of(HeadEntry)
_modules = _names_of(DatasetEntry)
archives = _names_of(ArchiveEntry)
detectors = _names_of(DetectorEntry)
knowledge_backends = _names_of(KnowledgeBackendEntry)
loggers = _names_of(LoggerEntry)
protocols = _names_of(ProtocolEntry)


def datasets(incomplete: str) -> list[tuple[str, str]]:
    """Return the names of layouts: those with a module, and those that the card of an archive declares."""
    from ecgkit.archives.card import read_card

    declared = [(e.name, e.summary) for e in host().entries(ArchiveEntry).values() if read_card(e).reading]
    return _modules(incomplete) + [pair for pair in declared if pair[0].startswith(incomplete)]


def stores(incomplete: str) -> list[str]:
    """Return the stores of the folder that is being typed, and its other folders to go on from."""
    from ecgkit.workspace.stores import stores_of

    folder = Path(incomplete).parent if not incomplete.endswith("/") else Path(incomplete)
    with suppress(OSError):
        found = [str(path) for path in stores_of(folder)]
        inner = [f"{path}/" for path in folder.iterdir() if path.is_dir() and str(path) not in found]
        return [name for name in [*found, *sorted(inner)] if name.startswith(incomplete.removeprefix("./"))]
    return []


def models(incomplete: str) -> list[tuple[str, str]]:
    """Return the words and the runs that may follow the last comma."""
    before, comma, last = incomplete.rpartition(",")
    words = [("all", "every finished run"), ("random", "the same encoders with random weights")]
    named = [pair for pair in words if pair[0].startswith(last)] + runs(last)
    return [(f"{before}{comma}{name}", told) for name, told in named]


def runs(incomplete: str) -> list[tuple[str, str]]:
    """Return the runs of the current folder, with method and state."""
    from ecgkit.workspace.runs import runs_of

    with suppress(OSError):
        found = [
            (str(run.path), f"{run.method} {run.preset}{'' if run.finished else ', unfinished'}")
            for run in runs_of(Path())
        ]
        return [pair for pair in reversed(found) if pair[0].startswith(incomplete)]
    return []


def results(incomplete: str) -> list[str]:
    """Return the results below the folder that is being typed which keep a fitted head, and its folders."""
    from ecgkit.evaluation.results.row import HEAD

    folder = Path(incomplete).parent if not incomplete.endswith("/") else Path(incomplete)
    with suppress(OSError):
        inner = sorted(path for path in folder.iterdir() if path.is_dir())
        found = [str(path) if (path / HEAD).is_file() else f"{path}/" for path in inner]
        return [name for name in found if name.startswith(incomplete.removeprefix("./"))]
    return []


def settings(ctx: Any, incomplete: str) -> list[str]:
    """Return the settings of the method on the command line as ``name=value``, with the values of its preset."""
    from ecgkit.config import to_dict
    from ecgkit.methods import method_config

    entry = host().entries(MethodEntry).get(str(ctx.params.get("method") or ""))
    if entry is None:
        return []
    with suppress(Exception):  # a broken family completes to nothing
        _, config = method_config(entry, str(ctx.params.get("preset") or ""))
        return [text for text in _assignments(to_dict(config), "") if text.startswith(incomplete)]
    return []


def _assignments(values: Mapping[str, Any], before: str) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _assignments(value, f"{before}{name}.")
        else:
            yield f"{before}{name}={json.dumps(value, default=str)}"


def presets(ctx: Any, incomplete: str) -> list[str]:
    """Return the presets of the method on the command line, or of all methods if none is given."""
    entries = host().entries(MethodEntry)
    typed = str(ctx.params.get("method") or "")
    chosen = [entries[typed]] if typed in entries else list(entries.values())
    names: dict[str, None] = {}
    for entry in chosen:
        with suppress(Exception):  # a broken family completes to nothing
            names |= dict.fromkeys(load_target(entry.presets, entry.name))
    return [name for name in names if name.startswith(incomplete)]
