"""What a regression task predicts: numbers of the record table, of a measurement table, or of the R peaks of a store.

A task's YAML file names formulas of `FORMULAS`, one for each dataset that needs its own; nothing is ever evaluated.

    regression:
      targets:
        heart-rate:                             what columns of predictions are called
          name, unit                            in words; the formula must give this unit
          range: [20, 300]                      both ends plausible; a value outside is left out and counted
          sources:                              by dataset; `any` for all others
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
FEWEST_PEAKS = 3  # two RR intervals: one alone says little of a rate

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Formula:
    """A number of each record.

    Args:
        words: How it comes about, for the protocol.
        unit: What it is in.
        columns: Columns of the record table that it reads.
        compute: From the store to ``[R]``, NaN where a record has no value.
    """

    words: str
    unit: str
    columns: tuple[str, ...]
    compute: Callable[[Store], Values]

    def values(self, store: Store) -> Values:
        """Return the number of each record, ``[R]``, NaN for none.

        Raises:
            TaskError: The store lacks a column, or it holds other things than numbers.
            StoreError: The store lacks the R peaks that are read.
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
        raise TaskError(f"column {name} of {store.path} does not hold numbers", "numbers, or nothing") from None


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
    """Return 60 / mean RR interval; NaN with few peaks, or doubtful ones."""
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
    """Return a formula by name.

    Raises:
        ValueError: There is none of this name.
    """
    if name not in FORMULAS:
        known = ", ".join(FORMULAS)
        raise ValueError(f"no formula is called {name!r}: {known}. {did_you_mean(name, FORMULAS)}".strip())
    return FORMULAS[name]


@dataclass(frozen=True)
class Source:
    """Where a dataset's numbers come from.

    Args:
        formula: A name of `FORMULAS`.
        range: Plausible values where they differ from the target's.
        rule: Why they do, for the protocol.
    """

    formula: str
    range: tuple[float, float] | None = None
    rule: str = ""

    def __post_init__(self) -> None:
        formula(self.formula)


@dataclass(frozen=True)
class Target:
    """A number that is predicted.

    Args:
        name: In words.
        unit: What it is in.
        range: Lowest and highest plausible value; what lies outside is left out and counted.
        sources: By dataset, with ``any`` for those that are not named.
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
    """The part of a task that makes it a regression.

    Args:
        targets: By short name, which `ecgkit.evaluation.results.row` and its predictions use.
        source: A formula that the one target is taken from, whatever its `sources` say; empty for those.
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
        """Return where a store's numbers come from.

        Raises:
            TaskError: The task knows no source for the store's dataset.
        """
        if self.source:
            return Source(self.source)
        dataset = str(store.attributes["dataset"])
        found = target.sources.get(dataset) or target.sources.get(ANY)
        if found is None:
            raise TaskError(
                f"task {task} knows no {target.name} of {dataset}",
                f"a store of {', '.join(target.sources)}",
                "Name a formula with --task-set regression.source=FORMULA: "
                f"{', '.join(name for name, known in FORMULAS.items() if known.unit == target.unit)}.",
            )
        return found


@dataclass(frozen=True)
class TargetValues:
    """The numbers of a regression task on a store.

    Args:
        values: ``[R, C]``, NaN where a record has no value, or an implausible one.
        left_out: How many records of those asked about have no value, or an implausible one, by what is missing.
    """

    values: Values
    left_out: dict[str, int]

    @property
    def complete(self) -> NDArray[np.bool_]:
        """``[R]``, which records have every target."""
        return np.asarray(np.isfinite(self.values).all(axis=1))


def target_values(
    regression: Regression, task: str, store: Store, asked: NDArray[np.bool_] | None = None
) -> TargetValues:
    """Return the numbers of a task's targets for every record of a store.

    Args:
        regression: The task's part.
        task: Its name, for messages.
        store: The store.
        asked: Bool ``[R]``, the records that `left_out` is counted over; None for all.

    Raises:
        TaskError: The store lacks what a formula reads.
        StoreError: It lacks the R peaks that a formula reads.
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
