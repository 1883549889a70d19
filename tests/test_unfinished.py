"""The unfinished folder and its lock: what is done survives, one process works, and nothing of others is touched."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ecgkit.atomic import MARKER, atomic_file, atomic_folder
from ecgkit.errors import LockedError, OutputError
from ecgkit.lock import hold
from ecgkit.unfinished import Unfinished, whole_file


def work_on(out: Path, **settings: object) -> Unfinished:
    return Unfinished(out, "store", **settings)  # type: ignore[arg-type]


def add_part(work: Unfinished, name: str, text: str = "done") -> None:
    with whole_file(work.parts / name) as path:
        path.write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def in_a_child(work: Callable[[], object]) -> int:
    """Fork, run `work` in the child, and return the signal that ended it, or 0."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


def test_parts_survive_and_the_output_appears_at_once(tmp_path: Path) -> None:
    work = work_on(tmp_path / "s")
    with pytest.raises(KeyboardInterrupt), work.open():
        work.begin("a")
        add_part(work, "0")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["s.partial"]
    with work.open():
        work.begin("a")
        assert work.is_done("0") and not work.is_done("1")
        (work.made / "file").write_text("whole")
        work.finish()
    assert names(tmp_path) == ["s"]
    assert names(tmp_path / "s") == [MARKER, "file"]


def test_without_a_part_nothing_is_left(tmp_path: Path) -> None:
    work = work_on(tmp_path / "s")
    with pytest.raises(KeyboardInterrupt), work.open():
        work.begin("a")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_part_that_fails_or_comes_late_leaves_nothing(tmp_path: Path) -> None:
    work = work_on(tmp_path / "s")
    with work.open():
        work.begin("a")
        with pytest.raises(ValueError, match="half"), whole_file(work.parts / "0.txt") as path:
            path.write_text("half")
            raise ValueError("half")
        assert names(work.parts) == []
    with pytest.raises(FileNotFoundError), whole_file(work.parts / "1.txt") as path:
        path.write_text("late")
    assert names(tmp_path) == []


def test_other_settings_are_refused_where_something_would_be_lost(tmp_path: Path) -> None:
    with work_on(tmp_path / "s").open():
        work_on(tmp_path / "s").begin("a")
        work_on(tmp_path / "s").begin("b")
        add_part(work_on(tmp_path / "s"), "0")
    with work_on(tmp_path / "s").open():
        with pytest.raises(OutputError, match=r"s\.partial is unfinished work with other settings.*--overwrite"):
            work_on(tmp_path / "s").begin("a")
        assert work_on(tmp_path / "s").is_done("0")
    anew = work_on(tmp_path / "s", overwrite=True)
    with anew.open():
        anew.begin("a")
        assert not anew.is_done("0")


def test_a_second_process_is_refused_and_told_who_is_at_work(tmp_path: Path) -> None:
    work = work_on(tmp_path / "s")
    with work.open():
        holder = rf"process {os.getpid()} on .*, since .*"
        expected = rf"s is being made by another process \({holder}\)\. Wait until it has finished"
        with pytest.raises(LockedError, match=expected), work_on(tmp_path / "s").open():
            pass
        assert work.folder.is_dir()
    assert names(tmp_path) == []


def test_a_process_that_is_killed_lets_go_of_its_lock_even_if_its_children_live(tmp_path: Path) -> None:
    def killed() -> None:
        with work_on(tmp_path / "s").open():
            work_on(tmp_path / "s").begin("a")
            add_part(work_on(tmp_path / "s"), "0")
            reads, writes = os.pipe()
            if os.fork() == 0:
                os.write(writes, b"alive")
                signal.alarm(5)
                signal.pause()
            os.read(reads, 5)
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_a_child(killed) == signal.SIGKILL
    with work_on(tmp_path / "s").open():
        work_on(tmp_path / "s").begin("a")
        assert work_on(tmp_path / "s").is_done("0")


def wait_and_append(lock: Path, file: Path) -> None:
    with hold(lock, file, wait=True):
        file.write_text(file.read_text() + "second")


def test_who_waits_gets_the_lock_though_its_file_was_deleted(tmp_path: Path) -> None:
    lock, file = tmp_path / "work" / "lock", tmp_path / "file"
    waiting = multiprocessing.get_context("fork").Process(target=wait_and_append, args=(lock, file))
    with hold(lock, file):
        waiting.start()
        file.write_text("first ")
        waiting.join(0.3)
        assert file.read_text() == "first "
        lock.unlink()
    waiting.join(10)
    assert file.read_text() == "first second"


