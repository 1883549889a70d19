"""Downloads from a server that drops, truncates, corrupts, redirects, limits and stalls."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ecgkit
from ecgkit.archives.card import all_cards
from ecgkit.cli import build_app
from ecgkit.download.archive import client_of, download_archive, look
from ecgkit.download.checksums import parse_checksums
from ecgkit.download.fetch import Patience
from ecgkit.errors import DatasetError, DownloadError
from tests.download.server import Mirror, serving

CARD = all_cards()["ludb"]
HASTY = Patience(tries=3, longest_wait=0.02, stall=2.0)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    files = {f"data/{n}.dat": bytes([n]) * (2000 + n) for n in range(1, 9)} | {"ludb.csv": b"ID\n1\n", "a b.txt": b"x"}
    mirror = Mirror(files)
    mirror.list_files()
    with serving(mirror) as served:
        yield served


def get(mirror: Mirror, out: Path, only: tuple[str, ...] = (), patience: Patience = HASTY):
    client = client_of(CARD, mirror.address, patience)
    return download_archive(look(CARD, client, only), client, out)


def complete(mirror: Mirror, out: Path) -> bool:
    there = {str(f.relative_to(out)): f.read_bytes() for f in out.rglob("*") if f.is_file()}
    return there == mirror.files


def test_everything_arrives_and_is_not_asked_for_again(mirror: Mirror, tmp_path: Path) -> None:
    first = get(mirror, tmp_path / "out")
    assert complete(mirror, tmp_path / "out")
    assert (first.files, first.kept, first.bytes) == (
        10,
        0,
        sum(map(len, mirror.files.values())) - len(mirror.files["SHA256SUMS.txt"]),
    )
    mirror.asked.clear()
    again = get(mirror, tmp_path / "out")
    assert (again.kept, again.bytes) == (10, 0)
    assert [path for method, path, _ in mirror.asked if method == "GET"] == ["SHA256SUMS.txt"]


@pytest.mark.parametrize("fault", ["500", "429", "drop", "truncate", "stall", "corrupt", "moved"])
def test_one_fault_of_any_kind_is_overcome(mirror: Mirror, tmp_path: Path, fault: str) -> None:
    mirror.faults = {"data/3.dat": [fault], "SHA256SUMS.txt": [fault] if fault != "corrupt" else []}
    began = time.perf_counter()
    get(mirror, tmp_path / "out")
    assert complete(mirror, tmp_path / "out")
    assert time.perf_counter() - began < 10, "Retry-After: 3600 is not waited for"


def test_a_dropped_file_is_resumed_where_it_stopped(mirror: Mirror, tmp_path: Path) -> None:
    mirror.faults = {"data/3.dat": ["drop"]}
    get(mirror, tmp_path / "out")
    ranges = [wanted for method, path, wanted in mirror.asked if path == "data/3.dat" and method == "GET"]
    assert ranges[0] == "" and ranges[1] == f"bytes={2003 // 2}-"
    mirror.faults = {"data/4.dat": ["drop", "no-range"]}
    get(mirror, tmp_path / "other")
    assert complete(mirror, tmp_path / "other"), "a server without ranges sends the whole file"


def test_a_stopped_download_goes_on_and_is_no_dataset_until_then(mirror: Mirror, tmp_path: Path) -> None:
    mirror.faults = {"data/3.dat": ["drop", "500", "500", "500"]}
    with pytest.raises(DownloadError, match=r"data/3.dat could not be had in 3 tries \(status 500\)"):
        get(mirror, tmp_path / "out")
    with pytest.raises(DatasetError, match="download of .* is not complete"):
        ecgkit.ingest(tmp_path / "out", out=tmp_path / "x.zarr")
    mirror.faults = {}
    mirror.asked.clear()
    outcome = get(mirror, tmp_path / "out")
    assert complete(mirror, tmp_path / "out") and outcome.kept > 0
    assert ("GET", "data/3.dat", f"bytes={2003 // 2}-") in mirror.asked


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (["elsewhere"], "leads to another host, localhost.example"),
        (["moved"] * 9, "redirected more than 5 times"),
        (["corrupt"] * 9, "wrong checksum 2 times"),
        (["429"] * 9, "3 tries .status 429"),
        (["stall"] * 9, "3 tries"),
    ],
)
def test_a_lasting_fault_is_one_clear_error(mirror: Mirror, tmp_path: Path, faults: list[str], message: str) -> None:
    mirror.files = {path: raw for path, raw in mirror.files.items() if path in ("ludb.csv",)}
    mirror.list_files()
    mirror.faults = {"ludb.csv": faults}
    with pytest.raises(DownloadError, match=message):
        get(mirror, tmp_path / "out")
    assert not (tmp_path / "out" / "ludb.csv").exists()


def test_credentials_are_sent_and_never_told(mirror: Mirror, tmp_path: Path, monkeypatch, capfd) -> None:
    mirror.user = "Basic " + base64.b64encode(b"me:secret").decode()
    with pytest.raises(DownloadError, match="needs a signed-in user.*PHYSIONET_USERNAME"):
        get(mirror, tmp_path / "out")
    monkeypatch.setenv("PHYSIONET_USERNAME", "me")
    monkeypatch.setenv("PHYSIONET_PASSWORD", "secret")
    get(mirror, tmp_path / "out")
    assert complete(mirror, tmp_path / "out")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.delenv("PHYSIONET_USERNAME")
    monkeypatch.setenv("NETRC", str(netrc))
    get(mirror, tmp_path / "by netrc")
    said = capfd.readouterr()
    assert "secret" not in said.out + said.err


def test_no_credentials_go_over_an_open_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHYSIONET_USERNAME", "me")
    assert client_of(CARD, "https://mirror.example")._auth == ("me", "")
    assert not isinstance(client_of(CARD, "http://mirror.example")._auth, tuple)


def test_only_some_files(mirror: Mirror, tmp_path: Path) -> None:
    assert get(mirror, tmp_path / "out", ("*.csv", "data/1*")).files == 2
    with pytest.raises(DownloadError, match="no file of ludb matches none"):
        get(mirror, tmp_path / "none", ("none",))


@pytest.mark.parametrize("path", ["../up.txt", "/etc/passwd", "a/../../b", "C:/x", "a\\b", "a//b"])
def test_a_list_that_leads_out_of_the_folder_is_refused(path: str) -> None:
    with pytest.raises(DatasetError, match="leads out"):
        parse_checksums(f"{'0' * 64} {path}\n", "list")


def test_a_malformed_list_is_refused() -> None:
    with pytest.raises(DatasetError, match="line 2"):
        parse_checksums(f"{'0' * 64} a\n<html>\n", "list")


def test_archives_of_other_places_are_named() -> None:
    with pytest.raises(DownloadError, match="not on PhysioNet.*zenodo"):
        ecgkit.download_dataset("code-15")


def test_the_command_shows_size_and_licence_and_asks(mirror: Mirror, tmp_path: Path) -> None:
    run, out = CliRunner(), str(tmp_path / "out")
    asked = run.invoke(build_app(), ["download", "ludb", "--base", mirror.address, "--out", out])
    assert "ODC-BY 1.0" in asked.stdout and not (tmp_path / "out").exists()
    assert asked.exit_code != 0
    done = run.invoke(build_app(), ["download", "ludb", "--base", mirror.address, "--out", out, "--yes", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["files"] == 10
    assert complete(mirror, tmp_path / "out")
