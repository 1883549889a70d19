"""Shell completion of registered names, without importing the registered code.

Install it once with ``ecgkit --install-completion``. Presets are read from the config of the method that was typed
before, which loads no model.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ecgkit.entries import (
    DatasetEntry,
    DetectorEntry,
    Entry,
    HeadEntry,
    KnowledgeBackendEntry,
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
tasks = _names_of(TaskEntry)
heads = _names_of(HeadEntry)
datasets = _names_of(DatasetEntry)
detectors = _names_of(DetectorEntry)
knowledge_backends = _names_of(KnowledgeBackendEntry)
protocols = _names_of(ProtocolEntry)


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
