"""Regression targets: numbers from the record table, from a measurement table, or from the R peaks of a store.

A task's YAML file names formulas of `FORMULAS`, one for each dataset that needs its own. No expression is evaluated.

    regression:
      targets:
        heart-rate:                             name of the column in predictions
          name, unit                            name in words; the formula must give this unit
          range: [20, 300]                      plausible values, both ends included; others are left out and counted
          sources:                              formula by dataset; `any` for all other datasets
            mimic-iv-ecg: {formula: rr-interval}
            any: {formula: r-peaks}
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.beats.peaks import read_peaks
from ecgkit.errors import TaskError, did_you_mean
from ecgkit.store.reader import Store

ANY = "any"
FEWEST_PEAKS = 3  # two RR intervals: one interval alone is too little to estimate a rate

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Formula:
    """A number for each record.

    Args:
        words: Description of the formula, for the protocol.
        unit: Unit of the number.
        columns: Columns of the record table that the formula reads.
        compute: Function from the store to ``[R]``, NaN for a record without a value.
    """

    words: str
    unit: str
    columns: tuple[str, ...]
    compute: Callable[[Store], Values]

    def values(self, store: Store) -> Values:
        """Return the number of each record, ``[R]``, NaN for a record without a value.

        Raises:
            TaskError: The store lacks a column, or a column does not hold numbers.
            StoreError: The store lacks the R peaks that the formula reads.
        """
        missing = [name for name in self.columns if name not in store.table]
        if missing:
            raise TaskError(
                f"{store.path} ({store.attributes['dataset']}) has no column {', '.join(missing)}",
                f"it in the record table, for {self.words}",
                "Choose another source with --task-set regression.source=FORMULA, such as r-peaks for a heart rate.",
            )
        values = self.compute(store)
        return np.where(np.isfinite(values), values, np.nan)


def _column(store: Store, name: str) -> Values:
    try:
        return pd.to_numeric(store.table[name]).to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError):
        raise TaskError(f"column {name} of {store.path} does not hold numbers") from None


def _between(first: str, last: str) -> Callable[[Store], Values]:
    return lambda store: _column(store, last) - _column(store, first)


def _corrected(power: float) -> Callable[[Store], Values]:
    """Return QT / (RR / 1 s) ** power."""

    def compute(store: Store) -> Values:
        rr = _column(store, "rr_interval")
        seconds = np.where(rr > 0, rr, np.nan) / 1000
        return _between("qrs_onset", "t_end")(store) / seconds**power

    return compute


def _rate_of_intervals(store: Store) -> Values:
    rr = _column(store, "rr_interval")
    return 60_000 / np.where(rr > 0, rr, np.nan)


def _rate_of_peaks(store: Store) -> Values:
    """Return 60 / mean RR interval; NaN if a record has too few peaks, or flagged ones."""
    peaks = read_peaks(store)
    rates = np.full(len(peaks), np.nan)
    for row in np.flatnonzero((peaks.counts >= FEWEST_PEAKS) & (peaks.flags == "")):
        own = peaks.of(int(row))
        rates[row] = 60 * peaks.fs[row] * (len(own) - 1) / (own[-1] - own[0])
    return rates


QT_COLUMNS = ("qrs_onset", "t_end")
FORMULAS: dict[str, Formula] = {
    "age": Formula("the age in the record table", "years", ("age",), lambda store: _column(store, "age")),
    "rr-interval": Formula(
        "60,000 / rr_interval (ms) of the measurement table", "bpm", ("rr_interval",), _rate_of_intervals
    ),
    "r-peaks": Formula(
        f"60 / mean RR interval (s) of the store's R peaks; at least {FEWEST_PEAKS} peaks, none flagged as doubtful",
        "bpm",
        (),
        _rate_of_peaks,
    ),
    "qrs-duration": Formula(
        "qrs_end - qrs_onset of the measurement table",
        "ms",
        ("qrs_onset", "qrs_end"),
        _between("qrs_onset", "qrs_end"),
    ),
    "qt": Formula("t_end - qrs_onset of the measurement table", "ms", QT_COLUMNS, _between(*QT_COLUMNS)),
    "qtc-bazett": Formula(
        "QT / sqrt(RR in s), from the measurement table (Bazett, Heart 7:353-370, 1920)",
        "ms",
        (*QT_COLUMNS, "rr_interval"),
        _corrected(1 / 2),
    ),
    "qtc-fridericia": Formula(
        "QT / cube root of RR in s, from the measurement table (Fridericia, Acta Med. Scand. 53:469-486, 1920)",
        "ms",
        (*QT_COLUMNS, "rr_interval"),
        _corrected(1 / 3),
    ),
}


def formula(name: str) -> Formula:
    """Return the formula of a name.

    Raises:
        ValueError: No formula has this name.
    """
    if name not in FORMULAS:
        known = ", ".join(FORMULAS)
        raise ValueError(f"no formula is called {name!r}: {known}. {did_you_mean(name, FORMULAS)}".strip())
    return FORMULAS[name]


@dataclass(frozen=True)
class Source:
    """The source of a dataset's numbers.

    Args:
        formula: Name of a formula in `FORMULAS`.
        range: Plausible values, if they differ from the target's.
        rule: Reason for the difference, for the protocol.
    """

    formula: str
    range: tuple[float, float] | None = None
    rule: str = ""

    def __post_init__(self) -> None:
        formula(self.formula)


@dataclass(frozen=True)
class Target:
    """A number to predict.

    Args:
        name: Name in words.
        unit: Unit of the number.
        range: Lowest and highest plausible value; values outside are left out and counted.
        sources: Sources by dataset; ``any`` for datasets that are not named.
    """

    name: str
    unit: str
    range: tuple[float, float]
    sources: dict[str, Source]

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("sources must name at least one dataset, or any")
        for source in self.sources.values():
            low, high = source.range or self.range
            if not low < high:
                raise ValueError(f"range [{low:g}, {high:g}] must rise")
            _check_unit(source.formula, self)


def _check_unit(name: str, target: Target) -> None:
    if formula(name).unit != target.unit:
        raise ValueError(f"formula {name} gives {formula(name).unit}, and {target.name} is in {target.unit}")


@dataclass(frozen=True)
class Regression:
    """The regression settings of a task.

    Args:
        targets: Targets by short name; result rows (`ecgkit.evaluation.results.row`) and predictions use these names.
        source: Formula that replaces all `sources` of a single target; empty to use the `sources`.
    """

    targets: dict[str, Target]
    source: str = ""

    def __post_init__(self) -> None:
        if not self.targets:
            raise ValueError("targets must hold at least one target")
        if self.source and len(self.targets) > 1:
            raise ValueError(f"source {self.source!r} must be empty for a task of {len(self.targets)} targets")
        if self.source:
            _check_unit(self.source, next(iter(self.targets.values())))

    def source_of(self, target: Target, store: Store, task: str) -> Source:
        """Return the source of a target for a store's dataset.

        Raises:
            TaskError: The target has no source for the store's dataset.
        """
        if self.source:
            return Source(self.source)
        dataset = str(store.attributes["dataset"])
        found = target.sources.get(dataset) or target.sources.get(ANY)
        if found is None:
            raise TaskError(
                f"task {task} has no source of the {target.name} for dataset {dataset}",
                f"a store of {', '.join(target.sources)}",
                "Name a formula with --task-set regression.source=FORMULA: "
                f"{', '.join(name for name, known in FORMULAS.items() if known.unit == target.unit)}.",
            )
        return found


@dataclass(frozen=True)
class TargetValues:
    """The values of a regression task on a store.

    Args:
        values: ``[R, C]``, NaN for a record with a missing or implausible value.
        left_out: Number of records with a missing or implausible value, by reason, among the records asked about.
    """

    values: Values
    left_out: dict[str, int]

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Bool ``[R]``, whether a record has every target."""
        return np.asarray(np.isfinite(self.values).all(axis=1))


def target_values(
    regression: Regression, task: str, store: Store, asked: NDArray[np.bool_] | None = None
) -> TargetValues:
    """Return the values of a task's targets for every record of a store.

    Args:
        regression: The regression settings of the task.
        task: Name of the task, for messages.
        store: The store.
        asked: bool ``[R]``, the records to count in `left_out`; None for all.

    Raises:
        TaskError: The store lacks a column that a formula reads.
        StoreError: The store lacks the R peaks that a formula reads.
    """
    over = np.ones(len(store), bool) if asked is None else asked
    columns: list[Values] = []
    left_out: dict[str, int] = {}
    for target in regression.targets.values():
        source = regression.source_of(target, store, task)
        low, high = source.range or target.range
        values = formula(source.formula).values(store)
        outside = (values < low) | (values > high)
        counts = {
            f"no {target.name}": int((np.isnan(values) & over).sum()),
            f"{target.name} outside {low:g} to {high:g} {target.unit}": int((outside & over).sum()),
        }
        left_out |= {why: count for why, count in counts.items() if count}
        columns.append(np.where(outside, np.nan, values))
    return TargetValues(np.stack(columns, axis=1), left_out)
