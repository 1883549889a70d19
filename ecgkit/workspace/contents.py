"""What a store holds besides its signals: reports, labels, R peaks, entities and views. No signal is read."""

import csv
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ecgkit.store.format import RECORDS
from ecgkit.store.products import folders, found_folder
from ecgkit.workspace.stores import store_attributes

BEATS, BEATS_ABOUT, BEATS_TABLE = "beats", "beats.json", "peaks.parquet"
KNOWLEDGE, ENTITIES = "knowledge", "entities.csv"


@dataclass(frozen=True)
class StoreInfo:
    """A store, as its folder describes it.

    Args:
        path: The store.
        dataset: Layout that it was made from.
        records: Number of records.
        reports: Number of records with a report.
        code_system: Code system of its labels; empty without labels.
        labels: Number of records by code, the most frequent first.
        beats: Detector of its R peaks; empty without R peaks.
        entities: Number of entities by name of the extraction.
        views: Number of cached views.
    """

    path: Path
    dataset: str
    records: int
    reports: int
    code_system: str
    labels: dict[str, int]
    beats: str
    entities: dict[str, int]
    views: int

    @property
    def supplies(self) -> set[str]:
        """The names of what a training can take from it."""
        held = {"beats": self.beats, "reports": self.reports, "entities": self.entities, "labels": self.labels}
        return {"signal", "demographics", "patients"} | {name for name, value in held.items() if value}


def read_store(path: Path) -> StoreInfo:
    """Describe a store.

    Raises:
        OSError: Its record table cannot be read.
    """
    attributes = store_attributes(path)
    table = pq.ParquetFile(path / RECORDS)
    content = str(attributes.get("content_sha256", ""))
    labels: Counter[str] = Counter()
    if attributes.get("code_system") and "labels" in table.schema_arrow.names:
        for batch in table.iter_batches(columns=["labels"]):
            labels.update(batch.column(0).flatten().to_pylist())
    return StoreInfo(
        path=path,
        dataset=str(attributes.get("dataset", "")),
        records=table.metadata.num_rows,
        reports=_filled(table, "report"),
        code_system=str(attributes.get("code_system") or ""),
        labels=dict(labels.most_common()),
        beats=_detector(found_folder(path, content, BEATS)),
        entities={folder.name: _entities(folder / ENTITIES) for folder in _extractions(path, content)},
        views=sum(1 for view in _inside(path / "views") if not view.name.startswith(".")),
    )


def _filled(table: pq.ParquetFile, column: str) -> int:
    """Return the number of rows that have a value in a column."""
    names = table.schema_arrow.names
    if column not in names:
        return 0
    return sum(len(batch) - batch.column(0).null_count for batch in table.iter_batches(columns=[column]))


def _detector(path: Path) -> str:
    if not (path / BEATS_TABLE).is_file():
        return ""
    try:
        about: dict[str, Any] = json.loads((path / BEATS_ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "unreadable"
    return str(about.get("detector", "unknown"))


def _extractions(path: Path, content: str) -> list[Path]:
    """Return the folders of the extractions of a store; the user's own come before those in the store."""
    found = {folder.name: folder for place in folders(path, content, KNOWLEDGE) for folder in _inside(place)}
    return [folder for _, folder in sorted(found.items()) if (folder / ENTITIES).is_file()]


def _entities(file: Path) -> int:
    with file.open(encoding="utf-8", newline="") as lines:
        return max(0, sum(1 for _ in csv.reader(lines)) - 1)


def _inside(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
