"""The model card of a run, ``README.md``: what it is, how it was trained and on what, and what that allows."""

from pathlib import Path
from typing import Any

from ecgkit.training.run import WEIGHTS
from ecgkit.training.selection import kept_epoch, lowest
from ecgkit.training.setup import Setup

CARD = "README.md"


def write_card(folder: Path, setup: Setup, metrics: list[dict[str, Any]]) -> None:
    """Write the card of a finished training."""
    (folder / CARD).write_text(_card(setup, metrics), encoding="utf-8")


def _card(setup: Setup, metrics: list[dict[str, Any]]) -> str:
    recipe, store, split = setup.recipe, setup.store, setup.split
    best, kept = lowest(metrics), kept_epoch(metrics, recipe)
    parameters = sum(p.numel() for p in setup.method.encoder.parameters()) if hasattr(setup.method, "encoder") else 0
    license_ = store.attributes.get("license") or "not recorded; the licence of the source holds"
    labels = f"\nTrained on the labels of task `{setup.task}`.\n" if setup.task else ""
    return f"""# {setup.entry.name}{f" ({setup.options.preset})" if setup.options.preset else ""}

{setup.entry.summary}. {setup.entry.paper}

## Model

Encoder with {parameters:,} parameters; weights of the whole method in `{WEIGHTS}`, of epoch {kept["epoch"]} of
{recipe.epochs} (validation loss {kept["val_loss"]:.4f}; lowest {best["val_loss"]:.4f} in epoch {best["epoch"]}).
Every setting, the versions of the software and the command are in `config.yaml`, the curves in `metrics.jsonl`.
{labels}
## Input

{setup.config.signal}. `ecgkit probe` builds exactly this from any store.

## Data

Store `{store.name}`, dataset {store.attributes["dataset"]}, content hash {store.content_hash}.
{len(split.train)} records were trained on, {len(split.val)} watched (the epoch may be chosen by them),
{len(split.held_out)} held out, {len(split.unusable)} unusable; `records.parquet` lists them by id and patient.
Licence of the data: {license_}.

## Use

For research. The weights carry what the data's terms say of models made from them. Not a medical device: nothing here
was validated for clinical use.
"""
