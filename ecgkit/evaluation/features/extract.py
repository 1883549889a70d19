"""Extracts features of a store's records with a frozen encoder, under the encoder's own contract."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgkit.errors import RunError
from ecgkit.methods import Encoder, Features
from ecgkit.store.views import View
from ecgkit.training.data import Windows, evaluation_starts, load_batches, plan_batches
from ecgkit.training.supply import Supply

LARGEST = 16 * 2**30  # largest size of tokens in memory, in bytes
# Records per batch. On a CPU the activations of a larger batch are too large for the allocator to keep: it returns
# them to the system and gets them anew, page by page, which takes a fifth of the time of a small transformer.
BATCH, BATCH_ON_CPU = 64, 16


@dataclass(frozen=True)
class RecordFeatures:
    """Features of records, and the leads of each record.

    Args:
        fields: Arrays ``[R, ...]`` by the name of a field of `ecgkit.methods.Features`. ``per_lead`` is ``[R, L, D]``
            on the contract's lead axis, 0 where a record lacks the lead. ``tokens`` is float16 ``[R, N, D]``, the
            tokens of all crops in sequence; ``token_real``, bool ``[R, N]``, marks those that are not padding.
        leads: The L leads of the contract's lead axis.
        present: Bool ``[R, L]``, which leads each record has.
    """

    fields: Mapping[str, NDArray[Any]]
    leads: tuple[str, ...]
    present: NDArray[np.bool_]

    def __getitem__(self, field: str) -> NDArray[Any]:
        return self.fields[field]

    def __len__(self) -> int:
        return len(self.present)

    def take(self, rows: NDArray[np.int64]) -> "RecordFeatures":
        """Return the features of some of the records."""
        fields = {name: values[rows] for name, values in self.fields.items()}
        return replace(self, fields=fields, present=self.present[rows])


@torch.no_grad()
def extract(
    encoder: Encoder,
    view: View,
    rows: NDArray[np.int64],
    needs: Sequence[str] = ("pooled",),
    *,
    supplies: Mapping[str, Supply] = MappingProxyType({}),
    batch_size: int | None = None,
    beside: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> RecordFeatures:
    """Return features in the order of `rows`, averaged over the contract's evaluation crops; tokens are not averaged.

    Args:
        encoder: The encoder; it is switched to evaluation mode.
        view: The store under the encoder's contract.
        rows: Rows of the store, all of them usable.
        needs: Names of the fields of `ecgkit.methods.Features` to return.
        supplies: Inputs of the encoder besides the signal.
        batch_size: Records per batch. By default `BATCH`, or `BATCH_ON_CPU`.
        beside: Number of further records with features in memory at the same time.
        progress: Called with batches done and batches in total.

    Raises:
        RunError: The encoder does not fill one of the fields, gives NaN, or tokens would not fit into memory.
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    batches = plan_batches(view, rows, batch_size or (BATCH_ON_CPU if device.type == "cpu" else BATCH))
    offsets = view.spec.eval_offsets
    place = {int(row): i for i, row in enumerate(rows)}
    present = view.present[rows]
    sums: dict[str, NDArray[Any]] = {}
    tokens = _Tokens(len(rows), len(offsets), beside) if "tokens" in needs else None
    for k, offset in enumerate(offsets):
        windows = Windows(view, evaluation_starts(view, offset), supplies)
        for n, batch in enumerate(load_batches(windows, batches), 1):
            features = encoder.encode(batch.to(device))
            at = np.array([place[int(row)] for row in batch.rows])
            if tokens is not None:
                found = _field(features, "tokens")
                _check_finite(found, batch.rows)
                tokens.add(at, k, found, features.token_real)
            for need in needs:
                if need == "tokens":
                    continue
                values = _field(features, need)
                if need == "per_lead":
                    values = _on_lead_axis(values, present[at[0]])
                _check_finite(values, batch.rows)
                total = sums.setdefault(need, np.zeros((len(rows), *values.shape[1:]), np.float32))
                total[at] += values / len(offsets)
            if progress:
                progress(k * len(batches) + n, len(offsets) * len(batches))
    return RecordFeatures(sums if tokens is None else sums | tokens.together(), view.spec.leads, present)


