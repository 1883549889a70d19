"""Reconstructs the masked parts of a record with a masked model."""

from dataclasses import dataclass

import numpy as np
import torch

from ecgkit.errors import StoreError
from ecgkit.leads import LEADS
from ecgkit.methods import Reconstruction
from ecgkit.progress import Progress, of_stage, silent
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from ecgkit.tasks.folds import TEST_FOLD
from ecgkit.training.data import Windows, evaluation_starts
from ecgkit.training.run import Run, pick_device
from ecgkit.training.supply import open_supplies


@dataclass(frozen=True)
class Rebuilt:
    """One record as a model reconstructed it.

    Args:
        record: Id of the record.
        leads: The L leads.
        parts: The n pieces of p samples per lead, with a batch axis of 1.
        hidden: ``[1, L, n]``, the masked pieces, without padding.
        hidden_share: Share of the pieces, without padding, that were masked.
        error: Mean squared error over the masked pieces, in the unit of the model's input.
    """

    record: str
    leads: tuple[str, ...]
    parts: Reconstruction
    hidden: torch.Tensor
    hidden_share: float
    error: float


@torch.no_grad()
def rebuild_record(
    run: Run, store: Store, record: str = "", *, seed: int = 0, device: str = "auto", progress: Progress = silent
) -> Rebuilt:
    """Mask parts of a record and let a run's model reconstruct them.

    Args:
        run: A run that holds the whole method.
        store: The data.
        record: Id of the record; empty for the first usable record of the test fold.
        seed: Seed of the mask.
        device: Device to compute on.
        progress: Called with the stage, records done and records in total, while the view is made.

    Raises:
        RunError: The method cannot reconstruct signals, or the run holds only its encoder.
        StoreError: The record does not exist or cannot be used.
    """
    chosen = pick_device(device)
    method = run.method().to(chosen).eval()
    view = open_view(store, run.config.signal, of_stage(progress, "view"))
    row = _row(store, view, record)
    supplies = open_supplies(run.entry.needs, store, view, owner=run.entry.name, config=run.config)
    windows = Windows(view, evaluation_starts(view, view.spec.eval_offsets[0]), supplies)
    batch = windows[np.array([row])].to(chosen)
    with torch.random.fork_rng(devices=[chosen] if chosen.type == "cuda" else []):
        torch.manual_seed(seed)
        parts = method.reconstruct(batch)
    hidden = ~parts.visible if parts.real is None else ~parts.visible & parts.real
    errors = (parts.rebuilt - parts.original).square().mean(-1)[hidden]
    real = hidden | parts.visible
    leads = tuple(LEADS[i] for i in batch.lead_ids.tolist())
    share = float(hidden.sum() / real.sum().clamp(min=1))
    return Rebuilt(str(store.table["record_id"].iloc[row]), leads, parts, hidden, share, float(errors.mean()))


def _row(store: Store, view: View, record: str) -> int:
    if record:
        row = store.row(record)
        if not view.usable[row]:
            raise StoreError(f"record {record} has none of the model's leads, or hardly any signal", "another record")
        return row
    usable = np.flatnonzero(view.usable)
    test = usable[store.table["fold"].to_numpy()[usable] == TEST_FOLD]
    if not len(usable):
        raise StoreError(f"{store.path} has no record that the model can take", "at least one")
    return int(test[0] if len(test) else usable[0])
