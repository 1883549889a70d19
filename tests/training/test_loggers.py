"""Every logger follows a training that was stopped and resumed in one series, and none can stop it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ecgkit import LoggerEntry
from ecgkit.errors import PluginError
from ecgkit.plugins import host
from ecgkit.training.journal import Journal
from ecgkit.training.loggers.base import LoggedRun, flat
from ecgkit.training.loop import Watcher
from ecgkit.training.run import read_metrics
from tests.training.standins import train

STEPS = 7  # an epoch of the cohort


@pytest.fixture(autouse=True)
def nobody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_MODE", "WANDB_PROJECT", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)


def points_of_tensorboard(run: Path) -> list[list[tuple[int, float]]]:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = accumulator.EventAccumulator(str(run / "tensorboard"))
    board.Reload()
    return [[(point.step, point.value) for point in board.Scalars("val_loss")]]


def points_of_mlflow(run: Path) -> list[list[tuple[int, float]]]:
    tracking = pytest.importorskip("mlflow.tracking")
    client = tracking.MlflowClient(tracking_uri=(run.parent / "mlruns").as_uri())
    [experiment] = [e for e in client.search_experiments() if e.name == "ecgkit"]
    series = client.search_runs([experiment.experiment_id])
    assert [one.info.status for one in series] == ["FINISHED"]
    assert series[0].data.params["config.recipe.epochs"] == "2"
    return [[(p.step, p.value) for p in client.get_metric_history(one.info.run_id, "val_loss")] for one in series]


def records_of(log: bytes) -> Iterator[bytes]:
    """Yield the records of a log in LevelDB's format: blocks of 32 KiB, a record in one piece or several."""
    place, pieces = 7, b""
    while place + 7 <= len(log):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        size, kind = int.from_bytes(log[place + 4 : place + 6], "little"), log[place + 6]
        pieces += log[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            yield pieces
            pieces = b""


def points_of_wandb(run: Path) -> list[list[tuple[int, float]]]:
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    parts = sorted((run / "wandb").glob("offline-run-*/*.wandb"))
    assert len({part.name for part in parts}) == 1, "the parts of a series have one id"
    points = []
    for part in parts:
        for data in records_of(part.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "history":
                row = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
                points.append((int(float(row["epoch"])), float(row["val_loss"])))
    return [points]


POINTS = {"tensorboard": points_of_tensorboard, "mlflow": points_of_mlflow, "wandb": points_of_wandb}


@pytest.mark.slow
@pytest.mark.parametrize("name", POINTS)
def test_a_resumed_training_continues_the_series(cohort_store: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "run"
    stop = Watcher(step=lambda done, total: os.kill(os.getpid(), signal.SIGTERM) if done == STEPS + 3 else None)
    with pytest.raises(KeyboardInterrupt):
        train(cohort_store, out, watcher=stop, log=(name,))
    train(cohort_store, out, resume=True, log=(name,))
    wanted = [(line["epoch"], pytest.approx(line["val_loss"], rel=1e-6)) for line in read_metrics(out)]
    assert len(wanted) == 2
    assert POINTS[name](out) == [wanted]


class Breaks:
    """A logger whose server goes away in the second epoch."""

    def __init__(self, run: LoggedRun) -> None:
        self.epochs: list[int] = []

    def write(self, metrics: Any) -> None:
        if metrics["epoch"] == 2:
            raise OSError("the server is gone")

    def close(self, *, finished: bool) -> None:
        raise AssertionError("it was left out")


def test_a_logger_that_fails_is_left_out_with_a_warning(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(
        host()._entries.setdefault("logger", {}),
        "breaks",
        LoggerEntry(name="breaks", summary="", target=f"{__name__}:Breaks"),
    )
    warned: list[str] = []
    journal = Journal(LoggedRun(tmp_path, tmp_path, {}, 0), [], ["breaks"], warned.append)
    for epoch in (1, 2, 3):
        journal.write({"epoch": epoch})
    journal.close(finished=True)
    assert warned == [
        "logger breaks failed at epoch 2, and the training goes on without it (OSError: the server is gone)"
    ]
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3


def test_an_unknown_logger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="no logger 'paper'.*tensorboard"):
        Journal(LoggedRun(tmp_path, tmp_path, {}, 0), [], ["paper"], print)


def test_settings_become_flat() -> None:
    assert dict(flat({"a": 1, "b": {"c": [2], "d": {"e": 3}}})) == {"a": 1, "b.c": [2], "b.d.e": 3}
