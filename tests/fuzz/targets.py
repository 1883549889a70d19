"""The readers that get damaged inputs. Each reads bytes as ecgkit does. Any error that is not ecgkit's is a fault."""

import atexit
import io
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, cached_property, partial
from importlib import import_module
from pathlib import Path

import numpy as np

from ecgkit.config import read_yaml
from ecgkit.datasets.annotations import parse_annotations
from ecgkit.datasets.base import Dataset, settle
from ecgkit.datasets.budget import memory_budget, time_budget
from ecgkit.datasets.given import Given
from ecgkit.datasets.tables import read_table
from ecgkit.datasets.vendor.layout import PACKAGES
from ecgkit.datasets.wfdb_header import is_segmented, parse_header, parse_segments
from ecgkit.datasets.wfdb_record import one_error
from ecgkit.entries import TaskEntry
from ecgkit.errors import EcgkitError
from ecgkit.evaluation.suites.file import read_suite
from ecgkit.ingestion.source import find_dataset, layouts
from ecgkit.knowledge.endpoint.reading import AnswerError, json_values, read_completion
from ecgkit.leads import STANDARD_LEADS
from ecgkit.packed.archive import Archive
from ecgkit.packed.path import PackedPath
from ecgkit.tasks.loading import find_task, load_task
from tests.datasets import vendor_files

MEGABYTES, SECONDS = 128, 10.0  # of one record
# What arrays leave open; other files state it.
GIVEN = Given(source_fs=500, leads=STANDARD_LEADS, unit="uV")
SAMPLES = 400
SHORT = 200  # samples of the files of devices


@dataclass(frozen=True)
class Target:
    """One reader.

    Args:
        read: Reads an input. It may raise what `allowed` names and nothing else.
        seeds: Returns sound inputs.
        allowed: Exceptions that are ecgkit's answer to a bad input.
    """

    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    allowed: tuple[type[Exception], ...] = (EcgkitError,)

    def __call__(self, data: bytes) -> None:
        """Read an input."""
        with suppress(self.allowed):
            self.read(data)


def header(data: bytes) -> None:
    """Read a WFDB header."""
    with one_error("r.hea", "a WFDB header"):
        parse_segments(data) if is_segmented(data) else parse_header(data)


def annotations(data: bytes) -> None:
    """Read WFDB annotations."""
    with one_error("r.atr", "WFDB annotations"):
        parse_annotations(data, 500.0)


WHOLE_ROAD = 64  # for one input in so many, all layouts are asked; the others are read by the layout of the seed


class InFolder:
    """Reads the dataset of a folder with one file, as an ingest does, without writing a store.

    The folder lies in memory and is used again. Its file is written anew for each input. Only the input decides which
    code runs, so that a fault can be repeated.

    Args:
        name: Name of the file, relative to the folder.
        beside: Returns the other files by name.
    """

    def __init__(self, name: str, beside: Callable[[], Mapping[str, bytes]] = dict) -> None:
        self.name, self.beside = name, beside

    @cached_property
    def folder(self) -> Path:
        """The folder, with the other files in it."""
        folder = Path(tempfile.mkdtemp(prefix="fuzz", dir=in_memory()))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for name, content in self.beside().items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        (folder / self.name).parent.mkdir(parents=True, exist_ok=True)
        return folder

    def __call__(self, data: bytes) -> None:
        """Read an input; the first is sound, and tells the layout."""
        (self.folder / self.name).write_bytes(data)
        is_first = "layout" not in self.__dict__
        with memory_budget(MEGABYTES), time_budget(SECONDS):
            if is_first or zlib.crc32(data) % WHOLE_ROAD == 0:
                dataset = find_dataset(self.folder, given=GIVEN)
            elif is_recognised(self.layout, self.folder):
                dataset = self.layout(self.folder, given=GIVEN)
            else:
                return
            read_records(dataset)
        if is_first:
            self.layout = layouts()[dataset.name].load()


def is_recognised(layout: type[Dataset], folder: Path) -> bool:
    """Return whether a layout recognises a folder. As in `find_dataset`, a layout that fails does not."""
    with suppress(Exception):
        return layout.recognises(folder)
    return False


def read_records(dataset: Dataset, most: int = 8) -> None:
    """Read the first records of a dataset. An error in one record does not stop the others."""
    sources = settle(dataset.sources())
    dataset.check(sources)
    for source in sources[:most]:
        if source.problem:
            continue
        with suppress(EcgkitError):
            dataset.row(source, dataset.read(source, dataset.header(source)))


