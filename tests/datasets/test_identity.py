"""Names and birth dates stay out of a store, and patient ids are hashed in the same way in every store."""

import hmac
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ecgkit
from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.given import Given
from ecgkit.datasets.header import Header
from ecgkit.datasets.identity import Identity, is_personal, plain_id, read_key
from ecgkit.errors import ConfigError
from ecgkit.ingestion import IngestOptions, ingest
from ecgkit.ingestion.plan import plan_block, unpack
from ecgkit.recording import Recording
from ecgkit.store.reader import Store
from tests.conftest import synthetic_signal, write_wfdb

SECRET = "key:correct horse battery"


def arrays(folder: Path, columns: str, *rows: str) -> Path:
    folder.mkdir()
    signal = np.random.default_rng(3).normal(size=(2, 500))
    for row in rows:
        np.save(folder / row.split(",")[0], signal)
    lines = [
        f"path,fs,leads,unit,{columns}",
        *(f'{row.split(",")[0]},100,"I,II",mV,{row.split(",", 1)[1]}' for row in rows),
    ]
    (folder / "manifest.csv").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize(
    "column", ["Name", "patient_name", "PatientName", "first name", "Date of Birth", "dob", "e-mail"]
)
def test_columns_that_name_a_person(column: str) -> None:
    assert is_personal(column)


@pytest.mark.parametrize(
    "column", ["filename_hr", "record_name", "age", "sex", "device", "nurse", "site", "heart_rate"]
)
def test_columns_that_do_not(column: str) -> None:
    assert not is_personal(column)


def test_names_stay_out_unless_asked_for(tmp_path: Path) -> None:
    src = arrays(tmp_path / "src", "patient_id,patient_name,ward", "a.npy,p1,Ada Lovelace,7", "b.npy,p2,Alan Turing,8")
    ecgkit.ingest(src, out=tmp_path / "s.zarr")
    table = Store(tmp_path / "s.zarr").table
    assert "patient_name" not in table
    assert table["ward"].tolist() == ["7", "8"]
    assert not [f for f in tmp_path.glob("s.zarr/**/*") if f.is_file() and b"Lovelace" in f.read_bytes()]
    ecgkit.ingest(src, out=tmp_path / "k.zarr", keep_identity=True)
    assert Store(tmp_path / "k.zarr").table["patient_name"].tolist() == ["Ada Lovelace", "Alan Turing"]


def test_one_patient_has_one_hash_in_all_stores_of_a_key(tmp_path: Path) -> None:
    one = arrays(tmp_path / "one", "patient_id", "a.npy,p1", "b.npy,p2")
    two = arrays(tmp_path / "two", "patient_id", "c.npy,p2", "p3_1.npy,p3")
    key = tmp_path / "key.txt"
    key.write_text("correct horse battery\n")
    ecgkit.ingest(one, out=tmp_path / "1.zarr", hash_patients=SECRET)
    report = ecgkit.ingest(two, out=tmp_path / "2.zarr", hash_patients=str(key))
    ids = [Store(tmp_path / name).table["patient_id"].tolist() for name in ("1.zarr", "2.zarr")]
    assert ids[0][1] == ids[1][0] == hmac.new(b"correct horse battery", b"p2", "sha256").hexdigest()[:16]
    assert len({*ids[0], *ids[1]}) == 3
    assert report.telling == 1  # p3_1.npy
    attributes = [Store(tmp_path / name).attributes["patient_key"] for name in ("1.zarr", "2.zarr")]
    assert attributes[0] == attributes[1] != Identity(key=b"another key").attributes["patient_key"]
    files = [f for f in tmp_path.glob("*.zarr/**/*") if f.is_file()]
    assert not [f for f in files if b"correct horse" in f.read_bytes()]


def test_folds_follow_the_stored_id(tmp_path: Path) -> None:
    src = arrays(tmp_path / "src", "patient_id", *(f"{n}.npy,p{n % 3}" for n in range(9)))
    ecgkit.ingest(src, out=tmp_path / "s.zarr", hash_patients=SECRET)
    assert (Store(tmp_path / "s.zarr").table.frame().groupby("patient_id")["fold"].nunique() == 1).all()


@pytest.mark.parametrize(("text", "said"), [("key:short", "5 bytes"), ("no/such/key.txt", "cannot be read")])
def test_keys_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_key(text)


def test_a_key_is_never_shown() -> None:
    assert "secret" not in repr(Identity(key=b"a secret key"))


class InFiles(Dataset):
    """A dataset whose files name the patients."""

    name = "in-files"

    @classmethod
    def recognises(cls, root: Path) -> bool:
        return False

    def sources(self) -> list[Source]:
        return [Source(record_id=n, path=n) for n in ("p1-a", "p1-b", "p2-a", "free-a", "free-b", "none")]

    def header(self, source: Source) -> Header:
        return Header(100.0, 200, ("I",), "mV", patient_id=self._patient(source))

    def read(self, source: Source, header: Header) -> Recording:
        facts = {"patient_id": self._patient(source)}
        if source.path.startswith("free"):
            facts = {"patient_text": "Ada Lovelace"}
        return Recording(np.ones((1, 200)), 100.0, ("I",), facts=facts)

    def _patient(self, source: Source) -> str | None:
        return source.path[:2] if source.path.startswith("p") else None


def rows(identity: Identity) -> list[dict[str, Any]]:
    dataset = InFiles(Path("."))
    return [
        identity.row(dataset.row(source, dataset.read(source, dataset.header(source)))) for source in dataset.sources()
    ]


def test_patients_of_files_decide_the_folds() -> None:
    plain, hashed = rows(Identity()), rows(Identity(key=b"12345678"))
    assert [row["patient_id"] for row in plain] == ["p1", "p1", "p2", None, None, None]
    for found in (plain, hashed):
        assert found[0]["fold"] == found[1]["fold"]
        assert found[3]["fold"] == found[4]["fold"]
        assert not [row for row in found if "patient_text" in row]
    assert hashed[0]["patient_id"] == hashed[1]["patient_id"] != "p1"
    assert hashed[3]["patient_id"] == Identity(key=b"12345678").patient("Ada Lovelace")


def test_patients_of_files_can_be_chosen() -> None:
    dataset = InFiles(Path("."))
    _, block = plan_block(dataset, IngestOptions(patients=frozenset({"p2"})), (0, dataset.sources()))
    assert [item.source.record_id for item in unpack(block.packed)] == ["p2-a"]
    assert block.others == 5


def test_one_patient_is_one_whatever_blanks_surround_the_id(tmp_path: Path) -> None:
    spellings = ["7", " 7", "7 ", "\t7", "\N{NO-BREAK SPACE}7", "\N{ZERO WIDTH SPACE}7", "\ufeff7"]
    for n in range(len(spellings)):
        write_wfdb(tmp_path / "src", f"r{n}", synthetic_signal(500, seed=n))
    rows = "".join(f'r{n},"{spelling}"\n' for n, spelling in enumerate(spellings))
    (tmp_path / "src" / "who.csv").write_text(f"record,patient\n{rows}", encoding="utf-8")
    given = Given(table=tmp_path / "src" / "who.csv", patient_column="patient")
    ingest(tmp_path / "src", tmp_path / "s.zarr", IngestOptions(given=given))
    table = Store(tmp_path / "s.zarr").table
    assert set(table["patient_id"]) == {"7"} and table["fold"].nunique() == 1
    assert plain_id("e\u0301") == plain_id("\u00e9") and plain_id(" \u200b ") is None and plain_id(None) is None
