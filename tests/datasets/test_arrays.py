"""Arrays of many records in every kind of file and order of axes, and CSV files: found, asked for, or refused."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from numpy.typing import NDArray
from scipy.io import savemat

import ecgkit
from ecgkit.api.ingest import ingest
from ecgkit.datasets import stacked
from ecgkit.datasets.axes import find_axes
from ecgkit.datasets.given import Given
from ecgkit.errors import ConfigError, DatasetError, RecordError
from ecgkit.ingestion import IngestReport, find_dataset
from ecgkit.leads import STANDARD_LEADS
from ecgkit.store.reader import Store
from tests.conftest import synthetic_signal, write_wfdb

RECORDS, SAMPLES = 6, 300
STATED: dict[str, Any] = {"fs": 100, "leads": "12", "unit": "uV"}


@pytest.fixture(scope="module")
def stack() -> NDArray[np.int16]:
    """Records ``[N, L, T]`` in microvolts."""
    rows = [np.rint(synthetic_signal(SAMPLES, seed=n) * 1000) for n in range(RECORDS)]
    return np.stack(rows).astype(np.int16)


def stored(src: Path, tmp_path: Path, **options: Any) -> tuple[IngestReport, Store]:
    out = tmp_path / "out.zarr"
    return ingest(src, out=out, overwrite=True, **options), Store(out)


def assert_same(store: Store, stack: NDArray[np.int16]) -> None:
    assert len(store.table) == len(stack)
    for n in range(len(stack)):
        found = store.recording(n).stored
        assert found is not None
        np.testing.assert_array_equal(found, stack[n])


@pytest.mark.parametrize(
    ("letters", "order"),
    [("NLT", (0, 1, 2)), ("NTL", (0, 2, 1)), ("LTN", (1, 2, 0)), ("TNL", (2, 0, 1)), ("TLN", (2, 1, 0))],
)
def test_every_order_of_axes_gives_the_same_records(
    tmp_path: Path, stack: NDArray[np.int16], letters: str, order: tuple[int, ...]
) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "x.npy", stack.transpose(order))
    report, store = stored(tmp_path / "in", tmp_path, axes=letters, **STATED)
    assert_same(store, stack)
    assert "6 records" in report.findings[0] and "300 samples" in report.findings[0]


def write_npy(folder: Path, stack: NDArray[np.int16]) -> None:
    np.save(folder / "x.npy", stack[:, None].transpose(0, 1, 3, 2))  # [N, 1, T, L]


def write_fortran(folder: Path, stack: NDArray[np.int16]) -> None:
    np.save(folder / "x.npy", np.asfortranarray(stack))


def write_big_endian(folder: Path, stack: NDArray[np.int16]) -> None:
    np.save(folder / "x.npy", stack.astype(">f4"))


def write_npz(folder: Path, stack: NDArray[np.int16]) -> None:
    np.savez(folder / "x.npz", X=stack)


def write_packed_npz(folder: Path, stack: NDArray[np.int16]) -> None:
    np.savez_compressed(folder / "x.npz", X=stack.transpose(0, 2, 1), note="two words")


def write_hdf5(folder: Path, stack: NDArray[np.int16]) -> None:
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("a/b", data=stack, chunks=(4, 12, 50), compression="gzip", shuffle=True)


def write_zarr(folder: Path, stack: NDArray[np.int16]) -> None:
    array = zarr.create_array(str(folder / "x.zarr"), shape=stack.shape, dtype="int16", chunks=(4, 12, 300))
    array[:] = stack


def write_zarr_group(folder: Path, stack: NDArray[np.int16]) -> None:
    group = zarr.open_group(str(folder / "x.zarr"), mode="w", zarr_format=2)
    group.create_array("signal", data=stack.transpose(0, 2, 1))


def write_mat_files(folder: Path, stack: NDArray[np.int16]) -> None:
    for n, record in enumerate(stack):
        savemat(folder / f"r{n}.mat", {"val": record}, do_compression=bool(n % 2))


def write_npy_files(folder: Path, stack: NDArray[np.int16]) -> None:
    for n, record in enumerate(stack):
        (folder / f"{n}").mkdir()
        np.save(folder / f"{n}" / "ecg.npy", record.T)


def write_parts(folder: Path, stack: NDArray[np.int16]) -> None:
    np.save(folder / "part0.npy", stack[:4])
    np.save(folder / "part1.npy", stack[4:])


def write_record_groups(folder: Path, stack: NDArray[np.int16]) -> None:
    with h5py.File(folder / "x.hdf5", "w") as file:
        for n, record in enumerate(stack):
            file[f"patient{n}/ecg"] = record


WRITERS = [
    write_npy, write_fortran, write_big_endian, write_npz, write_packed_npz, write_hdf5, write_zarr, write_zarr_group,
    write_mat_files, write_npy_files, write_parts, write_record_groups,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_every_kind_of_file_gives_the_same_records(
    tmp_path: Path, stack: NDArray[np.int16], write: Callable[[Path, NDArray[np.int16]], None]
) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in", stack)
    report, store = stored(tmp_path / "in", tmp_path, **STATED)
    assert report.dataset == "arrays" and not report.rejected
    assert_same(store, stack)
    assert set(store.table["fs"]) == {100}


def test_one_file_can_be_named(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    np.save(tmp_path / "a.npy", stack)
    np.save(tmp_path / "b.npy", stack[:2])
    _, store = stored(tmp_path / "b.npy", tmp_path, **STATED)
    assert list(store.table["record_id"]) == ["b[0]", "b[1]"]


def test_what_nobody_states_is_asked_for_at_once(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    np.save(tmp_path / "x.npy", stack)
    with pytest.raises(DatasetError) as error:
        ingest(tmp_path / "x.npy", out=tmp_path / "s.zarr")
    for part in ("sampling rate", "12 leads", "the unit", "--fs 500 --leads 12 --unit uV", "suggests uV"):
        assert part in str(error.value)
    with pytest.raises(DatasetError, match="--unit mV.*suggests mV") as error:
        np.save(tmp_path / "x.npy", stack / 1000)
        ingest(tmp_path / "x.npy", out=tmp_path / "s.zarr", fs=100, leads="12")
    assert "--fs" not in str(error.value)
    assert not list(tmp_path.glob("s.zarr*"))


def test_what_the_file_states_need_not_be_said(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("tracings", data=stack.transpose(0, 2, 1))
        data.attrs["unit"], file.attrs["sampling_rate"] = "uV", 250
        file["lead_names"] = list(STANDARD_LEADS)
        file["exam_id"] = np.arange(100, 100 + RECORDS)
        file["patient_id"] = [b"a", b"a", b"b", b"b", b"c", b"c"]
        file["AF"] = np.arange(RECORDS) % 2
        file["age"] = np.linspace(40, 90, RECORDS)
    report, store = stored(tmp_path / "x.h5", tmp_path, label_columns="AF")
    assert_same(store, stack)
    table = store.table
    assert list(table["record_id"]) == [str(100 + n) for n in range(RECORDS)]
    assert list(table["patient_id"]) == list("aabbcc")
    assert store.table.frame().groupby("patient_id")["fold"].nunique().max() == 1
    assert [list(labels) for labels in table["labels"]] == [[], ["AF"]] * 3
    assert table["age"].tolist() == np.linspace(40, 90, RECORDS).tolist()
    assert set(table["fs"]) == {250} and report.unknown_patients == 0


def test_the_rate_of_the_files_and_that_of_the_store_differ(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    np.save(tmp_path / "x.npy", stack)
    _, store = stored(tmp_path / "x.npy", tmp_path, source_fs=200, fs=100, leads="12", unit="uV")
    assert set(store.table["fs"]) == {100} and set(store.table["samples"]) == {SAMPLES // 2}


def test_a_step_of_a_converter_is_a_unit(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    np.save(tmp_path / "x.npy", stack)
    _, store = stored(tmp_path / "x.npy", tmp_path, fs=100, leads="12", unit="4.88uV")
    np.testing.assert_allclose(store.recording(0).signal, stack[0] * 0.00488, atol=0.0006)


def test_single_leads_and_other_numbers_of_leads(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    for name, array in {"a": stack[:, :1], "b": stack[:, 0, :, None], "c": stack[:, 0]}.items():
        np.save(tmp_path / f"{name}.npy", array)
    for name in ("a", "b"):
        _, store = stored(tmp_path / f"{name}.npy", tmp_path, fs=100, leads="II", unit="uV")
        assert store.leads == ("II",)
        assert_same(store, stack[:, :1])
    with pytest.raises(DatasetError, match="cannot be told apart.*--axes"):
        stored(tmp_path / "c.npy", tmp_path, fs=100, leads="II", unit="uV")
    _, store = stored(tmp_path / "c.npy", tmp_path, fs=100, leads="II", unit="uV", axes="NT")
    assert_same(store, stack[:, :1])
    eight = [STANDARD_LEADS.index(lead) for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]
    np.save(tmp_path / "d.npy", stack[:, eight])
    _, store = stored(tmp_path / "d.npy", tmp_path, fs=100, lead_names="I,II,V1,V2,V3,V4,V5,V6", unit="uV")
    assert store.leads == STANDARD_LEADS and set(store.table["derived_leads"].map(len)) == {4}


def test_labels_beside_the_signals(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "X.npy", stack)
    np.save(tmp_path / "in" / "y.npy", np.array([0, 1, 2, 0, 1, 2]))
    _, store = stored(tmp_path / "in", tmp_path, label_columns="y", **STATED)
    assert [list(labels) for labels in store.table["labels"]] == [["0"], ["1"], ["2"]] * 2


def test_a_bad_file_costs_itself_alone(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for n, record in enumerate(stack):
        np.save(folder / f"r{n}.npy", record)
    (folder / "r1.npy").write_bytes((folder / "r1.npy").read_bytes()[:-100])
    np.save(folder / "r2.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(folder / "r3.npy", np.full((12, SAMPLES), np.nan))
    np.save(folder / "r4.npy", stack[0][:11])
    (folder / "r5.npy").write_bytes(b"")
    report, store = stored(folder, tmp_path, **STATED)
    assert list(store.table["record_id"]) == ["r0"]
    reasons = {row.record_id: row.reason for row in report.rejected}
    expected = {
        "r1": "cut short",
        "r2": "object",
        "r3": "every sample",
        "r4": "cannot be told apart",
        "r5": "not readable",
    }
    assert all(text in reasons[record] for record, text in expected.items())


def test_nothing_outside_the_file_is_read(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = stack
    stack.tofile(tmp_path / "raw.bin")
    with h5py.File(folder / "link.h5", "w") as file:
        file["x"] = h5py.ExternalLink("../other.h5", "x")
    with h5py.File(folder / "raw.h5", "w") as file:
        file.create_dataset("x", stack.shape, "int16", external=[(str(tmp_path / "raw.bin"), 0, stack.nbytes)])
    with h5py.File(folder / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout(stack.shape, "int16")
        layout[:] = h5py.VirtualSource("../other.h5", "x", stack.shape)
        file.create_virtual_dataset("x", layout)
    for name, message in (("link", "link to the file"), ("raw", "another file"), ("virtual", "another file")):
        with pytest.raises(DatasetError, match=message):
            ingest(folder / f"{name}.h5", out=tmp_path / "s.zarr", **STATED)
    write_zarr(folder, stack)
    (folder / "x.zarr" / "c" / "0" / "0" / "0").unlink()
    (folder / "x.zarr" / "c" / "0" / "0" / "0").symlink_to(tmp_path / "raw.bin")
    with pytest.raises(DatasetError, match="holds a link"):
        ingest(folder / "x.zarr", out=tmp_path / "s.zarr", **STATED)


def test_sizes_are_compared_before_memory_is_taken(tmp_path: Path) -> None:
    hole = np.lib.format.open_memmap(tmp_path / "hole.npy", "w+", np.float64, (50_000, 12, 5000))
    del hole
    with pytest.raises(DatasetError, match="claims 24.0 GB, but the disk holds only"):
        ingest(tmp_path / "hole.npy", out=tmp_path / "s.zarr", **STATED)
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((4, 12, 30_000)))
    savemat(tmp_path / "bomb.mat", {"x": np.zeros((12, 150_000))}, do_compression=True)
    np.save(tmp_path / "long.npy", np.ones((12, 150_000), np.float32))
    for name, message in (("bomb.npz", "MB of memory"), ("bomb.mat", "unpacks to more"), ("long.npy", "MB of memory")):
        with pytest.raises(DatasetError, match=message):
            ingest(tmp_path / name, out=tmp_path / "s.zarr", max_record_mb=8, **STATED)


def test_axes_are_told_apart_or_asked_for() -> None:
    assert find_axes("x", (20, 12, 600), leads=12, records=0) == "NLT"
    assert find_axes("x", (20, 600, 12), leads=12, records=0) == "NTL"
    assert find_axes("x", (20, 1, 600, 12), leads=12, records=0) == "N1TL"
    assert find_axes("x", (12, 600, 20), leads=12, records=20) == "LTN"
    assert find_axes("x", (600, 12, 6), leads=12, records=0) == "TLN"
    assert find_axes("x", (12, 600, 20), leads=12, records=0) == "LTN"
    assert find_axes("x", (600, 12), leads=12, records=0) == "TL"
    assert find_axes("x", (9000, 1), leads=1, records=0) == "T1"
    assert find_axes("x", (600, 20), leads=1, records=20) == "TN"
    assert find_axes("x", (50, 600, 8), leads=0, records=0) == "NTL"
    for shape, leads in (((12, 12, 600), 12), ((12, 600, 200), 12), ((12, 12), 12), ((20, 600), 1)):
        with pytest.raises(DatasetError, match="--axes"):
            find_axes("x", shape, leads=leads, records=0)
    with pytest.raises(DatasetError, match="length 600; expected 12"):
        find_axes("x", (20, 600, 12), leads=12, records=0, given="NLT")
    with pytest.raises(DatasetError, match="names 2 axes"):
        find_axes("x", (20, 600, 12), leads=12, records=0, given="LT")


@pytest.mark.parametrize("options", [{"axes": "NLX"}, {"axes": "NL"}, {"unit": "furlong"}, {"source_fs": 0.0}])
def test_impossible_statements_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--"):
        ingest(tmp_path, out=tmp_path / "s.zarr", **options)


def frame(record: NDArray[np.int16], fs: float = 500) -> pd.DataFrame:
    return pd.DataFrame(record.T, columns=list(STANDARD_LEADS)).assign(time=np.arange(record.shape[1]) / fs)


def test_a_csv_file_per_record(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for n, record in enumerate(stack):
        frame(record).to_csv(folder / f"r{n}.csv", index=False)
    pd.DataFrame({"file": [f"r{n}.csv" for n in range(RECORDS)], "subject": list("aabbcc")}).to_csv(
        folder / "people.csv", index=False
    )
    report, store = stored(folder, tmp_path, unit="uV")
    assert report.dataset == "csv" and "500 Hz by column time" in " ".join(report.findings)
    assert_same(store, stack)
    assert set(store.table["fs"]) == {500} and list(store.table["patient_id"]) == list("aabbcc")


def test_one_long_csv_with_units_in_its_header(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    parts = [
        frame(record).rename(columns=lambda name: f"ECG {name} [uV]" if name != "time" else name).assign(rec=f"q{n}")
        for n, record in enumerate(stack)
    ]
    pd.concat(parts).to_csv(tmp_path / "all.csv", index=False, sep="\t")
    report, store = stored(tmp_path / "all.csv", tmp_path, record_column="rec")
    assert_same(store, stack)
    assert list(store.table["record_id"]) == [f"q{n}" for n in range(RECORDS)]
    assert any("separated by tabs" in line for line in report.findings)


def test_csv_without_header_or_with_commas_as_decimals(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    np.savetxt(tmp_path / "plain.csv", stack[0].T, delimiter=",", fmt="%d")
    _, store = stored(tmp_path / "plain.csv", tmp_path, **STATED)
    assert_same(store, stack[:1])
    millivolts = frame(stack[0] / 1000).drop(columns="time")
    millivolts.to_csv(tmp_path / "comma.csv", index=False, sep=";", decimal=",", encoding="utf-16")
    _, store = stored(tmp_path / "comma.csv", tmp_path, fs=500, unit="mV")
    np.testing.assert_allclose(store.recording(0).signal, stack[0] / 1000, atol=1e-9)


def test_a_word_among_the_samples_costs_its_record(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(3):
        frame(stack[n]).to_csv(folder / f"r{n}.csv", index=False)
    text = (folder / "r1.csv").read_text().splitlines()
    text[200] = "oops" + text[200][text[200].index(",") :]
    (folder / "r1.csv").write_text("\n".join(text) + "\n")
    report, store = stored(folder, tmp_path, unit="uV")
    assert list(store.table["record_id"]) == ["r0", "r2"]
    assert "column I of r1.csv holds 'oops'" in report.rejected[0].reason


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".zarr"])
def test_a_source_that_changed_is_noticed(tmp_path: Path, stack: NDArray[np.int16], suffix: str) -> None:
    file = tmp_path / f"x{suffix}"

    def write(records: NDArray[np.int16]) -> None:
        if suffix == ".npy":
            np.save(file, records)
        elif suffix == ".csv":
            frame(records[0]).to_csv(file, index=False)
        else:
            zarr.create_array(str(file), data=records, chunks=(4, 12, 300), overwrite=True)

    def stamps() -> set[str]:
        dataset = find_dataset(file, given=Given(source_fs=500, leads=STANDARD_LEADS, unit="uV"))
        return {dataset.header(source).stamp for source in dataset.sources()}

    write(stack)
    before = stamps()
    assert before == stamps() and len(before) == 1
    write(stack + 1)
    for changed in [file, *file.rglob("*")]:
        os.utime(changed, ns=(1, 1))
    assert before != stamps()


@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_a_folder_that_cannot_be_read_is_in_the_ledger(
    tmp_path: Path, stack: NDArray[np.int16], monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    folder = tmp_path / "in"
    for name in ("open", "locked"):
        (folder / name).mkdir(parents=True)
        if suffix == ".npy":
            np.save(folder / name / "a.npy", stack[0])
        else:
            frame(stack[0]).to_csv(folder / name / "a.csv", index=False)
    listed = os.scandir

    def scandir(path: Any = ".") -> Any:
        if not isinstance(path, int) and os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    report, store = stored(folder, tmp_path, **(STATED if suffix == ".npy" else {"unit": "uV"}))
    assert list(store.table["record_id"]) == ["open/a"]
    assert [(row.path, row.stage) for row in report.rejected] == [("locked", "folder")]
    assert "Permission denied" in report.rejected[0].reason


def test_a_file_of_one_record_is_read_alone(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    np.save(tmp_path / "a.npy", stack[0])
    savemat(tmp_path / "b.mat", {"val": stack[0]})
    frame(stack[0], fs=100).to_csv(tmp_path / "c.csv", index=False)
    write_wfdb(tmp_path, "d", stack[0] / 1000, fs=100)
    stated = {"fs": 100, "leads": "12", "unit": "uV"}
    for name, options in (
        ("a.npy", stated),
        ("b.mat", stated),
        ("c.csv", {"unit": "uV"}),
        ("d.hea", {}),
        ("d.dat", {}),
    ):
        recording = ecgkit.read_ecg(tmp_path / name, **options)
        assert recording.fs == 100 and recording.leads == STANDARD_LEADS, name
        np.testing.assert_allclose(recording.signal, stack[0] / 1000, atol=0.0006, err_msg=name)
    with pytest.raises(DatasetError, match="does not state the sampling rate.*--fs 500"):
        ecgkit.read_ecg(tmp_path / "a.npy")


def test_blocks_of_an_array_in_one_piece(
    tmp_path: Path, stack: NDArray[np.int16], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stacked, "BLOCK_BYTES", 4 * stack[0].nbytes)  # the last block is shorter
    np.save(tmp_path / "x.npy", stack)
    _, store = stored(tmp_path / "x.npy", tmp_path, **STATED)
    assert_same(store, stack)
    with pytest.raises(RecordError, match="cut short while"):
        mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
        os.truncate(tmp_path / "x.npy", (tmp_path / "x.npy").stat().st_size - 2)
        stacked._from_disk(mapped, "NLT", 4, 6)


def test_blank_lines_of_a_csv_file_are_no_samples(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    text = frame(stack[0]).to_csv(index=False)
    for name, changed in (("a", text), ("b", text.replace("\n", "\n\n")), ("c", text.replace("\n", "\r\n") + "\n")):
        (tmp_path / f"{name}.csv").write_bytes(changed.encode())
        _, store = stored(tmp_path / f"{name}.csv", tmp_path, unit="uV")
        assert_same(store, stack[:1])


def test_a_file_with_fewer_axes_than_the_others_is_not_lost(tmp_path: Path, stack: NDArray[np.int16]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    np.save(folder / "a.npy", stack[0])
    np.save(folder / "b.npy", stack[1][:1].T)
    report, store = stored(folder, tmp_path, **STATED)
    assert list(store.table["record_id"]) == ["a"]
    [row] = report.rejected
    assert (row.record_id, row.stage) == ("b", "table")
    assert "b.npy [300, 1] has fewer axes than the other files" in row.reason


def test_a_named_table_follows_the_order_of_files_only_if_it_names_none(
    tmp_path: Path, stack: NDArray[np.int16]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(3):
        np.save(folder / f"r{n}.npy", stack[n])
    table = tmp_path / "t.csv"
    pd.DataFrame({"patient_id": ["p0", "p1", "p2"]}).to_csv(table, index=False)
    assert list(stored(folder, tmp_path, table=table, **STATED)[1].table["patient_id"]) == ["p0", "p1", "p2"]
    pd.DataFrame({"record_id": ["x", "y", "z"], "patient_id": ["p0", "p1", "p2"]}).to_csv(table, index=False)
    with pytest.raises(
        DatasetError, match=r"3 ids, such as 'x', 'y', 'z'\) names none of the 3 records \(such as 'r0'"
    ):
        stored(folder, tmp_path, table=table, **STATED)
    table.rename(folder / "t.csv")
    with pytest.raises(DatasetError, match=r"--record-column record_id: column record_id of t.csv \(3 ids"):
        stored(folder, tmp_path, record_column="record_id", **STATED)