def table(suffix: str, data: bytes) -> None:
    """Read a table of records."""
    with _file(f"t{suffix}", data) as path, memory_budget(MEGABYTES):
        read_table(path)


def answer(data: bytes) -> None:
    """Read a server's answer as the client does."""
    try:
        body = json.loads(data.removeprefix(b"\xef\xbb\xbf"))
        words = read_completion(body)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError):
        return  # what the client calls an unusable answer
    words.raw.encode()
    for value in json_values(words):
        json.dumps(value)


def task(data: bytes) -> None:
    """Read a user's task."""
    with _file("t.yaml", data) as path:
        entry: TaskEntry = find_task(str(path))
        load_task(entry)


def suite(data: bytes) -> None:
    """Read a suite."""
    with _file("s.yaml", data) as path:
        read_suite(str(path))


def settings(data: bytes) -> None:
    """Read a file of settings."""
    with _file("c.yaml", data) as path:
        read_yaml(path)


def archive(suffix: str, data: bytes) -> None:
    """Index an archive and read its members."""
    with _file(f"a{suffix}", data) as path:
        opened = Archive(path)
        waiting = [PackedPath(opened)]
        while waiting:
            here = waiting.pop()
            if here.is_dir():
                waiting += list(here.iterdir())
            elif here.stat().st_size < 1 << 20:
                with suppress(OSError):  # a member is read as a file is, and one file's error is no other's
                    here.read_bytes()
        opened.close()


