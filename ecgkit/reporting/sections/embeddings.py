"""A map of embeddings: the kept features of test records in two dimensions, coloured by label.

The features are those that `ecgkit probe` kept in its cache, so nothing is encoded again. PCA keeps distances as far as
two dimensions can. UMAP (McInnes et al., arXiv 1802.03426) keeps neighbours; the distances between its clusters mean
little.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgkit.distribution import install_extra
from ecgkit.errors import ConfigError
from ecgkit.evaluation.features.cache import cache_folder, kept_features
from ecgkit.evaluation.results.predictions import Predictions, has_predictions, predictions_of
from ecgkit.evaluation.results.row import HEAD, ResultRow
from ecgkit.reporting.elements.names import result_names
from ecgkit.reporting.elements.section import Figure, Plot, Point, Rows, Section, Series, Table
from ecgkit.store.records import RecordTable

Projection = Literal["pca", "umap"]
CLASSES = 5  # with a colour of their own
POINTS = 1500  # that are drawn
SEED = 0
OTHERS = "none of these"
NOTES = {
    "pca": "The two main directions of the pooled features (PCA), each feature scaled to unit variance.",
    "umap": "UMAP of the pooled features, each scaled to unit variance: neighbours are near each other, and distances "
    "between clusters mean little.",
}
COLUMNS = ("x", "y", "label")


def embeddings_section(rows: Rows, records: RecordTable, projection: Projection = "pca") -> Section | None:
    """Return a map of the best result of each task whose features were kept, or None if there is none.

    Args:
        rows: Rows and their files.
        records: The store of the results.
        projection: ``pca`` or ``umap``.

    Raises:
        ConfigError: UMAP is not installed.
        ResultsError: Predictions cannot be read.
    """
    figures = []
    for task in dict.fromkeys(row.task for _, row in rows if row.classes):
        members = [(path, row) for path, row in rows if row.task == task]
        names = result_names([row for _, row in members])
        order = sorted(range(len(members)), key=lambda i: -(members[i][1].macro_auroc or 0))
        found = next((f for i in order if (f := _figure(*members[i], names[i], records, projection))), None)
        figures += [found] if found is not None else []
    return Section("Map of embeddings", tuple(figures), NOTES[projection]) if figures else None


def _figure(path: Path, row: ResultRow, name: str, records: RecordTable, projection: Projection) -> Figure | None:
    """Draw the map of a result; None if it is of another store, or its features were not kept."""
    key = row.hashes.get("features", "")
    if not key or row.hashes.get("store") != records.content_hash or not has_predictions(path):
        return None
    predictions = predictions_of(path, row)
    place = records.places(predictions.records.tolist())
    features, held = kept_features(cache_folder(_run_of(path)) / key, np.maximum(place, 0))
    held &= place >= 0
    if held.sum() < 3:
        return None
    at = np.flatnonzero(held)
    chosen = np.sort(np.random.default_rng(SEED).permutation(at)[:POINTS])
    spots = project(features[chosen], projection)
    labels = _labels(predictions, chosen)
    series = tuple(
        Series(f"{label} ({labels.count(label):,})", _points(spots, labels, label), "dots")
        for label in _order(predictions.names, labels)
    )
    lines = tuple((round(float(x), 4), round(float(y), 4), label) for (x, y), label in zip(spots, labels, strict=True))
    title = f"{row.task_title}: {name}"
    few = f" Drawn: {len(chosen):,} of {len(at):,} test records." if len(chosen) < len(at) else ""
    axes = ("first direction", "second direction") if projection == "pca" else ("UMAP 1", "UMAP 2")
    note = f"Test records by label; a record with several of these classes has the colour of the rarest.{few}"
    return Figure(
        title, f"Map of {len(chosen)} embeddings, {name}", Plot(*axes, series, square=True), Table(COLUMNS, lines), note
    )


def _run_of(path: Path) -> Path:
    """Return the run folder of a result: the one that its kept head names, or else the one that it lies in."""
    try:
        head = json.loads(path.with_name(HEAD).read_text(encoding="utf-8"))
        named = path.parent / head["encoder"]["run"] if head["encoder"]["run"] else None
    except (OSError, ValueError, KeyError, TypeError):  # no head was kept, or its file is damaged: there is no map then
        named = None
    return path.parents[2] if named is None or not named.is_dir() else named


def project(features: NDArray[np.floating], projection: Projection) -> NDArray[np.float64]:
    """Return features ``[R, D]`` in two dimensions, ``[R, 2]``. The same features give the same map.

    Raises:
        ConfigError: UMAP is not installed.
    """
    values = np.asarray(features, np.float64).reshape(len(features), -1)
    spread = values.std(0)
    scaled = (values - values.mean(0)) / np.where(spread > 0, spread, 1)
    if projection == "umap":
        return _umap(scaled)
    u, s, v = np.linalg.svd(scaled, full_matrices=False)
    # The sign of a direction is arbitrary: its largest weight is made positive.
    signs = np.sign(v[np.arange(len(v)), np.abs(v).argmax(1)])
    out = np.zeros((len(values), 2))
    out[:, : min(2, len(s))] = (u * s * signs)[:, :2]
    return out


def _umap(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    try:
        import umap
    except ImportError:
        raise ConfigError(
            "UMAP is not installed", remedy=f"{install_extra('umap')}, or use --projection pca."
        ) from None
    neighbours = min(15, len(scaled) - 1)
    made = umap.UMAP(n_neighbors=neighbours, random_state=SEED, n_jobs=1).fit_transform(scaled)
    spots = np.asarray(made, np.float64)
    return spots - spots.mean(0)  # its place means nothing, and far from 0 the axes would be mostly empty


def _labels(predictions: Predictions, chosen: NDArray[np.int64]) -> list[str]:
    """Return the rarest of the most frequent classes that each record has; a common one would hide all others."""
    truth = predictions.targets[chosen] == 1
    often = np.argsort(-truth.sum(0), kind="stable")[:CLASSES][::-1]
    return [
        next((predictions.names[c] for c, there in zip(often, record, strict=True) if there), OTHERS)
        for record in truth[:, often]
    ]


def _order(names: Sequence[str], labels: Sequence[str]) -> list[str]:
    return [label for label in (*names, OTHERS) if label in set(labels)]


def _points(spots: NDArray[np.float64], labels: Sequence[str], label: str) -> tuple[Point, ...]:
    inside = [spot for spot, own in zip(spots.tolist(), labels, strict=True) if own == label]
    return tuple(Point(x, y) for x, y in sorted(inside))
