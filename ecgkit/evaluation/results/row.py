"""Result rows: one JSON file per run, store, task, head, lead set, amount of labels and seed, beside its predictions.

A row holds or points to everything that a report shows about it. A report computes nothing else.

    FOLDER/row.json              the row
    FOLDER/predictions.parquet   record_id, patient_id, part, and y_NAME, p_NAME for each label or target

The fitted head lies beside them; see `ecgkit.evaluation.probe.kept`.
"""

import json
import math
from collections.abc import Callable, Sequence
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
HEAD = "head.json"  # of a result that keeps its fitted head; see `ecgkit.evaluation.probe.kept`
SCHEMA = 2
RESULT = "result"  # the kind of folder


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """The scores of one class on the test set.

    Args:
        label: Short label.
        name: Name of the class in words.
        positives: Number of positive test records.
        negatives: Number of negative test records.
        train_positives: Number of positive training records.
        auroc: Area under the ROC curve; None if the class lacks positives or negatives.
        interval: 95 % interval of the AUROC, (low, high); None if too few patients are positive or negative.
        auprc: Average precision.
        auprc_interval: 95 % interval of the average precision.
        f1: F1 at the threshold, which was chosen on the validation set.
        f1_interval: 95 % interval of the F1.
        threshold: Probabilities at or above it are positive; None if the validation set has no positive record.
        f1_max: Highest F1 over all thresholds on the test set itself. It is optimistic; it serves comparison with the
            literature.
        sensitivity: Highest sensitivity at a specificity of 0.9 or more.
        standard_error: Standard error of the AUROC by DeLong's method over patients.
        seen: The name under which a zero-shot model was trained on the class; empty for an unseen class, None if
            the model is not zero-shot.
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
    """The mean of a metric over the classes that have a value.

    Args:
        value: The mean.
        interval: Its 95 % interval.
        classes: Number of classes with a value.
    """

    value: float | None
    interval: tuple[float, float] | None
    classes: int


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A metric with its 95 % interval.

    Args:
        value: The metric on the test set; None if it is not defined.
        interval: Its 95 % interval.
    """

    value: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class TargetScore:
    """The scores of one predicted number on the test set.

    Args:
        target: Short name.
        name: Name of the number in words.
        unit: Unit of the number, and of ``mae`` and ``rmse``.
        records: Number of test records.
        mean: Mean of the number over the test records.
        deviation: Standard deviation of the number over the test records.
        train_mean: Mean of the number over the training part.
        metrics: The metrics ``mae``, ``rmse``, ``r2`` and ``pearson``.
        baseline: ``mae``, ``rmse`` and ``r2`` of a predictor that predicts the training mean for every record.
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
        weights: ``pretrained``, ``random-init``, ``scratch``, or ``none`` for a baseline without weights.
        store: Name of the store.
        dataset: Name of the dataset that the store was made from.
        task: Name of the task.
        task_title: Title of the task in words.
        head: Name of the head.
        leads: Leads that the model was given.
        fraction: Requested share of the training part; with `label_count`, the share that was used.
        label_count: Requested number of labelled training records; None for all. `counts` holds the number used.
        seed: Seed of the weights, the head and the order of records.
        macro_auroc: Mean AUROC over the scored classes.
        macro_interval: 95 % interval of the macro AUROC.
        macro_auprc: Mean average precision over the scored classes.
        classes: The classes.
        means: Mean over classes of each metric, by name: ``auroc``, ``auprc``, ``f1``, ``f1_max``, ``sensitivity``, and
            ``auroc_stable`` over the classes with enough positives.
        calibration: Reliability curve and expected calibration error over all classes; see `metrics.calibration`.
        counts: Numbers of records and patients in each part. A regression also has ``left out``: numbers of records by
            the reason why they were left out.
        facts: Everything else that the numbers depend on, as data.
        warnings: What a reader must know before believing the numbers.
        contract: The model's input, and what was done to the store's signals to get it.
        hashes: Content hashes of the store, the split and the checkpoint.
        environment: Day of the result (UTC), software versions, device and command.
        seconds: Wall time in seconds.
        training: Metrics of each epoch of the run; empty if nothing was trained.
        lead_set: Name of the lead set that the model was given; empty if it was given all leads of its contract.
        targets: Scores of the predicted numbers of a regression; a regression has no classes and no AUROC.
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


def save_row(
    folder: Path, row: ResultRow, predictions: pd.DataFrame, beside: Callable[[Path], None] | None = None
) -> None:
    """Write a row and its predictions. The folder appears complete, and replaces an earlier one.

    Args:
        folder: Folder of the result.
        row: The row.
        predictions: Its predictions.
        beside: Writes further files into the folder.
    """
    with atomic_folder(folder, RESULT) as staging:
        write_frame(staging / PREDICTIONS, predictions)
        (staging / ROW).write_text(json.dumps(asdict(row), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        if beside is not None:
            beside(staging)


def load_row(path: Path) -> ResultRow:
    """Read a ``row.json``.

    Raises:
        ResultsError: The file is not a result row, or is of another version.
    """
    expected = f"a result row of version {SCHEMA}, made by 'ecgkit probe'"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("schema") not in (1, SCHEMA):
            raise ResultsError(f"{path} has schema {values.get('schema')!r}", expected)
        return _checked(build(ResultRow, _migrated(values), source=str(path)))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ConfigError) as error:
        raise ResultsError(f"{path} cannot be read ({str(error).splitlines()[0][:120]})", expected) from None


def _checked(row: ResultRow) -> ResultRow:
    """Return a row if it counts the records of each part, which a flipped bit in a name would hide.

    Raises:
        ValueError: A count is missing.
    """
    for part in ("train", "val", "test"):
        if "records" not in row.counts.get(part, {}):
            raise ValueError(f"counts/{part}/records is missing")
    return row


def _migrated(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a row of schema 1 in the present form; it held sentences where rows now hold facts."""
    if values["schema"] == SCHEMA:
        return values
    words = {str(heading): str(text) for heading, text in dict(values.pop("protocol", {})).items()}
    return {**values, "facts": facts_of_old_row(words), "schema": SCHEMA}


def find_rows(paths: Sequence[Path]) -> list[tuple[Path, ResultRow]]:
    """Find all result rows at or below the given paths, sorted by path.

    Raises:
        ResultsError: A path does not exist, or there is no row at all.
    """
    found = rows_below(paths)
    if not found:
        raise no_row(paths)
    return found


def rows_below(paths: Sequence[Path]) -> list[tuple[Path, ResultRow]]:
    """Return all result rows at or below the given paths, sorted by path; there may be none.

    Raises:
        ResultsError: A path does not exist, or no path is given.
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
    return list(found.items())


def no_row(paths: Sequence[Path]) -> ResultsError:
    """Return the error for paths without a result."""
    return ResultsError(f"no result below {', '.join(map(str, paths))}", "at least one", "Make one with: ecgkit probe")


def finite(value: float) -> float | None:
    """Return a number for JSON: None for NaN and infinity."""
    return float(value) if math.isfinite(value) else None
