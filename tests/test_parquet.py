"""A missing text is None in every table that is read, and the files are the same, whatever the version of pandas."""

import ast
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ecgkit.leads import STANDARD_LEADS
from ecgkit.parquet import as_frame, read_frame, read_table, write_frame, write_table
from ecgkit.recording import Recording
from ecgkit.store.assembly import assemble, json_lines
from ecgkit.store.format import Layout
from ecgkit.store.reader import Store
from ecgkit.store.writer import LedgerRow, open_part
from tests.conftest import Outcome, synthetic_signal

CORE = Path(__file__).parent.parent / "ecgkit"
FRAME = {"text": ["a", None, ""], "nothing": [None] * 3, "number": [1.5, np.nan, 2], "list": [["x", "y"], None, []]}
# Calls that give texts as the version of pandas likes them.
PANDAS_OWN = {"read_parquet", "to_parquet", "to_pandas"}


@pytest.mark.parametrize("dtype", [None, object, "string"])
def test_a_missing_text_comes_back_as_none(tmp_path: Path, dtype: object) -> None:
    frame = pd.DataFrame(FRAME)
    frame["text"] = frame["text"].astype(dtype) if dtype else frame["text"]  # type: ignore[call-overload]
    write_frame(tmp_path / "a.parquet", frame)
    found = read_frame(tmp_path / "a.parquet")
    assert found["text"].dtype == object
    assert found["text"].tolist() == ["a", None, ""]
    assert found["nothing"].tolist() == [None] * 3
    assert found["list"].iloc[1] is None
    assert found.iloc[1]["text"] is None
    assert found.to_dict("records")[1]["text"] is None
    assert np.isnan(found["number"].iloc[1])
    assert pq.read_schema(tmp_path / "a.parquet").field("text").type == pa.string()


def test_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    write_frame(tmp_path / "a.parquet", pd.DataFrame(FRAME))
    assert [*read_frame(tmp_path / "a.parquet", ["number", "text"])] == ["number", "text"]
    empty = as_frame(pa.table({"text": pa.array([], pa.string())}))
    assert ([*empty], len(empty)) == (["text"], 0)


def test_a_file_holds_plain_text_columns_and_nothing_that_only_pandas_reads(tmp_path: Path) -> None:
    write_frame(tmp_path / "a.parquet", pd.DataFrame(FRAME).iloc[[2, 0]])
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.schema.metadata is None
    assert table.schema.to_string().splitlines()[:3] == ["text: string", "nothing: null", "number: double"]
    assert table["text"].to_pylist() == ["", "a"]


def test_the_content_hash_of_a_store_is_the_same_text_under_every_pandas() -> None:
    table = pa.table(
        {
            "record_id": ["1", "2"],
            "limb_fault": [None, "limb-reversed"],
            "age": [np.nan, 61.0],
            "labels": [["NORM"], []],
            "likelihoods": [[100.0], None],
            "n": pa.array([None, 3], pa.int64()),
        }
    )
    # Taken with pandas 2.3.3.
    assert json_lines(table).decode() == (
        '{"record_id":"1","limb_fault":null,"age":null,"labels":["NORM"],"likelihoods":[100.0],"n":null}\n'
        '{"record_id":"2","limb_fault":"limb-reversed","age":61.0,"labels":[],"likelihoods":null,"n":3.0}\n'
    )


def test_a_user_sees_null_and_never_nan(tmp_path: Path, ecgkit: Callable[..., Outcome]) -> None:
    layout = Layout.of(STANDARD_LEADS, {300: 1})
    parts = tmp_path / "parts"
    parts.mkdir()
    shared = {"fold": 1, "labels": ["X"], "report": None}
    with open_part(layout, parts, 0) as writer:
        for own in (
            {"record_id": "a", "patient_id": None, "sex": None},
            {"record_id": "b", "patient_id": "7", "sex": "F"},
        ):
            writer.append(Recording(synthetic_signal(300), 100.0, STANDARD_LEADS), {**shared, **own})
    rejected = [LedgerRow("c", "c", "signal", "")]
    assemble(
        parts, tmp_path / "s.zarr", layout, slots=2, rejected=rejected, attributes={"dataset": "x", "code_system": ""}
    )
    store = Store(tmp_path / "s.zarr")
    assert store.table["patient_id"].tolist() == [None, "7"]
    assert store.patients.tolist() == [None, "x:7"]
    assert store.ledger["reason"].tolist() == [""]
    said = json.loads(ecgkit("inspect", store.path, "--record", "a", "--json").out)
    assert [said[name] for name in ("patient_id", "sex", "limb_fault", "report")] == [None] * 4
    assert "nan" not in ecgkit("inspect", store.path, "--record", "a").out.lower()


def test_tables_are_read_and_written_in_one_place() -> None:
    for path in CORE.rglob("*.py"):
        calls = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert path.name == "parquet.py" or not calls & PANDAS_OWN, path


def test_a_flipped_bit_is_an_error_and_never_a_number(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).permutation(4000)
    write_table(tmp_path / "t.parquet", pa.table({"n": pa.array(numbers)}))
    content = (tmp_path / "t.parquet").read_bytes()
    for at in range(50, len(content), len(content) // 40):
        damaged = bytearray(content)
        damaged[at] ^= 16
        (tmp_path / "t.parquet").write_bytes(damaged)
        try:
            found = read_table(tmp_path / "t.parquet")["n"].to_numpy()
        except (OSError, pa.ArrowException):
            continue
        np.testing.assert_array_equal(found, numbers)
