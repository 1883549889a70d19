"""How a probe's task is split: by itself, or by published tables, and what a result says of that."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import TaskError
from ecgkit.evaluation.probe.options import ProbeOptions
from ecgkit.evaluation.protocols.protocol import Protocol
from ecgkit.evaluation.protocols.split_tables import read_tables, split_data
from ecgkit.store.reader import Store
from ecgkit.tasks.data import TaskData, task_data
from ecgkit.tasks.task import Task


@dataclass(frozen=True)
class ChosenSplit:
    """A task on a store by its own split or by published tables, and what a result says of that.

    Args:
        data: The task on the store.
        order: What draws choose from; see `ecgkit.evaluation.probe.run.PreparedProbe`.
        words: What the protocol card says, by heading.
        hashes: Of the tables.
        departures: From the protocol.
    """

    data: TaskData
    order: NDArray[np.int64]
    words: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    departures: Mapping[str, str] = field(default_factory=dict)


def choose_split(
    task: Task, name: str, store: Store, usable: NDArray[np.bool_], protocol: Protocol, options: ProbeOptions
) -> ChosenSplit:
    """Split a task as the options say, with the labels that they or the protocol ask for.

    Raises:
        TaskError: The store lacks the task's labels, or tables do not fit.
    """
    if options.splits:
        return _by_tables(task, name, store, usable, protocol, options)
    return _by_task(task, name, store, usable, protocol, options)


def _by_task(
    task: Task, name: str, store: Store, usable: NDArray[np.bool_], protocol: Protocol, options: ProbeOptions
) -> ChosenSplit:
    wanted = options.label_set or protocol.label_set(name)
    by_code = wanted == "shipped" and task.has_shipped
    if options.label_set == "shipped" and not by_code:
        raise TaskError("label set shipped without split tables", "the tables that the labels come with: --splits")
    task = replace(task, label_set="shipped") if by_code else task
    data = task_data(task, name, store, usable, numbers=True)
    lacks = {"label set": "exact, by the store's codes; the protocol has those of its tables: --splits"}
    return ChosenSplit(data, data.parts["train"], departures=lacks if wanted == "shipped" and not by_code else {})


def _by_tables(
    task: Task, name: str, store: Store, usable: NDArray[np.bool_], protocol: Protocol, options: ProbeOptions
) -> ChosenSplit:
    usual = protocol.label_set(name)
    wanted = options.label_set or usual
    tables = read_tables(Path(options.splits))
    found = split_data(tables, task, name, store, usable, shipped=wanted == "shipped")
    words = {"split": f"published tables {tables.name}", **({"label set": wanted} if wanted == "shipped" else {})}
    departures = {"label set": f"{wanted}; the protocol has {usual}"} if wanted != usual else {}
    return ChosenSplit(found.data, found.order, words, {"split tables": tables.sha256}, departures)
