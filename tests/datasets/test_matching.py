"""Rows of a table and the records that they are about, against a slow search; memory of the join."""

import re
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgkit.datasets import table_files
from ecgkit.datasets.base import Source
from ecgkit.datasets.given import Given
from ecgkit.datasets.matching import Match, Names, match_rows
from ecgkit.datasets.people import introduce
from ecgkit.datasets.spool import Spool
from ecgkit.datasets.table_notes import some
from ecgkit.datasets.tables import Table
from ecgkit.errors import DatasetError
from ecgkit.ingestion import IngestOptions, find_dataset, ingest


def plain(name: str) -> str:
    """Return a name as it is compared: no blanks around it, no ``./``, slashes only, no suffix."""
    name = name.strip().replace("\\", "/")
    name = name[2:] if name.startswith("./") else name
    name = name[:-2] if name.endswith(".0") else name
    return re.sub(r"\.[A-Za-z][A-Za-z0-9]{0,6}$", "", name)


def searched(sources: Sequence[Source], cell: str) -> int:
    """Return the place of the source that a cell names, by looking at every source."""
    own = [{plain(s.record_id), plain(s.path)} for s in sources]
    own = [names | {name.split("/")[-1] for name in names} for names in own]
    numbers = [{name.lstrip("0") for name in names if name.isdecimal()} for names in own]
    for name in (plain(cell), plain(cell).split("/")[-1]):
        holders = [place for place, names in enumerate(own) if name in names]
        if holders:
            is_shared = sum(name in found for found in numbers) > 1
            return holders[0] if len(holders) == 1 and not is_shared else -1
    name = plain(cell).split("/")[-1]
    holders = [place for place, found in enumerate(numbers) if name.isdecimal() and name.lstrip("0") in found]
    return holders[0] if len(holders) == 1 else -1


NAMES = st.one_of(
    st.sampled_from(
        ["0", "00", "7", "07", "007", "7.0", "a", "a.dat", "./a", "p/a", "p/a.hea", "q/a", "p\\7", " a ", ""]
    ),
    st.text("a07/. ", max_size=5),
)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=8), st.lists(st.one_of(NAMES, st.none()), max_size=12))
def test_a_name_is_found_as_by_a_search_over_all_records(
    listed: list[tuple[str, str]], cells: list[str | None]
) -> None:
    sources = [Source(record_id=record, path=path) for record, path in listed]
    assert Names(sources).places(cells).tolist() == [searched(sources, cell or "") for cell in cells]


def test_names_are_found_over_many_blocks_and_with_bytes_that_are_no_text() -> None:
    sources = Spool(Source(record_id=f"p{n % 7}/r{n:04d}", path=f"p{n % 7}/r{n:04d}") for n in range(1500))
    cells = [f"r{n:04d}.hea" for n in range(1600)]
    assert Names(sources).places(cells).tolist() == [*range(1500), *[-1] * 100]
    odd = [Source(record_id="r\udcff", path="r\udcff"), Source(record_id="s", path="s")]
    assert Names(odd).places(["s", "r", "r\udcff"]).tolist() == [1, -1, 0]


def test_a_text_does_not_name_the_record_zero() -> None:
    sources = [Source(record_id=f"{n}", path=f"{n}.npy") for n in range(3)]
    assert Names(sources).places(["text", "x-1", None, "00", "2"]).tolist() == [-1, -1, -1, 0, 2]


@given(st.lists(st.integers(-1, 5), max_size=20))
def test_a_match_counts_as_a_loop_does(places: list[int]) -> None:
    match = Match(np.array(places, np.int64), 6, "id")
    first: dict[int, int] = {}
    for row, place in enumerate(places):
        first.setdefault(place, row)
    assert match.rows.tolist() == [first.get(place, -1) for place in range(6)]
    assert match.is_twice.tolist() == [places.count(place) > 1 for place in range(6)]
    assert np.flatnonzero(match.is_first).tolist() == sorted(first[place] for place in first.keys() - {-1})
    assert (match.found, match.spare) == (len(first.keys() - {-1}), places.count(-1))


