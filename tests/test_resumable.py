"""Long work is stopped, killed, shared and run twice at once, and gives the bytes of an undisturbed run.

How a training goes on is in tests/training/test_resume.py, how one by a model does in tests/knowledge/test_endpoint.py.
"""

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ecgkit import ingestion
from ecgkit.beats import find
from ecgkit.beats.detector import Detector
from ecgkit.errors import LockedError, OutputError, StoreError
from ecgkit.executor import Executor, open_executor
from ecgkit.ingestion import IngestOptions
from ecgkit.interrupt import Interrupted
from ecgkit.knowledge import in_parts
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.reports import Reports
from ecgkit.knowledge.statements import text_hash
from ecgkit.lock import hold
from ecgkit.signal.spec import SignalSpec
from ecgkit.store import format as fmt
from ecgkit.store import views
from ecgkit.store.reader import Store
from ecgkit.training.unfinished import run_in_progress
from tests.beats.synthetic import LEADS, ecg, every
from tests.conftest import write_wfdb

RECORDS, PARTS = 7, 4
SPEC = SignalSpec(fs=100, seconds=2, window=3)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "src"
    for n in range(RECORDS):
        seconds = 3 + n % 2
        write_wfdb(folder, f"r{n}", ecg(every(0.6 + n / 20, seconds), seconds, 250, seed=n), LEADS, fs=250)
    return folder


@pytest.fixture(scope="module")
def small_parts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fmt, "_CHUNK_RECORDS", 2)
        patch.setattr(fmt, "_SHARD_CHUNKS", 1)
        patch.setattr(find, "BLOCK_RECORDS", 2)
        patch.setattr(views, "CHUNKS_PER_PART", 1)
        patch.setattr(in_parts, "PART_TEXTS", 2)
        yield


@pytest.fixture(scope="module")
def original(source: Path, small_parts: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("original") / "s.zarr"
    ingestion.ingest(source, store)
    return store


KEPT = ExtractOptions(min_count=1, keep_children=True)
SAID = "sinus rhythm", "no pvc", "old infarct", "lbbb", "possible lvh", "vorhofflimmern", "st depression in v5"


def statements(store: Path) -> Reports:
    """Reports of seven different texts, read into a store."""
    return Reports(tuple(map(str, range(RECORDS))), SAID, store / "knowledge", "h")


@dataclass(frozen=True)
class Work:
    """Work in parts.

    Args:
        output: Its output, inside the store or the store itself.
        run: Does it.
        part: Module and name of the function that makes a part.
    """

    output: str
    run: Callable[[Path, Path, Executor | None], object]
    part: tuple[Any, str]

    def prepare(self, original: Path, folder: Path) -> tuple[Path, Path]:
        """Return a store to work on and the output."""
        store = folder / "s.zarr"
        if self.output:
            shutil.copytree(original, store)
        return store, store / self.output


WORK = {
    "ingest": Work(
        "", lambda source, store, at: ingestion.ingest(source, store, executor=at), (ingestion, "make_part")
    ),
    "beats": Work("beats", lambda source, store, at: find.find_beats(Store(store), executor=at), (find, "_make_part")),
    "view": Work(
        f"views/{SPEC.view_key()}",
        lambda source, store, at: views.open_view(Store(store), SPEC, executor=at),
        (views, "_fill"),
    ),
    "extraction": Work(
        "knowledge/labels",
        lambda source, store, at: extract_knowledge(statements(store), LexiconBackend(), KEPT, executor=at),
        (in_parts, "_read_part"),
    ),
}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def undisturbed(original: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    found = {}
    for name, work in WORK.items():
        store, output = work.prepare(original, tmp_path_factory.mktemp(name))
        work.run(source, store, None)
        found[name] = files_of(output)
    return found


def counted(work: Work, monkeypatch: pytest.MonkeyPatch, fatal: int, number: int) -> list[int]:
    """Count the parts that are begun; this process gets a signal when part `fatal` is begun."""
    module, name = work.part
    real, begun = getattr(module, name), []

    def part(*arguments: Any) -> object:
        begun.append(len(begun))
        if len(begun) == fatal:
            os.kill(os.getpid(), number)
        return real(*arguments)

    monkeypatch.setattr(module, name, part)
    return begun


@pytest.mark.slow
@pytest.mark.parametrize("name", WORK)
def test_killed_between_two_parts_the_same_call_goes_on(
    original: Path, source: Path, undisturbed: dict[str, Any], tmp_path: Path, monkeypatch, name: str
) -> None:
    work = WORK[name]
    store, output = work.prepare(original, tmp_path)
    child = os.fork()
    if child == 0:
        counted(work, monkeypatch, 3, signal.SIGKILL)
        try:
            work.run(source, store, None)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert not output.exists()
    begun = counted(work, monkeypatch, 0, 0)
    work.run(source, store, None)
    assert len(begun) == PARTS - 2, "what was done is not done again"
    assert files_of(output) == undisturbed[name]
    assert not list(tmp_path.rglob("*.partial*"))


@pytest.mark.parametrize("name", WORK)
def test_ctrl_c_finishes_the_part_in_hand(
    original: Path, source: Path, undisturbed: dict[str, Any], tmp_path: Path, monkeypatch, name: str
) -> None:
    work = WORK[name]
    store, output = work.prepare(original, tmp_path)
    with monkeypatch.context() as patch:
        counted(work, patch, 2, signal.SIGINT)
        with pytest.raises(
            Interrupted, match=r"stopped: 4 of 7 (records|texts) are done and kept in .*partial; to go on: the same"
        ):
            work.run(source, store, None)
    assert not output.exists()
    begun = counted(work, monkeypatch, 0, 0)
    work.run(source, store, None)
    assert len(begun) == PARTS - 2
    assert files_of(output) == undisturbed[name]


@pytest.fixture(scope="module")
def executors() -> Iterator[dict[str, Executor]]:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster,
        open_executor(dask=cluster.scheduler_address) as dask,
        open_executor(workers=2) as processes,
    ):
        yield {"dask": dask, "processes": processes}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["processes", "dask"])
