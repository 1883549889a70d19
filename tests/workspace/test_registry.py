"""The registry of runs: filter, order, the best run, tags, and what may not be deleted."""

from pathlib import Path

import pytest

import ecgkit
from ecgkit.errors import OutputError, RunError
from ecgkit.lock import hold
from tests.workspace.places import here, make_run

__all__ = ["here"]


def test_best_is_lowest_for_a_loss_and_highest_for_a_probe(here: Path) -> None:
    make_run(here / "runs" / "a", losses=(3.0, 0.5, 1.0))
    make_run(here / "runs" / "b", losses=(0.9, 0.8))
    make_run(here / "runs" / "c", losses=(0.1,), finished=False)
    run, value = ecgkit.best_run()
    assert (run.path.name, value) == ("a", 0.5)
    run, value = ecgkit.best_run(metric="probe_auroc")
    assert (run.path.name, value) == ("a", 1 - 0.5 / 4)
    with pytest.raises(RunError, match="one of val_loss, probe_auroc"):
        ecgkit.best_run(metric="accuracy")
    make_run(here / "runs" / "d", method="kmerl")
    with pytest.raises(RunError, match="different methods cannot be compared: kmerl, stmem.*--method kmerl"):
        ecgkit.best_run()
    assert ecgkit.best_run(method="kmerl")[0].path.name == "d"


def test_tags(here: Path) -> None:
    make_run(here / "runs" / "a")
    assert ecgkit.tag_run("a", ["baseline", "long"]) == ("baseline", "long")
    assert ecgkit.tag_run("runs/a", ["baseline"]) == ("baseline", "long")
    assert ecgkit.show_run("a").tags == ("baseline", "long")
    assert ecgkit.tag_run("a", ["long"], remove=True) == ("baseline",)
    with pytest.raises(RunError, match="no tag 'x'"):
        ecgkit.tag_run("a", ["x"], remove=True)
    with pytest.raises(RunError, match="empty"):
        ecgkit.tag_run("a", [" "])


def test_what_others_build_on_or_is_in_training_is_not_deleted(here: Path) -> None:
    parent = make_run(here / "runs" / "parent")
    child = make_run(here / "runs" / "child", built_on=[{"run": str(parent)}])
    with pytest.raises(RunError, match="runs/child builds on the weights of runs/parent"):
        ecgkit.delete_runs(["parent"])
    begun = make_run(here / "runs" / "begun", finished=False)
    with hold(here / "runs" / "begun.partial" / "lock", begun), pytest.raises(RunError, match="is being trained"):
        ecgkit.delete_runs(["child", "begun"])
    assert child.exists()  # none is deleted if one may not be
    assert ecgkit.delete_runs(["child"], confirm=lambda run, results: False) == []
    deleted = ecgkit.delete_runs(["parent", "child", "begun"])
    assert [path.name for path in deleted] == ["parent", "child", "begun.partial"]
    assert not list((here / "runs").iterdir())


def test_a_folder_of_somebody_else_is_not_deleted(here: Path) -> None:
    (make_run(here / "runs" / "a") / ".ecgkit").unlink()
    with pytest.raises(OutputError, match="ecgkit did not make it"):
        ecgkit.delete_runs(["a"])
    with pytest.raises(RunError, match="b is not a run"):
        ecgkit.delete_runs(["b"])


def test_runs_among_other_folders(here: Path, ecgkit) -> None:  # type: ignore[no-untyped-def]
    none = ecgkit("runs")
    assert (none.code, none.err) == (2, none.err)
    assert "holds no run" in none.err
    make_run(here / "runs" / "a", method="stmem", config={"recipe": {"epochs": 5}})
    (here / "runs" / "probes" / "simulated").mkdir(parents=True)
    done = ecgkit("runs", *sorted(Path("runs").iterdir()))
    assert done.code == 0, done.err
    assert "left out, because they are not runs: runs/probes" in done.err
    assert "2 of 5" in done.out
    assert done.err.splitlines()[-1] == "next: ecgkit probe runs/a"
    assert ecgkit("runs", "runs/probes").code == 2
    assert "none of the 1 runs" in ecgkit("runs", "--tag", "x").out
    assert ecgkit("runs", "tag", "a", "x").out == "a: x\n"
    assert " x" in ecgkit("runs", "--tag", "x", "--sort", "val_loss").out
    assert ecgkit("runs", "best").out == "runs/a: val_loss 1.0000 (stmem tiny)\n"
    shown = ecgkit("runs", "show", "a").out
    assert "finished, 2 epochs" in shown
    assert "1.0000 in the last epoch" in shown
    asked = ecgkit("runs", "delete", "a")  # nobody answers
    assert asked.code == 2
    assert "--yes" in asked.err
    assert ecgkit("runs", "delete", "a", "--yes").out == "deleted runs/a\n"
