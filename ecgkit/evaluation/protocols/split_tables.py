"""Reads published split tables as released: ``PREFIX_train``, ``PREFIX_val`` and ``PREFIX_test``, each .csv or .csv.gz.

Label columns are found by name, never by position, because their order differs between tables.
Records are found by file name or by PTB-XL's ``ecg_id``, never by row. What is missing is counted and named.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.errors import TaskError
from ecgkit.store.reader import Store
from ecgkit.tasks.data import TaskData
from ecgkit.tasks.label_matrix import label_matrix
from ecgkit.tasks.task import Task

PARTS = ("train", "val", "test")
# Columns that may name the records, best first. CPSC2018's ecg_id is only a position in a directory listing.
FILE_COLUMNS = ("record_id", "filename", "ecg_path", "filename_hr", "filename_lr", "path")
ID_COLUMN = "ecg_id"
RATES = ("_hr", "_lr")  # PTB-XL's two files of one record
NAMED = 5  # most missing records that a warning names
EXPECTED = "PREFIX_train, PREFIX_val and PREFIX_test, each .csv or .csv.gz"


@dataclass(frozen=True)
class SplitTables:
    """The three tables of a published split.

    Args:
        name: Common part of the file names.
        tables: The table of each part: train, val and test.
        sha256: Hash of the text of the three tables, independent of compression.
    """

    name: str
    tables: Mapping[str, pd.DataFrame]
    sha256: str


@dataclass(frozen=True)
class SplitData:
    """A task on a store, split by published tables.

    Args:
        data: Records, targets and parts.
        order: For each row of the train table, its index into `data.rows`; -1 where the store lacks the record, or the
            model cannot read it.
    """

    data: TaskData
    order: NDArray[np.int64]


def read_tables(where: Path) -> SplitTables:
    """Read the tables in a folder, or the tables whose paths begin with a prefix.

    Raises:
        TaskError: There are not exactly three tables, or one cannot be read.
    """
    folder, prefix = (where, "") if where.is_dir() else (where.parent, where.name)
    found = {part: [f for end in (".csv", ".csv.gz") for f in sorted(folder.glob(f"*_{part}{end}"))] for part in PARTS}
    files = {part: [f for f in of if f.name.startswith(prefix)] for part, of in found.items()}
    for part, of in files.items():
        if len(of) != 1:
            told = ", ".join(f.name for f in of) or f"no table *_{part}.csv"
            raise TaskError(f"--splits {where}: {told}", EXPECTED)
    stem = files["train"][0].name.removesuffix(".gz").removesuffix("_train.csv")
    tables, digest = {}, hashlib.sha256()
    for part in PARTS:
        tables[part] = _read(files[part][0])
        digest.update(tables[part].to_csv(index=False).encode())
    return SplitTables(stem, tables, digest.hexdigest())


def _read(file: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(file, dtype=str, keep_default_na=False)
    except Exception as error:  # pandas, gzip and codecs raise many types
        raise TaskError(f"{file} cannot be read ({type(error).__name__})", "a split table") from None


def split_data(
    tables: SplitTables, task: Task, name: str, store: Store, usable: NDArray[np.bool_], *, shipped: bool
) -> SplitData:
    """Return a task on a store, split by published tables.

    Args:
        tables: The tables.
        task: The task; its labels are columns of the tables.
        name: Name of the task.
        store: The store.
        usable: ``[R]``, which records the model can read.
        shipped: Take the labels of the tables; otherwise those of the store's codes.

    Raises:
        TaskError: The tables have other labels or other records, or list a record twice.
    """
    if task.icd10 or task.entities or task.regression:
        raise TaskError(f"--splits for task {name}, whose targets the data says", "a task whose labels are listed")
    places = {part: _places(table, store) for part, table in tables.tables.items()}
    _check_once(tables, places)
    said = np.zeros((len(store), len(task.labels)), np.int8)
    notes, members = [], {}
    for part in PARTS:
        at, table = places[part], tables.tables[part]
        said[at[at >= 0]] = _labels(table, task, f"{tables.name}_{part}")[at >= 0]
        members[part] = at[at >= 0]
        notes += _missing(at, table, f"{tables.name}_{part}")
        if not usable[members[part]].any():
            raise TaskError(f"{store.path} has no record of {tables.name}_{part}", f"records of the {part} table")
    targets, told = _targets(said, task, name, store, np.concatenate(list(members.values())), shipped)
    rows = np.sort(np.concatenate(list(members.values())))
    unusable = int((~usable[rows]).sum())
    rows = rows[usable[rows]]
    parts = {part: np.flatnonzero(np.isin(rows, of)) for part, of in members.items()}
    data = TaskData(rows, targets[rows], tuple(task.labels), parts, unusable, task, (*told, *notes))
    place = np.full(len(store) + 1, -1)  # the last entry is for missing records, whose place is -1
    place[rows] = np.arange(len(rows))
    return SplitData(data, place[places["train"]])


def _targets(
    said: NDArray[np.int8], task: Task, name: str, store: Store, rows: NDArray[np.int64], shipped: bool
) -> tuple[NDArray[np.int8], list[str]]:
    """Return the labels ``[R, C]`` to use, and how the labels of the tables differ from those of the store."""
    comparable = store.code_system in task.systems
    if not comparable and not shipped:
        raise TaskError(
            f"{store.path} has labels of system {store.code_system!r}",
            f"{task.code_system!r} labels for task {name}",
            "Or take the tables' own labels, with --label-set shipped.",
        )
    if not comparable:
        return said, ["labels are the tables'; the store has none of their kind to compare them with"]
    own = label_matrix(list(store.table["labels"]), task, store.code_system)
    differs = own[rows] != said[rows]
    counts = [f"{label} {n}" for label, n in zip(task.labels, differs.sum(0), strict=True) if n]
    used, other = ("tables", "store's codes") if shipped else ("store's codes", "tables")
    told = f"labels of the split tables differ from the store's codes in {differs.any(1).sum()} of {len(rows)} records"
    notes = [f"{told} ({', '.join(counts)}); the {used} are taken, not the {other}"] if counts else []
    return (said if shipped else own), notes


def _labels(table: pd.DataFrame, task: Task, name: str) -> NDArray[np.int8]:
    """Return labels ``[rows, C]``, found by column name; the tables omit the underscores of PTB-XL's codes."""
    columns = {str(column).strip().strip("_"): column for column in table}
    missing = [label for label in task.labels if label.strip("_") not in columns]
    if missing:
        raise TaskError(f"{name} has no column {', '.join(missing)}", f"a column for each of {', '.join(task.labels)}")
    values = table[[columns[label.strip("_")] for label in task.labels]].to_numpy()
    if not np.isin(values, ["0", "1", "0.0", "1.0"]).all():
        raise TaskError(f"{name} has other label values than 0 and 1", "0 or 1 in every label column")
    return values.astype(float).astype(np.int8)


