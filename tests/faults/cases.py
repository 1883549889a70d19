"""The commands into which faults are injected: how each is prepared, what it makes, and who reads that."""

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

RECORDS = 40
MODEL = ("width=16", "depth=1", "heads=1", "head_width=16", "decoder_width=16", "decoder_heads=1")
SETTINGS = tuple(part for text in (*MODEL, "signal.eval_starts=[0.5]") for part in ("--set", text))
RUN = ("--method", "stmem", "--preset", "tiny", "--data", "s.zarr", *SETTINGS)
HERE = ("--workers", "0", "--save-minutes", "0", "--device", "cpu")  # in one process, with a checkpoint at each step
PRETRAIN = ("pretrain", *RUN, "--out", "r", *HERE)
UNSTABLE = ("seconds", "environment", "git", "command", "date", "at")  # keys of JSON files that differ from run to run
# In the name of a file that is not finished: a number of a process, or random letters.
RANDOM = re.compile(r"[0-9a-f]{32}|(?<=\.)(?:\d+|[a-z0-9_]{8})(?=\.(?:partial|old))")
DATE = re.compile(rb"20\d\d-\d\d-\d\d")  # in a report
STABLE = ("epoch", "step", "lr")  # keys of the metrics of an epoch, besides the losses
SUITE = """
runs: [{method: stmem, weights: random-init, preset: tiny, settings: [SETTINGS]}]
stores: {cohort: s.zarr}
tasks: [{task: simulated, store: cohort}]
heads: [linear, {head: knn, settings: ["k=[5]"]}]
"""


@dataclass(frozen=True)
class Case:
    """A command.

    Args:
        name: Its name.
        command: Its arguments.
        makes: What it makes, relative to the working folder.
        before: Commands that prepare the working folder.
        read: Returns a digest of what the library reads from the output; it raises an `EcgkitError` if it is damaged.
        resume: Arguments that go on after a fault, if an unfinished output is left; empty for the same as before.
    """

    name: str
    command: tuple[str, ...]
    makes: str
    before: tuple[str, ...] = ()
    read: Callable[[Path], str] | None = None
    resume: tuple[str, ...] = ()


def read_store(path: Path) -> str:
    """Read all records and tables of a store."""
    from ecgkit.store.reader import Store

    store = Store(path)
    parts = [store.verified(0, len(store)).tobytes(), store.table.frame().to_json().encode()]
    return _digest(*parts)


def read_beats(path: Path) -> str:
    """Read the R peaks of a store."""
    from ecgkit.beats.peaks import read_peaks
    from ecgkit.store.reader import Store

    peaks = read_peaks(Store(path.parent))
    return _digest(peaks.samples.tobytes(), peaks.offsets.tobytes())


def read_entities(path: Path) -> str:
    """Read the entities of a store."""
    from ecgkit.knowledge.labels import read_labels
    from ecgkit.store.reader import Store

    return _digest(read_labels(Store(path.parents[1])).values.tobytes())


def read_view(path: Path) -> str:
    """Read all rows of the view of a store."""
    from ecgkit.entries import MethodEntry
    from ecgkit.methods import method_config
    from ecgkit.plugins import host
    from ecgkit.store.reader import Store
    from ecgkit.store.views import open_view

    _, config = method_config(host().get(MethodEntry, "stmem"), "tiny")
    return _digest(np.array(open_view(Store(path.parent), config.signal).signal).tobytes())


def read_run(path: Path) -> str:
    """Read the weights of a run."""
    from ecgkit.training.run import open_run, read_records

    run = open_run(path)
    weights = [value.detach().numpy().tobytes() for value in run.encoder().state_dict().values()]
    return _digest(*weights, read_records(path).to_json().encode())


