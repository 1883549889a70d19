"""Configurations of K-MERL and MERL: sizes, inputs and recipes, each number with its source where it is not ours."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ecgkit.knowledge.source import EntityField, EntitySource
from ecgkit.recipe import Recipe
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.spec import SignalSpec
from ecgkit.text.config import TextConfig

# 10 s at 500 Hz, min-max of the record over the leads that the model sees (MERL's code; K-MERL is built on it).
SIGNAL = SignalSpec(fs=500.0, seconds=10.0, normalize="record-minmax", crop="start")
# Ours, for two CPU cores: 100 Hz keeps all that a machine's report speaks of, and a small model learns several times as
# fast from a signal around 0 as from one in [0, 1], where every token is mostly an offset.
SMALL_SIGNAL = replace(SIGNAL, fs=100.0, filter=Butterworth(low=0.5, high=40.0, order=3), normalize="record-zscore")
# Recipe.lr is for a batch of 256: 2e-4 and 1e-3 are the rates at the published batches.
KMERL_RECIPE = Recipe(
    epochs=50, batch_size=1024, lr=2e-4 / 4, warmup_epochs=0, weight_decay=1e-5, betas=(0.9, 0.999), clip=1.0
)
MERL_CODE = replace(
    KMERL_RECIPE,
    epochs=21,
    lr=1e-3 / 4,
    weight_decay=1e-8,
    clip=None,
    schedule="cosine-restarts",
    restart_steps=5000,
    final_lr=1e-8,
    checkpoint="last",
)
MERL_PAPER = replace(
    MERL_CODE, epochs=50, batch_size=4096, lr=2e-4 / 16, weight_decay=1e-5, schedule="cosine", final_lr=0.0
)
# Ours: a schedule for a few thousand records. Batches are small because training needs some thousand steps.
SMALL_RECIPE = Recipe(
    epochs=40, batch_size=16, lr=1.6e-2, warmup_epochs=2, weight_decay=0.05, betas=(0.9, 0.98), clip=1.0
)
# MERL's code takes the pooled output of the language model, and K-MERL is built on it.
TEXT = TextConfig(pooling="pooler")
SMALL_TEXT = replace(TEXT, width=128)
MEDCPT = replace(TEXT, encoder="medcpt", width=768)
# Entities that a model has read, with subtypes counted as their parents: ecgkit extract-knowledge --name model.
BY_A_MODEL = EntitySource("model")


@dataclass(frozen=True)
class KMerlConfig:
    """K-MERL; each ablation of the paper is one field.

    Args:
        patch: Samples of a token; the paper tried 25 to 200 and found 100 best.
        width: D of the encoder.
        depth: Blocks.
        heads: Attention heads.
        head_width: Width of a head.
        mlp_ratio: Hidden width of a block over D.
        lead_tokens: False mixes all leads into one token per segment, as MERL does; absent leads are then zeros.
        position_std: Spread of lead and time embeddings at the start; MERL has 1.
        dlm_counts: How many of twelve leads are hidden; one of these, drawn for each batch.
        dlm_prob: Share of the batches with lead masking; 0 for none.
        lsm_ratio: Share of the segments that is hidden in every lead that stays; 0 for none.
        mask_mode: ``drop`` hidden tokens, or put a learned ``token`` in their place.
        query_width: Width of the query network; KAD has 768.
        query_layers: Its layers.
        query_heads: Its attention heads.
        query_hidden: Width inside its FFN.
        query_dropout: Dropout in it.
        projection: Width of the space in which ECG and report are compared.
        temperature: Temperature of the contrastive loss.
        contrast: ``sum`` or ``mean`` of the two directions.
        w_contrast: Weight of the contrastive loss; 0 leaves it out.
        w_query: Weight of the query loss; 0 leaves it out.
        score: How classes are scored by their names: ``query``, by the query network, or ``cosine``, by the similarity
            of the projected ECG and class name. Without a query loss it is always the second. It changes no weights, so
            a trained run can be probed with either.
        uncertain: How the query loss counts an entity if the report is unsure of it: ``negative`` (the paper's labels
            are findings asserted as present), ``positive``, or ``ignore``.
        entities: The extraction to learn from, ``entities.name``, and the names of its entities.
        text: The text encoder.
        signal: The input.
        recipe: The training.
    """

    patch: int = 100
    width: int = 192
    depth: int = 12
    heads: int = 3
    head_width: int = 64
    mlp_ratio: float = 4.0
    lead_tokens: bool = True
    position_std: float = 0.02
    dlm_counts: tuple[int, ...] = (9, 10, 11)
    dlm_prob: float = 1.0
    lsm_ratio: float = 0.25
    mask_mode: Literal["drop", "token"] = "drop"
    query_width: int = 256
    query_layers: int = 4
    query_heads: int = 4
    query_hidden: int = 1024
    query_dropout: float = 0.1
    projection: int = 256
    temperature: float = 0.07
    contrast: Literal["sum", "mean"] = "sum"
    w_contrast: float = 1.0
    w_query: float = 1.0
    score: Literal["query", "cosine"] = "query"
    uncertain: Literal["negative", "positive", "ignore"] = "negative"
    entities: EntityField = field(default_factory=EntitySource)
    text: TextConfig = TEXT
    signal: SignalSpec = SIGNAL
    recipe: Recipe = KMERL_RECIPE

    def __post_init__(self) -> None:
        _check_sizes(
            self,
            "patch",
            "width",
            "depth",
            "heads",
            "head_width",
            "query_width",
            "query_layers",
            "query_heads",
            "query_hidden",
            "projection",
        )
        _check_masking(self)
        _check_patch(self)
        if self.query_width % self.query_heads:
            raise ValueError(f"query_width {self.query_width} must be a multiple of query_heads {self.query_heads}")
        if not 0 <= self.lsm_ratio < 1:
            raise ValueError(f"lsm_ratio {self.lsm_ratio} must be at least 0 and below 1")
        if min(self.w_contrast, self.w_query) < 0 or self.w_contrast + self.w_query == 0:
            raise ValueError("w_contrast and w_query must be 0 or more, and not both 0")
        if self.score == "cosine" and not self.w_contrast:
            raise ValueError("score cosine needs w_contrast above 0")

    @property
    def queries_classes(self) -> bool:
        """Whether classes are scored by the query network."""
        return bool(self.w_query) and self.score == "query"


@dataclass(frozen=True)
class MerlConfig:
    """MERL.

    Args:
        encoder: The ECG encoder.
        channels: Width of a ResNet's first stage.
        patch: Samples of a ViT's token.
        width: D of a ViT.
        depth: Blocks of a ViT.
        heads: Attention heads of a ViT.
        head_width: Width of a ViT's head.
        mlp_ratio: Hidden width of a ViT's block over D.
        hidden: Hidden width of the projections.
        projection: Width of the space in which ECG and report are compared.
        pool_heads: Heads of a ResNet's attention pool.
        temperature: Temperature of both contrastive losses.
        uma_shared: One matrix with two dropout masks, as the paper describes, in place of the code's two matrices.
        uma_dropout: Dropout of the two ECG views.
        w_cma: Weight of the loss between ECG and report.
        w_uma: Weight of the loss between the two ECG views.
        dlm_counts: Numbers of leads out of twelve that may be set to zero; one number is drawn for each batch.
        dlm_prob: Share of the batches with lead masking: 0 as published, 1 for the fairer baseline on few leads.
        text: The text encoder.
        signal: The input; its order of leads is that of the encoder's rows.
        recipe: The training.
    """

    encoder: Literal["resnet18", "resnet34", "resnet50", "resnet101", "vit"] = "resnet18"
    channels: int = 64
    patch: int = 50
    width: int = 192
    depth: int = 12
    heads: int = 3
    head_width: int = 64
    mlp_ratio: float = 4.0
    hidden: int = 256
    projection: int = 256
    pool_heads: int = 4
    temperature: float = 0.07
    uma_shared: bool = False
    uma_dropout: float = 0.1
    w_cma: float = 1.0
    w_uma: float = 1.0
    dlm_counts: tuple[int, ...] = (9, 10, 11)
    dlm_prob: float = 0.0
    text: TextConfig = TEXT
    signal: SignalSpec = SIGNAL
    recipe: Recipe = MERL_CODE

    def __post_init__(self) -> None:
        _check_sizes(
            self, "channels", "patch", "width", "depth", "heads", "head_width", "hidden", "projection", "pool_heads"
        )
        _check_masking(self)
        if self.encoder == "vit":
            _check_patch(self)
        if not 0 <= self.uma_dropout < 1:
            raise ValueError(f"uma_dropout {self.uma_dropout} must be at least 0 and below 1")
        if min(self.w_cma, self.w_uma) < 0 or self.w_cma + self.w_uma == 0:
            raise ValueError("w_cma and w_uma must be 0 or more, and not both 0")


def _check_sizes(config: Any, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name} {getattr(config, name)} must be at least 1")
    if not 0 < config.temperature < math.inf:
        raise ValueError(f"temperature {config.temperature:g} must be above 0 and finite")
    if not 0 < config.mlp_ratio < math.inf:
        raise ValueError(f"mlp_ratio {config.mlp_ratio:g} must be above 0 and finite")


def _check_masking(config: Any) -> None:
    leads = len(config.signal.leads)
    if not 0 <= config.dlm_prob <= 1:
        raise ValueError(f"dlm_prob {config.dlm_prob} must lie between 0 and 1")
    if not config.dlm_counts or not all(0 <= count < leads for count in config.dlm_counts):
        raise ValueError(f"dlm_counts {config.dlm_counts} must be numbers from 0 to {leads - 1}")


def _check_patch(config: Any) -> None:
    if config.signal.samples % config.patch:
        raise ValueError(f"patch {config.patch} must divide the input's {config.signal.samples} samples")


KMERL = KMerlConfig()
KMERL_PRESETS = {
    "vit-tiny": KMERL,
    "vit-small": replace(KMERL, width=384, heads=6),
    "vit-base": replace(KMERL, width=768, heads=12),
    "paper": replace(KMERL, text=MEDCPT, entities=BY_A_MODEL),
    # K-MERL's model with MERL's optimiser, because the paper names no optimiser.
    "vit-tiny-merl-code": replace(KMERL, recipe=replace(KMERL_RECIPE, lr=1e-3 / 4, weight_decay=1e-8)),
    # Ours: for two CPU cores and a few thousand records.
    "tiny": replace(
        KMERL,
        patch=25,
        width=128,
        depth=3,
        heads=4,
        head_width=32,
        query_width=128,
        query_layers=2,
        query_hidden=256,
        projection=128,
        text=SMALL_TEXT,
        signal=SMALL_SIGNAL,
        recipe=SMALL_RECIPE,
    ),
}

MERL = MerlConfig()
MERL_PRESETS = {
    "resnet18": MERL,
    "resnet34": replace(MERL, encoder="resnet34"),
    "resnet50": replace(MERL, encoder="resnet50"),
    "resnet101": replace(MERL, encoder="resnet101"),
    "vit-tiny": replace(MERL, encoder="vit"),
    "vit-small": replace(MERL, encoder="vit", width=384, heads=6),
    "vit-middle": replace(MERL, encoder="vit", width=512, heads=8),
    "vit-base": replace(MERL, encoder="vit", width=768, heads=12),
    "resnet18-paper": replace(MERL, text=MEDCPT, recipe=MERL_PAPER),
    "vit-tiny-paper": replace(MERL, encoder="vit", text=MEDCPT, recipe=MERL_PAPER),
    "resnet18-released": replace(MERL, text=MEDCPT),
    # Ours: as K-MERL's.
    "tiny": replace(
        MERL,
        channels=16,
        hidden=128,
        projection=128,
        text=SMALL_TEXT,
        signal=SMALL_SIGNAL,
        recipe=SMALL_RECIPE,
    ),
}