def test_the_usual_name_wins_then_the_first_column_that_names_half_of_the_records() -> None:
    sources = [Source(record_id=f"r{n}", path=f"f{n}") for n in range(4)]
    names = Names(sources)
    columns = {"few": ["r0", "x", "x", "x"], "both": ["r3", "r2", "r1", "r0"], "ecg_id": ["f0", "f1", "f2", "f3"]}
    for chosen in ("ecg_id", "both", None):
        match = match_rows(Table.of("t", columns), names, "", in_order=False)
        assert (match.column if match else None) == chosen
        columns.pop(chosen or "few")
    named = match_rows(Table.of("t", {"few": ["r0", "x", "x", "x"]}), names, "few", in_order=False)
    assert named and named.places.tolist() == [0, -1, -1, -1]
    ordered = match_rows(Table.of("t", {"age": ["1"] * 4}), names, "", in_order=True)
    assert ordered and ordered.column == "" and ordered.places.tolist() == [0, 1, 2, 3]
    assert match_rows(Table.of("t", {"age": ["1"] * 5}), names, "", in_order=True) is None


@pytest.mark.parametrize(("count", "told"), [(0, ""), (3, "a0, a1, a2"), (4, "a0, a1, a2 ...")])
def test_a_few_names_are_told(count: int, told: str) -> None:
    assert some(f"a{n}" for n in range(count)) == told


def arrays(folder: Path, records: int, ids: Sequence[str]) -> Path:
    """Write one array of many records, and a table beside it."""
    folder.mkdir()
    np.save(folder / "ecgs.npy", np.ones((records, 12, 50), np.int16))
    lines = [f"{one},p{n // 2},{n % 90},{'MF'[n % 2]},NORM;SR\n" for n, one in enumerate(ids)]
    (folder / "ecgs.csv").write_text("record_id,patient_id,age,sex,labels\n" + "".join(lines))
    return folder


STATED = Given(
    source_fs=100.0, unit="uV", leads=("I", "II", "III", "aVR", "aVL", "aVF", *(f"V{n}" for n in range(1, 7)))
)


def test_the_rows_of_a_table_find_their_records_in_any_order(tmp_path: Path) -> None:
    ids = [f"ecgs[{n}]" for n in np.random.default_rng(0).permutation(700)]
    listed = introduce(find_dataset(arrays(tmp_path / "in", 700, ids), given=STATED))
    assert [source.record_id for source in listed] == [f"ecgs[{n}]" for n in range(700)]
    row_of = {one: row for row, one in enumerate(ids)}
    assert [source.patient_id for source in listed] == [f"p{row_of[f'ecgs[{n}]'] // 2}" for n in range(700)]


def test_foreign_ids_are_one_error_and_leave_nothing(tmp_path: Path) -> None:
    folder = arrays(tmp_path / "in", 20, [f"x{n}" for n in range(30)])
    given = replace(STATED, table=folder / "ecgs.csv")
    message = r"column record_id of ecgs.csv \(30 ids, such as 'x0', 'x1', 'x2'\) names none of the 20 records"
    with pytest.raises(DatasetError, match=message):
        ingest(folder, tmp_path / "out.zarr", IngestOptions(given=given))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def peak(folder: Path) -> int:
    """Return the peak memory of listing the records of a folder, in bytes."""
    tracemalloc.start()
    listed = introduce(find_dataset(folder, given=STATED))
    assert sum(source.patient_id is not None for source in listed) == len(listed)
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


@pytest.mark.parametrize("form", ["r{:06d}", "ecgs[{}]"])
def test_a_table_of_records_is_not_held_in_memory(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "CELLS_AT_A_TIME", 1 << 11)
    few, many = 1_000, 5_000
    used = [peak(arrays(tmp_path / f"{n}", n, [form.format(place) for place in range(n)])) for n in (few, many)]
    assert (used[1] - used[0]) / (many - few) < 150, "bytes per record"
