"""A method under test: its entry, a config that trains quickly, and batches of the simulated store.

Model and batches are made by the same calls as in ``ecgkit pretrain``. So a family is checked with its real inputs: its
completed config, its prepared buffers, its beats, reports, entities or labels.
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

RECORDS = 4  # default batch size
OPTIONS = PretrainOptions(device="cpu", workers=0, compile=False)
PREFERRED = "tiny"  # the preset to check if the family has it


class Case:
    """See the module.

    Args:
        entry: The method family.
        preset: Preset to check. By default ``tiny`` if the family has it, otherwise its first preset.
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
        """The contents that a batch must have."""
        return (*self.entry.needs, *self.entry.load().further_needs(self.config))

    @cached_property
    def store(self) -> Store:
        """The data."""
        return store_for(self.needs)

    @property
    def task(self) -> TaskEntry | None:
        """The task that gives the labels."""
        return task_for(self.needs)

    @cached_property
    def setup(self) -> Setup:
        """The setup of a training."""
        return self.set_up()

    def set_up(self, seed: int = 0) -> Setup:
        """Return the setup of a training with this seed."""
        options = replace(OPTIONS, seed=seed)
        return set_up(self.entry, self.config, self.store, options, Processes(), self.task)

    def variant(self, **recipe: Any) -> Setup:
        """Return a setup with a new method and other settings of the recipe."""
        config = replace(self.setup.config, recipe=replace(self.setup.recipe, **recipe))
        return replace(self.setup, config=config, method=self.method())

    def method(self) -> Method:
        """Return a new, untrained method in training mode."""
        return copy.deepcopy(self.setup.method).train()

    def evaluated(self) -> Method:
        """Return a new, untrained method in evaluation mode."""
        return self.method().eval()

    def batch(self, records: int = RECORDS) -> Batch:
        """Return a batch of training records with all leads."""
        return self.setup.batch(records)


def pick_leads(batch: Batch, leads: list[int]) -> Batch:
    """Return a batch with only some leads, given by their position, in the given order."""
    index = torch.tensor(leads)
    views = {VIEWS: batch.extra[VIEWS][:, :, index]} if VIEWS in batch.extra else {}
    picked = {"signal": batch.signal[:, index], "lead_ids": batch.lead_ids[index]}
    return replace(batch, **picked, extra={**batch.extra, **views})


def pick_records(batch: Batch, records: int) -> Batch:
    """Return the first records of a batch."""
    extra = {need: value[:records] for need, value in batch.extra.items()}
    lengths = None if batch.lengths is None else batch.lengths[:records]
    return Batch(batch.signal[:records], batch.lead_ids, batch.rows[:records], lengths, extra)
