"""Tables read in blocks and kept on disk, against the same files read at once; encodings, kinds and errors."""

import csv
import datetime
import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgkit.datasets import table_files
from ecgkit.datasets.csv_form import find_form
from ecgkit.datasets.paths import open_folder
from ecgkit.datasets.table_files import HEAD, csv_form
from ecgkit.datasets.tables import Row, Table, columns_of, read_rows, read_table, stream_rows
from ecgkit.errors import DatasetError


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "FEWEST_ROWS", 2)
    monkeypatch.setattr(table_files, "CELLS_AT_A_TIME", 1)


CONTENT = {
    "plain": b'id,a,b\n1,x,\n2,NA,0.50\n3,"q,""r\nnew",\xc3\xa4\n',
    "marked": b"\xef\xbb\xbfid,a\n1,2\n3,4\n",
    "latin": b"id,a\n1,\xe4\n2,b\n3,c\n",
    "header only": b"id,a\n",
    "windows": b" id ,a\r\n1,b\r\n2,c\r\n",
    "late": b"id,a\n" + b"1,%s\n" % (b"x" * 5_000) * 20 + b"3,\xe4\n",
}
ENCODINGS = {"marked": "utf-8-sig", "latin": "cp1252", "late": "cp1252"}


def read_at_once(content: bytes, encoding: str) -> list[Row]:
    """Return the rows as the module `csv` reads them, which knows no blocks; NA and nothing are empty cells."""
    rows = list(csv.reader(io.StringIO(content.decode(encoding), newline="")))
    names = [name.strip() for name in rows[0]]
    return [
        dict(zip(names, (cell if cell not in ("", "NA") else None for cell in row), strict=True)) for row in rows[1:]
    ]


@pytest.mark.parametrize("name", CONTENT)
def test_a_table_in_blocks_is_the_table_that_is_read_at_once(name: str, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(CONTENT[name])
    expected = read_at_once(CONTENT[name], ENCODINGS.get(name, "utf-8"))
    assert read_rows(file, ("id",)) == expected == list(stream_rows(file, ("id",)))
    table = read_table(file)
    assert list(table.rows()) == expected and len(table) == len(expected)
    assert columns_of(file) == table.columns and table.columns[:2] == ("id", "a")
    assert [list(table.column(column)) for column in table.columns] == [
        [row[column] for row in expected] for column in table.columns
    ]


def test_semicolons_and_utf_16(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("id;a\n1;2,5\n2;x,5\n3;-3,5\n", encoding="utf-16")
    table = read_table(tmp_path / "s.csv")
    assert list(table.rows()) == [{"id": "1", "a": "2.5"}, {"id": "2", "a": "x,5"}, {"id": "3", "a": "-3.5"}]
    assert table.notes == ("s.csv is read as utf-16, since it is not UTF-8", "s.csv is separated by semicolons")


def test_a_packed_table_is_read_like_a_plain_one(tmp_path: Path) -> None:
    content = CONTENT["plain"]
    (tmp_path / "t.csv").write_bytes(content)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(content))
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("a/t.csv", content)
        archive.writestr("a/t.csv.gz", gzip.compress(content))
    inside = open_folder(tmp_path / "in.zip")
    expected = read_rows(tmp_path / "t.csv", ())
    for file in (tmp_path / "t.csv.gz", inside / "t.csv", inside / "t.csv.gz"):
        assert read_rows(file, ()) == expected


def test_cells_of_parquet_files_keep_every_digit(tmp_path: Path) -> None:
    day = datetime.datetime(2020, 1, 2, 3, 4, 5)
    columns: dict[str, Any] = {
        " id ": pa.array([2**53 + 1, None, 3], pa.int64()),
        "number": pa.array([1.0, float("nan"), 0.1], pa.float64()),
        "is": [True, None, False],
        "day": pa.array([day, None, day], pa.timestamp("us")),
        "codes": [["a", "b"], [], None],
        "kind": pa.array(["x", None, "x"]).dictionary_encode(),
        "signal": [[1.0, 2.0]] * 3,
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=2)
    assert read_rows(tmp_path / "t.parquet", ("id",)) == [
        {"id": str(2**53 + 1), "number": "1", "is": "True", "day": f"{day}", "codes": "a; b", "kind": "x"},
        {"id": None, "number": None, "is": None, "day": None, "codes": "", "kind": None},
        {"id": "3", "number": "0.1", "is": "False", "day": f"{day}", "codes": None, "kind": "x"},
    ]
    pq.write_table(pa.table({"id": pa.array([], pa.string())}), tmp_path / "none.parquet")
    assert read_table(tmp_path / "none.parquet").columns == ("id",) and not read_rows(
        tmp_path / "none.parquet", ("id",)
    )


def test_a_workbook_is_a_table(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    pd.DataFrame({"id": ["01", None], "a": ["x", "y"]}).to_excel(tmp_path / "t.xlsx", index=False)
    assert read_rows(tmp_path / "t.xlsx", ("id",)) == [{"id": "01", "a": "x"}, {"id": None, "a": "y"}]


@given(st.dictionaries(st.text(max_size=3), st.lists(st.one_of(st.none(), st.text()), min_size=7, max_size=7)))
def test_columns_in_memory_become_the_same_table(columns: dict[str, list[str | None]]) -> None:
    table = Table.of("t", columns)
    assert {name: list(table.column(name)) for name in table.columns} == columns
    assert list(table.rows()) == [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n3,4\n", "lacks column id"),
        (b"", "cannot be read as a CSV table .the file is empty"),
        (b"id,a\n1,2,3\n4,5,6\n", "more cells than the header has names"),
        (b"id,a\n" + b"1,2\n" * 50 + b"4,5,6\n", "Expected 2 fields in line 52"),
        (b"id,a\n1,2\n\0\n", "not a text"),
        (b'id,a\n1,2\n"3,4\n', "EOF inside string"),
    ],
)
def test_what_cannot_be_read_is_one_error(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        list(stream_rows(file, ("id",)))
    with pytest.raises(DatasetError, match="does not exist; the dataset needs this table"):
        read_table(tmp_path / "absent.csv")


def test_the_head_of_a_long_file_may_end_within_a_character(tmp_path: Path) -> None:
    line = b"0.5,0.25\n"
    text = "t,I,Zähler\n".encode() + line * ((HEAD - 20) // len(line))
    text += b"0" * (HEAD - 1 - len(text)) + "ä\n".encode() + line * 10
    assert text[:HEAD][-1:] == "ä".encode()[:1], "the character is cut"
    assert csv_form(text[:HEAD], "t.csv")[0] == "utf-8" == csv_form(text[:HEAD], "t.csv", [text[HEAD:]])[0]
    assert csv_form("ä".encode()[:1], "t.csv")[0] == "cp1252", "a short file is whole"
    assert csv_form(text[:HEAD], "t.csv", [b"\xff\x81"])[0] == "latin-1"
    (tmp_path / "t.csv").write_bytes(text)
    form = find_form(tmp_path / "t.csv")
    assert form is not None and form.encoding == "utf-8"
