"""The fitted head that a result keeps, so that its folder can classify other records.

    FOLDER/head.json          settings, classes with their thresholds, the encoder with its hash, the signal contract
    FOLDER/head.safetensors   ``head.*``: what the head learnt; ``calibration.*``: see
                              `ecgkit.evaluation.scores.calibrators`; ``encoder.*``: an encoder that is not a run's,
                              such as a fine-tuned one

`ecgkit.evaluation.probe.classifier` opens them. A head that cannot be kept leaves neither file; the row says so.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

import ecgkit
from ecgkit.config import build, to_dict
from ecgkit.errors import ConfigError, ResultsError
from ecgkit.evaluation.features.cache import weights_sha256
from ecgkit.evaluation.heads.end_to_end import LayerHead
from ecgkit.evaluation.results.row import HEAD, ROW, ResultRow
from ecgkit.evaluation.scores.calibrators import fit_calibration
from ecgkit.signal.spec import SignalSpec

if TYPE_CHECKING:
    from ecgkit.evaluation.features.encoder import ProbedEncoder
    from ecgkit.evaluation.probe.fitted import FittedProbe

STATE = "head.safetensors"
SCHEMA = 1
UNIT = "mV"
MAKE_AGAIN = "Make the result again with: ecgkit probe"
NOT_KEPT = "Make it again without --no-keep-head. Of very much data, knn is not kept."
LAYER = "end-to-end"  # the linear layer of an encoder that was trained on the task

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Output:
    """One predicted class or number.

    Args:
        name: Short label.
        title: Name in words.
        threshold: Probabilities at or above it are positive; None if validation has no positive record, or for numbers.
        unit: Unit of a number; empty for a class.
    """

    name: str
    title: str
    threshold: float | None = None
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class KeptEncoder:
    """The encoder that the head reads.

    Args:
        name: Its name in results.
        method: Its method family.
        preset: The preset that its config started from.
        config: Its config.
        weights: ``pretrained``, ``random-init``, ``scratch``, or ``none`` for a baseline without weights.
        seed: Seed of random weights; None for others.
        run: Its run folder, relative to the result if it can be; empty without a run.
        checkpoint: SHA-256 of the run's weights file; empty without a run.
        sha256: Hash of the encoder's parameters and buffers in memory; empty if the result holds them or the head reads
            the whole method.
        inside: Whether the result holds its weights.
    """

    name: str
    method: str
    preset: str
    config: dict[str, Any]
    weights: str
    seed: int | None = None
    run: str = ""
    checkpoint: str = ""
    sha256: str = ""
    inside: bool = False


@dataclass(frozen=True, kw_only=True)
class KeptHead:
    """Everything about a fitted head but its arrays.

    Args:
        head: Its registered name, or ``end-to-end``. ``fine-tune`` and ``end-to-end`` stand for a linear layer; another
            head that was trained with the encoder has its own name and `settings`.
        title: Its name in results, with settings that are not the defaults.
        settings: All its settings; None for a head without any.
        kind: Whether it predicts ``classes`` or ``numbers``.
        task: Name of the task.
        task_title: Title of the task.
        store: Name of the store that it was fitted on.
        outputs: What it predicts, in order.
        encoder: The encoder that it reads.
        signal: The signal contract: rate, window, leads, filter and scaling.
        unit: Unit of the signal.
        lead_set: Name of the lead set that the encoder was given; empty for all leads of the contract.
        leads: The leads that the encoder was given.
        needs: Names of the features that the head reads.
        shapes: Shape of each feature of one record, by name.
        dtypes: Number format of each feature, by name.
        validation: Number of validation records that thresholds and calibration were fitted on.
        made_by: Version of ecgkit.
        schema: Version of this format.
    """

    head: str
    title: str
    settings: dict[str, Any] | None
    kind: Literal["classes", "numbers"]
    task: str
    task_title: str
    store: str
    outputs: tuple[Output, ...]
    encoder: KeptEncoder
    signal: SignalSpec
    unit: str = UNIT
    lead_set: str = ""
    leads: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    dtypes: dict[str, str] = field(default_factory=dict)
    validation: int = 0
    made_by: str = ""
    schema: int = SCHEMA

    @property
    def names(self) -> tuple[str, ...]:
        """Short labels of the classes or numbers."""
        return tuple(output.name for output in self.outputs)


def keep_head(folder: Path, fitted: "FittedProbe", row: ResultRow, out: Path) -> None:
    """Write a fitted head into the folder of its result.

    Args:
        folder: Where to write.
        fitted: The fitted probe.
        row: Its result row, which holds the thresholds.
        out: The folder's final place, to which the path of a run is relative.
    """
    probe, val = fitted.probe, fitted.data.parts["val"]
    trained, whole = probe.trains_encoder, "method" in probe.head.needs
    state = fitted.predictor.state()
    if state is None or (whole and not trained and probe.encoder.run is None):
        return
    arrays = {name if trained else f"head.{name}": value for name, value in state.items()}
    if probe.data.task.regression is None:
        fit = fit_calibration(fitted.data.targets[val], fitted.probabilities[val])
        arrays |= {f"calibration.{name}": value for name, value in fit.arrays().items()}
    encoder = _encoder(probe.encoder, out, trained=trained, whole=whole)
    if encoder.inside and not trained:
        arrays |= {f"encoder.{name}": value.cpu().numpy() for name, value in probe.reader.state_dict().items()}
    name, settings, needs, features = _described(fitted)
    kept = KeptHead(
        head=name,
        title=probe.title,
        settings=None if settings is None else to_dict(settings),
        kind="classes" if probe.data.task.regression is None else "numbers",
        task=row.task,
        task_title=row.task_title,
        store=row.store,
        outputs=_outputs(row),
        encoder=encoder,
        signal=probe.encoder.spec,
        lead_set=row.lead_set,
        leads=row.leads,
        needs=needs,
        shapes={name: tuple(values.shape[1:]) for name, values in features.items()},
        dtypes={name: str(values.dtype) for name, values in features.items()},
        validation=len(val),
        made_by=f"ecgkit {ecgkit.__version__}",
    )
    (folder / STATE).write_bytes(save({name: np.ascontiguousarray(value) for name, value in arrays.items()}))
    (folder / HEAD).write_text(json.dumps(to_dict(kept), indent=1) + "\n", encoding="utf-8")


def _described(fitted: "FittedProbe") -> tuple[str, Any, tuple[str, ...], Mapping[str, NDArray[Any]]]:
    """Return a head's name and settings, the names of the features that it reads, and arrays of their shapes."""
    probe, made = fitted.probe, fitted.predictor
    if not probe.trains_encoder:
        features = probe.features_at(fitted.data.parts["val"]).fields
        return probe.head.name, probe.head_settings, probe.needs, features
    if not isinstance(made.head, LayerHead):
        return probe.head_settings.head, made.head.config, made.head.needs, made.like.features.fields
    if probe.encoder.from_scratch:
        return LAYER, None, made.head.needs, {}
    return probe.head.name, probe.head_settings, made.head.needs, {}


