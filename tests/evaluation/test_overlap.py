"""Test records and patients that are also in another part of a task are refused, or told."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ecgkit.errors import LeakError
from ecgkit.evaluation.probe import parts
from ecgkit.evaluation.probe.parts import find_overlap, overlap_words, refuse_overlap
from ecgkit.evaluation.results.row import ROW, load_row
from ecgkit.reporting.page.sentences import sentences
from ecgkit.store.reader import Store

ROWS = np.array([5, 4, 3, 2, 1, 0])
DATA: Any = SimpleNamespace(
    rows=ROWS, parts={"train": np.array([0, 1]), "val": np.array([2]), "test": np.array([3, 4, 5])}
)


def shop(hashes: str, patients: list[str | None]) -> Any:
    """A store of six records; records 0 and 5 are windows of one recording."""
    table = pd.DataFrame({"record_id": list("012345"), "sha256": list(hashes)})
    units = [patient or f"recording {row if row < 5 else 0}" for row, patient in enumerate(patients)]
    return SimpleNamespace(table=table, units=np.array(units, dtype=object), name="s.zarr")


@pytest.mark.parametrize(
    ("hashes", "patients", "records", "people"),
    [
        ("abcdef", ["p", "q", "r", "s", "t", "u"], 0, 0),
        ("abcdea", ["p", "q", "r", "s", "t", "u"], 1, 0),  # in training
        ("abccde", ["p", "q", "r", "s", "t", "u"], 1, 0),  # in validation
        ("aacdef", ["p", "q", "r", "s", "t", "u"], 0, 0),  # twice in the test part
        ("abcdef", ["p", "q", "r", "s", "q", "u"], 0, 1),
        ("abcdef", ["p", "q", "q", "s", "q", "q"], 0, 1),  # one patient, several records
        ("abcdef", [None, "q", "r", None, "t", "u"], 0, 0),
        ("abcdef", [None, "q", "r", "s", "t", None], 0, 1),  # windows of one recording of an unknown patient
    ],
)
def test_what_parts_share_is_counted_and_refused(
    monkeypatch, hashes: str, patients: list[str | None], records: int, people: int
) -> None:
    monkeypatch.setattr(parts, "copied_rows", lambda store, tested, known, progress: np.full(len(tested), -1))
    store = shop(hashes, patients)
    found = find_overlap(store, DATA)
    assert (found.records, found.patients, found.copies) == (records, people, 0)
    refuse_overlap(store, "task", find_overlap(store, DATA, allowed=True))
    if not (records or people):
        refuse_overlap(store, "task", found)
        return
    with pytest.raises(LeakError, match=rf"task on s\.zarr: {records} test records .* and {people} test patients"):
        refuse_overlap(store, "task", found)


@pytest.mark.slow
def test_a_patient_of_two_parts_is_refused_and_told_where_it_is_allowed(
    ecgkit: Callable, cohort_store: Path, tmp_path: Path, monkeypatch
) -> None:
    store = Store(cohort_store)
    fold, patients = store.table["fold"].to_numpy(), np.array(store.patients, dtype=object)
    patients[np.flatnonzero(fold == 10)[0]] = patients[np.flatnonzero(fold == 1)[0]]
    monkeypatch.setattr(Store, "patients", patients)  # no store is made with it, but a table of splits may say it
    words = (
        "probe",
        "--method",
        "stmem",
        "--preset",
        "tiny",
        "--random-init",
        "--data",
        cohort_store,
        "--task",
        "simulated",
    )
    refused = ecgkit(*words, "--out", tmp_path / "r")
    assert refused.code == 2 and not (tmp_path / "r").exists()
    assert "1 test patients are also in the training or validation part" in refused.err
    allowed = ecgkit(*words, "--out", tmp_path / "r", "--allow-overlap")
    assert allowed.code == 0, allowed.err
    row = load_row(tmp_path / "r" / ROW)
    assert [warning for warning in row.warnings if warning.startswith("LEAK") and "1 test patients" in warning]
    assert row.facts.overlap is not None and overlap_words(row.facts.overlap)
    assert "1 test patients are in other parts too" in str(sentences(row))
