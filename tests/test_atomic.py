import os
from pathlib import Path

import pytest

from ecgkit.atomic import atomic_file, atomic_folder, check_output
from ecgkit.errors import OutputError


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with atomic_folder(out, "store") as staging:
        (staging / "a").write_text("1")
        assert not out.exists()
    assert (out / "a").read_text() == "1"
    assert list(out.parent.iterdir()) == [out]


def test_a_failure_leaves_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for old in (False, True):
        with pytest.raises(KeyboardInterrupt), atomic_folder(out, "store") as staging:
            (staging / "a").write_text("2")
            raise KeyboardInterrupt
        assert out.exists() == old
        out.mkdir(exist_ok=True)
        (out / "kept").write_text("old")
    assert (out / "kept").read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("first", "second"):
        with atomic_folder(out, "store") as staging:
            (staging / name).touch()
    assert sorted(p.name for p in out.iterdir()) == [".ecgkit", "second"]
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_appears_whole(tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    with pytest.raises(RuntimeError), atomic_file(out) as staging:
        staging.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_file(out) as staging:
        assert staging.suffix == ".png"
        staging.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_overwrite_replaces_an_output_of_its_own_kind_only(tmp_path: Path) -> None:
    out, thesis, note = tmp_path / "out", tmp_path / "thesis", tmp_path / "note"
    with atomic_folder(out, "store"):
        pass
    thesis.mkdir()
    (thesis / "chapter").write_text("1")
    note.write_text("keep me")
    check_output(tmp_path / "new", "store")
    check_output(out, "store", overwrite=True)
    for path, kind, overwrite in (
        (out, "store", False),
        (out, "run", True),
        (thesis, "store", True),
        (note, "store", True),
    ):
        with pytest.raises(OutputError):
            check_output(path, kind, overwrite=overwrite)


def test_two_at_once_do_not_overwrite_each_other(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(OutputError, match="another process in the meantime"), atomic_folder(out, "store") as second:
        with atomic_folder(out, "store") as first:
            (first / "first").touch()
        (second / "second").touch()
    assert (out / "first").exists()
    assert list(tmp_path.iterdir()) == [out]


def test_an_output_that_cannot_be_made_is_told_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for context in (atomic_folder(tmp_path / "file" / "x", "store"), atomic_file(tmp_path / "file" / "x.png")):
        with pytest.raises(OutputError, match="x.* cannot be written"), context:
            pass
    with pytest.raises(OutputError, match="is a folder"), atomic_file(tmp_path):
        pass


def test_an_output_that_was_moved_aside_when_a_process_was_killed_is_put_back(tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "out"
    with atomic_folder(out, "store") as staging:
        (staging / "a").write_text("earlier")
    real = os.replace

    def killed(source: Path, target: Path) -> None:
        if Path(target) == out:  # the second of the two renames
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("os.replace", killed)
        with atomic_folder(out, "store"):
            pass
    assert not out.exists()
    (tmp_path / ".out.x.old").mkdir()  # the empty folder of a process that was killed before it moved anything
    with pytest.raises(OutputError, match="already exists"):
        check_output(out, "store")
    assert (out / "a").read_text() == "earlier"
