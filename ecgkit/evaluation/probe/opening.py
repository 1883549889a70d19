"""Opens a task for a probe, on one store or from one store to another.

The split is the task's own, or that of published tables.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ecgkit.errors import TaskError
from ecgkit.evaluation.features.encoder import ProbedEncoder
from ecgkit.evaluation.probe.opened import OpenedTask
from ecgkit.evaluation.probe.other_store import transfer_task
from ecgkit.evaluation.probe.parts import find_overlap, refuse_overlap
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.protocols.lead_sets import lead_set
from ecgkit.evaluation.protocols.protocol import Protocol
from ecgkit.evaluation.protocols.split_tables import read_tables, split_data
from ecgkit.evaluation.results.facts import Departure, SplitFacts
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from ecgkit.tasks.data import TaskData, task_data
from ecgkit.tasks.loading import find_task
from ecgkit.tasks.task import Task

Advance = Callable[[int, int], None]


def given_view(store: Store, spec: SignalSpec, leads: str, progress: Advance | None = None) -> View:
    """Return a store under a contract, reduced to the leads of a lead set. An empty name gives all leads."""
    view = open_view(store, spec, progress)
    return view.only(lead_set(leads).leads) if leads else view


def open_task(
    request: ProbeRequest, encoder: ProbedEncoder, task: Task, protocol: Protocol, progress: Advance | None = None
) -> OpenedTask:
    """Open the view of a request's store, split its task, and join the other store if one is tested instead.

    Args:
        request: The request for the probe.
        encoder: The encoder. Its contract builds the view. If another store is tested, records of that store that its
            pretraining saw count too.
        task: The task.
        protocol: The protocol; it chooses the label set if the request does not.
        progress: Called with records done and records in total while a view is made.

    Raises:
        TaskError: The store lacks the task's labels, or split tables do not fit.
        LeadError: The store lacks the encoder's leads.
        LeakError: The test part shares recordings or patients with the other parts.
    """
    store, name = Store(Path(request.data)), find_task(request.task).name
    view = given_view(store, encoder.spec, request.leads, progress)
    split_by = _by_tables if request.splits else _by_task
    opened = split_by(task, name, store, view, protocol, request)
    if not request.eval_data:
        # A published split is used as it is; the result says where it leaks.
        allowed = request.allow_overlap or bool(request.splits)
        opened = replace(opened, overlap=find_overlap(store, opened.data, allowed=allowed, progress=progress))
        refuse_overlap(store, name, opened.overlap)
        return opened
    other = Store(Path(request.eval_data))
    joined = transfer_task(opened, other, encoder, given_view(other, encoder.spec, request.leads, progress))
    return replace(joined, name=f"{name}@{Path(request.eval_data).stem}")


def _by_task(task: Task, name: str, store: Store, view: View, protocol: Protocol, request: ProbeRequest) -> OpenedTask:
    """Open a task by its own split, with the labels that the request or the protocol asks for."""
    wanted = request.label_set or protocol.label_set(name)
    by_code = wanted == "shipped" and task.has_shipped
    if request.label_set == "shipped" and not by_code:
        raise TaskError("label set shipped without split tables", "the tables that the labels come with: --splits")
    if request.label_set and (task.regression or task.icd10 or task.entities or task.table):
        raise TaskError(f"label set {request.label_set} for task {name}", "a task whose labels are codes of the store")
    task = replace(task, label_set="shipped") if by_code else task
    data = task_data(task, name, store, view.usable, numbers=True)
    lacks = Departure(choice="label set", used="exact", protocol="shipped")
    return OpenedTask(
        name,
        store,
        view,
        data,
        data.parts["train"],
        split_of(data),
        label_set=data.task.label_set if data.task.has_shipped else "",
        departures=(lacks,) if wanted == "shipped" and not by_code else (),
        hashes={"entities": data.extraction.sha256} if data.extraction else {},
    )


def split_of(data: TaskData) -> SplitFacts:
    """Return how a task splits records without published tables."""
    if data.task.icd10 is not None:
        return SplitFacts(kind="benchmark folds")
    if data.table is not None and data.table.split_column:
        return SplitFacts(kind="table column", column=data.table.split_column)
    column = data.table.fold_column if data.table is not None else ""
    return SplitFacts(kind="folds", folds=data.task.split.folds, fold_column=column)


def _by_tables(
    task: Task, name: str, store: Store, view: View, protocol: Protocol, request: ProbeRequest
) -> OpenedTask:
    """Open a task by published split tables."""
    usual = protocol.label_set(name)
    wanted = request.label_set or usual
    tables = read_tables(Path(request.splits))
    found = split_data(tables, task, name, store, view.usable, shipped=wanted == "shipped")
    departs = Departure(choice="label set", used=wanted, protocol=usual)
    return OpenedTask(
        name,
        store,
        view,
        found.data,
        found.order,
        SplitFacts(kind="published tables", tables=tables.name, tables_sha256=tables.sha256),
        label_set=wanted if wanted == "shipped" or task.has_shipped else "",
        departures=(departs,) if wanted != usual else (),
        hashes={"split tables": tables.sha256},
    )
