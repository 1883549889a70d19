"""The model card of a run, ``README.md``: model, input, data, training and terms of use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecgkit.entries import MethodEntry
from ecgkit.methods import Encoder
from ecgkit.methods.habits import habits_of
from ecgkit.signal.spec import SignalSpec
from ecgkit.training.run import WEIGHTS
from ecgkit.training.selection import describe_selection
from ecgkit.training.setup import Setup

CARD = "README.md"
USE = """## Use

For research only. The data's terms for derived models apply to the weights. This is not a medical device, and it has
not been validated for clinical use.
"""


def write_card(folder: Path, setup: Setup, metrics: list[dict[str, Any]]) -> None:
    """Write the card of a finished training."""
    (folder / CARD).write_text(_card(setup, metrics), encoding="utf-8")


def _card(setup: Setup, metrics: list[dict[str, Any]]) -> str:
    recipe, store, split = setup.recipe, setup.store, setup.split
    encoder: Encoder | None = getattr(setup.method, "encoder", None)  # a stranger's method may have none
    parameters = sum(p.numel() for p in encoder.parameters()) if encoder is not None else 0
    license_ = store.attributes.get("license") or "not recorded; the licence of the source applies"
    changes = f", with {', '.join(setup.options.task_settings)}" if setup.options.task_settings else ""
    labels = f"\nTrained on the labels of task `{setup.task}`{changes}.\n" if setup.task else ""
    origins = "".join(f"{need.capitalize()}: {origin}.\n" for need, origin in setup.origins.items())
    return f"""# {setup.entry.name}{f" ({setup.options.preset})" if setup.options.preset else ""}

{setup.entry.summary}. {setup.entry.paper}

## Model

Encoder with {parameters:,} parameters; weights of the whole method in `{WEIGHTS}`, of
{describe_selection(metrics, recipe)}.
Every setting, the versions of the software and the command are in `config.yaml`, the curves in `metrics.jsonl`.
{labels}
## Input

{_input(encoder, setup.config.signal)}
## Data

Store `{store.name}`, dataset {store.attributes["dataset"]}, content hash {store.content_hash}.
{len(split.train)} training records, {len(split.val)} validation records (the epoch may be chosen by them),
{len(split.held_out)} held-out records, {len(split.unusable)} unusable records. `records.parquet` lists them by id and
patient.
{origins}Licence of the data: {license_}.

{USE}"""


def write_imported_card(
    folder: Path, entry: MethodEntry, encoder: Encoder, signal: SignalSpec, facts: Mapping[str, Any]
) -> None:
    """Write the card of imported weights.

    Args:
        folder: The run folder.
        entry: The method family.
        encoder: The encoder.
        signal: Its signal contract.
        facts: What the run's ``config.yaml`` says of the import.
    """
    parameters = sum(p.numel() for p in encoder.parameters())
    text = f"""# {entry.name}

{entry.summary}. {entry.paper}

## Model

Published weights `{facts["file"]}`, SHA-256 {facts["sha256"]}, imported into an encoder with {parameters:,} parameters.

## Input

{_input(encoder, signal)}
## Data

Trained on {facts.get("trained_on") or "data that no card names; see the publication"}.
Licence of the weights: {facts.get("licence") or "unknown"}.

{USE}"""
    (folder / CARD).write_text(text, encoding="utf-8")


def _input(encoder: Encoder | None, signal: SignalSpec) -> str:
    known = {} if encoder is None else habits_of(encoder, signal)
    habits = "".join(f"- {case}: {habit}\n" for case, habit in known.items())
    return f"{signal}. `ecgkit probe` builds exactly this from any store.\n\n{habits}"
