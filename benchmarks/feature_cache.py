"""What keeping features saves: probes of one encoder by several heads, with and without the cache, in one run.

    python benchmarks/feature_cache.py [--records 300] [--method stmem] [--preset tiny]

A simulated cohort is probed by each head three times: without a cache, with an empty one, and with a full one. Times
are processor seconds of one thread; the view of the store is made beforehand. Scores must not differ.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from ecgkit.entries import MethodEntry
from ecgkit.evaluation.features.encoder import untrained_encoder
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.ingestion import ingest
from ecgkit.methods import method_config
from ecgkit.plugins import host
from ecgkit.simulate import simulate_cohort
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view

HEADS = ("linear", "knn")


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--records", type=int, default=300)
    options.add_argument("--method", default="stmem")
    options.add_argument("--preset", default="tiny")
    args = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        Console().print(compare(Path(folder), args.records, args.method, args.preset))


def compare(folder: Path, records: int, method: str, preset: str) -> Table:
    """Return the table of times and ratios."""
    simulate_cohort(folder / "cohort", records=records, seed=0)
    ingest(folder / "cohort", folder / "cohort.zarr")
    store, entry = Store(folder / "cohort.zarr"), host().get(MethodEntry, method)
    _, config = method_config(entry, preset)
    encoder = untrained_encoder(entry, preset, config, weights="random-init", seed=0)
    open_view(store, encoder.spec)
    title = f"Probes of {method} {preset}, {records} records, one thread"
    table = Table("head", "no cache", "empty cache", "full cache", "ratio", "AUROC apart by", title=title)
    for head in HEADS:
        seconds, scores = [], []
        for cache in (None, folder / f"cache-{head}", folder / f"cache-{head}"):
            began = time.process_time()
            asked = ProbeRequest(str(store.path), "simulated", head=head, cache=cache and str(cache))
            row = Probe(asked, encoder).run(folder / "row")
            seconds.append(time.process_time() - began)
            scores.append(row.macro_auroc or 0.0)
        apart = max(scores) - min(scores)
        shown = [f"{s:.2f} s" for s in seconds]
        table.add_row(head, *shown, f"{seconds[0] / seconds[2]:.0f}", f"{apart:.1e}")
    return table


if __name__ == "__main__":
    main()
