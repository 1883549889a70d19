"""Attribution of a score to leads and time, by captum: integrated gradients and occlusion.

Integrated gradients: Sundararajan et al., Axiomatic Attribution for Deep Networks, arXiv 1703.01365. The straight path
runs from the record with every lead at its median to the record. A model that scales its patches or channels to one
deviation changes its score almost at the start of this path, where a wave of a few microvolts is scaled up to a full
one. Evenly spaced points miss that, so the points are spaced by the logarithm of the distance from the start, and are
doubled until the map adds up. Occlusion (Zeiler and Fergus, arXiv 1311.2901) sets a part to that median and takes the
fall of the score. A positive value raises the score of the class. Attention is no attribution, but is shown and checked
like one: `ecgkit.evaluation.analyses.attention`.
"""

import math
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgkit.distribution import install_extra
from ecgkit.errors import ConfigError
from ecgkit.evaluation.analyses.attention import Reduction, record_attention
from ecgkit.evaluation.analyses.scorer import RecordInput, Scorer

Way = Literal["gradients", "occlusion", "attention", "last-attention"]
WAYS: tuple[Way, ...] = get_args(Way)
STEPS = (32, 64, 128, 256)  # points of the path, until the map adds up
NEAREST = 1e-5  # of the path's length: about the distance from its start at which the points begin to spread
GAP = 0.02  # share of the difference between both ends that a map may lack
AT_ONCE = 8  # variants of the record per pass
WINDOW = 0.2  # s of one lead that occlusion hides at a time

Floats = NDArray[np.float64]


def captum() -> Any:
    """Return captum's attribution methods.

    Raises:
        ConfigError: The package is not installed.
    """
    try:
        import captum.attr
    except ImportError:
        raise ConfigError("captum is not installed", remedy=install_extra("explain")) from None
    return captum.attr


def attribute(scorer: Scorer, way: Way) -> Floats:
    """Return the attribution of each sample of each crop, ``[K, L, T]``.

    Raises:
        ConfigError: captum is not installed, or the head has no gradient.
        RunError: The model has no attention.
    """
    if way == "attention" or way == "last-attention":
        return looks(scorer, way)[0]
    if way == "occlusion":
        mask = windows(scorer.record, WINDOW)
        sizes = np.bincount(mask.numpy().ravel())
        return occlude(scorer, mask)[mask.numpy()] / sizes[mask.numpy()]
    if not scorer.has_gradient:
        kept = scorer.classifier.kept
        raise ConfigError(
            f"head {kept.head} on {kept.encoder.name} has no gradient", remedy="Explain it with --by occlusion."
        )
    return integrated_gradients(scorer)


def looks(scorer: Scorer, way: Reduction) -> tuple[Floats, Floats | None]:
    """Return where the model looks, ``[K, L, T]``, as shares of all crops, and how much at each lead from each lead.

    Raises:
        RunError: The model has no attention.
    """
    crops = [record_attention(scorer.encoder, batch, way, scorer.output) for batch in scorer.crops()]
    between = [crop.between for crop in crops if crop.between is not None]
    return np.stack([crop.values for crop in crops]) / len(crops), np.mean(between, axis=0) if between else None


def integrated_gradients(scorer: Scorer) -> Floats:
    """Return the integrated gradients of each sample of each crop, ``[K, L, T]``; see the module.

    Their sum differs from that of the score between both ends of the path by `GAP` of it at most, or as little as
    the largest number of points allows.

    Raises:
        ConfigError: captum is not installed.
    """
    record = scorer.record
    away = (record.signal - record.flat)[None]
    method = captum().IntegratedGradients(lambda u: scorer(record.flat[None] + _along(u) * away))
    score, flat = scorer.score(torch.stack([record.signal, record.flat])).tolist()
    found = torch.zeros_like(away)
    for steps in STEPS:
        # Every sample moves with the one number u from 0 to 1, so this is the straight path, at points spread by u.
        found = method.attribute(
            torch.ones_like(away), baselines=torch.zeros_like(away), n_steps=steps, internal_batch_size=AT_ONCE
        )
        if abs(float(found.double().sum()) - (score - flat)) <= GAP * abs(score - flat):
            break
    values: Floats = found[0].detach().double().numpy()
    return np.where(record.real.numpy()[:, None], values, 0.0)


def _along(u: Tensor) -> Tensor:
    """Return the place on the path, from 0 to 1, of u from 0 to 1: a power of ten takes equally many points."""
    bend = -math.log(NEAREST)
    return torch.expm1(bend * u) / math.expm1(bend)


def windows(record: RecordInput, seconds: float) -> Tensor:
    """Return the number of the lead and window of each sample, int ``[K, L, T]``; windows are those of the record."""
    K, L, T = record.signal.shape
    size = max(1, round(seconds * record.fs))
    number = (torch.tensor(record.starts)[:, None] + torch.arange(T)) // size  # (K, T)
    number = number - number.min()
    mask = number[:, None] + int(number.max() + 1) * torch.arange(L)[:, None]
    return torch.unique(mask, return_inverse=True)[1].view(K, L, T)


def occlude(scorer: Scorer, mask: Tensor) -> Floats:
    """Return the fall of the score when each part is set to the median of its lead, ``[parts]``.

    Args:
        scorer: The score.
        mask: int ``[K, L, T]``, the part of each sample, from 0 without gaps.
    """
    methods, record = captum(), scorer.record
    with torch.no_grad():
        found = methods.FeatureAblation(lambda x: scorer(x).detach()).attribute(
            record.signal[None], baselines=record.flat[None], feature_mask=mask[None], perturbations_per_eval=AT_ONCE
        )
    falls = np.zeros(int(mask.max()) + 1)
    falls[mask.numpy().ravel()] = found[0].double().numpy().ravel()
    return falls


def on_record(values: Floats, record: RecordInput) -> Floats:
    """Return values of crops ``[K, L, T]`` as one map over the record, ``[L, W]``: their sum where crops overlap."""
    length = values.shape[-1]
    total = np.zeros((values.shape[1], max(record.starts) + length))
    for crop, start in zip(values, record.starts, strict=True):
        total[:, start : start + length] += crop
    return total
