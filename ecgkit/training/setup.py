"""The setup of a training: data, split, config and model, equal in every process."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ecgkit.config import fingerprint, to_dict
from ecgkit.entries import MethodEntry, TaskEntry
from ecgkit.errors import ConfigError, RunError, StoreError
from ecgkit.methods import Batch, Corpus, Method, Sampler, lightest_preset
from ecgkit.recipe import LATER, Recipe
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store
from ecgkit.store.view_rows import VerifiedRows, copied_rows
from ecgkit.store.views import View, open_view, preview
from ecgkit.tasks.data import task_data
from ecgkit.tasks.loading import load_task, task_reference
from ecgkit.training.cost import Cost, count_cost
from ecgkit.training.data import (
    Split,
    Supplies,
    Windows,
    evaluation_starts,
    plan_batches,
    pretraining_split,
    subset_by_patient,
    task_split,
)
from ecgkit.training.groundwork import Groundwork
from ecgkit.training.optimization import precision
from ecgkit.training.options import LONG, Beginning, PretrainOptions
from ecgkit.training.parents import Parent, read_parents
from ecgkit.training.plan import Plan
from ecgkit.training.preparation import origins, text_origin
from ecgkit.training.processes import Processes
from ecgkit.training.run import pick_device
from ecgkit.training.streaming import Stream, chosen_stream
from ecgkit.training.supply import open_supplies
from ecgkit.training.views import views_of


@dataclass(frozen=True)
class Setup:
    """See the module.

    Args:
        entry: The method family.
        config: Its completed config.
        store: The store to train on.
        view: The store under the config's contract.
        supplies: Contents of a batch besides the signal, by need.
        split: Rows of the training, validation and held-out parts.
        method: The model, on its device.
        task: Name or file of the task that gives the labels; empty without labels.
        options: Execution options.
        identity: Fingerprint of everything that two trainings must share to be the same.
        sampler: Gives groups of records that stay together in a batch; None for no groups.
        fewest: Fewest records of a training step.
        parents: The runs that the config is built on.
        origins: Where the values of the supplies come from, by need.
        stream: The order of a view that is read in blocks; None for any order.
    """

    entry: MethodEntry
    config: Any
    store: Store
    view: View
    supplies: Supplies
    split: Split
    method: Method
    task: str
    options: PretrainOptions
    identity: str
    sampler: Sampler | None = None
    fewest: int = 1
    parents: tuple[Parent, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    stream: Stream | None = None

    @property
    def recipe(self) -> Recipe:
        """The training recipe."""
        recipe: Recipe = self.config.recipe
        return recipe

    @property
    def device(self) -> torch.device:
        """The device of the method."""
        return next(self.method.parameters()).device

    def beginning(self, processes: int, cost: Cost, peak: float) -> Beginning:
        """Return the summary of the training before its first step; `peak` is the FLOP/s of the device at its best."""
        plan = self.plan(Processes())
        kind = precision(self.recipe, self.device)
        return Beginning(
            method=self.entry.name,
            preset=self.options.preset,
            signal=self.config.signal,
            split=self.split,
            cost=cost,
            recipe=self.recipe,
            processes=processes,
            precision=kind,
            steps=plan.steps,
            left_out=plan.left_out,
            patients=self.patients(),
            all_folds=self.options.all_folds,
            subset=self.options.subset,
            task=self.task,
            origins=self.origins,
            text=text_origin(self.config),
            **self._on_a_cpu(cost, peak),
        )

    def _on_a_cpu(self, cost: Cost, peak: float) -> dict[str, Any]:
        """Return the least time of the training on a CPU, and if that is long the preset that fits; {} on a GPU."""
        if self.device.type != "cpu":
            return {}
        least = cost.flops * len(self.split.train) * self.recipe.epochs / peak
        if least <= LONG:
            return {"least_seconds": least}
        lighter = lightest_preset(self.entry)
        return {"least_seconds": least, "lighter": lighter if lighter != self.options.preset else ""}

    def patients(self) -> dict[str, int]:
        """Return the number of known patients of each part of the split."""
        ids = np.array(self.store.patients, dtype=object)
        return {name: len({one for one in ids[rows] if one is not None}) for name, rows in self.split.parts().items()}

    def facts(self) -> dict[str, Any]:
        """Return what decides the meaning of the training besides its config, for the run."""
        text = text_origin(self.config)
        return {
            "patients": self.patients(),
            **({"origins": dict(self.origins)} if self.origins else {}),
            **({"text_encoder": text.name} if text else {}),
        }

    def plan(self, processes: Processes) -> Plan:
        """Return the order of the training's records for this process."""
        return Plan(
            self.view,
            self.split.train,
            self.recipe,
            self.options.seed,
            processes.size,
            processes.rank,
            self.sampler,
            self.fewest,
            self.stream,
        )

    def validation_batches(self, processes: int) -> list[NDArray[np.int64]]:
        """Return the batches of the validation set, as large as the pieces of training.

        Raises:
            StoreError: The validation set fills no batch.
        """
        size = max(1, self.fewest, self.recipe.batch_size // (self.recipe.accumulate * processes))
        batches = plan_batches(self.view, self.split.val, size, sampler=self.sampler, fewest=self.fewest)
        if not batches:
            raise StoreError(
                f"the {len(self.split.val)} validation records fill no batch of {self.entry.name}",
                remedy="Ingest more records: a batch needs several records of one lead set, or of one patient.",
            )
        return batches

    def batch(self, records: int) -> Batch:
        """Return a batch of training records of the most frequent lead set, on the device."""
        present = self.view.present[self.split.train]
        _, lead_set, counts = np.unique(present, axis=0, return_inverse=True, return_counts=True)
        rows = self.split.train[lead_set.ravel() == int(counts.argmax())]
        if self.sampler is not None:
            rows = self.sampler(rows, np.random.default_rng(0)).ravel()
            records = -(-records // self.sampler.group) * self.sampler.group
        windows = Windows(self.view, evaluation_starts(self.view, 0), self.supplies)
        return windows[rows[: max(records, self.fewest)]].to(self.device)

    def cost(self) -> Cost:
        """Count the cost of a record."""
        return count_cost(self.method, self.batch(2), self.recipe)


LABELS = "labels"  # the supply that a task gives


def set_up(
    entry: MethodEntry,
    config: Any,
    store: Store,
    options: PretrainOptions,
    processes: Processes,
    task: TaskEntry | None = None,
    *,
    preview_only: bool = False,
) -> Setup:
    """Open the data and build the model. Every process of a training does this.

    Args:
        entry: The method family.
        config: Its config.
        store: The store.
        options: Execution options.
        processes: The processes that train together.
        task: Task that gives the labels, for a method that needs them.
        preview_only: Read single records instead of making the view, for an estimate.

    Raises:
        ConfigError: A task is named, and the method uses no labels.
        StoreError: The store lacks what the method needs, or has too few records.
        TaskError: The store has no labels of the task.
    """
    device = own_device(options.device, processes)
    family: type[Method] = entry.load()
    groundwork = Groundwork(entry, config, store)
    needs = groundwork.needs
    if task is not None and LABELS not in needs:
        raise ConfigError(
            f"--task {task.name} with {entry.name}, whose training uses no labels",
            remedy=f"Leave --task out. Probe the trained run on the task with: ecgkit probe RUN --task {task.name}",
        )
    groundwork.check(None)
    view = preview(store, config.signal) if preview_only else opened_view(store, config.signal, options.scratch)
    data = task_data(load_task(task, options.task_settings), task.name, store, view.usable) if task else None
    folds = store.table["fold"]
    split = task_split(data) if data else pretraining_split(folds, view.usable, all_folds=options.all_folds)
    if options.subset is not None:
        split = subset_by_patient(split, store.units, options.subset, options.seed)
    corpus = Corpus(store, split.train, data.labels if data else ())
    config = family.complete(config, corpus)
    opened = open_supplies(needs, store, view, data, owner=entry.name, config=config)
    supplies: Supplies = {**opened, **views_of(config, options.seed)}
    name = task_reference(task) if task else ""
    parents = read_parents(family.built_on(config))
    extraction = data.extraction if data else None
    chosen = () if options.subset is None else (options.subset,)
    asked = (name, *options.task_settings, *([extraction.sha256] if extraction else []))
    data_of = (store.content_hash, options.seed, options.all_folds, *asked, *chosen)
    identity = fingerprint(entry.name, identity_of(config), *data_of, *(parent.sha256 for parent in parents))
    sampler, fewest = family.sampler(config, corpus), family.fewest_records(config)
    check_batch(config.recipe, entry.name, fewest, 1 if sampler is None else sampler.group)
    stream = None
    if not preview_only:
        stream = chosen_stream(view, config.recipe, processes.size, options.stream, sampler)
    if stream is not None:
        identity = fingerprint(identity, vars(stream))
    method = _build(family, config, corpus, options.seed, synchronised=device.type == "cuda" and processes.size > 1)
    model = method.to(device)
    return Setup(
        entry,
        config,
        store,
        view,
        supplies,
        split,
        model,
        name,
        options,
        identity,
        sampler,
        fewest,
        parents,
        {**origins(needs, store, config), **({"labels": str(extraction)} if extraction else {})},
        stream,
    )


def opened_view(store: Store, spec: SignalSpec, scratch: str) -> View:
    """Return the view of a store, or a copy of it on a disk of this machine."""
    view = open_view(store, spec)
    if not scratch:
        return view
    assert isinstance(view.signal, VerifiedRows)
    return replace(view, signal=copied_rows(view.signal, Path(scratch)))


def _build(family: type[Method], config: Any, corpus: Corpus, seed: int, *, synchronised: bool) -> Method:
    """Return a method initialised from a seed; `synchronised` computes its batch norms over all processes."""
    torch.manual_seed(seed)
    method = family(config)
    method.prepare(corpus)
    if synchronised:
        method = torch.nn.SyncBatchNorm.convert_sync_batchnorm(method)  # type: ignore[no-untyped-call]
    return method


def check_batch(recipe: Recipe, name: str, fewest: int, group: int) -> None:
    """Refuse batches that are too small for a method, which would otherwise silently train on nothing.

    Raises:
        RunError: A part of a batch has too few records, or the batch size is not a multiple of the group size.
    """
    part = recipe.batch_size // recipe.accumulate
    if part < max(fewest, group):
        cut = f" in {recipe.accumulate} accumulated parts" if recipe.accumulate > 1 else ""
        raise RunError(
            f"recipe.batch_size {recipe.batch_size}{cut} gives {name} {part} record{'s' * (part != 1)} to compare at a "
            f"time; it needs at least {max(fewest, group)}",
            remedy="Raise recipe.batch_size" + (" or lower recipe.accumulate." if cut else "."),
        )
    if recipe.batch_size % group:
        raise RunError(
            f"recipe.batch_size {recipe.batch_size} is not a multiple of {group}",
            remedy=f"{name} keeps groups of {group} records together: choose a multiple of {group}.",
        )


def identity_of(config: Any) -> dict[str, Any]:
    """Return a config for the identity, without newer recipe settings that have their default.

    So an unfinished run of an earlier ecgkit can be resumed.
    """
    plain, usual = to_dict(config), to_dict(Recipe())
    recipe = plain["recipe"]
    return {**plain, "recipe": {k: v for k, v in recipe.items() if k not in LATER or v != usual[k]}}


def own_device(name: str, processes: Processes) -> torch.device:
    """Return the device of this process; with several processes on GPUs, its own GPU."""
    device = pick_device(name)
    if device.type == "cuda" and processes.size > 1:
        device = torch.device("cuda", processes.local_rank % torch.cuda.device_count())
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def resume_settings(setup: Setup, processes: Processes) -> dict[str, Any]:
    """Return the settings that ``--resume`` needs besides config.yaml; see `ecgkit.training.unfinished`."""
    return {
        "identity": setup.identity,
        "store": str(Path(setup.store.path).resolve()),
        "task": setup.task,
        "processes": processes.size,
        "built_on": [parent.details for parent in setup.parents],
        "data": {
            "content of the store": setup.store.content_hash[:16],
            "records": len(setup.store),
            "training records": len(setup.split.train),
            **setup.origins,
        },
        "options": {**setup.options.to_resume(), "stream": setup.stream is not None},
    }
