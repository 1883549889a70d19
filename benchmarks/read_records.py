"""How fast plain WFDB records are read, against wfdb: ``python benchmarks/read_records.py [RECORDS]``.

Records of 12 x 5000 int16 (format 16, 500 Hz) are made, read once to warm the file cache, and then read by each way in
turn, in one thread; times are CPU seconds of this process, medians of five rounds.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import wfdb
from rich.console import Console
from rich.table import Table

from ecgkit.datasets.wfdb_header import parse_header
from ecgkit.datasets.wfdb_record import read_header, read_signal
from ecgkit.leads import STANDARD_LEADS

ROUNDS = 5


def write_records(folder: Path, count: int) -> list[str]:
    """Write records in folders of 100."""
    rng = np.random.default_rng(0)
    names = []
    for number in range(count):
        path = folder / f"{number // 100:03d}" / f"{number:05d}"
        path.parent.mkdir(exist_ok=True)
        counts = np.cumsum(rng.integers(-20, 21, (5000, 12)), axis=0).astype("<i2")
        path.with_suffix(".dat").write_bytes(counts.tobytes())
        lines = [
            f"{path.name}.dat 16 1000.0(0)/mV 16 0 {column[0]} {int(column.sum(dtype=np.int16))} 0 {lead}"
            for column, lead in zip(counts.T, STANDARD_LEADS, strict=True)
        ]
        path.with_suffix(".hea").write_text("\n".join([f"{path.name} 12 500 5000", *lines]) + "\n")
        names.append(path.relative_to(folder).as_posix())
    return names


def seconds_each(way: Callable[[str], object], names: list[str]) -> float:
    """Return the CPU time of one call, in s."""
    began = time.process_time()
    for name in names:
        way(name)
    return (time.process_time() - began) / len(names)


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        names = write_records(folder, count)
        raw = {name: (folder / f"{name}.hea").read_bytes() for name in names}
        headers = {name: read_header(folder, name) for name in names}
        ways: dict[str, Callable[[str], object]] = {
            "wfdb.rdheader": lambda name: wfdb.rdheader(str(folder / name)),
            "wfdb.rdrecord": lambda name: wfdb.rdrecord(str(folder / name), physical=False),
            "parse a header": lambda name: parse_header(raw[name]),
            "read a header, sizes checked": lambda name: read_header(folder, name),
            "read a signal, checksums verified": lambda name: read_signal(folder, name, headers[name]),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, call in ways.items():
                times[way].append(seconds_each(call, names))
    table = Table("way", "ms a record", "records/s", "against wfdb.rdrecord")
    slowest = median(times["wfdb.rdrecord"])
    for way, taken in times.items():
        middle = median(taken)
        table.add_row(way, f"{middle * 1e3:.3f}", f"{1 / middle:,.0f}", f"{slowest / middle:.1f} x")
    Console().print(table)


if __name__ == "__main__":
    main()
