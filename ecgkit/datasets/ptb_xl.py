"""PTB-XL, 100 or 500 Hz.

Wagner et al., PTB-XL, a large publicly available electrocardiography dataset, Scientific Data 7:154 (2020).
``ptbxl_database.csv`` lists the records. ``scp_codes`` is the text of a Python dict from SCP-ECG statement to
likelihood, in which 0 means "not stated", not "absent". `strat_fold` keeps patients together; folds 9 and 10 were
checked by humans. The features and statements of PTB-XL+ are joined if its folder lies in or beside that of PTB-XL.
"""

import ast
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.comments import OLDEST
from ecgkit.datasets.given import NOTHING_GIVEN, Given
from ecgkit.datasets.header import Header
from ecgkit.datasets.ptb_xl_plus import Plus, find_plus, read_plus, stamp_of
from ecgkit.datasets.tables import Row, number, sources_of, stream_rows, text
from ecgkit.errors import DatasetError, RecordError
from ecgkit.recording import Recording

TABLE = "ptbxl_database.csv"
FILES = {100.0: "filename_lr", 500.0: "filename_hr"}
REQUIRED = ("ecg_id", "patient_id", "scp_codes", "strat_fold")
# Columns that become fields of `Source`; all others are kept under their own names.
OWN = {*REQUIRED, "age", "sex", "report", *FILES.values()}
SEXES = {"0": "M", "1": "F"}


class PTBXL(Dataset):
    """PTB-XL as PhysioNet publishes it. `fs` picks ``records100/`` or ``records500/`` (default: the higher)."""

    name = "ptb-xl"
    archives = ("ptb-xl",)
    code_system = "scp"

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the folder holds ``ptbxl_database.csv``."""
        return (root / TABLE).is_file()

    def __init__(self, root: Path, *, fs: float | None = None, given: Given = NOTHING_GIVEN) -> None:
        super().__init__(root, fs=fs, given=given)
        self.plus = find_plus(root)
        self.plus_stamp = stamp_of(self.plus) if self.plus else ""

    def sources(self) -> Sequence[Source]:
        """List the records of ``ptbxl_database.csv`` at the chosen rate.

        Raises:
            DatasetError: The table is missing or lacks a column, or one of PTB-XL+ cannot be read.
        """
        column = self._file_column()
        rows = stream_rows(self.root / TABLE, REQUIRED)
        sources = sources_of(rows, lambda row: self._source(row, column), record_id="ecg_id", path=column)
        if plus := self._plus():
            joined = plus.count(source.record_id for source in sources)
            columns = f"{len(plus.of('')):,} columns of PTB-XL+ ({plus.folder})"
            self.findings.append(f"{columns} are joined to {joined:,} of {len(sources):,} records")
        return sources

    def _plus(self) -> Plus | None:
        return read_plus(self.plus, self.plus_stamp) if self.plus else None

    def header(self, source: Source) -> Header:
        """Read the header of a record. It also changes with the tables of PTB-XL+."""
        header = super().header(source)
        return replace(header, stamp=f"{header.stamp}{self.plus_stamp}")

    def row(self, source: Source, recording: Recording) -> dict[str, Any]:
        """Return the record's row, with what PTB-XL+ has of it."""
        plus = self._plus()
        return super().row(source, recording) | (plus.of(source.record_id) if plus else {})

    def _file_column(self) -> str:
        """Choose the column of paths: the rate asked for, else the highest rate whose folder exists.

        Any rate other than the two published ones is resampled from the highest rate that exists.
        """
        there = [
            fs
            for fs, name in sorted(FILES.items(), reverse=True)
            if (self.root / f"records{fs:g}").is_dir()
            and any(text(row.get(name)) for row in stream_rows(self.root / TABLE, REQUIRED))
        ]
        if not there:
            raise DatasetError(f"{self.root} has no records100/ or records500/", remedy="Download the signals into it.")
        if self.fs in FILES and self.fs not in there:
            found = ", ".join(f"records{fs:g}" for fs in there)
            what = f"{self.root} has only {found}, not records{self.fs:g}"
            raise DatasetError(what, remedy=f"Leave --fs out, or download records{self.fs:g}.")
        return FILES[self.fs if self.fs in there else there[0]]

    def _source(self, row: Row, column: str) -> Source:
        codes = parse_scp_codes(row["scp_codes"])
        age, fold = number(row, "age"), number(row, "strat_fold")
        if fold is not None and not fold.is_integer():
            raise RecordError(f"column strat_fold holds {fold}", "a whole number")
        return Source(
            record_id=text(row["ecg_id"]) or "",
            path=text(row[column]) or "",
            patient_id=text(row["patient_id"]),
            labels=tuple(codes),
            likelihoods=tuple(codes.values()),
            report=text(row.get("report")),
            age=OLDEST if age is not None and age > OLDEST else age,
            sex=SEXES.get(text(row.get("sex")) or ""),
            fold=None if fold is None else int(fold),
            extra={name: text(value) for name, value in row.items() if name not in OWN},
        )


def parse_scp_codes(cell: Any) -> dict[str, float]:
    """Read a cell such as ``{'NORM': 100.0, 'SR': 0.0}`` without evaluating it.

    Raises:
        RecordError: The cell is not the text of a dict from statement to likelihood.
    """
    try:
        codes = ast.literal_eval(cell)
        return {str(code): float(likelihood) for code, likelihood in codes.items()}
    except (ValueError, SyntaxError, AttributeError, TypeError, RecursionError, MemoryError):  # listed in ast's docs
        raise RecordError(f"column scp_codes holds {str(cell)[:40]!r}", "a dict such as {'NORM': 100.0}") from None
