"""Tables with one row per record: Parquet with lists, Parquet and CSV with numbered columns."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from ecgkit.api.ingest import ingest
from ecgkit.datasets import parquet_rows
from ecgkit.datasets.row_form import find_row_form
from ecgkit.errors import DatasetError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.store.reader import Store
from tests.conftest import synthetic_signal

RECORDS, SAMPLES = 6, 120
PEOPLE = {"ecg_id": [f"e{n}" for n in range(RECORDS)], "patient_id": list("aabbcc"), "labels": ["AF", ""] * 3}


@pytest.fixture(scope="module")
def stack() -> NDArray[np.int16]:
    """Records ``[N, L, T]`` in microvolts."""
    rows = [np.rint(synthetic_signal(SAMPLES, seed=n) * 1000) for n in range(RECORDS)]
    return np.stack(rows).astype(np.int16)


def stored(src: Path, tmp_path: Path, **options: Any) -> tuple[Any, Store]:
    out = tmp_path / "out.zarr"
    return ingest(src, out=out, overwrite=True, fs=100, unit="uV", **options), Store(out)


def numbered(stack: NDArray[np.int16]) -> pd.DataFrame:
    names = [f"{lead}_{t}" for lead in STANDARD_LEADS for t in range(SAMPLES)]
    return pd.concat([pd.DataFrame(PEOPLE), pd.DataFrame(stack.reshape(RECORDS, -1), columns=names)], axis=1)


def write_lists(file: Path, stack: NDArray[np.int16]) -> None:
    leads = {lead: list(stack[:, row]) for row, lead in enumerate(STANDARD_LEADS)}
    pq.write_table(pa.table({**PEOPLE, **leads}), file, row_group_size=4)


def write_lists_of_lists(file: Path, stack: NDArray[np.int16]) -> None:
    pq.write_table(pa.table({**PEOPLE, "signal": [record.T.tolist() for record in stack]}), file)


def write_numbered(file: Path, stack: NDArray[np.int16]) -> None:
    numbered(stack).to_parquet(file, index=False)


def write_csv(file: Path, stack: NDArray[np.int16]) -> None:
    numbered(stack).to_csv(file, index=False, sep=";")


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_lists, "x.parquet"),
        (write_lists_of_lists, "x.parquet"),
        (write_numbered, "x.parquet"),
        (write_csv, "x.csv"),
    ],
)
def test_every_form_gives_the_same_records(
    tmp_path: Path,
    stack: NDArray[np.int16],
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path, NDArray[np.int16]], None],
    name: str,
) -> None:
    monkeypatch.setattr(parquet_rows, "BLOCK_BYTES", 3 * 12 * SAMPLES * 8)  # several batches
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / name, stack)
    report, store = stored(tmp_path / "in", tmp_path, **({"leads": "12"} if "lists_of" in write.__name__ else {}))
    assert report.dataset == "rows" and not report.rejected
    assert list(store.table["record_id"]) == PEOPLE["ecg_id"]
    assert list(store.table["patient_id"]) == PEOPLE["patient_id"]
    assert [list(labels) for labels in store.table["labels"]] == [["AF"], []] * 3
    for n in range(RECORDS):
        np.testing.assert_array_equal(store.recording(n).stored, stack[n])


def test_rows_are_found_in_any_order(tmp_path: Path, stack: NDArray[np.int16], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_rows, "BLOCK_BYTES", 2 * 2 * SAMPLES * 8)
    write_lists(tmp_path / "x.parquet", stack)
    for row in (5, 0, 3, 2, 4, 1):
        found = parquet_rows.read_lists(tmp_path, "x.parquet", ["II", "V1"], row)
        np.testing.assert_array_equal(found, stack[row][[1, 6]])


def test_one_lead_in_numbered_columns_without_names(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    np.savetxt(tmp_path / "x.csv", stack[:, 1], delimiter=",", fmt="%d")
    report, store = stored(tmp_path / "x.csv", tmp_path, leads="II")
    assert report.dataset == "rows" and store.leads == ("II",)
    np.testing.assert_array_equal(store.recording(3).stored, stack[3][1:2])
    with pytest.raises(DatasetError, match="the name of the lead"):
        stored(tmp_path / "x.csv", tmp_path)


def test_a_bad_row_costs_its_record_alone(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    frame = numbered(stack).astype(object)
    frame.loc[1, "V1_7"] = "oops"
    frame.loc[2, "V1_8"] = None
    frame.to_csv(tmp_path / "x.csv", index=False)
    lines = (tmp_path / "x.csv").read_text().splitlines()
    lines[4] = lines[4].rpartition(",")[0]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    report, store = stored(tmp_path / "x.csv", tmp_path)
    assert {row.record_id: row.reason.split(";")[0] for row in report.rejected} == {
        "e1": "a row of x.csv holds a cell that is no number",
        "e3": "a row of x.csv has 1442 cells",
    }
    assert len(store.table) == 4 and np.isnan(store.recording(1).signal).sum() == 1, "an empty cell is a missing sample"


def test_few_numbered_columns_are_no_samples(tmp_path: Path) -> None:
    pd.DataFrame({"id": [1], **{f"report_{n}": ["x"] for n in range(18)}}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"id": [1], **{f"x{2 * n}": [0] for n in range(80)}}).to_csv(tmp_path / "b.csv", index=False)
    pd.DataFrame({"id": ["a"], "codes": [["x", "y"]]}).to_parquet(tmp_path / "c.parquet")
    for name in ("a.csv", "b.csv", "c.parquet"):
        assert find_row_form(tmp_path / name) is None