def whole(out: Path, **settings: object) -> Unfinished:
    work = work_on(out, **settings)
    with work.open():
        work.begin("a")
        add_part(work, "0")
        (work.made / "new").write_text("new")
    return work


@pytest.mark.parametrize("fatal", ["publish", "replace", "remove"])
def test_killed_while_the_output_is_replaced_the_same_call_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fatal: str
) -> None:
    """Killed before the old output stands aside, before the new one takes its place, and before all is tidied up."""
    out = tmp_path / "s"
    with atomic_folder(out, "store") as folder:
        (folder / "old").write_text("old")
    work = whole(out, overwrite=True)
    replaced = []

    def replace(source: Path, target: Path, real: Callable[[Path, Path], None] = os.replace) -> None:
        if fatal == "publish" or (fatal == "replace" and replaced):
            os.kill(os.getpid(), signal.SIGKILL)
        replaced.append(target)
        real(source, target)

    def child() -> None:
        with work.open():
            monkeypatch.setattr("ecgkit.atomic.os.replace", replace)
            if fatal == "remove":
                monkeypatch.setattr("ecgkit.atomic.shutil.rmtree", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            work.finish()

    assert in_a_child(child) == signal.SIGKILL
    work_on(out, overwrite=True).check_free()
    if fatal == "remove":
        assert names(tmp_path) == ["s"]
        assert (out / "new").read_text() == "new"
        return
    assert (out / "old").read_text() == "old", "the old output is back until the new one is there"
    with work.open():
        work.begin("a")
        assert work.is_done("0")
        work.finish()
    assert names(tmp_path) == ["s"]
    assert names(out) == [MARKER, "new"]


def test_a_folder_that_becomes_the_output_keeps_what_is_in_it(tmp_path: Path) -> None:
    def run(**settings: object) -> Unfinished:
        return Unfinished(
            tmp_path / "r",
            "run",
            in_place=True,
            keep=lambda folder: (folder / "x").exists(),
            **settings,  # type: ignore[arg-type]
        )

    with run().open():
        run().begin("a")
        (run().folder / "x").write_text("x")
    with run().open():
        run().begin("a")
        run().finish()
    assert names(tmp_path) == ["r"]
    assert names(tmp_path / "r") == [MARKER, "x"]
    os.rename(tmp_path / "r", tmp_path / "r.partial")  # killed after its marker was written
    with pytest.raises(OutputError, match="r already exists"):
        run().check_free()
    assert names(tmp_path) == ["r"]


def test_what_is_not_ours_is_never_touched(tmp_path: Path) -> None:
    theirs = tmp_path / "s.partial"
    theirs.mkdir()
    (theirs / "notes.txt").write_text("keep me")
    for settings in ({}, {"overwrite": True}):
        with (
            pytest.raises(OutputError, match=r"s\.partial already exists, but it is not unfinished work"),
            work_on(tmp_path / "s", **settings).open(),
        ):
            pass
    assert names(theirs) == ["notes.txt"]
    (tmp_path / "t.partial").write_text("a file")
    with (
        pytest.raises(OutputError, match=r"t\.partial already exists, but it is not unfinished work"),
        work_on(tmp_path / "t").open(),
    ):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/s cannot be written"), work_on(tmp_path / "file" / "s").open():
        pass

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)  # whoever runs the tests may write everywhere
    with pytest.raises(OutputError, match=r"s cannot be written \(Permission denied\)"), work_on(tmp_path / "s").open():
        pass


