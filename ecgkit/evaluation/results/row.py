"""Result rows: one JSON file per run, store, task, head, lead set, amount of labels and seed, beside its predictions.

A row holds or points to everything that a report says of it; a report computes nothing else.

    FOLDER/row.json              the row
    FOLDER/predictions.parquet   record_id, patient_id, part, and y_LABEL, p_LABEL for every label, or target
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ecgkit.atomic import atomic_folder
from ecgkit.config import build
from ecgkit.errors import ConfigError, ResultsError
from ecgkit.evaluation.results.facts import Facts, facts_of_old_row
from ecgkit.parquet import write_frame

ROW = "row.json"
PREDICTIONS = "predictions.parquet"
SCHEMA = 2
RESULT = "result"  # the kind of folder


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """How one class fared on the test part.

    Args:
        label: Short label.
        name: In words.
        positives: Positive test records.
        negatives: Negative test records.
        train_positives: Positive training records.
        auroc: Area under the ROC curve; None where a class lacks positives or negatives.
        interval: Its 95 % interval, (low, high).
        auprc: Average precision.
        auprc_interval: Its 95 % interval.
        f1: At the threshold, which was chosen on val.
        f1_interval: Its 95 % interval.
        threshold: A probability at or above it is positive; None where val has no positive to choose it by.
        f1_max: The highest F1 of any threshold on the test part itself: optimistic, for comparison with the literature.
        sensitivity: The highest at a specificity of 0.9 or more.
        standard_error: Of the AUROC, by DeLong, records taken as independent.
        seen: The name under which a zero-shot model was trained on the class; empty for an unseen class, None where
            that is no question.
    """

    label: str
    name: str
    positives: int
    negatives: int
    train_positives: int
    auroc: float | None
    interval: tuple[float, float] | None
    auprc: float | None
    auprc_interval: tuple[float, float] | None = None
    f1: float | None = None
    f1_interval: tuple[float, float] | None = None
    threshold: float | None = None
    f1_max: float | None = None
    sensitivity: float | None = None
    standard_error: float | None = None
    seen: str | None = None


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A metric's mean over the classes that have it.

    Args:
        value: The mean.
        interval: Its 95 % interval.
        classes: Over how many classes.
    """

    value: float | None
    interval: tuple[float, float] | None
    classes: int


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A metric with its uncertainty.

    Args:
        value: On the test part; None where it is not defined.
        interval: Its 95 % interval.
    """

    value: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class TargetScore:
    """How well one number was predicted on the test part.

    Args:
        target: Short name.
        name: In words.
        unit: Of the number, and of ``mae`` and ``rmse``.
        records: Test records.
        mean: Of the number over them.
        deviation: Standard deviation of it.
        train_mean: Mean of the number over the training part.
        metrics: ``mae``, ``rmse``, ``r2``, ``pearson``.
        baseline: ``mae``, ``rmse`` and ``r2`` of a predictor that says the training mean of every record.
    """

    target: str
    name: str
    unit: str
    records: int
    mean: float
    deviation: float
    train_mean: float
    metrics: dict[str, Estimate]
    baseline: dict[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """One result.

    Args:
        run: Name of the run that was probed.
        method: The method family.
        preset: The preset of its config.
        weights: ``pretrained``, ``random-init`` or ``scratch``.
        store: Name of the store.
        dataset: What the store was made from.
        task: Name of the task.
        task_title: In words.
        head: Name of the head.
        leads: Leads that the model got.
        fraction: Share of the training part that was asked for; with `label_count`, that was used.
        label_count: How many labelled training records were asked for; None for all. `counts` has how many there were.
        seed: Of weights, head and order.
        macro_auroc: Mean AUROC over the scored classes.
        macro_interval: Its 95 % interval.
        macro_auprc: Mean average precision over the scored classes.
        classes: The classes.
        means: Every metric's mean over classes by name: ``auroc``, ``auprc``, ``f1``, ``f1_max``, ``sensitivity``, and
            ``auroc_stable`` over the classes with enough positives.
        calibration: Reliability curve and expected calibration error over all classes; see `metrics.calibration`.
        counts: Records and patients of each part; of a regression also ``left out``, records by why.
        facts: What else the numbers depend on, as data.
        warnings: What a reader must know before believing the numbers.
        contract: The model's input, and what was done to the store's signals to get it.
        hashes: Of store, split and checkpoint.
        environment: Versions, device, command.
        seconds: Wall time.
        training: Metrics by epoch of the run, where there was training.
        lead_set: Name of the lead set that the model was given, where not all of its own.
        targets: The numbers that were predicted; then there are no classes, and no AUROC.
        schema: Version of this format.
    """

    run: str
    method: str
    preset: str
    weights: str
    store: str
    dataset: str
    task: str
    task_title: str
    head: str
    leads: tuple[str, ...]
    fraction: float
    seed: int
    macro_auroc: float | None
    macro_interval: tuple[float, float] | None
    macro_auprc: float | None
    classes: tuple[ClassScore, ...]
    counts: dict[str, dict[str, int]]
    facts: Facts
    warnings: tuple[str, ...]
    contract: dict[str, Any]
    hashes: dict[str, str]
    environment: dict[str, Any]
    seconds: float
    means: dict[str, Mean] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    training: tuple[dict[str, Any], ...] = field(default=())
    label_count: int | None = None
    lead_set: str = ""
    targets: tuple[TargetScore, ...] = ()
    schema: int = SCHEMA


def save_row(folder: Path, row: ResultRow, predictions: pd.DataFrame) -> None:
    """Write a row and its predictions; the folder appears whole, in place of an earlier one."""
    with atomic_folder(folder, RESULT) as staging:
        write_frame(staging / PREDICTIONS, predictions)
        (staging / ROW).write_text(json.dumps(asdict(row), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def load_row(path: Path) -> ResultRow:
    """Read a ``row.json``.

    Raises:
        ResultsError: It is no result row, or of another version.
    """
    expected = f"a result row of version {SCHEMA}, made by 'ecgkit probe'"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("schema") not in (1, SCHEMA):
            raise ResultsError(f"{path} has schema {values.get('schema')!r}", expected)
        return build(ResultRow, _migrated(values), source=str(path))
    except (OSError, ValueError, AttributeError, ConfigError) as error:
        raise ResultsError(f"{path} cannot be read ({str(error).splitlines()[0][:120]})", expected) from None


def _migrated(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a row of schema 1 in the present form; it held sentences where a row now holds facts."""
    if values["schema"] == SCHEMA:
        return values
    words = {str(heading): str(text) for heading, text in dict(values.pop("protocol", {})).items()}
    return {**values, "facts": facts_of_old_row(words), "schema": SCHEMA}


def find_rows(paths: Sequence[Path]) -> list[tuple[Path, ResultRow]]:
    """Find all result rows at or below some paths, in the order of their paths.

    Raises:
        ResultsError: A path does not exist, or there is no row at all.
    """
    if not paths:
        raise ResultsError("no path of results", remedy="Name a run folder, or a folder above some.")
    found: dict[Path, ResultRow] = {}
    for path in paths:
        if not path.exists():
            raise ResultsError(f"{path} does not exist", "a run folder, or a folder above some")
        files = [path] if path.is_file() else sorted(path.rglob(ROW))
        for file in files:
            if not any(part.startswith(".") for part in file.relative_to(path).parts):
                found[file.resolve()] = load_row(file)
    if not found:
        places = ", ".join(str(path) for path in paths)
        raise ResultsError(
            f"no result below {places}",
            "at least one",
            "Make one with: ecgkit probe RUN --data STORE --task T",
        )
    return list(found.items())


def finite(value: float) -> float | None:
    """Return a number for JSON: None for NaN and infinity."""
    return float(value) if math.isfinite(value) else None
