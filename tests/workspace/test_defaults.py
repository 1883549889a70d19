"""What a command takes from the current folder, and what it refuses to guess."""

import json
import os
from pathlib import Path

import pytest

from ecgkit.choices import choosing, chosen, command_typed, recorded
from ecgkit.errors import OutputError, ResultsError, RunError, StoreError
from ecgkit.lock import hold
from ecgkit.unfinished import Unfinished
from ecgkit.workspace.defaults import new_run, new_store, the_results, the_run, the_store, the_store_of
from ecgkit.workspace.names import store_name
from ecgkit.workspace.stores import store_attributes
from tests.workspace.places import here, make_run, make_store

__all__ = ["here"]


def test_the_only_store_is_taken_and_noted(here: Path) -> None:
    make_store(here, "ä b.zarr")
    with choosing():
        assert the_store(None, "ecgkit beats") == Path("ä b.zarr")
        assert [str(choice) for choice in chosen()] == ["STORE 'ä b.zarr' (the only store in this folder)"]
        assert recorded() == {"STORE": "ä b.zarr (the only store in this folder)"}
    assert not chosen()
    assert the_store("other.zarr", "ecgkit beats") == Path("other.zarr")


def test_no_store_and_two_stores_are_never_guessed(here: Path) -> None:
    with pytest.raises(StoreError, match="no store.*ecgkit ingest FOLDER"):
        the_store(None, "ecgkit beats")
    make_store(here, "a c.zarr")
    make_store(here, "b.zarr")
    with pytest.raises(StoreError) as error:
        the_store(None, "ecgkit pretrain --method m", "--data")
    assert str(error.value) == (
        "this folder holds 2 stores: a c.zarr, b.zarr. Name one, such as: ecgkit pretrain --method m --data 'a c.zarr'"
    )


def test_a_store_that_is_not_finished(here: Path) -> None:
    work = Unfinished(here / "a.zarr", "store")
    with command_typed(["ingest", "my data"]), work.open():
        work.begin("x")
        (work.parts / "1").touch()
        with pytest.raises(StoreError, match=rf"a\.zarr is being written \(process {os.getpid()} .*Wait until"):
            the_store(None, "ecgkit beats")
    with pytest.raises(StoreError, match="a.zarr is not finished.*Continue it with: ecgkit ingest 'my data'"):
        the_store(None, "ecgkit beats")
    make_store(here, "b.zarr")
    with pytest.raises(StoreError, match=r"2 stores: b.zarr, a.zarr \(unfinished\)"):
        the_store(None, "ecgkit beats")


def test_inside_a_store_or_a_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make_store(here, "a.zarr"))
    with pytest.raises(StoreError, match="current folder is itself a store.*'cd ..'"):
        the_store(None, "ecgkit beats")
    with pytest.raises(OutputError, match="current folder is itself a store, and ecgkit ingest"):
        new_store(None, here)
    with pytest.raises(OutputError, match="would write into it"):
        new_run(None, "m", "tiny")
    monkeypatch.chdir(make_run(here / "run"))
    with pytest.raises(StoreError, match="current folder is itself a run"):
        the_run(None, "ecgkit probe")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("mimic/", "mimic.zarr"),
        ("ein Ordner", "ein Ordner.zarr"),
        ("records-2", "records-2.zarr"),
        ("mimic.zip", "mimic.zarr"),
        ("mimic-iv-ecg/1.0", "mimic-iv-ecg.zarr"),
        ("any-wfdb-records-1.0.3", "any-wfdb-records.zarr"),
        ("data.v2.tar.gz", "data.v2.zarr"),
    ],
)
def test_a_store_is_named_after_its_source(here: Path, source: str, name: str) -> None:
    write = here / source
    (write if not source.endswith((".zip", ".gz")) else write.parent).mkdir(parents=True, exist_ok=True)
    assert store_name(Path(source)) == name


def test_a_downloaded_archive_gives_the_short_name_of_its_dataset(here: Path) -> None:
    folder = here / "mimic-iv-ecg-diagnostic-electrocardiogram-matched-subset-1.0"
    folder.mkdir()
    for table in ("record_list.csv", "machine_measurements.csv"):
        (folder / table).write_text("subject_id\n")
    assert new_store(None, folder) == Path("mimic-iv-ecg.zarr")
    assert new_store(None, folder, "ptb-xl") == Path("ptb-xl.zarr")
    assert new_store("a.zarr", folder) == Path("a.zarr")


