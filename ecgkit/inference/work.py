"""Work on all records of a source in parts, which a stopped call keeps.

OUT.partial/parts/000012.npz    arrays of a part, and as one more array the JSON text of what else is known of it

The zip format has a checksum of each array, so that damage is noticed.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ecgkit.atomic import atomic_file
from ecgkit.errors import DatasetError
from ecgkit.inference.records import RecordSource
from ecgkit.parquet import DamagedError
from ecgkit.parts import Part, make_parts
from ecgkit.progress import Progress, of_stage
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.writer import LedgerRow
from ecgkit.training.workers import Workers
from ecgkit.unfinished import Unfinished, whole_file

FACTS = "facts"
Call = tuple[int, Any]
COLUMNS = ("record_id", "path", "stage", "reason")


@dataclass(frozen=True)
class MadePart:
    """A finished part.

    Args:
        arrays: Its arrays by name.
        facts: What else is known of it.
    """

    arrays: Mapping[str, NDArray[Any]]
    facts: dict[str, Any]

    @property
    def rejected(self) -> list[LedgerRow]:
        """The records of the part that gave nothing, with the reason."""
        return [LedgerRow(*row) for row in self.facts["rejected"]]


def write_part(
    folder: Path, index: int, arrays: Mapping[str, NDArray[Any]], rejected: Sequence[LedgerRow], **facts: Any
) -> None:
    """Write a part."""
    text = json.dumps({"rejected": [astuple(row) for row in rejected], **facts}, default=_plain)
    content = {**arrays, FACTS: np.frombuffer(text.encode("utf-8"), np.uint8)}
    with whole_file(folder / _name(index)) as path, path.open("wb") as file:
        np.savez(file, allow_pickle=False, **content)


def read_parts(folder: Path) -> Iterator[MadePart]:
    """Yield all parts in order.

    Raises:
        DamagedError: A part is damaged; see `ecgkit.parts.made_again_if_damaged`.
    """
    for file in sorted(folder.glob("[0-9]*.npz")):
        try:
            with np.load(file, allow_pickle=False) as made:
                arrays = {name: made[name] for name in made.files}
            facts = json.loads(arrays.pop(FACTS).tobytes())
        except (ValueError, KeyError, EOFError, BadZipFile):
            raise DamagedError(file) from None
        yield MadePart(arrays, facts)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _name(index: int) -> str:
    return f"{index:06d}.npz"


def make_all(
    unfinished: Unfinished,
    source: RecordSource,
    make: Callable[[Call], object],
    specs: Sequence[SignalSpec],
    workers: Workers,
    progress: Progress,
) -> None:
    """Make the parts of a source that are not done yet.

    Args:
        unfinished: The folder, open and begun.
        source: The records.
        make: Function of a module, or a partial of one, that makes a part from its number and a call of the source.
        specs: The signal contracts of the models.
        workers: Where the work runs.
        progress: Called with the stage, records done and records in total.

    Raises:
        Interrupted: Ctrl-C was pressed; finished parts are kept.
        WorkerError: A worker ended before its work was done.
    """
    parts = [Part(_name(index), records, (index, call)) for index, (records, call) in enumerate(source.calls)]
    with workers.open() as executor:
        for spec in dict.fromkeys(specs):
            source.prepare(spec, of_stage(progress, "view"), executor)
        make_parts(unfinished, make, parts, executor, of_stage(progress, "records"))


def ledger_of(unfinished: Unfinished, source: RecordSource, made: Sequence[LedgerRow], taken: int) -> list[LedgerRow]:
    """Return all ledger rows, in order.

    Args:
        unfinished: The work; it is thrown away if no record was taken.
        source: The records.
        made: Ledger rows of all parts.
        taken: Number of records that were taken.

    Raises:
        DatasetError: No record was taken.
    """
    rows = [*source.rejected, *made]
    if not taken:
        unfinished.clear()
        why = f"; record {rows[0].record_id}: {rows[0].reason}" if rows else ""
        raise DatasetError(f"none of the {len(made)} records can be read{why}")
    return rows


def ledger_path(out: Path) -> Path:
    """Return the file that lists the records that gave nothing, beside the output."""
    return out.with_name(f"{out.stem}.ledger.csv")


def write_ledger(out: Path, rows: Sequence[LedgerRow]) -> Path | None:
    """Write the ledger beside an output, or remove that of an earlier one; return its path if there is one."""
    file = ledger_path(out)
    if not rows:
        file.unlink(missing_ok=True)
        return None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(row) for row in rows)
    with atomic_file(file) as staging:
        staging.write_text(text.getvalue(), encoding="utf-8")
    return file
