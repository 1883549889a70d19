"""HUG: a head that reads the leads as groups, pairs of groups, and the whole.

*Tracing the Heart's Pathways*, arXiv 2512.24002. With the feature c_l of each lead and seven linear maps W,

    g_k  = mean over the leads of group k of W_k c_l          limb I II III; augmented aVR aVL aVF; precordial V1-V6
    p_jk = W_jk mean(g_j, g_k)                                pairs 12, 23, 13
    a    = W_7 mean(p_12, p_23, p_13)
    z    = mean of the seven, or their concatenation          logits = W_o z + b

The paper needs twelve leads. Our extension takes a group's mean over the leads that a record has. A group without any
lead is left out, together with the pairs that contain it, and the means are taken over the remaining parts.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.heads.trained import RECIPE, HeadConfig, TrainedHead
from ecgkit.leads import PRECORDIAL_LEADS
from ecgkit.recipe import Recipe

GROUPS = (("I", "II", "III"), ("aVR", "aVL", "aVF"), (*PRECORDIAL_LEADS, "V3R", "V4R", "V7", "V8", "V9"))
PAIRS = ((0, 1), (1, 2), (0, 2))
Levels = Literal["full", "groups", "weighted", "mean"]


@dataclass(frozen=True)
class HugConfig(HeadConfig):
    """Settings of HUG.

    Args:
        recipe: Training recipe.
        levels: ``full``, or a reduced form for ablations: ``groups`` (only the three group maps), ``weighted`` (one
            learnt weight per lead) or ``mean`` (the mean over leads).
        combine: ``mean`` of the parts (released code) or ``concat`` (the paper's figure), where absent parts are 0.
    """

    recipe: Recipe = RECIPE
    levels: Levels = "full"
    combine: Literal["mean", "concat"] = "mean"


class Hug(nn.Module):
    """The linear maps of HUG, ``[B, L, D] -> [B, parts, D]``.

    Args:
        width: Width D of the features.
        leads: Names of the L leads; leads outside every group are not used.
        whole: Use all three levels, seven parts; otherwise only the three groups.
    """

    member: Tensor

    def __init__(self, width: int, leads: tuple[str, ...], *, whole: bool = True) -> None:
        super().__init__()
        self.groups = nn.ModuleList(nn.Linear(width, width) for _ in GROUPS)
        self.pairs = nn.ModuleList(nn.Linear(width, width) for _ in PAIRS) if whole else None
        self.whole = nn.Linear(width, width) if whole else None
        member = torch.tensor([[lead in group for lead in leads] for group in GROUPS])
        self.register_buffer("member", member, persistent=False)  # (3, L)

    def forward(self, per_lead: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Return the parts and which of them exist.

        Args:
            per_lead: Features of each lead, ``[B, L, D]``.
            present: Bool ``[B, L]``, which leads each record has.

        Returns:
            ``[B, parts, D]``, g1 g2 g3 p12 p23 p13 a, zeros where a part does not exist; and bool ``[B, parts]``.
        """
        inside = self.member & present[:, None]  # (B, 3, L)
        # The linear map of a mean equals the mean of the maps, and costs a third or less.
        means = mean_of(per_lead[:, None], inside)  # (B, 3, D)
        groups = torch.stack([layer(means[:, k]) for k, layer in enumerate(self.groups)], dim=1)
        there = inside.any(dim=-1)
        if self.pairs is None or self.whole is None:
            return groups * there[..., None], there
        both = torch.stack([there[:, j] & there[:, k] for j, k in PAIRS], dim=1)
        pairs = torch.stack(
            [layer((groups[:, j] + groups[:, k]) / 2) for layer, (j, k) in zip(self.pairs, PAIRS, strict=True)], dim=1
        )
        whole = self.whole(mean_of(pairs, both))[:, None]
        exist = torch.cat([there, both, both.any(dim=1, keepdim=True)], dim=1)
        return torch.cat([groups, pairs, whole], dim=1) * exist[..., None], exist


def mean_of(x: Tensor, wanted: Tensor) -> Tensor:
    """Average ``[..., n, D]`` over the entries that ``[..., n]`` marks; 0 where it marks none."""
    weight = wanted[..., None].to(x.dtype)
    return (x * weight).sum(dim=-2) / weight.sum(dim=-2).clamp(min=1)


class HugClassifier(nn.Module):
    """HUG, or a reduced form of it, and a linear classifier.

    Args:
        width: Width D of the features.
        leads: Names of the L leads.
        classes: Number C of classes.
        config: Settings of HUG.
    """

    def __init__(self, width: int, leads: tuple[str, ...], classes: int, config: HugConfig) -> None:
        super().__init__()
        self.hug = Hug(width, leads, whole=config.levels == "full") if config.levels in ("full", "groups") else None
        self.weights = nn.Parameter(torch.zeros(len(leads))) if config.levels == "weighted" else None
        self.concat = config.combine == "concat" and self.hug is not None
        parts = {"full": 7, "groups": 3}[config.levels] if self.concat else 1
        self.out = nn.Linear(parts * width, classes)

    def forward(self, per_lead: Tensor, present: Tensor) -> Tensor:
        """Return logits ``[B, C]`` from ``[B, L, D]`` and bool ``[B, L]``."""
        if self.hug is not None:
            parts, exist = self.hug(per_lead, present)
            pooled = parts.flatten(1) if self.concat else mean_of(parts, exist)
        elif self.weights is not None:
            share = self.weights.masked_fill(~present, -torch.inf).softmax(dim=-1)  # (B, L)
            pooled = (per_lead * share[..., None]).sum(dim=1)
        else:
            pooled = mean_of(per_lead, present)
        logits: Tensor = self.out(pooled)
        return logits


class HugHead(TrainedHead):
    """HUG as a head; see the module."""

    config: HugConfig
    settings = HugConfig
    reads = ("per_lead", "present")

    def build(self, train: Part) -> nn.Module:
        """Return the linear maps and the classifier for the contract's leads."""
        width = train.features["per_lead"].shape[2]
        return HugClassifier(width, train.features.leads, train.targets.shape[1], self.config)
