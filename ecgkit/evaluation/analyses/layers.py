"""Analyses each layer of an encoder: AUROC of a probe, similarity of tokens, and entropy of attention.

The motivation of ECG-Soup, *Harnessing Multi-Layer Synergy for ECG Foundation Models*, arXiv 2509.00102: middle layers
often probe better than the last. It works for every encoder that gives `Features.layers`; similarity, entropy and the
map need blocks of `ecgkit.nn.transformer` and tokens as well.

    similarity   mean cosine between two different tokens of a record, mean over records
    entropy      mean over records, heads and tokens of -sum w ln w of the attention weights, in nats
    map          cosine between one patch of one lead and all patches of all leads of the same record
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ecgkit.entries import HeadEntry
from ecgkit.errors import ConfigError, RunError
from ecgkit.evaluation.analyses.blocks import by_record, run_layers
from ecgkit.evaluation.analyses.query import Query, QueryMap, query_map, refuse_query
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.probe.probe import Probe, refuse_regression
from ecgkit.evaluation.scores.metrics import macro_auroc
from ecgkit.methods import Encoder
from ecgkit.nn.attention import watching
from ecgkit.plugins import host
from ecgkit.progress import of_stage
from ecgkit.store.views import View
from ecgkit.tasks.data import TaskData
from ecgkit.training.data import Windows, evaluation_starts, load_batches, plan_batches
from ecgkit.training.supply import Supply

# Test records that similarity and entropy are averaged over. More records hardly change the means.
RECORDS = 64
BATCH = 8  # records per batch, because all attention weights of a layer are in memory


@dataclass(frozen=True)
class LayerAnalysis:
    """The results of an analysis of layers.

    Args:
        table: One row per layer: ``layer`` from 1; ``val_auroc`` and ``test_auroc``, the macro AUROC of the head on it;
            ``similarity``, ``entropy`` and ``entropy_limit`` (the entropy of uniform attention). NaN where the encoder
            does not give a value.
        map: Similarity map; None for an encoder without tokens by lead.
        records: Number of test records that similarity and entropy are averaged over.
    """

    table: pd.DataFrame
    map: QueryMap | None
    records: int

    @property
    def best(self) -> int | None:
        """The layer with the highest AUROC on the validation set; None if no class can be scored there."""
        scores = self.table["val_auroc"]
        return int(self.table["layer"].iloc[int(scores.argmax())]) if scores.notna().any() else None


def analyse_layers(probe: Probe, layers: str = "all", query: Query | None = None) -> LayerAnalysis:
    """Analyse the layers of an encoder on the task of a probe.

    The probe's head is fitted on each layer's pooled output, so it must read pooled features. Features of the layers
    are cached like those of the probe. Similarity, entropy and the map need the blocks, and are computed each time.

    Args:
        probe: The probe: encoder, data, split and head.
        layers: ``all``, or layer numbers from 1, separated by commas.
        query: The patch whose similarity map is drawn; None for the middle patch of lead II of the first test record.

    Raises:
        RunError: The encoder does not give its layers, the head cannot read one, the task is a regression, or there
            is a query and the encoder's tokens belong to no lead.
        ConfigError: A layer does not exist, or the encoder has no patch at the time of the query.
        LeadError: The record of the query lacks its lead.
        StoreError: The record of the query does not exist.
    """
    _check(probe)
    if query is not None:
        refuse_query(probe.encoder.entry)
    encoder, data, opened = probe.reader, probe.data, probe.opened
    rows = opened.test_rows[:RECORDS]
    supplies = probe.supplies(opened.store, opened.view)
    mapped = query_map(encoder, opened.view, opened.store, supplies, query, int(rows[0]))  # first, for its errors
    layered = probe.features_of(("layers",))
    wanted = _wanted(layers, layered["layers"].shape[1])
    tokens = token_statistics(encoder, opened.view, rows, supplies, of_stage(probe.progress, "attention"))
    table = []
    for done, layer in enumerate(wanted, 1):
        val, test = _score(probe, layered, data, layer - 1)
        table.append({"layer": layer, "val_auroc": val, "test_auroc": test, **tokens.of(layer - 1)})
        probe.progress("layers", done, len(wanted))
    return LayerAnalysis(pd.DataFrame(table), mapped, len(rows))


def _check(probe: Probe) -> None:
    """Raise if the probe's head cannot be fitted on the layers.

    Raises:
        RunError: See `analyse_layers`.
    """
    if "layers" not in probe.encoder.entry.features:
        raise RunError(f"{probe.encoder.entry.name} does not give its layers", "a method whose features hold layers")
    if probe.trains_encoder or probe.head.needs != ("pooled",):
        able = ", ".join(name for name, head in host().entries(HeadEntry).items() if head.needs == ("pooled",))
        raise RunError(
            f"head {'end-to-end' if probe.encoder.from_scratch else probe.head.name} cannot be fitted on one layer",
            f"a head that reads pooled features: {able}",
        )
    refuse_regression(probe, "an analysis of layers")


def _wanted(layers: str, depth: int) -> list[int]:
    expected = f"all, or numbers from 1 to {depth} joined by commas"
    if layers == "all":
        return list(range(1, depth + 1))
    try:
        wanted = sorted({int(part) for part in layers.split(",")})
    except ValueError:
        raise ConfigError(f"layers {layers!r}", expected) from None
    if not wanted or wanted[0] < 1 or wanted[-1] > depth:
        raise ConfigError(f"layers {layers!r} of an encoder with {depth}", expected)
    return wanted


def _score(probe: Probe, layered: RecordFeatures, data: TaskData, layer: int) -> tuple[float, float]:
    """Return the macro AUROC of the probe's head on one layer, on the validation and on the test set."""
    own = RecordFeatures({"pooled": layered["layers"][:, layer]}, layered.leads, layered.present)
    parts = {name: Part(own.take(rows), data.targets[rows]) for name, rows in data.parts.items()}
    head = probe.build_head(probe.request.seed)
    head.fit(parts["train"], parts["val"])
    val, test = (macro_auroc(parts[p].targets, head.predict(parts[p].features)) for p in ("val", "test"))
    return val, test


