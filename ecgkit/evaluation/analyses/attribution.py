"""Attribution of a score to leads and time, by captum: integrated gradients and occlusion.

Integrated gradients: Sundararajan et al., Axiomatic Attribution for Deep Networks, arXiv 1703.01365. The path runs from
the record with every lead at its median to the record. Occlusion (Zeiler and Fergus, arXiv 1311.2901) sets a part to
that median and takes the fall of the score. A positive value raises the score of the class.
"""

from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgkit.distribution import install_extra
from ecgkit.errors import ConfigError
from ecgkit.evaluation.analyses.scorer import RecordInput, Scorer

Way = Literal["gradients", "occlusion"]
WAYS: tuple[Way, ...] = get_args(Way)
STEPS = 32  # points of the path
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
    """
    if way == "occlusion":
        mask = windows(scorer.record, WINDOW)
        sizes = np.bincount(mask.numpy().ravel())
        return occlude(scorer, mask)[mask.numpy()] / sizes[mask.numpy()]
    methods = captum()
    if not scorer.has_gradient:
        name = scorer.classifier.kept.head
        raise ConfigError(f"head {name} has no gradient", remedy="Explain it with --by occlusion.")
    record = scorer.record
    found = methods.IntegratedGradients(scorer).attribute(
        record.signal[None].clone(), baselines=record.flat[None], n_steps=STEPS, internal_batch_size=AT_ONCE
    )
    values: Floats = found[0].detach().double().numpy()
    return np.where(record.real.numpy()[:, None], values, 0.0)


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