@contextmanager
def _file(name: str, data: bytes) -> Iterator[Path]:
    """Write a file into a folder in memory, which the next input uses too."""
    path = _folder() / name
    path.write_bytes(data)
    yield path


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fuzz", dir=in_memory()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def in_memory() -> str | None:
    """Return a folder in memory, if there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _written(write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "seed"
        write(file)
        (made,) = Path(folder).iterdir()
        return made.read_bytes()


HEADER = b"r 2 500 400\nr.dat 16 1000(0)/mV 16 0 5 0 0 I\nr.dat 16 1000(0)/mV 16 0 7 0 0 II\n# Age: 60\n# Sex: M\n"
SEGMENTS = b"r/2 2 500 800\na 400\nb 400\n"
FRAMES = (
    b"r 3 360/720(0) 100 10:00:00 01/02/2003\nr.dat 212x2:3+24 200/mV 12 0 1 2 0 MLII\n"
    b"r.dat 212 200 12 0 1 2 0 V5\ns.dat 61 204.9/mV 16 0 0 0 0 V1\n"
)


def _headers() -> list[bytes]:
    return [HEADER, SEGMENTS, FRAMES, HEADER.replace(b"\n", b"\r\n")]


def _annotations() -> list[bytes]:
    beats = b"".join(np.uint16(1 << 10 | gap).tobytes() for gap in (77, 370, 362))
    skip = np.array([59 << 10, 1, 500, 28 << 10, 63 << 10 | 4], "<u2").tobytes() + b"(AFB"
    return [beats + bytes(2), skip + beats + bytes(2)]


def _signal() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 300, (2, 12, SAMPLES)).astype(np.float32)


def _npy() -> list[bytes]:
    files = []
    for array in (_signal()[:, :, :64], _signal()[0, :, :64].astype(np.int16)):
        buffer = io.BytesIO()
        np.save(buffer, array)
        files.append(buffer.getvalue())
    return files


def _npz() -> list[bytes]:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, ecg=_signal()[:, :, :64], fs=np.array(500))
    return [buffer.getvalue()]


def _mat() -> list[bytes]:
    from scipy.io import savemat

    files = []
    for compressed in (False, True):
        buffer = io.BytesIO()
        savemat(buffer, {"val": _signal()[0, :, :64], "fs": 500}, do_compression=compressed)
        files.append(buffer.getvalue())
    return files


def _hdf5() -> list[bytes]:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("ecg", data=_signal()[:, :, :64], compression="gzip")
        file.attrs["fs"] = 500
    return [buffer.getvalue()]


def _samples_csv() -> list[bytes]:
    rows = "\n".join(",".join(f"{value:.1f}" for value in row) for row in _signal()[0, :, :20].T)
    return [f"{','.join(STANDARD_LEADS)}\n{rows}\n".encode()]


def _tables() -> list[bytes]:
    return [
        b'ecg_id,patient_id,report,fold,age\n1,7,sinus rhythm,3,60\n2,8,"AF, fast",10,\n',
        "id;text\n1;\u00c4rzte\n".encode("cp1252"),
        b"\xef\xbb\xbfa\tb\n1\t2,5\n",
    ]


def _parquet() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table({"ecg_id": [1, 2], "report": ["a", None], "codes": [["x"], []]}), buffer)
    return [buffer.getvalue()]


def _answers() -> list[bytes]:
    words = 'thinking</think> {"findings": [{"name": "AF", "state": "present"}],}'
    whole = {"choices": [{"message": {"content": words, "reasoning": "hm"}, "finish_reason": "stop"}], "usage": {}}
    parts = {"choices": [{"message": {"content": [{"type": "text", "text": "[1, 2]"}]}}]}
    return [json.dumps(whole).encode(), json.dumps(parts).encode()]


def _shipped(room: str) -> list[bytes]:
    """Return the shortest files of a room, because a long input takes long to read."""
    import ecgkit

    folder = Path(ecgkit.__file__).parent / room
    return [file.read_bytes() for file in sorted(folder.rglob("*.yaml")) if file.stat().st_size < 1200]


def _zip() -> list[bytes]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("d/r.hea", HEADER)
        file.writestr("d/r.dat", bytes(1600))
    return [buffer.getvalue()]


def _tar(mode: str) -> list[bytes]:
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:  # type: ignore[call-overload]
        for name, content in (("d/r.hea", HEADER), ("d/r.dat", bytes(1600))):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return [buffer.getvalue()]


@cache
def _zarr() -> dict[str, bytes]:
    import zarr

    with tempfile.TemporaryDirectory() as folder:
        array = zarr.create_array(f"{folder}/e.zarr", shape=(2, 12, 64), dtype="float32")
        array[...] = _signal()[:, :, :64]
        root = Path(folder)
        return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def _vendor(write: Callable[..., object]) -> Target:
    suffix = {"write_dicom": "dcm", "write_scp": "scp", "write_ishne": "ecg", "write_edf": "edf"}
    name = f"r.{suffix.get(write.__name__, 'xml')}"
    if write.__name__ == "write_healforce":
        name = "r.scp"
    samples = 500 if name.endswith("edf") else SHORT  # EDF holds whole seconds
    leads = {"write_aecg": 3, "write_dicom": 3, "write_edf": 3, "write_scp": 8}.get(write.__name__, 12)
    named = {"leads": STANDARD_LEADS[:leads]} if leads == 3 else {}
    counts = vendor_files.counts(samples=samples, leads=leads)

    def seeds() -> list[bytes]:
        for package in PACKAGES:  # what is not loaded is searched for at each input
            import_module(package)
        return [_written(lambda file: write(file, counts, **named))]

    return Target(InFolder(name), seeds)


DAT = np.random.default_rng(1).integers(-500, 500, 800).astype("<i2").tobytes()

TARGETS: dict[str, Target] = {
    "header": Target(header, _headers),
    "annotations": Target(annotations, _annotations),
    "record": Target(InFolder("r.hea", lambda: {"r.dat": DAT}), lambda: [HEADER]),
    "signal": Target(InFolder("r.dat", lambda: {"r.hea": HEADER}), lambda: [DAT]),
    "csv-samples": Target(InFolder("r.csv"), _samples_csv),
    "csv-table": Target(partial(table, ".csv"), _tables),
    "parquet-table": Target(partial(table, ".parquet"), _parquet),
    "npy": Target(InFolder("ecg.npy"), _npy),
    "npz": Target(InFolder("ecg.npz"), _npz),
    "mat": Target(InFolder("ecg.mat"), _mat),
    "hdf5": Target(InFolder("ecg.h5"), _hdf5),
    "zarr": Target(InFolder("e.zarr/zarr.json", _zarr), lambda: [_zarr()["e.zarr/zarr.json"]]),
    "aecg": _vendor(vendor_files.write_aecg),
    "muse": _vendor(vendor_files.write_muse),
    "sierra": _vendor(vendor_files.write_sierra),
    "scp": _vendor(vendor_files.write_scp),
    "ishne": _vendor(vendor_files.write_ishne),
    "healforce": _vendor(vendor_files.write_healforce),
    "dicom": _vendor(vendor_files.write_dicom),
    "edf": _vendor(vendor_files.write_edf),
    "answer": Target(answer, _answers, (AnswerError,)),
    "task": Target(task, partial(_shipped, "tasks")),
    "suite": Target(suite, partial(_shipped, "evaluation/suites")),
    "settings": Target(settings, lambda: [b"a: 1\nb: [1, 2]\nc: {d: &x [1], e: *x}\n"]),
    "zip": Target(partial(archive, ".zip"), _zip),
    "tar": Target(partial(archive, ".tar"), partial(_tar, "w")),
    "tgz": Target(partial(archive, ".tar.gz"), partial(_tar, "w:gz")),
}