@dataclass
class TokenStatistics:
    """Sums over records of the statistics of each layer."""

    similarity: dict[int, list[float]]
    entropy: dict[int, list[float]]
    keys: dict[int, int]

    def of(self, layer: int) -> dict[str, float]:
        """Return the means of one layer; NaN if nothing was measured."""
        return {
            "similarity": _mean(self.similarity.get(layer, [])),
            "entropy": _mean(self.entropy.get(layer, [])),
            "entropy_limit": float(np.log(self.keys[layer])) if layer in self.keys else float("nan"),
        }


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


@torch.no_grad()
def token_statistics(
    encoder: Encoder,
    view: View,
    rows: NDArray[np.int64],
    supplies: Mapping[str, Supply],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TokenStatistics:
    """Measure similarity and entropy at every layer, over `rows`."""
    encoder.eval()
    out = TokenStatistics({}, {}, {})
    batches = plan_batches(view, rows, BATCH)
    device = next(encoder.parameters()).device
    for done, batch in enumerate(_batches(view, batches, supplies), 1):
        entropies: dict[int, Tensor] = {}

        def note(layer: int, weights: Tensor, entropies: dict[int, Tensor] = entropies) -> None:
            entropies[layer] = torch.special.entr(weights.float()).sum(-1).transpose(1, 2)  # (B, M, heads)
            out.keys[layer] = weights.shape[-1]

        with watching(encoder, note):
            outputs, tokens, real = run_layers(encoder, batch.to(device))
        if tokens is None:
            continue
        for layer, x in outputs.items():
            out.similarity.setdefault(layer, []).extend(mean_cosine(x, real).tolist())
            spread = by_record(encoder, entropies[layer], real) if layer in entropies else None
            if spread is not None:
                out.entropy.setdefault(layer, []).extend(((spread.mean(-1) * real).sum(1) / real.sum(1)).tolist())
        progress(done, len(batches))
    return out


def mean_cosine(x: Tensor, real: Tensor) -> Tensor:
    """Return the mean cosine between two different real tokens of each record, ``[B, N, D], [B, N] -> [B]``.

    The sum over all pairs is the squared length of the sum of unit vectors, so no N x N matrix is made.
    """
    unit = F.normalize(x.float(), dim=-1) * real[..., None]
    n = real.sum(dim=1)
    total: Tensor = unit.sum(dim=1).square().sum(dim=-1) - unit.square().sum(dim=(1, 2))
    return total / (n * (n - 1)).clamp(min=1)


def _batches(view: View, batches: Sequence[NDArray[np.int64]], supplies: Mapping[str, Supply]) -> Any:
    starts = evaluation_starts(view, view.spec.eval_offsets[0])
    return load_batches(Windows(view, starts, supplies), list(batches))
