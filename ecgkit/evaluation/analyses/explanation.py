"""Why a classifier gives a record its score: the leads, the moments and the parts of the beat that raise or lower it.

A map gives each sample of each lead its share of the score. Occlusion by lead and by part of the beat says how far the
score falls without them. Two checks say whether the map means anything (`ecgkit.evaluation.analyses.map_checks`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ecgkit.beats.detector import Detector
from ecgkit.beats.find import find_in_block
from ecgkit.beats.parts import PARTS, beat_parts
from ecgkit.beats.peaks import has_peaks, read_peaks
from ecgkit.errors import ConfigError, StoreError, did_you_mean
from ecgkit.evaluation.analyses.attention import REDUCTIONS
from ecgkit.evaluation.analyses.attribution import Way, attribute, looks, occlude, on_record
from ecgkit.evaluation.analyses.map_checks import MapCheck, check_map
from ecgkit.evaluation.analyses.scorer import RecordInput, Scorer, record_input
from ecgkit.evaluation.probe.classifier import Classifier
from ecgkit.progress import Progress, silent
from ecgkit.store.reader import Store
from ecgkit.store.views import View, preview
from ecgkit.training.supply import open_supplies

Floats = NDArray[np.float64]
STEPS = 3  # of the explanation of one record: map, falls, checks


@dataclass(frozen=True)
class Explanation:
    """The explanation of one record's score.

    Args:
        record: Id of the record.
        output: Name of the class or number.
        way: How the map was made.
        probability: Probability of the class; None for a number.
        score: Log-odds of the class, or the number.
        flat: Score of the same record with every lead at its median.
        fs: Rate of the map in Hz.
        leads: The L leads that the model was given.
        values: The map, ``[L, W]``: what each sample adds to the score, or its share of the attention.
        parts: Names of the P parts of the beat.
        part_of: Part of each sample, ``[W]``.
        without_lead: Fall of the score without each lead, ``[L]``.
        without_part: Fall of the score without each part of the beat in all leads, ``[P]``; NaN for a part that the
            record does not have.
        without: Fall of the score without each part of each lead, ``[L, P]``; NaN as above.
        check: The checks of the map.
        between: Weight of each lead (column) in where the representation of each lead (row) looks, ``[L, L]``; None
            unless `way` is attention and the model's tokens belong to leads.
        gate: Weight of the encoder's own gate on the channels of each lead for this class, ``[L]``; None without one.
    """

    record: str
    output: str
    way: Way
    probability: float | None
    score: float
    flat: float
    fs: float
    leads: tuple[str, ...]
    values: Floats
    parts: tuple[str, ...]
    part_of: NDArray[np.int64]
    without_lead: Floats
    without_part: Floats
    without: Floats
    check: MapCheck
    between: Floats | None = None
    gate: Floats | None = None

    @property
    def attends(self) -> bool:
        """Whether the map is attention: a share of 1 that was spread, not what each sample adds to the score."""
        return self.way in REDUCTIONS

    @property
    def shares(self) -> Floats:
        """Share of the map's magnitude by lead and part of the beat, ``[L, P]``; they sum to 1."""
        size = np.abs(self.values)
        by_part = np.stack([size[:, self.part_of == p].sum(axis=1) for p in range(len(self.parts))], axis=1)
        return by_part / by_part.sum() if by_part.any() else by_part


@dataclass(frozen=True)
class ExplanationSummary:
    """Explanations of one class over several records.

    Args:
        output: Name of the class or number.
        records: Ids of the records.
        leads: The L leads.
        parts: Names of the P parts of the beat.
        shares: Mean share of the maps' magnitude by lead and part, ``[L, P]``.
        without_lead: Mean fall of the score without each lead, ``[L]``; NaN for a lead that no record has.
        without_part: Mean fall of the score without each part, ``[P]``.
        fall: Mean fall of the score when the top parts of the map are deleted.
        random_fall: The same for as many random parts.
        passed: Share of the records in which the top parts count for more than random ones.
        likeness: Mean likeness of the maps to those of shuffled weights; None for an encoder without weights.
    """

    output: str
    records: tuple[str, ...]
    leads: tuple[str, ...]
    parts: tuple[str, ...]
    shares: Floats
    without_lead: Floats
    without_part: Floats
    fall: float
    random_fall: float
    passed: float
    likeness: float | None


def output_index(classifier: Classifier, name: str) -> int:
    """Return the place of a class or number.

    Raises:
        ConfigError: The classifier predicts nothing of this name.
    """
    names = classifier.kept.names
    lower = [known.lower() for known in names]
    if name.lower() not in lower:
        expected = f"one of {', '.join(names[:20])}"
        raise ConfigError(f"--class {name!r} is unknown to {classifier.folder}", expected, did_you_mean(name, names))
    return lower.index(name.lower())


def explain_rows(
    classifier: Classifier,
    store: Store,
    rows: Sequence[int],
    output: str = "",
    *,
    way: Way = "gradients",
    seed: int = 0,
    progress: Progress = silent,
) -> Iterator[Explanation]:
    """Explain records of a store one after another.

    Args:
        classifier: The fitted classifier.
        store: The store.
        rows: Rows of the store.
        output: Class or number to explain; empty for the most probable class of each record.
        way: How the map is made.
        seed: Seed of the checks.
        progress: Called with the stage, records done and records in total.

    Raises:
        ConfigError: The class is unknown, captum is not installed, or the head has no gradient.
        StoreError: The model cannot read a record.
        RunError: The model has no attention.
    """
    view = classifier.given(preview(store, classifier.kept.signal))
    chosen = output_index(classifier, output) if output else None
    supplies = open_supplies(classifier.reader.needs, store, view, owner=classifier.kept.encoder.method)
    for done, row in enumerate(rows):
        progress("records", done, len(rows))
        record_id = str(store.table["record_id"].iat[row])
        if not view.usable[row]:
            raise StoreError(f"record {record_id} has none of the model's leads, or hardly any signal")
        record = record_input(view, row, supplies)
        at = _most_probable(classifier, record) if chosen is None else chosen
        parts = _parts_of(store, view, row, record)
        steps: Callable[[int, int], None] = partial(progress, "steps") if len(rows) == 1 else _quiet
        yield _explained(record_id, Scorer(classifier, record, at), parts, way, seed, steps)
    progress("records", len(rows), len(rows))


