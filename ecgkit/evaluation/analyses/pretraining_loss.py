"""Computes a run's pretraining loss on given records, batched as in its training."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ecgkit.errors import RunError, StoreError
from ecgkit.evaluation.probe.opened import OpenedTask
from ecgkit.methods import Clock, Corpus, Method
from ecgkit.store.views import View
from ecgkit.training.data import Supplies, Windows, evaluation_starts, load_batches, plan_batches
from ecgkit.training.run import open_run
from ecgkit.training.supply import open_supplies
from ecgkit.training.views import views_of

BATCH = 32


@dataclass(frozen=True)
class PretrainingLoss:
    """The loss that a method was trained with, over the same batches each time.

    Args:
        method: The whole method, with what its training needs besides the encoder.
        supplies: Inputs of the training besides the signal.
        batches: The rows of each batch.
        epochs: Number of epochs of the training; schedules of the method stand at their end, as in validation.
    """

    method: Method
    supplies: Supplies
    batches: tuple[NDArray[np.int64], ...]
    epochs: int

    @torch.no_grad()
    def of(self, view: View, seed: int, most: int | None = None) -> float:
        """Return the mean loss of the records in the batches, with masks that depend only on the seed.

        Args:
            view: The view to read the records from.
            seed: Seed of the masks.
            most: Largest number of batches.
        """
        self.method.eval()
        device = next(self.method.parameters()).device
        clock = Clock.end(epochs=self.epochs)
        windows = Windows(view, evaluation_starts(view, view.spec.eval_offsets[0]), self.supplies)
        total, records = 0.0, 0
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            for batch in load_batches(windows, self.batches[:most]):
                total += float(self.method.training_step(batch.to(device), clock).loss) * len(batch.rows)
                records += len(batch.rows)
        return total / records


def open_pretraining_loss(run: Path | None, opened: OpenedTask, device: torch.device) -> PretrainingLoss | None:
    """Return the pretraining loss of a run on a probe's test records, or None if it cannot be computed.

    Imported encoders have no decoder, a probe's store may lack reports or labels, a run holds no texts, and the
    records may contain no two of one patient. A first batch is run to find out.

    Args:
        run: The run folder; None for an encoder without one.
        opened: The opened task of the probe.
        device: Device to compute on.
    """
    if run is None:
        return None
    trained = open_run(run)
    family, config, store, view = trained.entry.load(), trained.config, opened.store, opened.view
    try:
        method = trained.method().to(device)
        needs = (*trained.entry.needs, *family.further_needs(config))
        opening = open_supplies(needs, store, view, owner=trained.entry.name, config=config)
        supplies: Supplies = {**opening, **views_of(config)}
        sampler = family.sampler(config, Corpus(store, opened.data.rows[opened.data.parts["train"]]))
        fewest = family.fewest_records(config)
        size = max(BATCH, fewest)
        batches = plan_batches(view, opened.test_rows, size, sampler=sampler, fewest=fewest)
        loss = PretrainingLoss(method, supplies, tuple(batches), config.recipe.epochs)
        if batches:
            loss.of(view, 0, most=1)
    except (RunError, StoreError):
        return None
    return loss if batches else None
