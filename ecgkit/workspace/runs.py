"""The runs of a folder, finished and unfinished, as their folders describe them. No model is imported."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ecgkit.atomic import MARKER, kind_of
from ecgkit.config import read_yaml
from ecgkit.errors import ConfigError
from ecgkit.lock import holder_of
from ecgkit.training.unfinished import KIND, finished, unfinished
from ecgkit.unfinished import LOCK

RUNS = "runs"  # the folder of new runs, in the current folder
RUN = "run"
CONFIG, METRICS, TAGS = "config.yaml", "metrics.jsonl", "tags.json"
DEPTH = 3  # folders below `RUNS` that are searched


@dataclass(frozen=True)
class RunInfo:
    """A run, as its folder describes it.

    Args:
        path: The folder of the run when it is finished.
        method: The method family.
        preset: The preset of its config.
        finished: Whether the training is complete.
        holder: The process that trains it now; empty if none does.
        epochs: Number of finished epochs; 0 for imported weights.
        planned: Number of planned epochs.
        metrics: The metrics of each finished epoch.
        ended: Time of its last change.
        store: Name, dataset and hash of the store that it was trained on.
        built_on: Paths of the runs whose weights it builds on.
        tags: Its tags.
    """

    path: Path
    method: str
    preset: str
    finished: bool
    holder: str
    epochs: int
    planned: int
    metrics: list[dict[str, Any]] = field(repr=False)
    ended: datetime
    store: dict[str, Any]
    built_on: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder that exists now: that of the run, or that of its unfinished training."""
        return self.path if self.finished else unfinished(self.path)

    def last(self, metric: str) -> float | None:
        """Return a metric of the last epoch that has it; None if no epoch has it."""
        return next((line[metric] for line in reversed(self.metrics) if line.get(metric) is not None), None)

    def lowest(self, metric: str) -> float | None:
        """Return the lowest value of a metric; None if no epoch has it."""
        return min((line[metric] for line in self.metrics if line.get(metric) is not None), default=None)


def runs_of(folder: Path) -> list[RunInfo]:
    """Return the runs directly in a folder and below its folder ``runs``, the one that changed last at the end.

    A folder whose config cannot be read is left out.
    """
    places = [folder, *_below(folder / RUNS, DEPTH)]
    found = {path.absolute(): path for place in places for path in _run_folders(place)}
    return sorted(filter(None, map(_readable, found.values())), key=lambda run: (run.ended, str(run.path)))


def runs_below(folder: Path) -> list[RunInfo]:
    """Return the runs at or below a folder, at any depth, sorted by path.

    Hidden folders, and runs whose config cannot be read, are left out.
    """
    places = [file.parent for file in sorted(folder.rglob(CONFIG)) if kind_of(file.parent) in (RUN, KIND)]
    shown = [place for place in places if not any(part.startswith(".") for part in place.relative_to(folder).parts)]
    return [run for run in map(_readable, shown) if run is not None]


def read_run(path: Path) -> RunInfo:
    """Return a run, finished or unfinished.

    Args:
        path: The folder that exists.

    Raises:
        ConfigError: Its config cannot be read.
    """
    details = read_yaml(path / CONFIG)
    metrics, done = _metrics(path), kind_of(path) != KIND
    recipe = dict(dict(details.get("config") or {}).get("recipe") or {})
    return RunInfo(
        path=finished(path),
        method=str(details.get("method", "")),
        preset=str(details.get("preset") or ""),
        finished=done,
        holder="" if done else holder_of(path / LOCK),
        epochs=len(metrics),
        planned=0 if "imported" in details else int(recipe.get("epochs", 0)),
        metrics=metrics,
        ended=datetime.fromtimestamp(_changed(path)),
        store=dict(details.get("store") or {}),
        built_on=tuple(str(parent.get("run", "")) for parent in details.get("built_on") or []),
        tags=read_tags(path),
    )


def read_tags(path: Path) -> tuple[str, ...]:
    """Return the tags of a run's folder."""
    try:
        return tuple(map(str, json.loads((path / TAGS).read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError):
        return ()


def _readable(path: Path) -> RunInfo | None:
    try:
        return read_run(path)
    except (ConfigError, OSError, ValueError, TypeError, AttributeError):
        return None


def _run_folders(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    return [path for path in _folders(place) if kind_of(path) in (RUN, KIND) and (path / CONFIG).is_file()]


def _below(folder: Path, depth: int) -> list[Path]:
    """Return a folder and the folders below it that ecgkit did not make, such as ``runs/study``."""
    if not folder.is_dir() or kind_of(folder):
        return []
    return [folder, *(place for path in _folders(folder) if depth > 1 for place in _below(path, depth - 1))]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _metrics(path: Path) -> list[dict[str, Any]]:
    """Return the metrics of the epochs; a line that is being written is left out."""
    found = []
    if (path / METRICS).is_file():
        for line in (path / METRICS).read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                break
    return [line for line in found if isinstance(line, dict)]


def _changed(path: Path) -> float:
    """Return when a run was finished; for an unfinished run, when its last epoch was."""
    of = path / (MARKER if kind_of(path) == RUN else METRICS)
    return (of if of.exists() else path).stat().st_mtime
