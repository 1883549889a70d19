"""Trains an encoder and a head, such as a linear layer, end to end on a task's labels.

From random weights this is the "supervised from scratch" row that every table of pretrained models needs beside it;
from pretrained weights it is fine-tuning. The method family's own augmentation is not used: no mask, no second
view, no noise, only the contract's crops. The epoch is chosen by the macro AUROC of the validation set; the test set
is predicted once.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgkit.evaluation.features.extract import RecordFeatures, batch_inputs, extract
from ecgkit.evaluation.heads.base import Arrays, Part
from ecgkit.evaluation.heads.trained import HeadConfig, TrainedHead
from ecgkit.evaluation.results.row import finite
from ecgkit.evaluation.scores.metrics import macro_auroc
from ecgkit.methods import Batch, Encoder
from ecgkit.optimizers import OPTIMIZERS, build_optimizer
from ecgkit.recipe import Recipe
from ecgkit.store.views import View
from ecgkit.tasks.data import TaskData
from ecgkit.training.data import Windows, load_batches, plan_batches, training_starts
from ecgkit.training.fitting import fit_epochs
from ecgkit.training.optimization import Optimization, decayed_shares, trained_parameters
from ecgkit.training.processes import ALONE, Processes
from ecgkit.training.supply import Labels, Supply

Supplies = Mapping[str, Supply]
# Our choice: the same for every family, so that results from scratch can be compared.
RECIPE = Recipe(epochs=30, batch_size=32, lr=4e-3, warmup_epochs=3, weight_decay=0.05, clip=1.0)


@dataclass(frozen=True)
class Supervised:
    """The outcome of an end-to-end training.

    Args:
        probabilities: ``[len(data.rows), C]`` of the chosen epoch.
        choices: The settings that were used and chosen, for the protocol card.
        metrics: One mapping per epoch: training loss and validation macro AUROC.
        encoder: The trained encoder.
        head: The trained head.
        like: A part without records, whose features and targets have the shapes that the head reads.
    """

    probabilities: NDArray[np.float64]
    choices: dict[str, Any]
    metrics: tuple[dict[str, Any], ...]
    encoder: Encoder
    head: TrainedHead
    like: Part

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the weights of ``encoder`` and ``head`` by name."""
        encoder = {f"encoder.{name}": value.detach().cpu().numpy() for name, value in self.encoder.state_dict().items()}
        return {**encoder, **{f"head.{name}": value for name, value in self.head.state().items()}}

    def predict(self, view: View, rows: NDArray[np.int64], supplies: Supplies) -> NDArray[np.float64]:
        """Return probabilities ``[len(rows), C]`` for any rows of a store under the encoder's contract."""
        return _predict(self.encoder, self.head, view, rows, supplies)


