"""Long lists on disk: the same items as in memory, one block at a time; tables read and joined without being held."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecgkit.datasets import tables
from ecgkit.datasets.base import Source, settle
from ecgkit.datasets.repeats import repeated
from ecgkit.datasets.spool import BLOCK, Keyed, Mapped, Spool, mapped
from ecgkit.datasets.table_notes import notes_of_folds
from ecgkit.datasets.tables import read_rows, stream_rows
from ecgkit.errors import DatasetError
from ecgkit.ingestion import find_dataset
from ecgkit.ingestion.plan import distinct
from tests.conftest import synthetic_signal, write_wfdb


@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
def test_a_spool_is_the_list_that_was_put_in(count: int) -> None:
    items = [(n, f"text {n}") for n in range(count)]
    spool = Spool(iter(items))
    assert len(spool) == count
    assert list(spool) == items
    assert list(spool) == items, "it can be read again"
    for at in {0, count // 2, count - 1} if count else ():
        assert spool[at] == items[at]
    assert list(spool[1:5]) == items[1:5]
    assert list(spool[-2:]) == items[-2:]
    with pytest.raises(IndexError):
        spool[count]
    doubled = mapped(spool, lambda at, item: (at, item[1] * 2))
    assert isinstance(doubled, Mapped)
    assert list(doubled) == [(n, text * 2) for n, text in items]
    assert list(doubled[:3]) == [(n, text * 2) for n, text in items[:3]]


def test_rows_are_found_by_their_key() -> None:
    rows = [{"key": f"k{n % 50}", "value": n, "text": "äß\n", "other": 1} for n in range(100)]
    keyed = Keyed(iter(rows), lambda row: row["key"], ("value", "text", "absent"))
    assert keyed.get("k7") == {"value": 57, "text": "äß\n", "absent": None}, "the last of several counts"
    assert keyed.get("k50") == {}


CONTENT = {
    "plain": b'id,a,b\n1,x,\n2,NA,0.50\n3,"q,""r\nnew",\xc3\xa4\n',
    "marked": b"\xef\xbb\xbfid,a\n1,2\n3,4\n",
    "semicolons": b"id;a\n1;2,5\n2;3,5\n",
    "latin": b"id,a\n1,\xe4\n2,b\n",
    "header only": b"id,a\n",
    "windows": b" id ,a\r\n1,b\r\n2,c\r\n",
}


@pytest.mark.parametrize("name", CONTENT)
def test_streamed_rows_are_those_that_are_read_at_once(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tables, "_ROWS_AT_A_TIME", 2)
    file = tmp_path / "t.csv"
    file.write_bytes(CONTENT[name])
    assert list(stream_rows(file, ("id",))) == read_rows(file, ("id",))


@pytest.mark.parametrize("content", [b"a,b\n1,2\n3,4\n", b"", b"id,a\n1,2,3\n4,5,6\n", b"id,a\n1,2\n\0\n"])
def test_a_table_that_cannot_be_streamed_gives_the_same_error(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(content)

    def error(read: Callable[..., object]) -> str:
        with pytest.raises(DatasetError) as caught:
            list(read(file, ("id",)))  # type: ignore[call-overload]
        return str(caught.value)

    assert error(stream_rows) == error(read_rows)
    with pytest.raises(DatasetError, match="does not exist"):
        list(stream_rows(tmp_path / "absent.csv", ("id",)))


def sources(folds: bool) -> list[Source]:
    random = np.random.default_rng(0)
    fold = random.integers(1, 11, 700).tolist()
    return [
        Source(
            record_id=f"r{n}" if n % 97 else "",
            path=f"p/{n}",
            patient_id=f"{n // 3}",
            fold=fold[n // 3] if folds and n % 3 else None,
        )
        for n in range(700)
    ]


@pytest.mark.parametrize("folds", [False, True])
def test_sources_on_disk_are_settled_as_those_in_memory(folds: bool) -> None:
    listed = sources(folds)
    assert list(settle(Spool(listed))) == settle(listed)


def test_a_record_that_is_listed_twice_is_found_on_disk_too() -> None:
    listed = [Source(record_id=f"r{n}", path="p") for n in range(600)]
    assert distinct(Spool(listed))
    with pytest.raises(DatasetError, match="'r77' is listed twice"):
        distinct(Spool([*listed, listed[77]]))


def test_what_occurs_twice_is_found_and_what_shares_a_hash_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["b", "a", "c", "b", "d", "a", "b"]
    assert repeated(lambda: iter(words)) == ["b", "a"]
    assert repeated(lambda: iter("abc")) == [] == repeated(lambda: iter(""))
    monkeypatch.setattr("ecgkit.datasets.repeats.hash", lambda _: 1, raising=False)
    assert repeated(lambda: iter(words)) == ["b", "a"]
    assert repeated(lambda: iter("abc")) == []


@pytest.mark.parametrize("collide", [False, True])
def test_patients_in_several_folds_are_told(collide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if collide:
        monkeypatch.setattr("ecgkit.datasets.table_notes.hash", lambda _: 1, raising=False)
    of = {"a": (1, 1), "b": (2, 3), "c": (None, 4), "d": (5, 6, 5)}
    listed = [
        Source(record_id=f"{p}{n}", path="x", patient_id=p, fold=f)
        for p, all_ in of.items()
        for n, f in enumerate(all_)
    ]
    (note,) = notes_of_folds(Spool(listed))
    assert note.startswith("records of 2 patients are in more than one fold, as the dataset states it: b, d;")
    assert notes_of_folds(listed[:2]) == notes_of_folds([]) == []


def test_layouts_without_a_table_list_their_records_on_disk(tmp_path: Path) -> None:
    for n in range(3):
        write_wfdb(tmp_path / "wfdb", f"r{n}", synthetic_signal(100, 2), ("I", "II"), fs=100)
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "x.npy", np.ones((3, 12, 100), np.int16))
    for name in ("wfdb", "arrays"):
        listed = find_dataset(tmp_path / name).sources()
        assert isinstance(listed, Spool) and len(listed) == 3
