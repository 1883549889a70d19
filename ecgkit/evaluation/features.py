"""Features of a store's records from a frozen encoder, through the encoder's own contract."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgkit.errors import RunError
from ecgkit.methods import Encoder, Features
from ecgkit.store.views import View
from ecgkit.training.data import Windows, evaluation_starts, load_batches, plan_batches
from ecgkit.training.supply import Supply


@dataclass(frozen=True)
class RecordFeatures:
    """Features of records, and which leads they had.

    Args:
        fields: By the name of a field of `ecgkit.methods.Features`: ``[R, ...]``. ``per_lead`` is ``[R, L, D]`` on the
            contract's lead axis, 0 where a record lacks the lead.
        leads: The L leads of that axis.
        present: bool ``[R, L]``, which record has which lead.
    """

    fields: Mapping[str, NDArray[np.float32]]
    leads: tuple[str, ...]
    present: NDArray[np.bool_]

    def __getitem__(self, field: str) -> NDArray[np.float32]:
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
    batch_size: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> RecordFeatures:
    """Return features in the order of `rows`, averaged over the contract's evaluation crops.

    Args:
        encoder: In evaluation mode or not; it is put there.
        view: The store under the encoder's contract.
        rows: Rows of the store, all of them usable.
        needs: Which fields of `ecgkit.methods.Features`.
        supplies: What the encoder needs besides the signal.
        batch_size: Records at a time.
        progress: Called with batches done and in all.

    Raises:
        RunError: The encoder does not fill one of the fields.
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    batches = plan_batches(view, rows, batch_size)
    offsets = view.spec.eval_offsets
    place = {int(row): i for i, row in enumerate(rows)}
    present = view.present[rows]
    sums: dict[str, NDArray[np.float32]] = {}
    for k, offset in enumerate(offsets):
        windows = Windows(view, evaluation_starts(view, offset), supplies)
        for n, batch in enumerate(load_batches(windows, batches), 1):
            features = encoder.encode(batch.to(device))
            at = np.array([place[int(row)] for row in batch.rows])
            for need in needs:
                values = _field(features, need)
                if need == "per_lead":
                    values = _on_lead_axis(values, present[at[0]])
                total = sums.setdefault(need, np.zeros((len(rows), *values.shape[1:]), np.float32))
                total[at] += values / len(offsets)
            if progress:
                progress(k * len(batches) + n, len(offsets) * len(batches))
    return RecordFeatures(sums, view.spec.leads, present)


def _field(features: Features, need: str) -> NDArray[np.float32]:
    value = getattr(features, need, None)
    if need == "per_lead" and value is None:
        value = pooled_by_lead(features)
    if value is None:
        raise RunError(f"the encoder gives no {need} features", "a head that fits; 'ecgkit methods' lists features")
    return value.float().cpu().numpy()


def pooled_by_lead(features: Features) -> Tensor | None:
    """Return the mean of each lead's tokens, ``[B, L, D]``: features by lead of an encoder that has none of its own.

    Tokens that stand for nothing take no part; a lead without any other gets zeros. None where the encoder does not
    say of which lead its tokens are.
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
