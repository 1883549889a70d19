"""What the counts of a view change: probes on a view, and on the same windows in float64, beside those of other seeds.

    python benchmarks/rounding.py STORE [--task ptbxl-super] [--methods stmem,clear,kmerl] [--seeds 3]

Encoders are untrained. The third column is the largest difference that the counts make, the fourth the difference
between seeds of the encoder.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ecgkit.entries import MethodEntry
from ecgkit.evaluation.features.encoder import untrained_encoder
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.methods import method_config
from ecgkit.plugins import host
from ecgkit.signal.spec import SignalSpec, window_of
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view

OPENS = "ecgkit.evaluation.probe.opening.open_view"


def exact_view(store: Store, spec: SignalSpec, *rest: Any) -> View:
    """Return a view whose windows are not rounded."""
    view = open_view(store, spec, *rest)
    signal = np.zeros(view.signal.shape, np.float32)
    for row in range(len(store)):
        recording = store.recording(row)
        leads = [lead for lead in spec.leads if lead in recording.leads]
        millivolts = recording.signal[[recording.leads.index(lead) for lead in leads]].astype(np.float64)
        signal[row, [spec.leads.index(lead) for lead in leads]] = window_of(millivolts, recording.fs, spec)[0]
    return replace(view, signal=signal)


def score(store: Path, task: str, method: str, seed: int, opens: Any) -> float:
    """Return the macro AUROC of a linear probe of an untrained encoder."""
    entry = host().get(MethodEntry, method)
    _, config = method_config(entry, "tiny")
    encoder = untrained_encoder(entry, "tiny", config, weights="random-init", seed=seed)
    with tempfile.TemporaryDirectory() as folder, mock.patch(OPENS, opens):
        row = Probe(ProbeRequest(str(store), task, head="linear", cache=None), encoder).run(Path(folder) / "row")
    return float(row.macro_auroc or np.nan)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--task", default="ptbxl-super")
    parser.add_argument("--methods", default="stmem,clear,kmerl")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("method", "macro AUROC", "counts change it by", "seeds change it by", title=f"{args.task}")
    for method in args.methods.split(","):
        pairs = np.array(
            [
                [score(args.store, args.task, method, seed, opens) for opens in (open_view, exact_view)]
                for seed in range(args.seeds)
            ]
        )
        changed, between = np.abs(pairs[:, 0] - pairs[:, 1]).max(), np.ptp(pairs[:, 0])
        table.add_row(method, f"{100 * pairs[:, 0].mean():.2f}", f"{100 * changed:.4f}", f"{100 * between:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
