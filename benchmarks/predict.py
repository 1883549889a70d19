"""What `ecgkit embed` and `ecgkit predict` cost on files, beside what ingest's reading and the model cost alone.

    python -m benchmarks.predict [--records 600] [--family merl] [--preset tiny] [--rounds 3]

Makes WFDB records of 12 x 5000 samples, and a run of the family with random weights. Four things are timed in turn, in
processor time of one process and one thread, which a busy machine does not change much:

``ingest reads``   each header and signal, resampled and completed as an ingest does, without quality, store and view
``we read``        the same records as `predict` and `embed` read them, with their notes and their table
``view, model``    the signal contract's input, and the encoder over it in batches
``embed``          the whole of ``ecgkit embed``, which `predict` shares but for the head

The ratios are medians over the rounds of ``we read / ingest reads`` and of ``embed / (ingest reads + view, model)``.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import torch

import ecgkit
from benchmarks.ingest import make_records
from ecgkit.arrays.encoder import load
from ecgkit.inference.features import Reader, features_of_block, readable
from ecgkit.inference.records import open_records
from ecgkit.ingestion.loose import list_records
from ecgkit.ingestion.options import IngestOptions
from ecgkit.ingestion.part import fit
from tests.api.runs import make_run

AIM = 1.3


def cpu(work: Callable[[], object]) -> float:
    """Return the processor time of some work in s."""
    began = process_time()
    work()
    return process_time() - began


def ingest_reads(folder: Path) -> None:
    """Read all records as an ingest does."""
    options = IngestOptions()
    listing = list_records(folder, options)
    for source in listing.sources:
        header = listing.dataset.header(source)
        recording = listing.dataset.read_part(source, header, 0, header.samples)
        options.identity.row(listing.dataset.row(source, recording))
        fit(recording, options).quantised()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=600)
    parser.add_argument("--family", default="merl")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=os.environ.get("ECGKIT_BENCHMARK_FOLDER")) as temporary:
        scratch = Path(temporary)
        make_records(scratch, options.records, None)
        folder, run = scratch / "all", make_run(scratch / "run", options.family, options.preset)
        model = load(run)
        reader = Reader(model.name, model.encoder, model.spec, model.spec.leads, ("pooled",))

        def we_read() -> list[tuple[object, object]]:
            source = open_records(folder, IngestOptions(), model.spec.window)
            blocks = [source.read(call) for _, call in source.calls]
            return [(block, readable(block, [reader])[0]) for block in blocks]

        def embed() -> None:
            ecgkit.embed(run, data=folder, out=scratch / "x.npz", device="cpu", overwrite=True)

        read = we_read()

        def compute() -> None:
            for block, at in read:
                features_of_block(block, at, reader)

        ways = {
            "ingest reads": lambda: ingest_reads(folder),
            "we read": we_read,
            "view, model": compute,
            "embed": embed,
        }
        for way in ways.values():
            way()
        rounds = [{name: cpu(way) for name, way in ways.items()} for _ in range(options.rounds)]
        began = perf_counter()
        embed()
        wall = perf_counter() - began
    print(f"{options.family} {options.preset}, {options.records} records of 12 x 5000 at 500 Hz, one thread")
    for name in ways:
        each = median(found[name] for found in rounds) / options.records
        print(f"{name:14s} {1e3 * each:8.3f} ms a record {1 / each:8.0f} records/s of processor time")
    reading = median(found["we read"] / found["ingest reads"] for found in rounds)
    whole = median(found["embed"] / (found["ingest reads"] + found["view, model"]) for found in rounds)
    print(f"reading {reading:.2f} times ingest's, embed {whole:.2f} times ingest's reading and the model (aim {AIM})")
    print(f"{options.records / wall:.0f} records/s by the clock")


if __name__ == "__main__":
    main()
