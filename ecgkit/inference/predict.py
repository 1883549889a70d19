"""Predictions of fitted probes for any records.

Several results are averaged: probabilities, or predicted numbers. Whether a record counts as positive is decided by the
thresholds that the probe chose on validation records, of several results by those chosen for their mean. Calibration
changes the probabilities that are written and not these decisions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.atomic import check_suffix
from ecgkit.config import fingerprint
from ecgkit.errors import ConfigError, ResultsError
from ecgkit.evaluation.probe.classifier import Classifier, open_classifier
from ecgkit.evaluation.probe.kept import STATE, KeptHead
from ecgkit.evaluation.results.predictions import read_predictions
from ecgkit.evaluation.results.row import HEAD, ROW
from ecgkit.evaluation.scores.calibrators import WAYS, Way
from ecgkit.evaluation.scores.thresholds import best_f1_thresholds
from ecgkit.inference.features import Reader, features_of_block, readable
from ecgkit.inference.notes import summary
from ecgkit.inference.records import RecordSource, open_records
from ecgkit.inference.work import Call, ledger_of, make_all, read_parts, write_ledger, write_part
from ecgkit.ingestion.options import IngestOptions
from ecgkit.parquet import write_frame
from ecgkit.parts import made_again_if_damaged
from ecgkit.progress import Progress, silent
from ecgkit.store.writer import LedgerRow
from ecgkit.training.weights import file_sha256
from ecgkit.training.workers import Workers
from ecgkit.unfinished import Unfinished

KIND = "predictions"
SUFFIXES = (".csv", ".parquet")
PROBABILITY, POSITIVE = "p_", "positive_"
DIGITS = "%.9g"  # of numbers in a CSV file: more than float32 has
# A threshold is the score of a validation record. Other batches round the same score differently.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Classifiers:
    """Results that predict together.

    Args:
        folders: Folders of the results.
        run: Run folder of their encoder, if it was moved.
        calibrate: Calibration of the probabilities; empty for none.
    """

    folders: tuple[Path, ...]
    run: Path | None = None
    calibrate: str = ""

    def open(self, device: str) -> tuple[Classifier, ...]:
        """Return the opened results.

        Raises:
            ResultsError: A folder keeps no head, or they predict different classes.
            RunError: An encoder is gone or has changed.
            ConfigError: There is no such calibration, or nothing to calibrate.
        """
        found = _open(self.folders, self.run, device)
        first = found[0].kept
        for other in found[1:]:
            _check_same(first, other.kept, self.folders[0], other.folder)
        if self.calibrate and self.calibrate not in WAYS:
            raise ConfigError(f"--calibrate {self.calibrate}", " or ".join(WAYS))
        if self.calibrate and first.kind == "numbers":
            raise ConfigError(f"--calibrate {self.calibrate} for predicted numbers", remedy="Leave it out.")
        return found

    @property
    def fingerprint(self) -> list[str]:
        """Hashes of the results, and of how they are used."""
        hashes = [file_sha256(folder / name) for folder in self.folders for name in (HEAD, STATE)]
        return [*hashes, str(self.calibrate)]


@lru_cache(maxsize=8)
def _open(folders: tuple[Path, ...], run: Path | None, device: str) -> tuple[Classifier, ...]:
    return tuple(open_classifier(folder, run=run, device=device) for folder in folders)


def _check_same(first: KeptHead, other: KeptHead, where: Path, there: Path) -> None:
    units = [tuple(output.unit for output in kept.outputs) for kept in (first, other)]
    if (first.kind, first.names, units[0]) != (other.kind, other.names, units[1]):
        raise ResultsError(
            f"{where} predicts {', '.join(first.names)} and {there} predicts {', '.join(other.names)}",
            "results of the same classes, in the same order",
        )


def readers_of(classifiers: Sequence[Classifier]) -> dict[tuple[str, ...], Reader]:
    """Return one reader for all classifiers that read the same encoder with the same leads, by `Classifier.key`."""
    found: dict[tuple[str, ...], Reader] = {}
    for each in classifiers:
        needs = found[each.key].needs if each.key in found else ()
        found[each.key] = Reader(
            each.kept.encoder.name,
            each.reader if each.key not in found else found[each.key].encoder,
            each.kept.signal,
            each.kept.leads if each.kept.lead_set else each.kept.signal.leads,
            tuple(dict.fromkeys((*needs, *each.needs))),
        )
    return found


@dataclass(frozen=True)
class PredictJob:
    """What all parts share.

    Args:
        source: The records.
        classifiers: The results.
        devices: Devices that the parts take in turn.
        folder: Folder of the parts.
    """

    source: RecordSource
    classifiers: Classifiers
    devices: tuple[str, ...]
    folder: Path


def predict_part(job: PredictJob, call: Call) -> None:
    """Predict one block of records, and write its part: ``raw`` and ``shown`` probabilities, ``[n, C]`` each."""
    index, records = call
    classifiers = job.classifiers.open(job.devices[index % len(job.devices)])
    readers = readers_of(classifiers)
    block = job.source.read(records)
    at, texts, rejected = readable(block, list(readers.values()))
    ids = [str(block.table["record_id"].iloc[n]) for n in at.tolist()]
    C = len(classifiers[0].kept.names)
    raw, shown = np.zeros((2, len(at), C))
    if len(at):
        features = {key: features_of_block(block, at, reader) for key, reader in readers.items()}
        for each in classifiers:
            found = each.predict(features[each.key])
            raw += found / len(classifiers)
            shown += _calibrated(each, found, job.classifiers.calibrate) / len(classifiers)
    write_part(job.folder, index, {"raw": raw, "shown": shown}, rejected, ids=ids, notes=texts)


def _calibrated(classifier: Classifier, probabilities: NDArray[np.float64], way: str) -> NDArray[np.float64]:
    if not way or classifier.calibration is None:
        return probabilities
    return classifier.calibration.apply(probabilities, cast(Way, way))


def thresholds_of(folders: Sequence[Path], classifiers: Sequence[Classifier]) -> NDArray[np.float64] | None:
    """Return the threshold of each class, NaN without one; None if there are none.

    Of several results they are chosen anew for the mean of their predictions of the validation records. If these are
    not the same records, there are no common thresholds.
    """
    kept = classifiers[0].kept
    if kept.kind == "numbers":
        return None
    if len(folders) == 1:
        return np.array([np.nan if output.threshold is None else output.threshold for output in kept.outputs])
    parts = [read_predictions(folder / ROW, "val", names=kept.names) for folder in folders]
    ordered = [part.in_order_of(parts[0].records) for part in parts]
    if any(part is None for part in ordered):
        return None
    mean = np.mean([part.predicted for part in ordered if part is not None], axis=0)
    found = best_f1_thresholds(parts[0].targets, mean)
    return np.where(np.isfinite(found), found, np.nan)


@dataclass(frozen=True)
class Predicted:
    """Predictions of all records.

    Args:
        table: ``record_id``; for each class or number NAME ``p_NAME``; for each class ``positive_NAME`` (0 or 1,
            missing without a threshold); and ``notes``: what the record lacked of the model's input.
        names: Names of the classes or numbers.
        thresholds: Threshold of each class; None if there are no common ones.
        rejected: Records that gave no prediction, with the reason.
        notes: Number of records with each kind of note.
        ledger: File that lists the rejected records; None if there are none.
    """

    table: pd.DataFrame
    names: tuple[str, ...]
    thresholds: dict[str, float | None] | None
    rejected: list[LedgerRow] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    ledger: Path | None = None


def predict(
    classifiers: Classifiers,
    data: Path,
    out: Path,
    *,
    options: IngestOptions,
    workers: Workers,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Predicted:
    """Predict all records of a store, folder or file, and write one table.

    Args:
        classifiers: The results that predict.
        data: The store, folder or file.
        out: ``.csv`` or ``.parquet`` file to write.
        options: What files do not say of their records.
        workers: Where the work runs.
        overwrite: Replace an earlier file.
        progress: Called with the stage, records done and records in total.

    Raises:
        ResultsError: A result keeps no head, or results predict different classes.
        RunError: An encoder is gone or has changed.
        DatasetError: No record can be read.
        OutputError: `out` exists or cannot be written.
    """
    check_suffix(out, *SUFFIXES)
    unfinished = Unfinished(out, KIND, overwrite=overwrite, is_file=True)
    unfinished.check_free()
    workers.check()
    devices = workers.devices
    _open.cache_clear()  # a result may have been made again since
    opened = classifiers.open(devices[0])
    specs = [each.kept.signal for each in opened]
    source = open_records(data, options, max(spec.window for spec in specs))
    thresholds = thresholds_of(classifiers.folders, opened)
    with unfinished.open():
        what, state = source.identity
        unfinished.begin(fingerprint(what, classifiers.fingerprint), state)
        job = PredictJob(source.without_list(), classifiers, devices, unfinished.parts)
        make_all(unfinished, source, partial(predict_part, job), specs, workers, progress)
        with made_again_if_damaged(unfinished):
            made = _gathered(unfinished, source, opened[0].kept.names, thresholds)
        _write(unfinished.made / out.name, made.table)
        unfinished.finish()
    return Predicted(
        made.table, made.names, made.thresholds, made.rejected, made.notes, write_ledger(out, made.rejected)
    )


def _gathered(
    unfinished: Unfinished, source: RecordSource, names: tuple[str, ...], thresholds: NDArray[np.float64] | None
) -> Predicted:
    parts = list(read_parts(unfinished.parts))
    raw, shown = (np.concatenate([part.arrays[kind] for part in parts]) for kind in ("raw", "shown"))
    notes = [note for part in parts for note in part.facts["notes"]]
    rejected = ledger_of(unfinished, source, [row for part in parts for row in part.rejected], len(raw))
    columns: dict[str, Any] = {"record_id": [record for part in parts for record in part.facts["ids"]]}
    columns |= {f"{PROBABILITY}{name}": shown[:, c] for c, name in enumerate(names)}
    if thresholds is not None:
        columns |= {f"{POSITIVE}{name}": _decided(raw[:, c], thresholds[c]) for c, name in enumerate(names)}
    table = pd.DataFrame({**columns, "notes": notes})
    chosen = None
    if thresholds is not None:
        pairs = zip(names, thresholds.tolist(), strict=True)
        chosen = {name: None if np.isnan(value) else float(value) for name, value in pairs}
    return Predicted(table, names, chosen, rejected, summary(notes))


def _decided(probabilities: NDArray[np.float64], threshold: float) -> pd.Series:
    if np.isnan(threshold):
        return pd.Series(pd.NA, index=range(len(probabilities)), dtype="Int8")
    return pd.Series(probabilities >= threshold - ROUNDING).astype("Int8")


def _write(file: Path, table: pd.DataFrame) -> None:
    if file.suffix.lower() == ".csv":
        table.to_csv(file, index=False, float_format=DIGITS)
    else:
        write_frame(file, table)