def test_a_new_run_never_has_the_name_of_another(here: Path) -> None:
    with choosing():
        assert new_run(None, "m", "tiny") == Path("runs/m-tiny")
        assert "(a new run)" in str(chosen()[0])
    make_run(here / "runs" / "m-tiny")
    assert new_run(None, "m", "tiny") == Path("runs/m-tiny-2")
    make_run(here / "runs" / "m-tiny-2")
    with choosing():
        assert new_run(None, "m", "tiny") == Path("runs/m-tiny-3")
        assert "runs/m-tiny exists" in str(chosen()[0])
    assert new_run(None, "m", "") == Path("runs/m")


def test_an_unfinished_run_is_offered_for_resumption_unless_it_is_in_training(here: Path) -> None:
    make_run(here / "runs" / "m-tiny", finished=False)
    make_run(here / "runs" / "m-tiny-big", finished=False)  # another preset, which is in nobody's way
    with pytest.raises(OutputError) as error:
        new_run(None, "m", "tiny")
    assert str(error.value) == (
        "runs/m-tiny is an unfinished run (epoch 2 of 5). Continue it with 'ecgkit pretrain --resume runs/m-tiny', or "
        "begin another with: --out runs/m-tiny-2"
    )
    with hold(here / "runs" / "m-tiny.partial" / "lock", here):
        assert new_run(None, "m", "tiny") == Path("runs/m-tiny-2")


def test_a_folder_that_cannot_be_written_to(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgkit.workspace.defaults.os.access", lambda path, mode: path != Path())
    with pytest.raises(OutputError, match="may not write to this folder.*give --out STORE"):
        new_store(None, here)
    with pytest.raises(OutputError, match="may not write to this folder.*give --out RUN"):
        new_run(None, "m", "tiny")
    (here / "runs").mkdir()
    assert new_run(None, "m", "tiny") == Path("runs/m-tiny")


def test_runs_may_be_a_file(here: Path) -> None:
    (here / "runs").touch()
    with pytest.raises(OutputError, match="runs is a file"):
        new_run(None, "m", "tiny")
    with pytest.raises(ResultsError, match="no folder 'runs'"):
        the_results(())
    with pytest.raises(RunError, match="holds no run"):
        the_run(None, "ecgkit probe")


def test_the_last_finished_run_is_taken(here: Path) -> None:
    make_run(here / "runs" / "a", finished=False)
    with pytest.raises(RunError, match="runs/a is not.*ecgkit pretrain --resume runs/a"):
        the_run(None, "ecgkit probe")
    later, sooner = make_run(here / "runs" / "study" / "later"), make_run(here / "sooner")
    for path, time in ((sooner, 1000), (later, 2000)):
        os.utime(path / ".ecgkit", (time, time))
    with choosing():
        assert the_run(None, "ecgkit probe") == Path("runs/study/later")
        assert "finished last" in str(chosen()[0])


def test_the_store_of_a_run_is_found_by_its_content(here: Path) -> None:
    store, other = make_store(here, "a.zarr"), make_store(here, "bb.zarr")
    content = store_attributes(store)["content_sha256"]
    assert content != store_attributes(other)["content_sha256"]
    run = make_run(here / "run", store={"name": "a.zarr", "sha256": content})
    assert the_store_of(run, None, "ecgkit probe") == Path("a.zarr")
    store.rename(here / "renamed.zarr")
    assert the_store_of(run, None, "ecgkit probe") == Path("renamed.zarr")
    (here / "renamed.zarr").rename(here.parent / "away.zarr")
    with pytest.raises(StoreError, match=r"trained on \(a.zarr\) is not in this folder.*--data STORE"):
        the_store_of(run, None, "ecgkit probe")
    away = make_run(here / "away", store={"name": "a", "sha256": content, "path": str(here.parent / "away.zarr")})
    assert the_store_of(away, None, "ecgkit probe") == here.parent / "away.zarr"
    imported = make_run(here / "imported", imported={"file": "w.pth"})
    assert the_store_of(imported, None, "ecgkit probe") == Path("bb.zarr")


def test_a_function_of_the_library_takes_the_same_defaults(here: Path) -> None:
    import ecgkit

    make_store(here, "a.zarr")
    assert ecgkit.inspect_store().records == 2
    assert len(ecgkit.find_beats(detector="xqrs")) == 2
    about = json.loads((here / "a.zarr" / "beats" / "beats.json").read_text())
    assert about["defaults"] == {"STORE": "a.zarr (the only store in this folder)"}
    assert not chosen()
