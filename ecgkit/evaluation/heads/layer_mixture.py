"""PPA and PMA: heads that read a mixture of an encoder's layers.

*Harnessing Multi-Layer Synergy for ECG Foundation Models* (ECG-Soup), arXiv 2509.00102. With pooled layer outputs
h_1 .. h_n, raw, and the pooled input h_0 of the first block,

    PPA   f = LN(mean_l h_l)
    PMA   f = LN(sum_l w_l h_l),   w = softmax(G(h_0)),   G = LN, Linear 256, GELU, Linear 128, GELU, Linear n

In the paper LN is the encoder's last norm; here it is a norm of the head, trained with it, so that the heads fit every
encoder that gives its layers. Before a linear classifier the two are the same set of functions.
"""

from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor, nn

from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.heads.trained import RECIPE, HeadConfig, TrainedHead
from ecgkit.recipe import Recipe

Classifier = Literal["linear", "bn_mlp"]
# ECG-Soup's probe: AdamW 1e-3, weight decay 0.05, batch 64, 100 epochs. It states no warm-up and no schedule.
# A recipe states the learning rate for a batch of 256; at a batch of 64 it is 1e-3.
SOUP_RECIPE = replace(RECIPE, batch_size=64, lr=4e-3, warmup_epochs=0.0, schedule="constant")


@dataclass(frozen=True)
class PpaConfig(HeadConfig):
    """Settings of PPA.

    Args:
        recipe: Training recipe.
        classifier: ``linear`` (our choice, comparable between families), or ``bn_mlp`` of the released code: BatchNorm,
            dropout 0.25, Linear 256, ReLU, BatchNorm, dropout 0.5, Linear.
    """

    recipe: Recipe = SOUP_RECIPE
    classifier: Classifier = "linear"


@dataclass(frozen=True)
class PmaConfig(PpaConfig):
    """Settings of PMA.

    Args:
        recipe: Training recipe.
        classifier: Classifier; see `PpaConfig`.
        gate: ``trained``, or ``frozen`` at its random start as in the released script for a linear probe.
    """

    gate: Literal["trained", "frozen"] = "trained"


class Gate(nn.Module):
    """The gate G. It maps the pooled input of the first block to one logit per layer, ``[B, D] -> [B, depth]``."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 256),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(256, 128),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(128, depth),
        )

    def forward(self, layer_input: Tensor) -> Tensor:
        """Return the weights of the layers, which sum to 1."""
        weights: Tensor = self.net(layer_input).softmax(dim=-1)
        return weights


class LayerMixture(nn.Module):
    """Averages the layers, normalises the average, and classifies it.

    Args:
        width: Width D of the layers.
        classes: Number C of classes.
        classifier: Classifier; see `PpaConfig`.
        gate: Module that gives the weights of the layers; None for equal weights (PPA).
    """

    def __init__(self, width: int, classes: int, classifier: Classifier, gate: Gate | None = None) -> None:
        super().__init__()
        self.gate = gate
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes) if classifier == "linear" else bn_mlp(width, classes)

    def forward(self, layers: Tensor, layer_input: Tensor | None = None) -> Tensor:
        """Return logits ``[B, C]`` from layers ``[B, depth, D]`` and, for PMA, the first block's input ``[B, D]``."""
        mixed = layers.mean(dim=1) if self.gate is None else (self.gate(layer_input)[..., None] * layers).sum(dim=1)
        logits: Tensor = self.head(self.norm(mixed))
        return logits


def bn_mlp(width: int, classes: int) -> nn.Sequential:
    """Return ECG-Soup's classifier."""
    return nn.Sequential(
        nn.BatchNorm1d(width),
        nn.Dropout(0.25),
        nn.Linear(width, 256),
        nn.ReLU(),
        nn.BatchNorm1d(256),
        nn.Dropout(0.5),
        nn.Linear(256, classes),
    )


class PpaHead(TrainedHead):
    """PPA as a head; see the module."""

    config: PpaConfig
    settings = PpaConfig
    reads = ("layers",)

    def build(self, train: Part) -> nn.Module:
        """Return the layer mixture with equal weights."""
        return LayerMixture(train.features["layers"].shape[2], train.targets.shape[1], self.config.classifier)


class PmaHead(TrainedHead):
    """PMA as a head; see the module."""

    config: PmaConfig
    settings = PmaConfig
    reads = ("layers", "layer_input")

    def build(self, train: Part) -> nn.Module:
        """Return the layer mixture with its gate."""
        _, depth, width = train.features["layers"].shape
        gate = Gate(width, depth)
        gate.requires_grad_(self.config.gate == "trained")
        return LayerMixture(width, train.targets.shape[1], self.config.classifier, gate)