class LayerHead(TrainedHead):
    """A linear layer on the pooled features, as it is trained with an encoder."""

    settings = HeadConfig
    reads = ("pooled",)

    def build(self, train: Part) -> nn.Module:
        """Return the layer."""
        return nn.Linear(train.features["pooled"].shape[1], train.targets.shape[1])

    def predict(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return probabilities ``[R, C]``."""
        return layer_probabilities(self._model, features)


def train_supervised(
    encoder: Encoder,
    view: View,
    data: TaskData,
    *,
    recipe: Recipe = RECIPE,
    layer_decay: float = 1.0,
    head: TrainedHead | None = None,
    start: Arrays | None = None,
    seed: int = 0,
    supplies: Supplies = MappingProxyType({}),
    progress: Callable[[int, int], None] | None = None,
    processes: Processes = ALONE,
) -> Supervised:
    """Train on a task's training set and predict all records of the task.

    Args:
        encoder: The encoder; it is trained in place and ends with the weights of the chosen epoch.
        view: The store under the encoder's contract.
        data: The task on the store.
        recipe: Training recipe: optimiser, schedule and epochs.
        layer_decay: Factor on the learning rate from each stage of the encoder to the stage before it.
        head: The head, on the device of the encoder, which gets new weights; None for a linear layer.
        start: Weights of the head to start from, as `TrainedHead.state` gives them; None for random ones.
        seed: Seed of the head's weights, the order of records and the crops.
        supplies: Inputs of the encoder besides the signal.
        progress: Called with epochs done and epochs in total.
        processes: The processes that share each batch; this one is one of them.
    """
    device = next(encoder.parameters()).device
    head = head or LayerHead(device=device)
    train, val = data.rows[data.parts["train"]], data.parts["val"]
    like = shapes_of(encoder, view, train, len(data.labels), head.needs, supplies)
    torch.manual_seed(seed)
    head.begin(like)
    if start is not None:
        head.restore(start, like)
    model = _joined(encoder, head)
    if processes.size > 1:
        torch.manual_seed(seed + processes.rank)  # else dropout would be the same in all parts of a batch
        if device.type == "cuda":
            model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    shares = decayed_shares(encoder, layer_decay) if layer_decay < 1 else {}
    of_model = {f"encoder.{name}": share for name, share in shares.items()}
    optimization = Optimization(recipe, device, build_optimizer(recipe, trained_parameters(model), of_model), processes)
    every = {**supplies, "labels": Labels.of(data, len(view.signal))}
    metrics: list[dict[str, Any]] = []

    def batches(epoch: int) -> tuple[int, Iterable[tuple[Batch, Share]]]:
        planned = plan_batches(view, train, recipe.batch_size, (seed, epoch))
        parts, shares = zip(*(_part(rows, processes) for rows in planned), strict=True) if planned else ((), ())
        windows = Windows(view, training_starts(view, seed, epoch), every)
        return len(planned), zip(load_batches(windows, list(parts)), shares, strict=True)

    def predict(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return shared_predictions(partial(_predict, encoder, head, view, supplies=supplies), rows, processes)

    def judge_now() -> float:
        return macro_auroc(data.targets[val], predict(data.rows[val]))

    def judge(epoch: int, mean: float) -> tuple[float, ...]:
        score = judge_now()
        metrics.append({"epoch": epoch + 1, "train_loss": mean, "val_macro_auroc": finite(score)})
        # If no class can be scored on the validation set, the first epoch is kept.
        return (float(np.nan_to_num(score)),)

    begun = {} if start is None else {"start": f"a probe, macro AUROC {judge_now():.4f} on val"}
    loss = partial(_loss, encoder, head, view, device)
    epoch = fit_epochs(model, optimization, batches, loss, judge, progress or _silent)
    rate = recipe.reached_lr(len(plan_batches(view, train, recipe.batch_size)))
    decays = f", layer decay {layer_decay:g} over {len(set(shares.values()))} depths" if shares else ""
    score = metrics[epoch - 1]["val_macro_auroc"]
    choices = {"training": _described(recipe, rate, head) + decays, **begun, "chosen": _chosen(epoch, score)}
    return Supervised(predict(data.rows), choices, tuple(metrics), encoder, head, like)


Share = tuple[int, int]  # number of records of a batch that this process computes, and of the whole batch


def _part(rows: NDArray[np.int64], processes: Processes) -> tuple[NDArray[np.int64], Share]:
    """Return the rows of a batch that a process computes. A process without any computes one, which does not count."""
    own = rows[processes.rank :: processes.size]
    return (own if len(own) else rows[:1]), (len(own), len(rows))


def shared_predictions(
    predict: Callable[[NDArray[np.int64]], NDArray[np.float64]], rows: NDArray[np.int64], processes: Processes
) -> NDArray[np.float64]:
    """Return the predictions of some rows, ``[len(rows), C]``. Each process computes a part and gets all."""
    if processes.size == 1 or len(rows) < processes.size:
        return predict(rows)
    found: list[Any] = [None] * processes.size
    dist.all_gather_object(found, predict(rows[processes.rank :: processes.size]), group=processes.control)
    whole = np.empty((len(rows), found[0].shape[1]))
    for rank, values in enumerate(found):
        whole[rank :: processes.size] = values
    return whole


def shapes_of(
    encoder: Encoder, view: View, rows: NDArray[np.int64], classes: int, needs: Sequence[str], supplies: Supplies
) -> Part:
    """Return a part without records, with the shapes of the features of the first of some rows."""
    features = extract(encoder, view, rows[:1], needs, supplies=supplies).take(np.arange(0))
    return Part(features, np.empty((0, classes), np.int8))


def _joined(encoder: Encoder, head: TrainedHead) -> nn.ModuleDict:
    """Return the model that is trained: an encoder and the module of a head behind it."""
    if not trained_parameters(encoder):
        # The teacher of a method with two networks was not trained by gradient.
        encoder.requires_grad_(True)
    return nn.ModuleDict({"encoder": encoder, "head": head.trained})


def _described(recipe: Recipe, rate: float, head: TrainedHead) -> str:
    what = "linear layer" if isinstance(head, LayerHead) else type(head).__name__
    return (
        f"encoder and {what} end to end, {OPTIMIZERS[recipe.optimizer]}, {recipe.epochs} epochs, "
        f"batch {recipe.batch_size}, peak lr {rate:g}, weight decay {recipe.weight_decay:g}"
    )


def _chosen(epoch: int, score: float | None) -> str:
    return f"epoch {epoch} by macro AUROC on val ({score:.4f})" if score else "epoch 1: val scores no class"


def _silent(done: int, total: int) -> None:
    pass


def _loss(
    encoder: Encoder, head: TrainedHead, view: View, device: torch.device, shared: tuple[Batch, Share]
) -> tuple[Tensor, int]:
    batch, (own, whole) = shared
    moved = batch.to(device)
    present = torch.from_numpy(view.present[int(batch.rows[0])]).to(device)
    logits = head.trained(*batch_inputs(encoder.encode(moved), head.reads, present))
    value = F.binary_cross_entropy_with_logits(logits.float(), moved.extra["labels"])
    return (value if own == whole else value * (own / whole)), whole


@torch.no_grad()
def _predict(
    encoder: Encoder, head: TrainedHead, view: View, rows: NDArray[np.int64], supplies: Supplies
) -> NDArray[np.float64]:
    return head.predict(extract(encoder, view, rows, head.needs, supplies=supplies))


@torch.no_grad()
def layer_probabilities(layer: nn.Module, features: RecordFeatures) -> NDArray[np.float64]:
    """Return probabilities ``[R, C]`` from the pooled features and the linear layer that was trained on them."""
    pooled = torch.from_numpy(features["pooled"]).to(next(layer.parameters()).device)
    probabilities: NDArray[np.float64] = layer(pooled).sigmoid().double().cpu().numpy()
    return probabilities