CASES = {
    case.name: case
    for case in (
        Case("ingest", ("ingest", "src", "--out", "s.zarr"), "s.zarr", read=read_store),
        Case("beats", ("beats", "s.zarr"), "s.zarr/beats", ("ingest",), read_beats),
        Case(
            "extract",
            ("extract-knowledge", "s.zarr", "--min-count", "1"),
            "s.zarr/knowledge/labels",
            ("ingest",),
            read_entities,
        ),
        Case(
            "view",
            ("prepare", "s.zarr", "--for", "stmem:tiny", "--workers", "1"),
            "s.zarr/views",
            ("ingest",),
            read_view,
        ),
        Case(
            "pretrain",
            (*PRETRAIN, "--epochs", "2"),
            "r",
            ("ingest", "view"),
            read_run,
            ("pretrain", "--resume", "r"),
        ),
        Case(
            "replace-store",
            ("ingest", "src", "--out", "s.zarr", "--overwrite"),
            "s.zarr",
            ("ingest", "beats"),
            read_store,
        ),
        Case(
            "replace-run",
            (*PRETRAIN, "--epochs", "1", "--set", "recipe.checkpoint=last", "--overwrite"),
            "r",
            ("ingest", "view", "pretrain"),
            read_run,
            ("pretrain", "--resume", "r"),
        ),
        Case(
            "probe",
            ("probe", "r", "--data", "s.zarr", "--task", "simulated", "--out", "p"),
            "p",
            ("ingest", "view", "pretrain"),
        ),
        Case("suite", ("probe", "--suite", "grid.yaml", "--out", "g"), "g", ("ingest", "view")),
        Case("report", ("report", "p", "--out", "report.html"), "report.html", ("ingest", "view", "pretrain", "probe")),
        Case(
            "embed",
            ("embed", "r", "--data", "s.zarr", "--out", "e.parquet", "--device", "cpu"),
            "e.parquet",
            ("ingest", "view", "pretrain"),
        ),
        Case(
            "predict",
            ("predict", "p", "--data", "src", "--out", "q.csv", "--device", "cpu"),
            "q.csv",
            ("ingest", "view", "pretrain", "probe"),
        ),
    )
}


def content(path: Path) -> dict[str, str]:
    """Return a hash of each file of an output, without what differs from run to run, such as times."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {
        str(file.relative_to(path)): _stable(file)
        for file in files
        if "features" not in file.parts and not _is_remnant(file)
    }


def state(root: Path) -> str:
    """Return a hash of all that a fault has left in a working folder, whatever the random parts of names are."""
    files = [file for file in sorted(root.rglob("*")) if "src" not in file.relative_to(root).parts[:1]]
    seen = sorted(
        f"{RANDOM.sub('*', str(file.relative_to(root)))} {_stable(file) if file.is_file() else ''}" for file in files
    )
    return _digest(*(line.encode() for line in seen))


def _is_remnant(file: Path) -> bool:
    """Return whether a file is a hidden remnant of a killed process, which no reader looks at.

    It is a small output that was not renamed, or an unfinished folder without any work in it.
    """
    hidden = [part for part in file.parts if part.startswith(".") and ".partial" in part]
    if not hidden:
        return False
    is_unfinished_work = hidden[0].endswith(".partial") and hidden[0].count(".") == 2 and file.name != hidden[0]
    return not is_unfinished_work or {part.name for part in file.parent.iterdir()} <= {".ecgkit", "lock"}


def _stable(file: Path) -> str:
    """Return a hash of a file's content without what differs from run to run."""
    data = file.read_bytes()
    if file.name == "lock":  # it names a process
        return ""
    with suppress(Exception):  # a file that is not whole: its bytes count
        data = _without_what_differs(file, data)
    return _digest(data)


def _without_what_differs(file: Path, data: bytes) -> bytes:
    if file.suffix in (".json", ".jsonl"):
        lines = data.decode().splitlines() if file.suffix == ".jsonl" else [data.decode()]
        return json.dumps([_without_times(json.loads(line)) for line in lines]).encode()
    if file.name == "config.yaml":
        return json.dumps(_without_times(yaml.safe_load(data))).encode()
    if file.suffix == ".html":
        return DATE.sub(b"", data)
    if file.name == "results.parquet":
        return json.dumps(_without_times(pd.read_parquet(file).to_dict("records")), default=str).encode()
    return data


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        if "train_loss" in value:  # the metrics of an epoch: the rest is how fast it was
            return {key: part for key, part in value.items() if key in STABLE or key.startswith(("train_", "val_"))}
        return {key: _without_times(part) for key, part in value.items() if key not in UNSTABLE}
    return [_without_times(part) for part in value] if isinstance(value, list) else value


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
