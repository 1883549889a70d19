"""Whether a map means something: two checks that a picture alone does not pass.

**Deletion** (Samek et al., arXiv 1509.06321): the parts to which the map gives the most are set to the median of their
lead. The score must fall further than when as many random parts are deleted.

**Shuffled weights** (Adebayo et al., Sanity Checks for Saliency Maps, arXiv 1810.03292): the same method on the same
encoder with the values inside each weight shuffled must give another map. A map that stays as it was shows the signal,
and not what the model learnt.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from ecgkit.evaluation.analyses.attribution import Way, attribute, windows
from ecgkit.evaluation.analyses.scorer import Scorer
from ecgkit.methods import Encoder

CELL = 0.1  # s of one lead that are deleted at a time
SHARE = 0.1  # of all parts
DRAWS = 20


@dataclass(frozen=True)
class MapCheck:
    """The result of both checks.

    Args:
        fall: Fall of the score when the `SHARE` of parts with the highest values is deleted.
        random_fall: Mean fall over `DRAWS` draws of as many random parts.
        random_sd: Standard deviation over these draws.
        likeness: Rank correlation of the map's magnitudes with those of the map of shuffled weights: 1 for the same
            map, 0 for no likeness. None if the encoder has no weights that could be shuffled.
    """

    fall: float
    random_fall: float
    random_sd: float
    likeness: float | None

    @property
    def passed(self) -> bool:
        """Whether deleting the top parts lowers the score more than every usual random draw."""
        return self.fall > self.random_fall + 2 * self.random_sd


def check_map(scorer: Scorer, values: NDArray[np.float64], way: Way, seed: int = 0) -> MapCheck:
    """Check the map of a record; see the module.

    Args:
        scorer: The score that the map explains.
        values: The map, ``[K, L, T]``.
        way: How the map was made.
        seed: Seed of the random parts and of the shuffling.
    """
    mask = windows(scorer.record, CELL)
    cells = per_part(values, mask)
    rng = np.random.default_rng(seed)
    count = max(1, round(SHARE * len(cells)))
    chosen = [np.argsort(-cells, kind="stable")[:count]]
    chosen += [rng.permutation(len(cells))[:count] for _ in range(DRAWS)]
    record = scorer.record
    scores = scorer.score(torch.stack([record.signal, *(_deleted(scorer, mask, parts) for parts in chosen)])).numpy()
    falls = scores[0] - scores[1:]
    random = falls[1:]
    return MapCheck(
        float(falls[0]), float(random.mean()), float(random.std()), _likeness(scorer, cells, way, mask, seed)
    )


def _likeness(scorer: Scorer, cells: NDArray[np.float64], way: Way, mask: Tensor, seed: int) -> float | None:
    """Return `MapCheck.likeness`."""
    if all(parameter.numel() < 2 for parameter in scorer.encoder.parameters()):
        return None
    other = Scorer(scorer.classifier, scorer.record, scorer.output, shuffled(scorer.encoder, seed))
    pair = np.abs(cells), np.abs(per_part(attribute(other, way), mask))
    # A map that is the same everywhere has no order.
    return float(spearmanr(*pair).statistic) if all(np.ptp(values) > 0 for values in pair) else 0.0


def per_part(values: NDArray[np.float64], mask: Tensor) -> NDArray[np.float64]:
    """Return the sum of a map over each part, ``[parts]``."""
    return np.asarray(np.bincount(mask.numpy().ravel(), weights=values.ravel()), np.float64)


def _deleted(scorer: Scorer, mask: Tensor, parts: NDArray[np.integer]) -> Tensor:
    gone = torch.isin(mask, torch.from_numpy(parts))
    return torch.where(gone, scorer.record.flat, scorer.record.signal)


def shuffled(encoder: Encoder, seed: int) -> Encoder:
    """Return a copy of an encoder in which the values inside each parameter are shuffled."""
    other = copy.deepcopy(encoder)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return other.eval()
