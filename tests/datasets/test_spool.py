"""Long lists on disk: the same items as in memory, one block at a time."""

from pathlib import Path

import numpy as np
import pytest

from ecgkit.datasets.base import Source, settle
from ecgkit.datasets.repeats import repeated
from ecgkit.datasets.spool import BLOCK, Keyed, Mapped, Spool, mapped
from ecgkit.datasets.table_notes import notes_of_folds
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
    keyed = Keyed(((row["key"], row) for row in rows), ("value", "text", "absent"))
    assert keyed.get("k7") == {"value": 57, "text": "äß\n", "absent": None}, "the last of several counts"
    assert keyed.get("k50") == {}


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
