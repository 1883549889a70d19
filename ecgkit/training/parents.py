"""The runs that a run is built on, such as the tokenizer of a method with two stages.

A parent is identified by its path and by the hash of its weights. Both are written into ``config.yaml``::

    built_on:
    - run: /path/of/the/parent
      method: its family
      weights_sha256: hash of its model.safetensors
      records: number of records it saw; 0 if unknown
      built_on: [...]   # its own parents, in the same form

The parent's training and validation records become rows of the run's own ``records.parquet``, with the parts ``parent
train`` and ``parent val``. So the leak guard knows them even if the parent's folder no longer exists. See
`ecgkit.training.run.seen_records`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ecgkit.signatures.table import Signatures
from ecgkit.training.run import WEIGHTS, open_run, seen_records, seen_signatures
from ecgkit.training.weights import file_sha256

PREFIX = "parent "


@dataclass(frozen=True)
class Parent:
    """A run that another run is built on.

    Args:
        path: The run folder.
        details: Its entry in the child's ``config.yaml``; see the module.
        records: Records that it and its own parents saw: rows for the child's ``records.parquet``.
        signatures: Waveform signatures of those records; None if it has none.
    """

    path: Path
    details: dict[str, Any]
    records: pd.DataFrame
    signatures: Signatures | None = None

    @property
    def sha256(self) -> str:
        """Hash of its weights."""
        return str(self.details["weights_sha256"])


def read_parents(paths: Iterable[Path]) -> tuple[Parent, ...]:
    """Read the runs that a config is built on.

    Raises:
        RunError: A path is not a finished run.
    """
    return tuple(map(_read_parent, paths))


def _read_parent(path: Path) -> Parent:
    run, seen = open_run(path), seen_records(path)
    part = PREFIX + seen["part"].str.removeprefix(PREFIX)
    details = {
        "run": str(path.resolve()),
        "method": run.entry.name,
        "weights_sha256": file_sha256(path / WEIGHTS),
        "records": len(seen),
        "archives": list(run.details.get("store", {}).get("archives", [])),
        "built_on": run.details.get("built_on", []),
    }
    return Parent(path, details, seen.assign(part=part), seen_signatures(path))
