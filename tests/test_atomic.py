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
        (out, "store", False), (out, "run", True), (thesis, "store", True), (note, "store", True),
    ):  # fmt: skip
        with pytest.raises(OutputError):
            check_output(path, kind, overwrite=overwrite)