@pytest.mark.parametrize("name", WORK)
def test_shared_work_gives_the_same_bytes(
    original: Path, source: Path, undisturbed: dict[str, Any], tmp_path: Path, executors, name: str, how: str
) -> None:
    store, output = WORK[name].prepare(original, tmp_path)
    WORK[name].run(source, store, executors[how])
    assert files_of(output) == undisturbed[name]


def labels(folder: Path, **options: Any) -> object:
    reports = Reports(("a", "b"), ("sinus rhythm", "atrial fibrillation"), folder / "knowledge", "h")
    return extract_knowledge(reports, LexiconBackend(), ExtractOptions(min_count=1, **options))


def train(out: Path, identity: str, *, resume: bool = True, overwrite: bool = False) -> None:
    with run_in_progress(out, {"identity": identity}, overwrite=overwrite, resume=resume) as folder:
        (folder / "checkpoints" / "step-00000001").mkdir(parents=True, exist_ok=True)
        raise KeyboardInterrupt


@dataclass(frozen=True)
class Refusal:
    """Work that one process does at a time: its unfinished folder beside a store, and a call of it."""

    folder: str
    run: Callable[[Path, Path], object]


REFUSALS = {
    "ingest": Refusal("t.zarr.partial", lambda source, store: ingestion.ingest(source, store.with_name("t.zarr"))),
    "beats": Refusal("s.zarr/.beats.partial", lambda source, store: find.find_beats(Store(store))),
    "extraction": Refusal("knowledge/.labels.partial", lambda source, store: labels(store.parent)),
    "training": Refusal("run.partial", lambda source, store: train(store.with_name("run"), "a")),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_second_process_is_refused_in_one_line(original: Path, source: Path, tmp_path: Path, name: str) -> None:
    store, case = shutil.copytree(original, tmp_path / "s.zarr"), REFUSALS[name]
    with (
        hold(tmp_path / case.folder / "lock", tmp_path),
        pytest.raises(LockedError, match=rf"is being made by another process \(process {os.getpid()} on "),
    ):
        case.run(source, store)


@pytest.mark.parametrize("name", REFUSALS)
def test_a_file_in_the_way_is_told_and_stays(original: Path, source: Path, tmp_path: Path, name: str) -> None:
    store, case = shutil.copytree(original, tmp_path / "s.zarr"), REFUSALS[name]
    for sub in ("", "/notes.txt"):
        theirs = tmp_path / f"{case.folder}{sub}"
        theirs.parent.mkdir(parents=True, exist_ok=True)
        theirs.write_text("keep me")
        with pytest.raises(OutputError, match=r"partial already exists, but it is not unfinished work.*Move it away"):
            case.run(source, store)
        assert theirs.read_text() == "keep me"
        theirs.unlink()


@pytest.mark.parametrize("name", REFUSALS)
def test_a_folder_that_cannot_be_written_is_named(
    original: Path, source: Path, tmp_path: Path, monkeypatch, name: str
) -> None:
    store, case = shutil.copytree(original, tmp_path / "s.zarr"), REFUSALS[name]

    def denied(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)  # whoever runs the tests may write everywhere
    with pytest.raises(OutputError, match=r"cannot be written \(Permission denied\)"):
        case.run(source, store)


@pytest.mark.parametrize("name", ["ingest", "beats", "training"])
def test_unfinished_work_with_other_settings_is_refused_or_dropped(
    original: Path, source: Path, tmp_path: Path, monkeypatch, name: str
) -> None:
    store = shutil.copytree(original, tmp_path / "s.zarr")
    calls: dict[str, Callable[..., object]] = {
        "ingest": lambda other, **to: ingestion.ingest(
            source, tmp_path / "t.zarr", IngestOptions(limit=5 if other else None), **to
        ),
        "beats": lambda other, **to: find.find_beats(Store(store), Detector(fs=200.0 if other else None), **to),
        "training": lambda other, **to: train(tmp_path / "run", f"{other}", resume=not to, **to),
    }
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if name in WORK:
            counted(WORK[name], patch, 1, signal.SIGINT)
        calls[name](False)
    with pytest.raises(OutputError, match=r"partial is unfinished work with other settings.*--overwrite"):
        calls[name](True)
    if name == "training":
        with pytest.raises(KeyboardInterrupt):
            calls[name](True, overwrite=True)
    else:
        calls[name](True, overwrite=True)


def test_the_program_says_who_is_at_work_and_exits_with_2(ecgkit, original: Path, tmp_path: Path) -> None:
    store = shutil.copytree(original, tmp_path / "s.zarr")
    with hold(store / ".beats.partial" / "lock", store):
        done = ecgkit("beats", store)
    assert done.code == 2
    assert done.err.startswith(f"error: {store}/beats is being made by another process (process {os.getpid()} on ")
    assert len(done.err.splitlines()) == 1


def test_the_program_tells_how_far_it_was_and_goes_on(
    ecgkit, original: Path, undisturbed: dict[str, Any], tmp_path: Path, monkeypatch
) -> None:
    store = shutil.copytree(original, tmp_path / "s.zarr")
    with monkeypatch.context() as patch:
        counted(WORK["beats"], patch, 2, signal.SIGINT)
        done = ecgkit("beats", store)
    assert done.code == 130
    assert done.err == (
        f"stopped: 4 of 7 records are done and kept in {store}/.beats.partial. Go on with: ecgkit beats {store}\n"
    )
    assert ecgkit("beats", store).code == 0
    assert files_of(store / "beats") == undisturbed["beats"]


def test_who_needs_a_view_that_another_makes_waits_for_it(
    original: Path, source: Path, undisturbed: dict[str, Any], tmp_path: Path, monkeypatch
) -> None:
    store, output = WORK["view"].prepare(original, tmp_path)
    begun = counted(WORK["view"], monkeypatch, 0, 0)
    other = threading.Thread(target=WORK["view"].run, args=(source, store, None))
    with hold(output.with_name(f".{output.name}.partial") / "lock", output):
        other.start()
        other.join(0.3)
        assert other.is_alive() and not begun
    WORK["view"].run(source, store, None)
    other.join(10)
    assert len(begun) == PARTS, "one of the two made it"
    assert files_of(output) == undisturbed["view"]


def test_unfinished_beats_of_earlier_releases_are_removed(original: Path, tmp_path: Path) -> None:
    store = shutil.copytree(original, tmp_path / "s.zarr")
    old = store / ".beats-0123.partial"
    old.mkdir()
    (old / "0.parquet").write_text("old")
    find.find_beats(Store(store))
    assert not old.exists()


def test_an_unfinished_run_of_earlier_releases_is_taken_over(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", "a")
    (tmp_path / "run.partial" / "plan.json").unlink()
    with pytest.raises(OutputError, match="other settings"):
        train(tmp_path / "run", "b")
    with run_in_progress(tmp_path / "run", {"identity": "a"}, overwrite=False, resume=True) as folder:
        assert (folder / "checkpoints").is_dir()
    assert (tmp_path / "run").is_dir()


@pytest.mark.parametrize("name", ["ingest", "beats", "extraction"])
def test_a_part_that_was_damaged_on_the_disk_is_told_and_made_again(
    original: Path, source: Path, undisturbed: dict[str, dict[str, bytes]], tmp_path: Path, monkeypatch, name: str
) -> None:
    work = WORK[name]
    store, output = work.prepare(original, tmp_path)
    module, make = work.part
    real, made = getattr(module, make), []

    def damaging(*arguments: Any) -> object:
        result = real(*arguments)
        made.append(arguments)
        if len(made) == 2:
            folder = output.with_name(f"{'.' if work.output else ''}{output.name}.partial") / "parts"
            part = sorted(folder.glob("*.rows.parquet" if name == "ingest" else "*.parquet"))[0]
            content = bytearray(part.read_bytes())
            known = text_hash(SAID[0])[:16].encode()  # so small a file is mostly headers of pages, without checksums
            content[content.index(known) if name == "extraction" else len(content) // 5] ^= 8
            part.write_bytes(content)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(module, make, damaging)
        with pytest.raises(StoreError, match=r"parquet is damaged.*again: this part is made again"):
            work.run(source, store, None)
    work.run(source, store, None)
    assert files_of(output) == undisturbed[name]
