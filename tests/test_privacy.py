"""Report text stays in the store: no message, ledger, traceback, plan or file of a failing command holds it."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.store.reader import Store

MARK = "zebrafinch"
KEY = "sk-verysecret"
# Where report text may lie: the store's own table and what is made of it, and the source itself.
HOLDERS = ("records.parquet", "machine_measurements.csv")


@pytest.fixture
def marked(cohort: Path, tmp_path: Path) -> Path:
    """A cohort with a word in each report, one record that cannot be read, and one row that is torn."""
    folder = tmp_path / "marked"
    shutil.copytree(cohort, folder)
    table = folder / "machine_measurements.csv"
    with table.open(newline="") as file:
        head, *rows = list(csv.reader(file))
    at = head.index("report_0")
    for row in rows:
        row[at] = f"{MARK} rhythm of {row[0]}"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    first = next(iter(sorted(folder.rglob("*.dat"))))
    first.write_bytes(first.read_bytes()[:100])
    return folder


def searched(folder: Path) -> list[Path]:
    return [
        file
        for file in folder.rglob("*")
        if file.is_file() and file.name not in HOLDERS and "knowledge" not in file.parts and "parts" not in file.parts
    ]


def check(folder: Path, shown: Any, *words: str) -> None:
    for word in words:
        assert word not in shown.out + shown.err
        for file in searched(folder):
            assert word.encode() not in file.read_bytes(), file


def test_a_failing_ingest_tells_nothing_of_the_reports(
    ecgkit: Callable[..., Any], marked: Path, tmp_path: Path
) -> None:
    shown = ecgkit("--debug", "ingest", marked, "--out", tmp_path / "s.zarr")
    assert shown.code == 0 and "119 of 120 records" in shown.out
    check(tmp_path, shown, MARK)
    store = Store(tmp_path / "s.zarr")
    assert store.table["report"].str.contains(MARK).all() and len(store.ledger) == 1
    table = marked / "machine_measurements.csv"
    torn = table.read_bytes()
    table.write_bytes(torn[: len(torn) // 2] + b'"' + MARK.encode() + b"\xff\xfe\x00" * 40)
    check(tmp_path, ecgkit("--debug", "ingest", marked, "--out", tmp_path / "t.zarr"), MARK)


def test_a_fault_of_our_own_shows_no_report_and_no_key(
    ecgkit: Callable[..., Any], marked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with the traceback: it holds lines of code, and no values."""
    ecgkit("ingest", marked, "--out", tmp_path / "s.zarr")
    monkeypatch.setenv("ECGKIT_API_KEY", KEY)

    def broken(self: LexiconBackend, text: str) -> None:
        report = f"{text} {KEY}"
        raise RuntimeError(f"a fault with {len(report)} characters")

    monkeypatch.setattr(LexiconBackend, "read_text", broken)
    for words in ((), ("--debug",)):
        shown = ecgkit(*words, "extract-knowledge", tmp_path / "s.zarr")
        assert shown.code == 1 and "a fault with" in shown.err
        check(tmp_path, shown, MARK, KEY)
