"""Leads set to zero, whole or in part. Use them after normalisation: a lead of zeros cannot be standardised.

Sources: random lead masking, Oh et al., arXiv 2203.06889, and fairseq-signals 6b9e137 (`lead_mask`,
`lead_mask_conditional`); the mask of 3KG, Gopal et al., arXiv 2106.04452 (`lead_timeout`); `lead_dropout` is ours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.leads import LIMB_LEADS, PRECORDIAL_LEADS
from ecgkit.signal.augment.base import Augmentation, Draws, Layout, Signal


def lead_mask(x: Signal, layout: Layout, *, u: Signal, p: float) -> Signal:
    """Return `x` with the leads at zero whose draw ``u [L]`` is below `p`; all may vanish."""
    return np.where(u[:, None] < p, 0, x)


def lead_dropout(x: Signal, layout: Layout, *, u: Signal, p: float) -> Signal:
    """Return `x` with the leads at zero whose draw ``u [L]`` is below `p`, except the lead with the largest draw."""
    hidden = u < p
    hidden[np.argmax(u)] = False
    return np.where(hidden[:, None], 0, x)


def lead_mask_conditional(
    x: Signal, layout: Layout, *, hidden_limb: NDArray[np.int64], hidden_chest: NDArray[np.int64]
) -> Signal:
    """Return `x` with the given rows at zero: limb leads, and chest leads."""
    y = x.copy()
    y[np.concatenate([hidden_limb, hidden_chest])] = 0
    return y


def lead_timeout(x: Signal, layout: Layout, *, starts: NDArray[np.int64], length: int) -> Signal:
    """Return `x` with zeros in each lead from its start ``[L]`` on; a stretch that passes the end goes on in front."""
    after = (np.arange(layout.samples) - starts[:, None]) % layout.samples
    return np.where(after < length, 0, x)


@dataclass(frozen=True)
class LeadMask(Augmentation):
    """Each lead is hidden on its own; rarely all are.

    Args:
        p: Probability.
    """

    apply = staticmethod(lead_mask)

    p: float = 0.5

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw a number per lead."""
        return {"u": rng.random(len(layout.leads)), "p": self.p}


@dataclass(frozen=True)
class LeadDropout(LeadMask):
    """Each lead is hidden on its own, and one at least stays.

    Args:
        p: Probability.
    """

    apply = staticmethod(lead_dropout)


@dataclass(frozen=True)
class LeadMaskConditional(Augmentation):
    """A fixed number of the limb leads and of the chest leads is hidden.

    Args:
        limb: Number of limb leads.
        chest: Number of chest leads.
    """

    apply = staticmethod(lead_mask_conditional)

    limb: int = 3
    chest: int = 3

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw rows of the leads that are there; of fewer leads than the number, all."""
        limb, chest = layout.rows(LIMB_LEADS), layout.rows(PRECORDIAL_LEADS)
        return {
            "hidden_limb": rng.choice(np.array(limb, int), min(self.limb, len(limb)), replace=False),
            "hidden_chest": rng.choice(np.array(chest, int), min(self.chest, len(chest)), replace=False),
        }


@dataclass(frozen=True)
class LeadTimeout(Augmentation):
    """Silence for a part of the signal, at another time in each lead.

    Args:
        share: Its length, as a share of the signal.
    """

    apply = staticmethod(lead_timeout)

    share: float = 0.5

    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Draw where the silence of each lead begins."""
        starts = rng.integers(0, layout.samples, len(layout.leads))
        return {"starts": starts, "length": int(self.share * layout.samples)}
