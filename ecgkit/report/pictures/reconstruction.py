"""What a masked model rebuilds, as a picture: the original, what was hidden, and what the model made of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ecgkit.errors import StoreError
from ecgkit.leads import LEADS
from ecgkit.methods import Reconstruction
from ecgkit.report.pictures.lines import INK, QUIET, new_figure, save
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from ecgkit.tasks.folds import TEST_FOLD
from ecgkit.training.data import Windows, evaluation_starts
from ecgkit.training.run import Run, pick_device
from ecgkit.training.supply import open_supplies

HIDDEN, REBUILT = "#f3f1e4", "#c2571a"


@dataclass(frozen=True)
class Rebuilt:
    """One record as a model rebuilt it.

    Args:
        record: Its id.
        leads: The L leads.
        parts: The pieces, with a batch axis of 1.
        hidden_share: Share of its real pieces that were hidden.
        error: Mean squared error over the hidden pieces, in the unit that is drawn.
    """

    record: str
    leads: tuple[str, ...]
    parts: Reconstruction
    hidden_share: float
    error: float


@torch.no_grad()
def rebuild_record(run: Run, store: Store, record: str = "", *, seed: int = 0, device: str = "auto") -> Rebuilt:
    """Hide parts of a record and let a run's model rebuild them.

    Args:
        run: A run with the whole method.
        store: The data.
        record: Its id; empty for the first usable one of the test fold.
        seed: Of what is hidden.
        device: What to compute on.

    Raises:
        RunError: The method rebuilds nothing, or the run holds only its encoder.
        StoreError: The record does not exist or cannot be used.
    """
    chosen = pick_device(device)
    method = run.method().to(chosen).eval()
    view = open_view(store, run.config.signal)
    row = _row(store, view, record)
    supplies = open_supplies(run.entry.needs, store, view, owner=run.entry.name)
    windows = Windows(view, evaluation_starts(view, view.spec.eval_offsets[0]), supplies)
    batch = windows[np.array([row])].to(chosen)
    with torch.random.fork_rng(devices=[chosen] if chosen.type == "cuda" else []):
        torch.manual_seed(seed)
        parts = method.reconstruct(batch)
    hidden = _hidden(parts)
    errors = (parts.rebuilt - parts.original).square().mean(-1)[hidden]
    real = hidden | parts.visible
    leads = tuple(LEADS[i] for i in batch.lead_ids.tolist())
    share = float(hidden.sum() / real.sum().clamp(min=1))
    return Rebuilt(str(store.table["record_id"].iloc[row]), leads, parts, share, float(errors.mean()))


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


def _hidden(parts: Reconstruction) -> torch.Tensor:
    hidden = ~parts.visible
    return hidden if parts.real is None else hidden & parts.real


def plot_reconstruction(rebuilt: Rebuilt, out: Path, *, title: str) -> None:
    """Draw one record, a row a lead: the original, hidden pieces shaded, and what was rebuilt there.

    Args:
        rebuilt: The record.
        out: The PNG; it appears whole or not at all.
        title: First line.
    """
    parts = rebuilt.parts
    original, made = (x[0].float().cpu().numpy() for x in (parts.original, parts.rebuilt))  # (L, n, p)
    hidden = _hidden(parts)[0].cpu().numpy()
    real = hidden | parts.visible[0].cpu().numpy()
    shown = np.flatnonzero(real.any(0))  # pieces that any lead has
    original, made, hidden = original[:, shown], made[:, shown], hidden[:, shown]
    L, n, p = original.shape
    figure = new_figure(12, 0.62 * L + 1.3)
    axes = figure.subplots()
    scale = max(float(np.quantile(np.abs(original), 0.995)), 1e-9)
    for lead in range(L):
        base = -2.2 * lead
        axes.text(-0.01 * n * p, base, rebuilt.leads[lead], ha="right", va="center", fontsize=9, color=INK)
        for piece in range(n):
            x = np.arange(piece * p, (piece + 1) * p)
            if hidden[lead, piece]:
                axes.fill_between([x[0], x[-1] + 1], base - 1.05, base + 1.05, color=HIDDEN, linewidth=0, zorder=0)
            axes.plot(x, base + _fit(original[lead, piece], scale), color=INK, linewidth=0.8, zorder=2)
            if hidden[lead, piece]:
                axes.plot(x, base + _fit(made[lead, piece], scale), color=REBUILT, linewidth=1.1, zorder=3)
    for piece in range(1, n):
        axes.axvline(piece * p, color="#e6e6ea", linewidth=0.5, zorder=1)
    axes.set(xlim=(0, n * p), ylim=(-2.2 * L + 1.0, 1.3))
    axes.set_axis_off()
    figure.suptitle(title, fontsize=11, color=INK)
    note = (
        f"record {rebuilt.record}; black: original, shaded: hidden ({100 * rebuilt.hidden_share:.0f} %), "
        f"orange: rebuilt; {n} pieces of {p} samples a lead; mean squared error where hidden {rebuilt.error:.3f}"
    )
    figure.supxlabel(note, fontsize=8, color=QUIET)
    save(figure, out)


def _fit(y: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Bring a piece into its row, cut where it would leave it."""
    return (y / scale).clip(-1.1, 1.1)
