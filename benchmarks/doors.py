"""How fast arrays and CSV files are read, against what the library or the disk allows: ``python benchmarks/doors.py``.

Records of 12 x 5000 int16 are written in each form. Each form is then read by its library alone, whole and without any
conversion, and record by record as ingest does. The file cache is emptied before each reading, so an array that is not
compressed is read at the speed of the disk. The two ways take turns; ratios are of medians of five rounds.

Usage: ``python benchmarks/doors.py [RECORDS]``.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import h5py
import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ecgkit.datasets.given import Given
from ecgkit.datasets.people import introduce
from ecgkit.ingestion import find_dataset
from ecgkit.leads import STANDARD_LEADS

ROUNDS, SAMPLES, CSV_RECORDS = 5, 5000, 40


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    rng = np.random.default_rng(0)
    steps = rng.integers(-20, 21, (count, 12, SAMPLES), np.int16)
    signals = (np.cumsum(steps, axis=-1, dtype=np.int32) // 8).astype(np.int16)
    table = Table("form", "MB", "records/s", "library alone", "share of the library's speed")
    with tempfile.TemporaryDirectory(dir=os.environ.get("ECGKIT_BENCHMARK_FOLDER")) as temporary:
        for name, write in FORMS.items():
            own = signals[:CSV_RECORDS] if name == "csv" else signals
            path = write(Path(temporary), own)
            library, ours = _speeds(path, LIBRARIES[name], len(own))
            size = sum(file.stat().st_size for file in _files(path)) / 1e6
            table.add_row(name, f"{size:,.0f}", f"{ours:,.0f}", f"{library:,.0f}", f"{ours / library:.0%}")
    Console().print(table)


def _write_npy(folder: Path, signals: NDArray[np.int16]) -> Path:
    np.save(folder / "x.npy", signals)
    return folder / "x.npy"


def _write_turned(folder: Path, signals: NDArray[np.int16]) -> Path:
    np.save(folder / "turned.npy", signals.transpose(0, 2, 1))
    return folder / "turned.npy"


def _write_hdf5(folder: Path, signals: NDArray[np.int16]) -> Path:
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("x", data=signals, chunks=(16, 12, SAMPLES), compression="gzip", shuffle=True)
    return folder / "x.h5"


def _write_zarr(folder: Path, signals: NDArray[np.int16]) -> Path:
    array = zarr.create_array(str(folder / "x.zarr"), shape=signals.shape, dtype="int16", chunks=(16, 12, SAMPLES))
    array[:] = signals
    return folder / "x.zarr"


def _write_csv(folder: Path, signals: NDArray[np.int16]) -> Path:
    (folder / "csv").mkdir()
    for number, record in enumerate(signals):
        pd.DataFrame(record.T, columns=list(STANDARD_LEADS)).to_csv(folder / "csv" / f"{number}.csv", index=False)
    return folder / "csv"


def _read_hdf5(path: Path) -> None:
    with h5py.File(path) as file:
        file["x"][...]


def _read_csv(path: Path) -> None:
    for file in sorted(path.iterdir()):
        pd.read_csv(file)


FORMS: dict[str, Callable[[Path, NDArray[np.int16]], Path]] = {
    "npy, N x L x T": _write_npy,
    "npy, N x T x L": _write_turned,
    "hdf5, gzip": _write_hdf5,
    "zarr, zstd": _write_zarr,
    "csv": _write_csv,
}
LIBRARIES: dict[str, Callable[[Path], object]] = {
    "npy, N x L x T": np.load,
    "npy, N x T x L": np.load,
    "hdf5, gzip": _read_hdf5,
    "zarr, zstd": lambda path: zarr.open_array(str(path), mode="r")[:],  # type: ignore[index]
    "csv": _read_csv,
}


def _speeds(path: Path, library: Callable[[Path], object], records: int) -> tuple[float, float]:
    """Return records per second by the library alone, and by ecgkit."""
    taken: dict[str, list[float]] = {"library": [], "ecgkit": []}
    for _ in range(ROUNDS):
        for way, read in (("library", library), ("ecgkit", _read_all)):
            _forget(path)
            began = time.perf_counter()
            read(path)
            taken[way].append(time.perf_counter() - began)
    return records / median(taken["library"]), records / median(taken["ecgkit"])


def _read_all(path: Path) -> None:
    dataset = find_dataset(path, given=Given(source_fs=500, leads=STANDARD_LEADS, unit="uV"))
    for source in introduce(dataset):
        dataset.read(source, dataset.header(source))


def _files(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def _forget(path: Path) -> None:
    """Empty the file cache of a file or folder."""
    for file in _files(path):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
