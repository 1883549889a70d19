"""Export of a trained encoder to a folder for model hubs: weights, config and a card with YAML front matter.

    DIR/model.safetensors    weights of the encoder, or of the whole method
    DIR/config.json          a run's config.yaml, without the details of the machine that made it
    DIR/README.md            the model card: weights, input, data, training, results, licence, citation

`ecgkit.load` and ``ecgkit probe`` read the folder like a run. It holds no record table, so it names no patient.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

import ecgkit
from ecgkit.atomic import atomic_folder, check_output
from ecgkit.config import to_dict
from ecgkit.errors import ConfigError, RunError
from ecgkit.evaluation.results.row import ResultRow, find_rows
from ecgkit.methods.habits import habits_of
from ecgkit.training.run import HUB_CONFIG, WEIGHTS, Run, open_run, read_metrics
from ecgkit.training.weights import file_sha256, load_weights, save_tensors

KIND = "hub model"
CARD = "README.md"
# The details of a run's environment that do not identify the machine.
KEPT = ("ecgkit", "git", "python", "torch", "numpy", "scipy", "zarr", "safetensors")
# Form of a licence in the front matter: an identifier, not a sentence.
UNKNOWN = "other"


@dataclass(frozen=True)
class HubModel:
    """Counts of a hub folder.

    Args:
        parameters: Number of values in the weights.
        results: Number of result rows on the card.
    """

    parameters: int
    results: int


def export_hub(
    run: Path,
    folder: Path,
    *,
    whole: bool = False,
    results: Sequence[Path] = (),
    license: str = "",
    overwrite: bool = False,
) -> HubModel:
    """Write a run as a hub folder.

    Args:
        run: The run folder.
        folder: The folder to write.
        whole: Write the weights of the whole method. They include buffers computed from its data before training, such
            as embeddings of reports.
        results: Result rows for the card, or folders to search for them.
        license: Identifier of the weights' licence, such as ``cc-by-4.0``; empty if there is none yet.
        overwrite: Replace an earlier hub folder. Nothing else is ever replaced.

    Raises:
        RunError: `run` is not a finished run.
        ResultsError: `results` holds no rows.
        ConfigError: A row belongs to other weights, or the licence is not an identifier.
        OutputError: `folder` cannot be written.
    """
    check_output(folder, KIND, overwrite=overwrite, option="--hub")
    opened = open_run(run)
    opened.encoder()  # refuses weights that do not fit
    if license and not all(c.isalnum() or c in ".-+" for c in license):
        raise ConfigError(
            f"the licence {license!r:.60} is not an identifier", remedy="Give one such as cc-by-4.0 or apache-2.0."
        )
    checkpoint = file_sha256(run / WEIGHTS)
    rows = [row for _, row in find_rows(results)] if results else []
    strangers = [row.run for row in rows if row.hashes.get("checkpoint") != checkpoint]
    if strangers:
        raise ConfigError(f"a result belongs to other weights: {strangers[0]}", remedy="Give only results of this run.")
    state = load_weights(run / WEIGHTS)
    kept = state if whole else {name: value for name, value in state.items() if name.startswith("encoder.")}
    if not kept:
        raise RunError(f"the weights of {run} hold no encoder", remedy="Write the whole method with --whole.")
    with atomic_folder(folder, KIND) as staging:
        save_tensors(staging / WEIGHTS, kept)
        (staging / HUB_CONFIG).write_text(json.dumps(_config(opened, checkpoint), indent=2) + "\n", encoding="utf-8")
        (staging / CARD).write_text(_card(opened, rows, kept, license, whole=whole), encoding="utf-8")
    return HubModel(sum(value.numel() for value in kept.values()), len(rows))


def _config(run: Run, checkpoint: str) -> dict[str, Any]:
    store = {name: value for name, value in run.details.get("store", {}).items() if name != "path"}
    environment = run.details.get("environment", {})
    return {
        "model_type": "ecgkit",
        "method": run.entry.name,
        "preset": run.preset,
        "paper": run.entry.paper,
        "config": to_dict(run.config),
        "store": store,
        "records": run.details.get("records", {}),
        "checkpoint_sha256": checkpoint,
        "environment": {name: environment[name] for name in KEPT if name in environment},
        "exported_by": ecgkit.__version__,
    }


def _card(run: Run, rows: Sequence[ResultRow], state: dict[str, Tensor], license: str, *, whole: bool) -> str:
    parts = [
        f"---\n{yaml.safe_dump(_front(run, rows, license), sort_keys=False, allow_unicode=True)}---\n",
        f"# {run.path.resolve().name}\n\n{run.entry.summary[0].upper()}{run.entry.summary[1:]}. {run.entry.paper}.\n",
        _use(run),
        f"## Weights\n\n{sum(v.numel() for v in state.values()):,} numbers of "
        f"{'the whole method' if whole else 'the encoder'} in `{WEIGHTS}`; every setting in `{HUB_CONFIG}`.\n",
        _contract(run),
        _data(run),
        _training(run),
        _results(rows),
        _license(license),
        _citation(run),
    ]
    return "\n".join(part for part in parts if part)


def _front(run: Run, rows: Sequence[ResultRow], license: str) -> dict[str, Any]:
    front: dict[str, Any] = {
        "library_name": "ecgkit",
        "pipeline_tag": "feature-extraction",
        "tags": ["ecg", "electrocardiogram", "representation-learning", run.entry.name],
        "license": license or UNKNOWN,
    }
    dataset = run.details.get("store", {}).get("dataset")
    if dataset:
        front["datasets"] = [str(dataset)]
    if rows:
        front["model-index"] = [{"name": run.path.resolve().name, "results": [_index(row) for row in rows]}]
    return front


def _index(row: ResultRow) -> dict[str, Any]:
    values = {"macro AUROC": row.macro_auroc, "macro AUPRC": row.macro_auprc}
    return {
        "task": {"type": "other", "name": f"{row.task_title} ({', '.join(_setting(row))})"},
        "dataset": {"type": row.dataset, "name": row.store},
        "metrics": [
            {"type": name.split()[1].lower(), "name": name, "value": value}
            for name, value in values.items()
            if value is not None
        ],
    }


def _use(run: Run) -> str:
    fs = f"{run.config.signal.fs:g}"
    return f"""## Use