def _outputs(row: ResultRow) -> tuple[Output, ...]:
    classes = [Output(name=score.label, title=score.name, threshold=score.threshold) for score in row.classes]
    return (*classes, *(Output(name=score.target, title=score.name, unit=score.unit) for score in row.targets))


def _encoder(encoder: "ProbedEncoder", out: Path, *, trained: bool, whole: bool) -> KeptEncoder:
    """Return which encoder a head reads. One that is neither a run's nor drawn from a seed is kept in the result."""
    run = "" if encoder.run is None else os.path.relpath(encoder.run.resolve(), out.resolve())
    drawn = encoder.seed is not None and not trained
    return KeptEncoder(
        name=encoder.name,
        method=encoder.entry.name,
        preset=encoder.preset,
        config=to_dict(encoder.config),
        weights=encoder.weights,
        seed=encoder.seed,
        run=run,
        checkpoint=encoder.checkpoint if run else "",
        sha256="" if trained or whole else weights_sha256(encoder.loaded()),
        inside=trained or not (run or drawn),
    )


def _no_result(folder: Path) -> ResultsError:
    """Return the error for a folder that is no result, such as a run, whose results lie in its folder ``probes``."""
    below = sorted(file.parent for file in folder.glob(f"probes/*/{ROW}"))
    again = f"Name one of its results, such as {below[0]}" if below else f"Make one with: ecgkit probe {folder}"
    return ResultsError(f"{folder} is not a result", "a folder that 'ecgkit probe' made", again)


def read_head(folder: Path) -> tuple[KeptHead, Arrays]:
    """Read the head that a result keeps.

    Args:
        folder: Folder of the result.

    Raises:
        ResultsError: The folder is not a result, keeps no head, or a file is damaged.
    """
    file = folder / HEAD
    if not folder.is_dir():
        raise ResultsError(f"{folder} does not exist" if not folder.exists() else f"{folder} is a file", "a result")
    if not (folder / ROW).is_file():
        raise _no_result(folder)
    if not file.is_file():
        raise ResultsError(f"{folder} keeps no fitted head", "a result of 'ecgkit probe' that does", NOT_KEPT)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(values, Mapping) or values.get("schema") != SCHEMA:
            raise ResultsError(f"{file} is of another version", f"version {SCHEMA}", MAKE_AGAIN)
        return build(KeptHead, values, source=str(file)), load((folder / STATE).read_bytes())
    except (OSError, ValueError, RecursionError, ConfigError, SafetensorError) as error:
        cause = str(error).strip().splitlines()[0][:160]
        raise ResultsError(f"the fitted head of {folder} cannot be read ({cause})", "", MAKE_AGAIN) from None


def part_of(arrays: Mapping[str, NDArray[Any]], before: str) -> Arrays:
    """Return the arrays whose names begin with a word and a dot, without it."""
    return {name.removeprefix(f"{before}."): value for name, value in arrays.items() if name.startswith(f"{before}.")}
