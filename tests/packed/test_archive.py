"""Archives in place: the same store as from the unpacked folder, and hostile members refused by name."""

import io
import pickle
import shutil
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import ecgkit
from ecgkit.datasets.paths import open_folder, refused_members
from ecgkit.errors import DatasetError
from ecgkit.packed.archive import open_archive
from ecgkit.packed.path import PackedPath
from tests.conftest import synthetic_signal, write_wfdb


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small PTB-XL in its publisher's layout."""
    root = tmp_path / "ptb-xl-1.0.3"
    rows = ["ecg_id,patient_id,age,sex,report,scp_codes,strat_fold,filename_lr,filename_hr"]
    for number in range(1, 13):
        path = f"records100/00000/{number:05d}_lr"
        write_wfdb(root / "records100" / "00000", f"{number:05d}_lr", synthetic_signal(200, seed=number), fs=100)
        rows.append(f"{number},{number},50,0,normal,{{'NORM': 100.0}},{number % 10 + 1},{path},")
    (root / "ptbxl_database.csv").write_text("\n".join(rows) + "\n")
    return root


def zipped(folder: Path, out: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(out, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{folder.name}/{file.relative_to(folder)}")
    return out


def tarred(folder: Path, out: Path, mode: str) -> Path:
    with tarfile.open(out, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder, folder.name)
    return out


PACKERS: dict[str, Callable[[Path, Path], Path]] = {
    "x.zip": zipped,
    "stored.zip": lambda folder, out: zipped(folder, out, zipfile.ZIP_STORED),
    "x.tar": lambda folder, out: tarred(folder, out, "w"),
    "x.tar.gz": lambda folder, out: tarred(folder, out, "w:gz"),
    "x.tgz": lambda folder, out: tarred(folder, out, "w:gz"),
    "x.tar.bz2": lambda folder, out: tarred(folder, out, "w:bz2"),
    "x.tar.xz": lambda folder, out: tarred(folder, out, "w:xz"),
}


def files_of(store: Path) -> dict[str, bytes]:
    return {str(f.relative_to(store)): f.read_bytes() for f in sorted(store.rglob("*")) if f.is_file()}


@pytest.mark.parametrize("name", PACKERS)
def test_the_store_has_the_same_bytes_as_from_the_folder(folder: Path, tmp_path: Path, name: str) -> None:
    ecgkit.ingest(folder, out=tmp_path / "folder.zarr")
    archive = PACKERS[name](folder, tmp_path / name)
    shutil.rmtree(folder)
    report = ecgkit.ingest(archive, out=tmp_path / "archive.zarr")
    assert (report.dataset, report.taken, report.rejected) == ("ptb-xl", 12, [])
    assert files_of(tmp_path / "archive.zarr") == files_of(tmp_path / "folder.zarr")


@pytest.mark.slow
def test_workers_read_the_same_archive(folder: Path, tmp_path: Path) -> None:
    archive = PACKERS["x.tar.gz"](folder, tmp_path / "x.tar.gz")
    for workers in (1, 2):
        ecgkit.ingest(archive, out=tmp_path / f"{workers}.zarr", workers=workers)
    assert files_of(tmp_path / "1.zarr") == files_of(tmp_path / "2.zarr")


def test_a_folder_of_an_archive_is_named_behind_it(folder: Path, tmp_path: Path) -> None:
    archive = zipped(folder, tmp_path / "x.zip")
    inner = open_folder(f"{archive}/{folder.name}/records100")
    assert [path.name for path in inner.iterdir()] == ["00000"]
    assert len(list(inner.rglob("*.hea"))) == 12
    assert not open_folder(f"{archive}/no such folder").exists()


def test_another_process_shares_the_index_or_makes_its_own(folder: Path, tmp_path: Path) -> None:
    root = open_folder(zipped(folder, tmp_path / "x.zip"))
    assert isinstance(root, PackedPath)
    copied = pickle.loads(pickle.dumps(root))
    assert copied == root and copied.archive.folder == root.archive.folder
    away = open_archive(root.archive.file, tmp_path / "of another machine")
    assert away.folder != root.archive.folder
    assert away.member("ptb-xl-1.0.3/ptbxl_database.csv") == root.archive.member("ptb-xl-1.0.3/ptbxl_database.csv")


def hostile_zip(out: Path) -> Path:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good/a.txt", "good")
        archive.writestr("../above.txt", "x")
        archive.writestr("/absolute.txt", "x")
        archive.writestr("C:/windows.txt", "x")
        archive.writestr("good/../../up.txt", "x")
        archive.writestr("good/bomb.txt", b"\0" * (200 * 2**20))
        link = zipfile.ZipInfo("good/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        odd = zipfile.ZipInfo("good/lzma.txt")
        odd.compress_type = zipfile.ZIP_LZMA
        archive.writestr(odd, "x")
        archive.writestr("good/twice.txt", "one")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("good/twice.txt", "two")
        archive.writestr("good/secret.txt", "x")
    raw = bytearray(out.read_bytes())
    at = raw.rindex(b"good/secret.txt") - 46  # its entry in the central directory
    struct.pack_into("<H", raw, at + 8, 1)
    out.write_bytes(raw)
    return out


def test_hostile_members_of_a_zip_are_refused_by_name(tmp_path: Path) -> None:
    root = open_folder(hostile_zip(tmp_path / "x.zip"))
    refused = dict(refused_members(root))
    assert {name: reason.split(",")[0][:30] for name, reason in refused.items()} == {
        "../above.txt": "its name leads out of the arch",
        "/absolute.txt": "its name leads out of the arch",
        "C:/windows.txt": "its name leads out of the arch",
        "good/../../up.txt": "its name leads out of the arch",
        "good/bomb.txt": refused["good/bomb.txt"].split(",")[0][:30],
        "good/link": "it is a link",
        "good/lzma.txt": "its compression method",
        "good/twice.txt": "the name comes more than once",
        "good/secret.txt": "it is encrypted",
    }
    assert "would expand to 209,715,200" in refused["good/bomb.txt"]
    assert isinstance(root, PackedPath)
    assert (root.archive.member("good/a.txt"), root.archive.member("good/twice.txt"))[1] is None
    assert (root / "a.txt").read_text() == "good"


def test_hostile_members_of_a_tar_are_refused_by_name(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind, target in (
            ("good/a.txt", tarfile.REGTYPE, ""),
            ("../above.txt", tarfile.REGTYPE, ""),
            ("good/soft", tarfile.SYMTYPE, "/etc/passwd"),
            ("good/hard", tarfile.LNKTYPE, "good/a.txt"),
            ("good/fifo", tarfile.FIFOTYPE, ""),
            ("good/a.txt/b.txt", tarfile.REGTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = 1 if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(b"x") if info.size else None)
    refused = dict(refused_members(open_folder(tmp_path / "x.tar")))
    assert set(refused) == {"../above.txt", "good/soft", "good/hard", "good/fifo", "good/a.txt/b.txt"}
    assert refused["good/soft"] == refused["good/hard"] == "it is a link"


def test_refused_members_are_in_the_ledger(folder: Path, tmp_path: Path) -> None:
    archive = zipped(folder, tmp_path / "x.zip")
    with zipfile.ZipFile(archive, "a") as more:
        more.writestr(f"{folder.name}/../../evil.hea", "x")
    report = ecgkit.ingest(archive, out=tmp_path / "x.zarr")
    assert report.taken == 12
    assert [(row.path, row.stage) for row in report.rejected] == [(f"{folder.name}/../../evil.hea", "archive")]
    ledger = pd.read_parquet(tmp_path / "x.zarr" / "ledger.parquet")
    assert ledger["reason"].tolist() == ["its name leads out of the archive's folder"]


def test_a_damaged_member_costs_one_record(folder: Path, tmp_path: Path) -> None:
    archive = zipped(folder, tmp_path / "x.zip")
    with zipfile.ZipFile(archive) as whole:
        info = whole.getinfo(f"{folder.name}/records100/00000/00003_lr.dat")
    raw = bytearray(archive.read_bytes())
    raw[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 0xFF
    archive.write_bytes(raw)
    report = ecgkit.ingest(archive, out=tmp_path / "x.zarr")
    assert report.taken == 11
    assert [row.record_id for row in report.rejected] == ["3"]
    assert "damaged in the archive" in report.rejected[0].reason


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a/one.txt", b"1" * 500)
        archive.writestr("a/two.txt", b"2" * 500)
    raw = bytearray((tmp_path / "x.zip").read_bytes())
    at = raw.rindex(b"a/two.txt") - 46
    struct.pack_into("<I", raw, at + 42, 100)  # where its local header is said to be
    (tmp_path / "x.zip").write_bytes(raw)
    refused = dict(refused_members(open_folder(tmp_path / "x.zip")))
    assert set(refused) == {"a/one.txt", "a/two.txt"}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("x.zip", lambda raw: raw[:-30], "cannot be read as a .zip"),
        ("x.zip", lambda raw: b"no archive", "cannot be read as a .zip"),
        ("x.tar", lambda raw: b"no archive" * 100, "cannot be read as a .tar"),
        ("x.tar.gz", lambda raw: raw[: len(raw) // 2], "cannot be decompressed"),
        ("x.tar.gz", lambda raw: b"no archive", "cannot be decompressed"),
    ],
)
def test_a_damaged_archive_is_one_clear_error(folder: Path, tmp_path: Path, name: str, change, message: str) -> None:
    archive = PACKERS[name](folder, tmp_path / name)
    archive.write_bytes(change(archive.read_bytes()))
    with pytest.raises(DatasetError, match=message):
        open_folder(archive)


def test_a_damaged_header_in_the_middle_of_a_tar_is_told(folder: Path, tmp_path: Path) -> None:
    archive = tarred(folder, tmp_path / "x.tar", "w")
    raw = bytearray(archive.read_bytes())
    at = raw.index(b"ptb-xl-1.0.3/records100/00000/00007_lr.hea\0")
    raw[at + 148 : at + 156] = b"0000000\0"  # the header's checksum
    archive.write_bytes(raw)
    refused = refused_members(open_folder(archive))
    assert len(refused) == 1 and "is damaged" in refused[0][1]


def test_a_compressed_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgkit.packed.tar.BOMB_BYTES", 2**20)
    (tmp_path / "zeros").write_bytes(b"\0" * 2**25)
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "zeros", "zeros")
    with pytest.raises(DatasetError, match="expands to more than 200 times"):
        open_folder(tmp_path / "x.tar.gz")


def test_a_full_disk_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = PACKERS["x.tar.gz"](folder, tmp_path / "x.tar.gz")
    monkeypatch.setattr("ecgkit.packed.tar.shutil.disk_usage", lambda folder: type("Usage", (), {"free": 0}))
    with pytest.raises(DatasetError, match="TMPDIR"):
        open_folder(archive)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_progress_is_told_and_an_interruption_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    archive = PACKERS[name](folder, tmp_path / name)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    told: list[tuple[str, int, int]] = []

    def interrupt(*values) -> None:
        told.append(values)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_folder(archive, interrupt)
    assert not list(temporary.iterdir())
    open_folder(archive, lambda *values: told.append(values))
    assert {"x.zip": "members", "x.tar": "MB listed"}.get(name, "MB decompressed") == told[0][0]
    assert all(0 <= done <= total for _, done, total in told)