```python
import ecgkit

encoder = ecgkit.load("this folder")
features = encoder(signal, fs=500, leads="12", unit="mV")  # [L, T] or [B, L, T]
features.pooled
```

Signals may have any sampling rate, lead order and unit: they are converted to the model's input at {fs} Hz.
For research only. This is not a medical device, and it has not been validated for clinical use.
"""


def _contract(run: Run) -> str:
    spec = run.config.signal
    rows = [
        ("rate", f"{spec.fs:g} Hz"),
        ("length", f"{spec.seconds:g} s, {spec.samples} samples"),
        ("leads", ", ".join(spec.leads)),
        ("filter", "none" if spec.filter is None else str(spec.filter)),
        ("scaling", spec.normalize),
        *habits_of(run.encoder(), spec).items(),
    ]
    return "## Input\n\n" + _table(("", "the input of the model"), rows)


def _data(run: Run) -> str:
    store, imported = run.details.get("store", {}), run.details.get("imported", {})
    if imported:
        trained_on = imported.get("trained_on") or "see their publication"
        licence = f"\nLicence of the published weights: {imported['licence']}.\n" if "licence" in imported else ""
        return f"## Data\n\nPublished weights `{imported.get('file', '')}`; training data: {trained_on}.\n{licence}"
    rows = [(name, str(value)) for name, value in store.items() if name != "path"]
    rows += [(f"records {part}", str(count)) for part, count in run.details.get("records", {}).items()]
    return "## Data\n\n" + _table(("", "the training data"), rows) if rows else ""


def _training(run: Run) -> str:
    lines = [line for line in read_metrics(run.path) if "val_loss" in line]
    if not lines:
        return ""
    best = min(lines, key=lambda line: line["val_loss"])
    return (
        f"## Training\n\n{len(lines)} epochs; validation loss {lines[0]['val_loss']:z.4f} -> "
        f"{lines[-1]['val_loss']:z.4f}, lowest {best['val_loss']:z.4f} in epoch {best['epoch']}.\n"
    )


def _results(rows: Sequence[ResultRow]) -> str:
    if not rows:
        return ""
    cells = [
        (
            row.task_title,
            *_setting(row),
            row.store,
            _score(row.macro_auroc, row.macro_interval),
            _score(row.macro_auprc),
            str(row.counts.get("test", {}).get("records", "")),
        )
        for row in rows
    ]
    settings = ("head", "training labels", "leads", "seed")
    head = ("task", *settings, "store", "macro AUROC (95 %)", "macro AUPRC", "test records")
    notes = [f"- {row.task_title}, {', '.join(_setting(row))}: {text}" for row in rows for text in row.warnings]
    return "## Results\n\n" + _table(head, cells) + ("\n" + "\n".join(notes) + "\n" if notes else "")


def _setting(row: ResultRow) -> tuple[str, str, str, str]:
    """Return what tells results of one task apart: head, share of the training labels, leads and seed."""
    labels = f"{100 * row.fraction:g} %" if row.label_count is None else f"{row.label_count:,} records"
    leads = row.lead_set or ("12" if len(row.leads) == 12 else " ".join(row.leads))
    named = f"lead {leads}" if len(row.leads) == 1 else f"{leads} leads"
    return row.head, f"{labels} of training", named, f"seed {row.seed}"


def _score(value: float | None, interval: tuple[float, float] | None = None) -> str:
    if value is None:
        return "-"
    return f"{value:z.3f}" + (f" ({interval[0]:z.3f}-{interval[1]:z.3f})" if interval else "")


def _license(license: str) -> str:
    own = f"The weights are under {license}. " if license else "No licence was chosen for the weights yet. "
    return f"## Licence\n\n{own}The terms of the training data apply as well.\n"


def _citation(run: Run) -> str:
    return f"## Citation\n\nCite the method, {run.entry.paper}, and the data. Made with ecgkit {ecgkit.__version__}.\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    """Return a text for a Markdown table cell: one line, with bars and tags escaped."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
