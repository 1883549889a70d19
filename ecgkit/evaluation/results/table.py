"""Writes all result rows as one Parquet table, with one line per row, class and metric.

Each line also holds what its number depends on. The line of a row's mean over classes has an empty ``label``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ecgkit.atomic import atomic_file
from ecgkit.evaluation.results.row import ClassScore, ResultRow

TEXT, NUMBER, COUNT = pa.string(), pa.float64(), pa.int64()
SCHEMA = pa.schema(
    {
        "run": TEXT,
        "method": TEXT,
        "preset": TEXT,
        "weights": TEXT,
        "store": TEXT,
        "dataset": TEXT,
        "task": TEXT,
        "head": TEXT,
        "lead_set": TEXT,
        "leads": TEXT,
        "fraction": NUMBER,
        "label_count": COUNT,
        "seed": COUNT,
        "label": TEXT,
        "metric": TEXT,
        "value": NUMBER,
        "low": NUMBER,
        "high": NUMBER,
        "classes": COUNT,
        "positives": COUNT,
        "negatives": COUNT,
        "train_positives": COUNT,
        "train_records": COUNT,
        "val_records": COUNT,
        "test_records": COUNT,
        "protocol": TEXT,
        "split_rule": TEXT,
        "chosen": TEXT,
        "warnings": TEXT,
        "store_sha256": TEXT,
        "split_sha256": TEXT,
        "checkpoint": TEXT,
        "ecgkit": TEXT,
        "device": TEXT,
        "seconds": NUMBER,
        "folder": TEXT,
    }
)
# Fields of a class that are not metrics.
COUNTS = ("positives", "negatives", "train_positives")
OTHERS = ("label", "name", "seen", *COUNTS)


def write_table(path: Path, rows: Sequence[tuple[Path, ResultRow]]) -> None:
    """Write the table of some rows, each given with its folder. The file appears complete or not at all."""
    lines = [line for folder, row in rows for line in table_lines(row, str(folder))]
    with atomic_file(path) as staging:
        pq.write_table(pa.Table.from_pylist(lines, SCHEMA), staging)


def table_lines(row: ResultRow, folder: str = "") -> Iterator[dict[str, Any]]:
    """Yield the table lines of one result row."""
    shared = _shared(row) | {"folder": folder}
    for metric, mean in row.means.items():
        yield shared | _value(mean.value, mean.interval) | {"label": "", "metric": metric, "classes": mean.classes}
    for score in row.classes:
        own = {"label": score.label, **{name: getattr(score, name, None) for name in COUNTS}}
        for metric, value, interval in _metrics(score):
            yield shared | own | _value(value, interval) | {"metric": metric}


def _metrics(score: ClassScore) -> Iterator[tuple[str, float | None, Any]]:
    values = asdict(score)
    for name, value in values.items():
        if name not in OTHERS and not name.endswith("interval"):
            # The field ``interval`` is that of the AUROC.
            yield name, value, values.get("interval" if name == "auroc" else f"{name}_interval")


def _value(value: float | None, interval: Any) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {"value": value, "low": low, "high": high}


def _shared(row: ResultRow) -> dict[str, Any]:
    same = (
        "run",
        "method",
        "preset",
        "weights",
        "store",
        "dataset",
        "task",
        "head",
        "lead_set",
        "fraction",
        "label_count",
        "seed",
        "seconds",
    )
    return {
        **{name: getattr(row, name) for name in same},
        "leads": " ".join(row.leads),
        **{f"{part}_records": row.counts[part]["records"] for part in ("train", "val", "test")},
        "protocol": row.facts.protocol.name,
        "split_rule": row.facts.split.kind,
        "chosen": str(row.facts.head.get("chosen", "")),
        "warnings": "\n".join(row.warnings),
        "store_sha256": row.hashes.get("store"),
        "split_sha256": row.hashes.get("split"),
        "checkpoint": row.hashes.get("checkpoint"),
        "ecgkit": str(row.environment.get("ecgkit", "")),
        "device": str(row.environment.get("device", "")),
    }
