"""Where a model looks: the attention among its tokens as a map of leads and time.

Every watched attention layer gives its weights during one encode, as means over heads; the encoder states which samples
its tokens hold (`ecgkit.methods.TokenLayout`). Two ways reduce the weights to one per token:

- ``attention``, rollout (Abnar and Zuidema, arXiv 2005.00928): from the tokens that make the record's representation
  back through all layers, in each of which a half stays at the token (its residual branch) and a half follows the
  weights.
- ``last-attention``: the weights of the last layer that those tokens ask.

The tokens that make the representation are the encoder's summary or all real tokens, or the query of a class. The
weight of a token is spread evenly over its samples and leads. Attention says where the model looks, not what counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgkit.errors import RunError
from ecgkit.methods import AttentionCall, Batch, Encoder, TokenLayout
from ecgkit.nn.attention import watching

Reduction = Literal["attention", "last-attention"]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)
STAYS = 0.5  # of a token's weight in each layer of a rollout

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Attention:
    """Where a model looks in one crop of one record.

    Args:
        values: ``[L, T]``, the weight of each sample of each lead; 0 in padding. What their sum lacks to 1 lies on
            tokens that hold no samples of the record, such as summaries.
        between: ``[L, L]``, the weight of each lead (column) in the representation of each lead (row); None if the
            encoder's tokens hold all leads together.
    """

    values: Floats
    between: Floats | None


@torch.no_grad()
def record_attention(encoder: Encoder, batch: Batch, how: Reduction, output: int = 0) -> Attention:
    """Return where an encoder looks in one record.

    Args:
        encoder: The encoder, in evaluation mode.
        batch: A batch of one record.
        how: The reduction; see the module.
        output: Index of the class, for models that ask for each class by itself.

    Raises:
        RunError: The encoder has no attention layers, or does not say which samples its tokens hold.
    """
    weights, layout = captured(encoder, batch)
    asked = layout.pooled if layout.classes is None else layout.classes[output]
    starts = asked[None] if layout.per_lead is None else torch.cat([asked[None], layout.per_lead])
    L, T = batch.signal.shape[1:]
    length = T if batch.lengths is None else int(batch.lengths[0])
    maps = on_samples(looked(weights, layout, starts.cpu(), how), layout, L, length, T)
    return Attention(maps[0], maps[1:].sum(axis=2) if layout.per_lead is not None else None)


def captured(encoder: Encoder, batch: Batch) -> tuple[list[Tensor], TokenLayout]:
    """Return the weights of every attention call of one encode, ``[G, n, m]`` each, and the layout of the tokens.

    Raises:
        RunError: As `record_attention`.
    """
    weights: list[Tensor] = []
    with watching(encoder, lambda layer, found: weights.append(found.double().mean(dim=1).cpu())):
        features = encoder.encode(batch)
    if not weights:
        raise RunError(
            "this model has no attention layers", "a transformer", "Explain it with --by gradients or --by occlusion."
        )
    return weights, encoder.token_layout(batch, features)


def looked(weights: Sequence[Tensor], layout: TokenLayout, starts: Tensor, how: Reduction) -> Tensor:
    """Return the weight of each token in several representations, ``[R, M]``.

    Args:
        weights: Weights of each call, ``[G, n, m]``.
        layout: The tokens.
        starts: ``[R, M]``, weight of each token's output in each representation.
        how: The reduction; see the module.

    Raises:
        RunError: The weights are not those of the layout's tokens.
    """
    calls = layout.calls or (AttentionCall.among(torch.arange(layout.count)),) * len(weights)
    left, arrived = starts.clone(), torch.zeros_like(starts)
    share = 1 - STAYS if how == "attention" else 1.0
    for call, found in reversed(list(zip(calls, weights, strict=False))):
        queries, keys = call.queries.cpu(), call.keys.cpu()
        if found.shape != (len(queries), queries.shape[1], keys.shape[1]):
            raise RunError(
                f"attention of shape {list(found.shape)} is not that of the encoder's tokens "
                f"({list(queries.shape)} queries, {list(keys.shape)} keys)"
            )
        moved = share * left[:, queries]  # (R, G, n)
        left = left.index_add(1, queries.flatten(), -moved.flatten(1))
        target = left if how == "attention" else arrived
        target.index_add_(1, keys.flatten(), torch.einsum("rgn,gnm->rgm", moved, found).flatten(1))
    return left + arrived


def on_samples(weights: Tensor, layout: TokenLayout, leads: int, length: int, samples: int) -> Floats:
    """Spread the weight of each token evenly over its samples, ``[R, M] -> [R, L, T]``.

    Args:
        weights: ``[R, M]``.
        layout: The tokens.
        leads: L.
        length: Number of real samples; those after it get nothing.
        samples: T.
    """
    token, lead = layout.token.cpu().numpy(), layout.leads.cpu().numpy()
    spans = layout.spans.cpu().numpy().clip(0, length)
    widths = (spans[:, 1] - spans[:, 0]) * np.where(lead < 0, leads, 1)
    sizes = np.bincount(token, widths, minlength=layout.count)
    found = weights.numpy()
    out = np.zeros((len(found), leads, samples))
    for p in np.flatnonzero(widths > 0):
        own = slice(None) if lead[p] < 0 else slice(lead[p], lead[p] + 1)
        out[:, own, spans[p, 0] : spans[p, 1]] += (found[:, token[p]] / sizes[token[p]])[:, None, None]
    return out
