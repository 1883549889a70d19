"""A method under test: its entry, a config quick to train, and batches of the simulated store.

Model and batches are made by the same calls as in ``ecgkit pretrain``, so that a family is checked with what it will be
given: its completed config, its prepared buffers, its beats, reports, entities or labels.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch

from ecgkit.entries import MethodEntry, TaskEntry, load_target
from ecgkit.methods import VIEWS, Batch, Method, chosen_config
from ecgkit.store.reader import Store
from ecgkit.testing.material import store_for, task_for
from ecgkit.training.options import PretrainOptions
from ecgkit.training.processes import Processes
from ecgkit.training.setup import Setup, set_up

RECORDS = 4  # a batch where nothing else is said
OPTIONS = PretrainOptions(device="cpu", workers=0, compile=False)
PREFERRED = "tiny"  # the preset that is checked where there is one


class Case:
    """See the module.

    Args:
        entry: The family.
        preset: Which of its presets; by default ``tiny`` where there is one, else the first.
        compiler: Backend of torch.compile for the check of that name.
        settings: Settings that differ from the preset, such as ``depth=1``.
    """

    def __init__(
        self, entry: MethodEntry, preset: str = "", compiler: str = "aot_eager", settings: Sequence[str] = ()
    ) -> None:
        self.entry = entry
        self.compiler = compiler
        self._preset, self._settings = preset, settings

    @cached_property
    def presets(self) -> dict[str, Any]:
        """All presets of the family."""
        return dict(load_target(self.entry.presets, f"the presets of {self.entry.name}"))

    @cached_property
    def preset(self) -> str:
        """Name of the preset."""
        name = self._preset or (PREFERRED if PREFERRED in self.presets else "")
        return chosen_config(self.entry, name)[0]

    @cached_property
    def config(self) -> Any:
        """The preset's config, for batches of 8 in fp32 and one epoch without warm-up."""
        _, config = chosen_config(self.entry, self.preset, assignments=self._settings)
        recipe = replace(
            config.recipe,
            epochs=1,
            batch_size=8,
            accumulate=1,
            warmup_epochs=0,
            warmup_steps=None,
            schedule="cosine",
            precision="fp32",
            checkpoint="last",
        )
        return replace(config, recipe=recipe)

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """What a batch must hold."""
        return (*self.entry.needs, *self.entry.load().further_needs(self.config))

    @cached_property
    def store(self) -> Store:
        """The data."""
        return store_for(self.needs)

    @property
    def task(self) -> TaskEntry | None:
        """Where labels come from."""
        return task_for(self.needs)

    @cached_property
    def setup(self) -> Setup:
        """What a training would start from."""
        return self.set_up()

    def set_up(self, seed: int = 0) -> Setup:
        """Return what a training with this seed would start from."""
        options = replace(OPTIONS, seed=seed)
        return set_up(self.entry, self.config, self.store, options, Processes(), lambda done, total: None, self.task)

    def variant(self, **recipe: Any) -> Setup:
        """Return the setup with a method of its own and other settings of the recipe."""
        config = replace(self.setup.config, recipe=replace(self.setup.recipe, **recipe))
        return replace(self.setup, config=config, method=self.method())

    def method(self) -> Method:
        """Return a method as it is before the first step, in training mode; each call gives one of its own."""
        return copy.deepcopy(self.setup.method).train()

    def evaluated(self) -> Method:
        """Return a method in evaluation mode."""
        return self.method().eval()

    def batch(self, records: int = RECORDS) -> Batch:
        """Return records of the training part with all leads."""
        return self.setup.batch(records)


def pick_leads(batch: Batch, leads: list[int]) -> Batch:
    """Return a batch of some of its leads, by their place in it, in that order."""
    index = torch.tensor(leads)
    views = {VIEWS: batch.extra[VIEWS][:, :, index]} if VIEWS in batch.extra else {}
    picked = {"signal": batch.signal[:, index], "lead_ids": batch.lead_ids[index]}
    return replace(batch, **picked, extra={**batch.extra, **views})


def pick_records(batch: Batch, records: int) -> Batch:
    """Return the first records of a batch."""
    extra = {need: value[:records] for need, value in batch.extra.items()}
    lengths = None if batch.lengths is None else batch.lengths[:records]
    return Batch(batch.signal[:records], batch.lead_ids, batch.rows[:records], lengths, extra)
