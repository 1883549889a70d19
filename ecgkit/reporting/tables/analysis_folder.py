"""The folder of an analysis: its table as CSV, and the figure that shows it.

FOLDER/layers.csv           one row per layer        FOLDER/levels.csv   one row per level of a perturbation
FOLDER/similarity_map.csv   layer, lead, token       FOLDER/levels.png
FOLDER/layers.png           what was measured        FOLDER/analysis.json   encoder, head and facts
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ecgkit.atomic import atomic_folder
from ecgkit.evaluation.analyses.layers import LayerAnalysis
from ecgkit.evaluation.analyses.perturbations import Disturbances
from ecgkit.evaluation.analyses.query import QueryMap
from ecgkit.reporting.pictures.analyses import plot_layers, plot_perturbation

ABOUT = "analysis.json"
LAYERS, LEVELS = "layer analysis", "perturbation analysis"  # kinds of folders


def write_layer_analysis(folder: Path, analysis: LayerAnalysis, about: Mapping[str, Any], *, title: str) -> None:
    """Write an analysis of layers; the folder appears complete, and replaces an earlier one."""
    with atomic_folder(folder, LAYERS) as staging:
        analysis.table.to_csv(staging / "layers.csv", index=False)
        if analysis.map is not None:
            _map_table(analysis.map).to_csv(staging / "similarity_map.csv", index=False)
        plot_layers(analysis, staging / "layers.png", title=title)
        _write_about(staging, {**about, **_about_map(analysis.map)})


def write_perturbation_analysis(
    folder: Path, table: pd.DataFrame, disturbances: Disturbances, about: Mapping[str, Any], *, title: str
) -> None:
    """Write an analysis of a perturbation; the folder appears complete, and replaces an earlier one."""
    with atomic_folder(folder, LEVELS) as staging:
        table.to_csv(staging / "levels.csv", index=False)
        plot_perturbation(table, staging / "levels.png", title=title, x_label=disturbances.kind.axis)
        _write_about(staging, about)


def _write_about(folder: Path, about: Mapping[str, Any]) -> None:
    (folder / ABOUT).write_text(json.dumps(about, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _about_map(query: QueryMap | None) -> dict[str, Any]:
    """Return the patch that the similarity map starts from; its token counts from 1, as in the table."""
    if query is None:
        return {}
    patch = {"record": query.record, "lead": query.lead, "token": query.place + 1, "seconds": query.seconds}
    return {"query": patch}


def _map_table(query: QueryMap) -> pd.DataFrame:
    """Return a query's map as a table: layer and token from 1, lead, similarity; NaN where a token is empty."""
    layer, lead, token = (axis.ravel() for axis in np.indices(query.similarity.shape))
    names = np.array(query.leads)
    columns = {"layer": layer + 1, "lead": names[lead], "token": token + 1, "similarity": query.similarity.ravel()}
    return pd.DataFrame(columns)
