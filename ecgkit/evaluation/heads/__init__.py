"""Heads turn features into predictions. `ecgkit.evaluation.heads.base` defines what a head is."""

from collections.abc import Callable

from ecgkit.entries import HeadEntry
from ecgkit.hookspecs import hookimpl

HEADS = (
    HeadEntry(
        name="linear",
        summary="logistic regression, or ridge for numbers, on frozen, pooled features; penalty chosen on val",
        target="ecgkit.evaluation.heads.linear:LinearHead",
        regressor="ecgkit.evaluation.heads.ridge:RidgeHead",
    ),
    HeadEntry(
        name="knn",
        summary="nearest neighbours by cosine in frozen, pooled features; k and temperature chosen on val",
        target="ecgkit.evaluation.heads.knn:KnnHead",
        config="ecgkit.evaluation.heads.knn:KnnConfig",
    ),
    HeadEntry(
        name="boosting",
        summary="gradient-boosted trees on frozen, pooled features; the number of trees chosen on val",
        target="ecgkit.evaluation.heads.boosting:BoostingHead",
        config="ecgkit.evaluation.heads.boosting:BoostingConfig",
        regressor="ecgkit.evaluation.heads.boosting:BoostingRegressor",
    ),
    HeadEntry(
        name="prevalence",
        summary="the share of each class in the training set, or the mean of numbers; nothing of the features",
        target="ecgkit.evaluation.heads.prevalence:PrevalenceHead",
        regressor="ecgkit.evaluation.heads.prevalence:PrevalenceHead",
    ),
    HeadEntry(
        name="attention-pooling",
        summary="a trained query over all frozen tokens, classifier",
        target="ecgkit.evaluation.heads.attention_pooling:AttentionPoolingHead",
        needs=("tokens",),
        config="ecgkit.evaluation.heads.attention_pooling:AttentionPoolingConfig",
    ),
    HeadEntry(
        name="ppa",
        summary="mean over all layers of the encoder, norm, classifier",
        target="ecgkit.evaluation.heads.layer_mixture:PpaHead",
        needs=("layers",),
        config="ecgkit.evaluation.heads.layer_mixture:PpaConfig",
    ),
    HeadEntry(
        name="pma",
        summary="layers of the encoder weighted by a gate on its input, norm, classifier",
        target="ecgkit.evaluation.heads.layer_mixture:PmaHead",
        needs=("layers", "layer_input"),
        config="ecgkit.evaluation.heads.layer_mixture:PmaConfig",
    ),
    HeadEntry(
        name="hug",
        summary="features by lead, joined in three levels: groups of leads, pairs of groups, the whole",
        target="ecgkit.evaluation.heads.hug:HugHead",
        needs=("per_lead",),
        config="ecgkit.evaluation.heads.hug:HugConfig",
    ),
    HeadEntry(
        name="fine-tune",
        summary="the encoder itself is trained with a linear layer or another head; the epoch chosen on val",
        target="ecgkit.evaluation.heads.fine_tune:FineTune",
        needs=("encoder",),
        config="ecgkit.evaluation.heads.fine_tune:FineTuneConfig",
    ),
    HeadEntry(
        name="own",
        summary="the classifier that the encoder was trained with, for the task that it was trained on",
        target="ecgkit.evaluation.heads.own:OwnHead",
        needs=("logits",),
    ),
    HeadEntry(
        name="zero-shot",
        summary="classes by their names or by prompts, scored by the method itself; nothing is trained",
        target="ecgkit.evaluation.heads.zero_shot:ZeroShotHead",
        needs=("method",),
        config="ecgkit.evaluation.heads.zero_shot:ZeroShotConfig",
    ),
)


@hookimpl
def register_heads(register: Callable[[HeadEntry], None]) -> None:
    """Register the heads that ecgkit ships."""
    for entry in HEADS:
        register(entry)
