"""Long records: read and stored in stretches, cut into windows, drawn from any place. Hostile or changed sources."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import wfdb
from scipy.io import savemat

import ecgkit as library
from ecgkit.datasets import wfdb_stretches
from ecgkit.datasets.given import Given
from ecgkit.datasets.wfdb_record import read_record
from ecgkit.errors import ConfigError, RecordError, StoreError
from ecgkit.ingestion import IngestOptions, ingest, part
from ecgkit.leads import STANDARD_LEADS
from ecgkit.store import format as fmt
from ecgkit.store.format import Layout
from ecgkit.store.reader import Store
from tests.conftest import synthetic_signal, write_wfdb
from tests.datasets.vendor_files import counts, write_ishne


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat records of seconds as long ones."""
    monkeypatch.setattr(wfdb_stretches, "STRETCH", 3000)
    monkeypatch.setattr(fmt, "_WHOLE_SAMPLES", 20_000)
    monkeypatch.setattr(fmt, "_CHUNK_SAMPLES", 24_000)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Eight records of 2 s and one of 60 s."""
    folder = tmp_path / "in"
    for n in range(8):
        write_wfdb(folder, f"r{n}", np.roll(synthetic_signal(1000), n, axis=1))
    write_wfdb(folder, "long", np.tile(synthetic_signal(1000), 30) + np.linspace(0, 1, 30_000))
    return folder


def test_one_long_record_leaves_the_others_quick_to_read(small_steps: None, mixed: Path, tmp_path: Path) -> None:
    report = ingest(mixed, tmp_path / "s.zarr", IngestOptions(dataset="wfdb"))
    assert report.taken == 9
    store = Store(tmp_path / "s.zarr")
    assert store._array.shape == (9, 12, 30_000)
    assert store._array.chunks[2] == 1000, "chunks are as long as most records"
    for row, record in enumerate(store.table["record_id"]):
        expected = read_record(mixed, record)
        np.testing.assert_allclose(store.recording(row).signal, expected.signal, atol=0.51e-3)
        assert store.table["sha256"][row]
    assert next(store.spans(0, 9)) == (0, 1), "the long record is read by itself"
    assert store.signals(1, 9).shape == (8, 12, 1000)
    part = store.recording(0, 12_345, 13_000)
    np.testing.assert_array_equal(part.signal, store.recording(0).signal[:, 12_345:13_000])


@pytest.mark.parametrize(
    ("lengths", "tile", "chunk"),
    [
        ({5000: 100}, 5000, 16),
        ({5000: 100, 900_000: 1}, 5000, 16),
        ({21_600_000: 1}, 83_333, 1),
        ({5000: 1, 60_000: 9}, 60_000, 1),
    ],
)
def test_chunks_follow_most_records(lengths: dict[int, int], tile: int, chunk: int) -> None:
    layout = Layout.of(STANDARD_LEADS, lengths)
    assert (layout.tile, layout.chunk) == (tile, chunk)
    assert layout.shard % layout.chunk == 0
    assert layout.tiles * layout.shard // layout.chunk <= max(4096, layout.tiles)


@pytest.mark.parametrize("form", ["16", "212", "24", "32"])
def test_a_long_record_in_stretches_is_the_whole_record(monkeypatch, tmp_path: Path, form: str) -> None:
    counts = np.rint(synthetic_signal(5003, 3) * 200).astype(int).T
    leads = ["I", "II", "V1"]
    wfdb.wrsamp(
        "r",
        500,
        ["mV"] * 3,
        leads,
        d_signal=counts,
        fmt=[form] * 3,
        adc_gain=[200.0] * 3,
        baseline=[0] * 3,
        write_dir=str(tmp_path),
    )
    whole = read_record(tmp_path, "r")
    monkeypatch.setattr(wfdb_stretches, "STRETCH", 3000)
    again = read_record(tmp_path, "r")
    np.testing.assert_array_equal(again.amplitudes, whole.amplitudes)
    raw = bytearray((tmp_path / "r.dat").read_bytes())
    raw[len(raw) // 2 // 36 * 36] ^= 4
    (tmp_path / "r.dat").write_bytes(raw)
    with pytest.raises(RecordError, match="has checksum"):
        read_record(tmp_path, "r")


def test_windows_of_one_record_are_read_in_stretches(small_steps: None, mixed: Path, tmp_path: Path) -> None:
    options = IngestOptions(dataset="wfdb", seconds=2, window="split")
    report = ingest(mixed, tmp_path / "s.zarr", options)
    assert (report.taken, report.records, report.found) == (38, 9, 9)
    store, whole = Store(tmp_path / "s.zarr"), read_record(mixed, "long")
    for number in (1, 17, 30):
        window = store.recording(store.row(f"long#{number}")).signal
        np.testing.assert_allclose(window, whole.signal[:, 1000 * (number - 1) : 1000 * number], atol=0.51e-3)
    raw = bytearray((mixed / "long.dat").read_bytes())
    raw[-3] ^= 4
    (mixed / "long.dat").write_bytes(raw)
    report = ingest(mixed, tmp_path / "t.zarr", options)
    assert report.records == 8, "no window of a record with a wrong checksum is taken"


def test_the_command_counts_windows_and_draws_a_stretch(ecgkit, mixed: Path, tmp_path: Path) -> None:
    shown = ecgkit(
        "ingest", mixed, "--out", tmp_path / "s.zarr", "--dataset", "wfdb", "--seconds", 2, "--window", "split"
    )
    assert "38 windows of 9 records (of 9)" in shown.out
    ecgkit("ingest", mixed, "--out", tmp_path / "w.zarr", "--dataset", "wfdb")
    shown = ecgkit(
        "inspect",
        tmp_path / "w.zarr",
        "--record",
        "long",
        "--start",
        "0:00:30",
        "--seconds",
        4,
        "--out",
        tmp_path / "a.png",
    )
    assert (shown.code, (tmp_path / "a.png").stat().st_size > 10_000) == (0, True)
    with pytest.raises(StoreError, match="ends after 60 s, before 1:02:03"):
        library.inspect_record(tmp_path / "w.zarr", "long", start="1:02:03")
    with pytest.raises(ConfigError, match="--start noon; expected a time in seconds"):
        library.inspect_record(tmp_path / "w.zarr", "long", start="noon")


def test_progress_of_long_records_is_in_samples(small_steps: None, mixed: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    ingest(mixed, tmp_path / "s.zarr", IngestOptions(dataset="wfdb"), lambda *call: told.append(call))
    assert ("samples", 38_000, 38_000) in told


def test_hostile_records_are_in_the_ledger_and_nothing_else_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_wfdb(folder, "good", synthetic_signal(1000))
    line = "x.dat 16 1000/mV 16 0 0 0 0 II\n"
    (folder / "x.dat").write_bytes(bytes(2000))
    (folder / "gain.hea").write_text(f"gain 1 500 1000\nx.dat 16 {'9' * 50_000}/mV 16 0 0 0 0 II\n")
    (folder / "segments.hea").write_text("segments/1000000 12 500 1000000000\n" + "part 1000\n" * 1_000_000)
    write_wfdb(folder, "part", synthetic_signal(1000))
    (folder / "slow.hea").write_text(f"slow 1 0.00001 1000\n{line}")
    (folder / "huge.hea").write_text(f"huge 1 500 4000000000\n{line.replace('x.dat', 'huge.dat')}")
    with (folder / "huge.dat").open("wb") as file:
        file.truncate(8_000_000_000)
    os.mkfifo(folder / "pipe.hea")
    (folder / "piped.hea").write_text(f"piped 1 500 1000\n{line.replace('x.dat', 'pipe.dat')}")
    os.mkfifo(folder / "pipe.dat")
    (folder / os.fsdecode(b"caf\xe9.hea")).write_text(f"cafe 1 500 1000\n{line}")
    (folder / "\x1b[31mred.hea").write_text("red\n")
    report = ingest(folder, tmp_path / "s.zarr", IngestOptions(dataset="wfdb", fs=500))
    assert [report.taken, report.found] == [1, 9]
    reasons = {row.record_id: row.reason for row in report.rejected}
    assert "a line of 50026 characters" in reasons["gain"]
    for name in ("segments", "slow", "huge"):
        assert "--max-record-mb" in reasons[name], name
    for name in ("pipe", "piped"):
        assert "not a regular file" in reasons[name], name
    assert "not valid UTF-8" in reasons["caf\\xe9"]
    assert len(Store(tmp_path / "s.zarr").ledger) == 8


def test_names_never_control_the_terminal(ecgkit, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_wfdb(folder, "good", synthetic_signal(1000))
    (folder / "\x1b[31mred.hea").write_text("red\n")
    shown = ecgkit("ingest", folder, "--out", tmp_path / "s.zarr", "--dataset", "wfdb")
    assert "\\x1b[31mred" in shown.out
    assert "\x1b" not in shown.out + shown.err
    shown = ecgkit("inspect", tmp_path / "\x1b[31mnone.zarr")
    assert "\\x1b[31mnone.zarr" in shown.err
    assert "\x1b" not in shown.out + shown.err


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every folder")
def test_a_folder_without_permission_is_in_the_ledger(mixed: Path, tmp_path: Path) -> None:
    locked = mixed / "locked"
    write_wfdb(locked, "r", synthetic_signal(1000))
    locked.chmod(0)
    try:
        report = ingest(mixed, tmp_path / "s.zarr", IngestOptions(dataset="wfdb"))
    finally:
        locked.chmod(0o755)
    assert [(row.path, row.stage) for row in report.rejected] == [("locked", "folder")]
    assert report.failed == 1


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO])
def test_a_folder_that_cannot_be_listed_is_in_the_ledger(mixed: Path, tmp_path: Path, monkeypatch, error: int) -> None:
    write_wfdb(mixed / "locked", "r", synthetic_signal(1000))
    real = os.scandir

    def scandir(path: str | Path | int = ".") -> object:
        if not isinstance(path, int) and os.fspath(path).endswith("locked"):
            raise OSError(error, os.strerror(error), os.fspath(path))
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    report = ingest(mixed, tmp_path / "s.zarr", IngestOptions(dataset="wfdb"))
    assert [(row.path, row.stage) for row in report.rejected] == [("locked", "folder")]
    assert os.strerror(error) in report.rejected[0].reason and report.failed == 1 and report.taken == 9


GIVEN = Given(source_fs=500, leads=STANDARD_LEADS, unit="mV")  # what arrays leave open


def _cpsc_beats(folder: Path) -> None:
    savemat(folder / "data_00001.mat", {"ecg": synthetic_signal(1000, 1)[0][:, None]})


def _cpsc_2018(folder: Path) -> None:
    ecg = {"data": synthetic_signal(1000), "sex": "Male", "age": 60}
    savemat(folder / f"A000{1 + (folder.name == 'locked')}.mat", {"ECG": ecg})
    (folder / "REFERENCE.csv").write_text("Recording,First_label,Second_label,Third_label\nA0001,1,,\n")


def _ishne(folder: Path) -> None:
    write_ishne(folder / "r.ecg", counts(samples=1000))


def _array(folder: Path) -> None:
    np.save(folder / "r.npy", synthetic_signal(1000).astype(np.float32))


def _table(folder: Path) -> None:
    rows = "\n".join(",".join(f"{value:.3f}" for value in row) for row in synthetic_signal(1000).T)
    (folder / "r.csv").write_text(f"{','.join(STANDARD_LEADS)}\n{rows}\n")


@pytest.mark.parametrize("write", [_cpsc_beats, _cpsc_2018, _ishne, _array, _table])
def test_every_layout_tells_of_folders_that_it_could_not_enter(tmp_path: Path, monkeypatch, write) -> None:
    for folder in (tmp_path / "in", tmp_path / "in" / "locked", tmp_path / "elsewhere"):
        folder.mkdir()
        write(folder)
    (tmp_path / "in" / "out").symlink_to(tmp_path / "elsewhere")
    real = os.scandir

    def scandir(path: str | Path | int = ".") -> object:
        if not isinstance(path, int) and os.fspath(path).endswith("locked"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    report = ingest(tmp_path / "in", tmp_path / "s.zarr", IngestOptions(given=GIVEN))
    assert {(row.path, row.stage) for row in report.rejected} == {("locked", "folder"), ("out", "folder")}
    assert report.taken == 1


def test_links_to_folders_are_told(mixed: Path, tmp_path: Path) -> None:
    write_wfdb(tmp_path / "elsewhere", "r", synthetic_signal(1000))
    write_wfdb(mixed / "deep", "r", np.roll(synthetic_signal(1000), 99, axis=1))
    (mixed / "out").symlink_to(tmp_path / "elsewhere")
    (mixed / "again").symlink_to(mixed / "deep")
    (mixed / "deep" / "loop").symlink_to(mixed)
    report = ingest(mixed, tmp_path / "s.zarr", IngestOptions(dataset="wfdb"))
    assert report.taken == 10
    told = {row.path: (row.stage, row.reason) for row in report.rejected}
    assert told["again"] == ("link", "the folder is a link to deep, which is read there")
    assert told["deep/loop"][0] == "link"
    assert told["out"][0] == "folder" and "leads out of the dataset's folder" in told["out"][1]
    assert report.failed == 1


def stopped_ingest(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingest until the first shard of two is done."""
    take, calls = part.make_part, []

    def stop(job, call) -> None:
        if calls:
            raise OSError("killed")
        calls.append(call)
        take(job, call)

    with monkeypatch.context() as patch:
        patch.setattr("ecgkit.ingestion.make_part", stop)
        with pytest.raises(OSError, match="killed"):
            ingest(source, out, IngestOptions(dataset="wfdb"))