def _most_probable(classifier: Classifier, record: RecordInput) -> int:
    count = len(classifier.kept.outputs)
    scores = [float(Scorer(classifier, record, c).score(record.signal[None])) for c in range(count)]
    return int(np.argmax(scores))


def _quiet(done: int, total: int) -> None:
    """Tell nothing of the steps of one record among many."""


def _explained(
    record_id: str,
    scorer: Scorer,
    part_of: NDArray[np.int64],
    way: Way,
    seed: int,
    steps: Callable[[int, int], None],
) -> Explanation:
    record = scorer.record
    steps(0, STEPS)
    between = None
    if way == "attention" or way == "last-attention":
        values, between = looks(scorer, way)
    else:
        values = attribute(scorer, way)
    steps(1, STEPS)
    score, flat = scorer.score(torch.stack([record.signal, record.flat])).tolist()
    classes = scorer.classifier.kept.kind == "classes"
    L, P = len(record.leads), len(PARTS)
    length = record.signal.shape[-1]
    crops = torch.from_numpy(np.stack([part_of[start : start + length] for start in record.starts]))  # (K, T)
    lead = torch.arange(L)[None, :, None].expand_as(record.signal)
    part = crops[:, None].expand_as(record.signal)
    by_lead, by_part = _falls(scorer, lead, L), _falls(scorer, part, P)
    by_both = _falls(scorer, lead * P + part, L * P).reshape(L, P)
    steps(2, STEPS)
    check = check_map(scorer, values, way, seed)
    steps(3, STEPS)
    return Explanation(
        record=record_id,
        output=scorer.classifier.kept.names[scorer.output],
        way=way,
        probability=float(1 / (1 + np.exp(-score))) if classes else None,
        score=score,
        flat=flat,
        fs=record.fs,
        leads=record.leads,
        values=on_record(values, record),
        parts=PARTS,
        part_of=part_of,
        without_lead=by_lead,
        without_part=by_part,
        without=by_both,
        check=check,
        between=between,
        gate=_gate(scorer),
    )


@torch.no_grad()
def _gate(scorer: Scorer) -> Floats | None:
    """Return the weight of each lead in the encoder's own gate, mean over the crops; None if the head is another."""
    if scorer.classifier.needs != ("logits",):
        return None
    found = [scorer.encoder.lead_gate(batch) for batch in scorer.crops()]
    gates = [gate[0, scorer.output].double().cpu().numpy() for gate in found if gate is not None]
    return np.mean(gates, axis=0) if gates else None


def _falls(scorer: Scorer, numbers: torch.Tensor, count: int) -> Floats:
    """Return the fall of the score without each of `count` parts, NaN for parts that no sample belongs to."""
    there, mask = torch.unique(numbers, return_inverse=True)
    falls = np.full(count, np.nan)
    falls[there.numpy()] = occlude(scorer, mask)
    return falls


def _parts_of(store: Store, view: View, row: int, record: RecordInput) -> NDArray[np.int64]:
    """Return the part of the beat of each sample of the view that a crop reads, ``[W]``."""
    own_fs = float(store.table["fs"].to_numpy(np.float64)[row])
    known: Any = store.table["rpeaks"].iat[row] if "rpeaks" in store.table else None
    if has_peaks(store):
        known = read_peaks(store).of(row)
    if known is None:
        known = find_in_block(store, Detector(), row, row + 1)[0][0]
    end = max(record.starts) + record.signal.shape[-1]
    signal = np.zeros((len(view.spec.leads), end), np.float32)
    held = np.asarray(view.signal[row])[:, :end]
    signal[:, : held.shape[1]] = held
    return beat_parts(signal, np.round(np.asarray(known) / own_fs * record.fs).astype(np.int64), record.fs)


def summarise(found: Sequence[Explanation]) -> ExplanationSummary:
    """Return the mean over explanations of one class. A lead that a record lacks has no share in it."""
    leads = tuple(dict.fromkeys(lead for one in found for lead in one.leads))
    shares = np.zeros((len(found), len(leads), len(PARTS)))
    without = np.full((len(found), len(leads)), np.nan)
    for i, one in enumerate(found):
        at = [leads.index(lead) for lead in one.leads]
        shares[i, at], without[i, at] = one.shares, one.without_lead
    parts = np.array([one.without_part for one in found])
    checks = [one.check for one in found]
    likenesses = [check.likeness for check in checks if check.likeness is not None]
    return ExplanationSummary(
        output=found[0].output,
        records=tuple(one.record for one in found),
        leads=leads,
        parts=PARTS,
        shares=shares.mean(axis=0),
        without_lead=_mean(without),
        without_part=_mean(parts),
        fall=float(np.mean([check.fall for check in checks])),
        random_fall=float(np.mean([check.random_fall for check in checks])),
        passed=float(np.mean([check.passed for check in checks])),
        likeness=float(np.mean(likenesses)) if likenesses else None,
    )


def _mean(values: Floats) -> Floats:
    """Return the mean over the first axis of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    total, unknown = np.where(known, values, 0).sum(0), np.full(values.shape[1], np.nan)
    return np.divide(total, known.sum(0), out=unknown, where=known.any(0))