class _Tokens:
    """Collects the tokens of records batch by batch. The number of tokens may differ between lead sets."""

    def __init__(self, records: int, crops: int, beside: int) -> None:
        self.records, self.crops, self.beside, self.count = records, crops, beside, 0
        self._pieces: list[tuple[NDArray[np.int64], int, NDArray[np.float16], NDArray[np.bool_]]] = []

    def add(self, at: NDArray[np.int64], crop: int, tokens: NDArray[np.float32], real: Tensor | None) -> None:
        """Add the tokens ``[B, N, D]`` of some records; `real` ``[B, N]`` marks those that are not padding."""
        self.count = max(self.count, tokens.shape[1])
        held = self.records + self.beside
        size = 2 * held * self.crops * self.count * tokens.shape[2]
        if size > LARGEST:
            raise RunError(
                f"the tokens of {held} records take {size / 2**30:.0f} GiB",
                f"{LARGEST / 2**30:.0f} at most",
                "Probe pooled features, a smaller model, or one with fewer evaluation crops (signal.eval_starts).",
            )
        there = np.ones(tokens.shape[:2], bool) if real is None else real.cpu().numpy().astype(bool)
        self._pieces.append((at, crop, tokens.astype(np.float16), there))

    def together(self) -> dict[str, NDArray[Any]]:
        """Return ``tokens`` and ``token_real``. The crops of a record follow each other."""
        width = self._pieces[0][2].shape[2] if self._pieces else 0
        tokens = np.zeros((self.records, self.crops, self.count, width), np.float16)
        real = np.zeros(tokens.shape[:3], bool)
        for at, crop, values, there in self._pieces:
            tokens[at, crop, : values.shape[1]], real[at, crop, : values.shape[1]] = values, there
        N = self.crops * self.count
        return {"tokens": tokens.reshape(self.records, N, width), "token_real": real.reshape(self.records, N)}


def _check_finite(values: NDArray[np.float32], rows: Iterable[int]) -> None:
    broken = [int(row) for row, own in zip(rows, values, strict=True) if not np.isfinite(own).all()]
    if broken:
        raise RunError(
            f"the encoder gives NaN or infinity for {len(broken)} of {len(values)} records, first for row {broken[0]}",
            "finite features",
            "The training may have diverged: train with a lower learning rate, or use an earlier checkpoint.",
        )


def _field(features: Features, need: str) -> NDArray[np.float32]:
    found: NDArray[np.float32] = field_of(features, need).float().cpu().numpy()
    return found


def field_of(features: Features, need: str) -> Tensor:
    """Return a field of an encoder's output with its gradient; ``per_lead`` from the tokens if need be.

    Raises:
        RunError: The encoder does not fill the field.
    """
    value: Tensor | None = getattr(features, need, None)
    if need == "per_lead" and value is None:
        value = pooled_by_lead(features)
    if value is None:
        raise RunError(f"the encoder gives no {need} features", "a head that fits; 'ecgkit methods' lists features")
    return value


def batch_inputs(features: Features, reads: Sequence[str], present: Tensor) -> tuple[Tensor, ...]:
    """Return the inputs of a head's module for one batch, with their gradient.

    Args:
        features: The encoder's output for a batch of B records with the same leads.
        reads: Names of the inputs; see `ecgkit.evaluation.heads.base.Head.module`.
        present: Bool ``[L]``, which leads of the contract's lead axis the records have, on the encoder's device.
    """

    def one(name: str) -> Tensor:
        if name == "present":
            return present.expand(len(features.pooled), -1)
        if name == "token_real" and features.token_real is None:
            return torch.ones_like(field_of(features, "tokens")[..., 0], dtype=torch.bool)
        value = field_of(features, name)
        if name != "per_lead":
            return value
        spread = value.new_zeros(len(value), len(present), value.shape[-1])
        spread[:, present] = value
        return spread

    return tuple(one(name) for name in reads)


def pooled_by_lead(features: Features) -> Tensor | None:
    """Return the mean of each lead's tokens, ``[B, L, D]``, for an encoder without its own features per lead.

    Padding tokens are left out; a lead with only padding gets zeros. None if the encoder does not state the lead of
    each token.
    """
    if features.tokens is None or features.token_leads is None:
        return None
    lead = torch.arange(int(features.token_leads.max()) + 1, device=features.token_leads.device)
    weight = (features.token_leads == lead[:, None]).to(features.tokens.dtype)[None]  # (1, L, N)
    if features.token_real is not None:
        weight = weight * features.token_real[:, None]
    return weight @ features.tokens / weight.sum(dim=2, keepdim=True).clamp(min=1)


def _on_lead_axis(values: NDArray[np.float32], present: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Spread ``[B, k, D]`` of the k leads that a batch has over the whole axis, ``[B, L, D]``."""
    spread = np.zeros((len(values), len(present), values.shape[-1]), np.float32)
    spread[:, present] = values
    return spread