@pytest.mark.parametrize("change", ["gain", "baseline", "time", "comment"])
def test_a_source_that_changed_after_a_stop_is_told_and_begun_anew(
    small_steps: None, mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(fmt, "_SHARD_CHUNKS", 1)
    out = tmp_path / "s.zarr"
    stopped_ingest(mixed, out, monkeypatch)
    header = mixed / "long.hea"  # a record of the shard that is done
    text = header.read_text()
    gain = text.splitlines()[1].split()[2]
    if change == "gain":
        header.write_text(text.replace(gain, f"500{gain[gain.index('(') :]}"))
    elif change == "baseline":
        header.write_text(text.replace(gain, f"{gain.split('(')[0]}(7)/mV"))
    elif change == "time":
        os.utime(mixed / "long.dat", (1, 1))
    else:
        header.write_text(f"{text}# Age: 7\n")
    report = ingest(mixed, out, IngestOptions(dataset="wfdb"))
    assert report.source_changed
    fresh = ingest(mixed, tmp_path / "fresh.zarr", IngestOptions(dataset="wfdb"))
    assert not fresh.source_changed
    assert report.content_hash == fresh.content_hash


def test_work_on_an_unchanged_source_goes_on(small_steps: None, mixed: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(fmt, "_SHARD_CHUNKS", 1)
    stopped_ingest(mixed, tmp_path / "s.zarr", monkeypatch)
    report = ingest(mixed, tmp_path / "s.zarr", IngestOptions(dataset="wfdb"))
    assert not report.source_changed


@pytest.fixture
def store(mixed: Path, tmp_path: Path) -> Path:
    ingest(mixed, tmp_path / "checked.zarr", IngestOptions(dataset="wfdb", seconds=2))
    return tmp_path / "checked.zarr"


def damaged(store: Path, kind: str) -> None:
    shard = store / fmt.shard_path(0)
    if kind == "missing shard":
        shard.unlink()
    elif kind == "flipped bit":
        raw = bytearray(shard.read_bytes())
        raw[len(raw) // 3] ^= 1
        shard.write_bytes(raw)
    else:
        text = (store / "zarr.json").read_text().replace(" ", "").replace("\n", "")
        assert '"I","II"' in text
        (store / "zarr.json").write_text(text.replace('"I","II"', '"II","I"'))


@pytest.mark.parametrize("kind", ["missing shard", "flipped bit", "swapped leads"])
def test_no_sample_leaves_a_damaged_store(store: Path, tmp_path: Path, kind: str) -> None:
    damaged(store, kind)
    for read in (
        lambda: [library.open_store(store)[row] for row in range(9)],
        lambda: [library.inspect_record(store, f"r{n}", out=tmp_path / "x.png") for n in range(8)],
    ):
        with pytest.raises(StoreError) as error:
            read()
        assert str(store) in str(error.value)
    assert not (tmp_path / "x.png").exists()


def test_an_edited_table_is_noticed(store: Path) -> None:
    table = Store(store).table.frame()
    table.loc[0, "fold"] = 10
    table.to_parquet(store / "records.parquet")
    with pytest.raises(StoreError, match=r"records\.parquet has been changed since"):
        library.open_store(store)[0]


def test_one_long_record_does_not_make_the_short_ones_slow_to_read() -> None:
    """30 minutes at 100 Hz among records of 10 s: a chunk holds as many short records as without it."""
    alone = Layout.of(STANDARD_LEADS, {1000: 100})
    beside = Layout.of(STANDARD_LEADS, {1000: 100, 180_000: 1})
    assert (beside.chunk, beside.tile) == (alone.chunk, alone.tile) == (64, 1000)
    assert Layout.of(STANDARD_LEADS, {1000: 100, 9000: 1}).tiles == 1, "lengths that are usual in one archive"
