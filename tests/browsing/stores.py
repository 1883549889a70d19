"""Stores and results for the tests of the page."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from ecgkit.evaluation.results.row import PREDICTIONS, ClassScore
from ecgkit.parquet import read_frame, write_frame
from ecgkit.store.format import RECORDS, file_hash
from ecgkit.store.reader import Store
from tests.report.rows import make_row

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def rewritten(store: Path, out: Path, change: Callable[[pd.DataFrame], None]) -> Path:
    """Copy a store and change its record table; its hash then states the changed table."""
    shutil.copytree(store, out)
    table = read_frame(out / RECORDS)
    change(table)
    write_frame(out / RECORDS, table)
    about = json.loads((out / "zarr.json").read_text())
    about["attributes"] |= {"records": len(table), "records_sha256": file_hash(out / RECORDS)}
    (out / "zarr.json").write_text(json.dumps(about))
    return out


def write_predictions(store: Path, folder: Path, names: tuple[str, ...] = ("AF", "PVC"), seed: int = 0) -> pd.DataFrame:
    """Write a result on fold 10 of a store with thresholds of 0.5, and return its predictions."""
    opened, rng = Store(store), np.random.default_rng(seed)
    ids = opened.table["record_id"][opened.table["fold"] == 10]
    frame = pd.DataFrame({"record_id": ids, "patient_id": opened.table["patient_id"][ids.index], "part": "test"})
    for name in names:
        frame[f"y_{name}"] = rng.integers(0, 2, len(frame))
        frame[f"p_{name}"] = rng.random(len(frame))
    classes = tuple(
        ClassScore(
            label=name, name=name.lower(), positives=4, negatives=4, train_positives=9, auroc=0.5, interval=None,
            auprc=0.5, threshold=0.5,
        )
        for name in names
    )  # fmt: skip
    row = make_row(classes=classes, hashes={"store": opened.content_hash}, task="simulated", task_title="Simulated")
    folder.mkdir(parents=True)
    frame.to_parquet(folder / PREDICTIONS)
    (folder / "row.json").write_text(json.dumps(asdict(row)))
    return frame.reset_index(drop=True)