@pytest.mark.parametrize("fatal", [1, 2, 3, 4])
@pytest.mark.parametrize("replaces", [False, True])
def test_finished_work_that_becomes_the_output_survives_a_kill_at_its_last_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fatal: int, replaces: bool
) -> None:
    def run() -> Unfinished:
        def keep(folder: Path) -> bool:
            return (folder / "checkpoints").exists()

        return Unfinished(tmp_path / "r", "run", in_place=True, keep=keep, spare=("checkpoints",), overwrite=replaces)

    if replaces:
        with atomic_folder(tmp_path / "r", "run") as folder:
            (folder / "old").write_text("old")
    with run().open():
        run().begin("a")
        (run().folder / "checkpoints").mkdir()
        (run().folder / "weights").write_text("weights")
    steps = []

    def step(real: Callable[..., object]) -> Callable[..., object]:
        def do(*arguments: object, **more: object) -> object:
            steps.append(arguments)
            if len(steps) == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **more)

        return do

    def child() -> None:
        with run().open():
            monkeypatch.setattr("os.replace", step(os.replace))
            monkeypatch.setattr("shutil.rmtree", step(shutil.rmtree))
            run().finish()

    killed = in_a_child(child)
    run().settle()
    is_whole = (tmp_path / "r" / "weights").exists()
    if is_whole:
        assert names(tmp_path) == ["r"]
        assert names(tmp_path / "r") == [MARKER, "weights"]
        return
    assert killed
    assert (run().folder / "checkpoints").exists(), "what is not whole can be continued"
    assert (tmp_path / "r" / "old").exists() == replaces
    with run().open():
        run().finish()
    assert names(tmp_path) == ["r"]
    assert names(tmp_path / "r") == [MARKER, "weights"]


def test_a_file_is_on_disk_before_its_name_says_that_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may forget whatever was not synced: each rename follows a sync of the file, and syncs its folder."""
    done: list[tuple[str, str]] = []
    real_sync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        done.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))
        real_sync(descriptor)

    def replace(source: Path, target: Path) -> None:
        done.append(("name", str(source)))
        real_replace(source, target)
        done.append(("named", str(Path(target).parent)))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    work = work_on(tmp_path / "s")
    with work.open():
        work.begin("a")
        add_part(work, "0")
        (work.made / "file").write_text("whole")
        work.finish()
    with atomic_file(tmp_path / "f.txt") as path:
        path.write_text("whole")
    renamed = [(n, path) for n, (what, path) in enumerate(done) if what == "name"]
    assert len(renamed) >= 6
    for n, path in renamed:
        assert ("sync", path) in done[:n], path
    assert ("sync", str(work.parts)) in done[done.index(("named", str(work.parts))) :]


def test_a_folder_that_was_not_marked_yet_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the lock and the marker, whose file has its first name."""
    (tmp_path / "s.partial").mkdir()
    for name in ("lock", ".ecgkit.new"):
        (tmp_path / "s.partial" / name).touch()
    work = work_on(tmp_path / "s")
    with work.open():
        work.begin("a")
        (work.made / "file").write_text("whole")
        work.finish()
    assert names(tmp_path) == ["s"] and names(tmp_path / "s") == [MARKER, "file"]


@pytest.mark.parametrize("moved", [False, True])
def test_one_file_that_was_whole_when_its_process_was_killed_becomes_the_output(tmp_path: Path, moved: bool) -> None:
    out = tmp_path / "table.csv"
    work = work_on(out, is_file=True)

    def killed_at_the_last_step() -> None:
        with work.open():
            work.begin("a")
            add_part(work, "0")
            (work.made / out.name).write_text("whole")
            place = work._place_file
            work._place_file = lambda: [place() if moved else None, os.kill(os.getpid(), signal.SIGKILL)]
            work.finish()

    assert in_a_child(killed_at_the_last_step) == signal.SIGKILL
    assert names(tmp_path) == (["table.csv"] if moved else []) + ["table.csv.partial"]
    with pytest.raises(OutputError, match="already exists"):
        work_on(out, is_file=True).check_free()
    assert names(tmp_path) == ["table.csv"] and out.read_text() == "whole"


def test_readers_of_a_finished_output_remove_what_a_killed_process_left_of_its_making(tmp_path: Path) -> None:
    work = work_on(tmp_path / "s", hidden=True, overwrite=True)

    def killed_at_the_last_step() -> None:
        with work.open():
            work.begin("a")
            add_part(work, "0")
            work._remove = lambda: os.kill(os.getpid(), signal.SIGKILL)
            work.finish()

    assert in_a_child(killed_at_the_last_step) == signal.SIGKILL
    assert names(tmp_path) == [".s.partial", "s"]
    work_on(tmp_path / "s", hidden=True, overwrite=True).tidy()
    assert names(tmp_path) == ["s"]
    with work_on(tmp_path / "t", hidden=True).open():
        work_on(tmp_path / "t", hidden=True).tidy()  # another process is at work: nothing happens
        assert ".t.partial" in names(tmp_path)