def _places(table: pd.DataFrame, store: Store) -> NDArray[np.int64]:
    """Return the store's row for each row of a table; -1 if the store lacks the record."""
    ids = [_key(text) for text in store.table["record_id"]]
    files = [_key(text) for text in store.table["path"]]
    best = np.full(len(table), -1)
    for column in (*FILE_COLUMNS, ID_COLUMN):
        # A store made by PTB-XL's own reader names its records by ecg_id; in other stores that number means nothing.
        if column not in table or (column == ID_COLUMN and store.attributes["dataset"] != "ptb-xl"):
            continue
        for keys in (ids, files):
            where = {key: row for row, key in enumerate(keys)}
            if len(where) == len(keys):  # otherwise the names do not identify the records
                at = np.array([where.get(_key(text), -1) for text in table[column]], np.int64)
                best = at if (at >= 0).sum() > (best >= 0).sum() else best
    return best


def _key(text: str) -> str:
    """Return a file name without folder, suffix and sampling rate."""
    name = PurePosixPath(str(text).replace("\\", "/")).name
    name = name.rsplit(".", 1)[0] if name.endswith((".mat", ".hea", ".dat", ".csv")) else name
    return name[: -len(RATES[0])] if name.endswith(RATES) else name


def _missing(at: NDArray[np.int64], table: pd.DataFrame, name: str) -> list[str]:
    lacks = np.flatnonzero(at < 0)
    if not len(lacks):
        return []
    column = next(c for c in (*FILE_COLUMNS, ID_COLUMN) if c in table)
    names = [_key(text) for text in table[column].iloc[lacks[:NAMED]]]
    more = ", ..." if len(lacks) > NAMED else ""
    return [f"the store lacks {len(lacks):,} of the {len(at):,} records of {name}: {', '.join(names)}{more}"]


def _check_once(tables: SplitTables, places: Mapping[str, NDArray[np.int64]]) -> None:
    rows = np.concatenate(list(places.values()))
    counts = np.unique(rows[rows >= 0], return_counts=True)[1]
    if (counts > 1).any():
        raise TaskError(f"{tables.name} holds {(counts > 1).sum()} records twice", "each record once, in one part")
