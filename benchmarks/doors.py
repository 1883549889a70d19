"""How fast each kind of file is read, against what its library or the disk allows: ``python -m benchmarks.doors``.

Records of 12 x 5000 int16 are written in each form, those of vendors with the leads that the form has. Each form is
then read by its library alone, whole and without any conversion, and record by record as ingest does. The file cache is
emptied before each reading, so an array that is not compressed is read at the speed of the disk. The two ways take
turns; ratios are of medians of three rounds. For files of vendors only the speed of ecgkit is stated.

Usage: ``python -m benchmarks.doors [RECORDS]``.
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
import pyarrow as pa
import pyarrow.parquet as pq
import wfdb
import zarr
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.io import loadmat, savemat

from ecgkit.datasets.given import Given
from ecgkit.datasets.people import introduce
from ecgkit.ingestion import find_dataset
from ecgkit.leads import STANDARD_LEADS
from tests.conftest import write_wfdb
from tests.datasets import vendor_files as make

Writer = Callable[[Path, NDArray[np.int16]], Path]

ROUNDS, SAMPLES, FEW_RECORDS = 3, 5000, 40


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    rng = np.random.default_rng(0)
    steps = rng.integers(-20, 21, (count, 12, SAMPLES), np.int16)
    signals = (np.cumsum(steps, axis=-1, dtype=np.int32) // 8).astype(np.int16)
    table = Table("form", "MB", "records/s", "library alone", "share of the library's speed")
    with tempfile.TemporaryDirectory(dir=os.environ.get("ECGKIT_BENCHMARK_FOLDER")) as temporary:
        for name, write in FORMS.items():
            own = signals if name in LARGE else signals[:FEW_RECORDS]
            path = write(Path(temporary), own)
            library, ours = _speeds(path, LIBRARIES.get(name), len(own))
            size = sum(file.stat().st_size for file in _files(path)) / 1e6
            alone = (f"{library:,.0f}", f"{ours / library:.0%}") if library else ("", "")
            table.add_row(name, f"{size:,.0f}", f"{ours:,.0f}", *alone)
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


def _write_parquet(folder: Path, signals: NDArray[np.int16]) -> Path:
    leads = {lead: list(signals[:, row]) for row, lead in enumerate(STANDARD_LEADS)}
    pq.write_table(pa.table(leads), folder / "x.parquet")
    return folder / "x.parquet"


def _write_mat(folder: Path, signals: NDArray[np.int16]) -> Path:
    (folder / "mat").mkdir()
    for number, record in enumerate(signals):
        savemat(folder / "mat" / f"{number}.mat", {"val": record})
    return folder / "mat"


def _write_wfdb(folder: Path, signals: NDArray[np.int16]) -> Path:
    for number, record in enumerate(signals):
        write_wfdb(folder / "wfdb", f"r{number}", record / 1000)
    return folder / "wfdb"


def _of_vendor(write: Callable[[Path, NDArray[np.int16]], Path], suffix: str, leads: int) -> Writer:
    def write_all(folder: Path, signals: NDArray[np.int16]) -> Path:
        (folder / suffix).mkdir()
        for number, record in enumerate(signals):
            write(folder / suffix / f"{number}.{suffix}", record[:leads] // 4)
        return folder / suffix

    return write_all


def _read_hdf5(path: Path) -> None:
    with h5py.File(path) as file:
        file["x"][...]


def _read_mat(path: Path) -> None:
    for file in sorted(path.iterdir()):
        loadmat(file)


def _read_wfdb(path: Path) -> None:
    for file in sorted(path.glob("*.hea")):
        wfdb.rdrecord(str(file.with_suffix("")), physical=False)


def _read_csv(path: Path) -> None:
    for file in sorted(path.iterdir()):
        pd.read_csv(file)


FORMS: dict[str, Writer] = {
    "npy, N x L x T": _write_npy,
    "npy, N x T x L": _write_turned,
    "hdf5, gzip": _write_hdf5,
    "zarr, zstd": _write_zarr,
    "parquet, snappy": _write_parquet,
    "mat": _write_mat,
    "csv": _write_csv,
    "wfdb": _write_wfdb,
    "HL7 aECG": _of_vendor(make.write_aecg, "xml", 12),
    "Philips XML": _of_vendor(make.write_sierra, "sierra.xml", 12),
    "GE MUSE XML": _of_vendor(make.write_muse, "muse.xml", 8),
    "DICOM": _of_vendor(make.write_dicom, "dcm", 12),
    "SCP-ECG": _of_vendor(make.write_scp, "scp", 8),
    "EDF": _of_vendor(make.write_edf, "edf", 12),
    "ISHNE": _of_vendor(make.write_ishne, "ecg", 3),
}
LARGE = ("npy, N x L x T", "npy, N x T x L", "hdf5, gzip", "zarr, zstd", "parquet, snappy")
LIBRARIES: dict[str, Callable[[Path], object]] = {
    "npy, N x L x T": np.load,
    "npy, N x T x L": np.load,
    "hdf5, gzip": _read_hdf5,
    "zarr, zstd": lambda path: zarr.open_array(str(path), mode="r")[:],  # type: ignore[index]
    "parquet, snappy": pq.read_table,
    "mat": _read_mat,
    "csv": _read_csv,
    "wfdb": _read_wfdb,
}


def _speeds(path: Path, library: Callable[[Path], object] | None, records: int) -> tuple[float, float]:
    """Return records per second by the library alone (0 if there is none), and by ecgkit."""
    taken: dict[str, list[float]] = {"library": [], "ecgkit": []}
    _read_all(path)  # imports
    for _ in range(ROUNDS):
        for way, read in (("library", library), ("ecgkit", _read_all)):
            if read is None:
                continue
            _forget(path)
            began = time.perf_counter()
            read(path)
            taken[way].append(time.perf_counter() - began)
    return records / median(taken["library"]) if library else 0.0, records / median(taken["ecgkit"])


def _read_all(path: Path) -> None:
    dataset = find_dataset(path, given=Given(source_fs=500, leads=STANDARD_LEADS, unit="uV"))
    for source in introduce(dataset):
        assert not source.problem, source.problem
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
