"""Find the rows of a record that are ECG leads, by their names and units."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import NoLeadError, RecordError
from ecgkit.leads import LEADS, find_leads
from ecgkit.recording import Amplitudes
from ecgkit.signal.microvolts import LIMIT

# Microvolts per unit of voltage, by the unit's first letters.
_PREFIXES: Mapping[str, Fraction] = {
    "": Fraction(1_000_000),
    "m": Fraction(1000),
    "milli": Fraction(1000),
    "u": Fraction(1),
    "mc": Fraction(1),
    "micro": Fraction(1),
    "n": Fraction(1, 1000),
    "nano": Fraction(1, 1000),
}
_UNIT = re.compile(r"(?P<step>\d+\.?\d*(?:e[+-]?\d+)?)?(?P<prefix>milli|micro|nano|mc|m|u|n|)v(?:olts?)?")
_MICRO_SIGNS = str.maketrans({"\u00b5": "u", "\u03bc": "u"})  # Unicode has two
NO_UNIT = "nu"


@lru_cache(maxsize=1024)
def microvolts_of(unit: str) -> Fraction | None:
    """Return the microvolts in a unit of voltage; None for any other unit.

    Every spelling of V, mV, uV and nV is known, in any case: ``millivolt``, ``MDC_DIM_MICRO_VOLT``, ``(mV)``. A number
    before the unit is the step of a converter: ``4.88uV``.
    """
    text = unit.strip().lower().translate(_MICRO_SIGNS)
    text = re.sub(r"[\s_\-()\[\]]", "", text.removeprefix("mdc_dim_"))
    match = _UNIT.fullmatch(text)
    if not match:
        return None
    step = Fraction(match["step"] or 1)
    return step * _PREFIXES[match["prefix"]] if step > 0 else None


@dataclass(frozen=True)
class Naming:
    """What a user says of the names and the unit of a record's rows.

    Args:
        order: Canonical names of all rows, in order.
        renames: Pairs of a row's name in lower case and the name of its lead.
        unit: Unit of the rows that have none, or an unknown one.
    """

    order: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    unit: str = ""

    def name(self, names: Sequence[str]) -> list[str]:
        """Return the names of a record's rows, after renaming.

        Raises:
            RecordError: `order` has another number of names than the record has rows.
        """
        if self.order and len(self.order) != len(names):
            raise RecordError(f"the record has {len(names)} rows, but --lead-names gives {len(self.order)} names")
        renamed = dict(self.renames)
        return list(self.order) or [renamed.get(name.strip().lower(), name) for name in names]


AS_WRITTEN = Naming()


@dataclass(frozen=True)
class Rows:
    """The rows of a record that are ECG leads. Equal rows of records in one process are one object.

    Args:
        index: Row numbers in the record.
        leads: Canonical lead names.
        signs: -1 for a lead that the source marks as inverted, else 1.
        units: Units as the source writes them, in lower case.
        source_leads: Lead names as the source writes them.
        other: The source's names of all other rows.
    """

    index: tuple[int, ...]
    leads: tuple[str, ...]
    signs: tuple[int, ...]
    units: tuple[str, ...]
    source_leads: tuple[str, ...]
    other: tuple[str, ...]

    def pick(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the rows that are leads, from an array ``[rows, T]``."""
        return array if self.index == tuple(range(len(array))) else array[list(self.index)]

    @property
    def unit(self) -> str:
        """``mV``, or ``NU`` if the source gives no unit."""
        return "NU" if self.units[0] == NO_UNIT else "mV"

    @cached_property
    def microvolts(self) -> tuple[Fraction, ...]:
        """Microvolts per unit of each row, including the row's sign; thousandths of the unit for ``NU``."""
        return tuple(
            sign * (microvolts_of(unit) or Fraction(1000)) for sign, unit in zip(self.signs, self.units, strict=True)
        )

    @cached_property
    def whole_steps(self) -> NDArray[np.int64] | None:
        """``[L, 1]``: whole microvolts per unit of each row, including the row's sign; None if they are not whole."""
        if any(step.denominator != 1 for step in self.microvolts):
            return None
        return np.array([int(step) for step in self.microvolts])[:, None]

    @cached_property
    def is_microvolts(self) -> bool:
        """Whether the samples of all rows are microvolts as they are."""
        return self.whole_steps is not None and bool((self.whole_steps == 1).all())

    @cached_property
    def millivolts(self) -> NDArray[np.float64]:
        """``[L, 1]``: mV per unit of each row, including the row's sign; 1 or -1 for ``NU``."""
        return np.array([float(value / 1000) for value in self.microvolts])[:, None]


def find_rows(names: Sequence[str], units: Sequence[str], naming: Naming = AS_WRITTEN) -> Rows:
    """Find the first row of each ECG lead among the rows in volts; if there are none, among the rows without a unit.

    Args:
        names: Names of all rows.
        units: Units of all rows.
        naming: What the user says of names and units.

    Raises:
        RecordError: No row is an ECG lead, or the unit of all leads is unknown.
    """
    return _find_rows(tuple(names), tuple(units), naming)


@lru_cache(maxsize=1024)
def _find_rows(names: tuple[str, ...], units: tuple[str, ...], naming: Naming) -> Rows:
    found = [
        (row, *lead, _unit(unit, naming))
        for row, (lead, unit) in enumerate(zip(find_leads(naming.name(names)), units, strict=True))
        if lead
    ]
    if not found:
        raise _no_lead(names)
    calibrated = [entry for entry in found if microvolts_of(entry[3])]
    first: dict[str, tuple[int, str, int, str]] = {}
    for entry in calibrated or [entry for entry in found if entry[3] == NO_UNIT]:
        first.setdefault(entry[1], entry)
    if not first:
        raise _no_unit([entry[1] for entry in found], [entry[3] for entry in found])
    index, leads, signs, kept = zip(*first.values(), strict=True)
    return Rows(
        index,
        leads,
        signs,
        kept,
        source_leads=tuple(names[row].strip() for row in index),
        other=tuple(name.strip() for row, name in enumerate(names) if row not in index),
    )


def amplitudes(array: NDArray[Any], rows: Rows) -> Amplitudes:
    """Scale samples as a source has them to a recording's amplitudes.

    Args:
        array: ``[L, T]``, one row per lead of `rows`; NaN for a missing sample.
        rows: Their units and signs.

    Returns:
        int16 in microvolts if the samples are whole numbers and stay whole and in range, else float64 in mV.
    """
    if array.dtype == np.int16 and rows.is_microvolts and array.min() >= -LIMIT:
        return cast(NDArray[np.int16], array)
    if array.dtype.kind in "iu" and rows.whole_steps is not None:
        exact: NDArray[np.int64] = array.astype(np.int64) * rows.whole_steps
        if (np.abs(exact) <= LIMIT).all():
            return exact.astype(np.int16)
    return array.astype(np.float64) * rows.millivolts


def _unit(unit: str, naming: Naming) -> str:
    """Return a row's unit in lower case; the user's unit where the source's is not one of voltage."""
    own = unit.strip().lower()
    return own if microvolts_of(own) or not naming.unit else naming.unit.lower()


def _no_lead(names: Sequence[str]) -> NoLeadError:
    shown = ", ".join(name.strip()[:20] for name in names[:20]) or "none"
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    example = names[0].strip()[:20] if names else "ECG"
    return NoLeadError(
        f"no signal of the record is an ECG lead (signals: {shown}{more})",
        f"names such as {' '.join(LEADS)}",
        f"Name the leads with --lead-names, such as --lead-names '{example}=I'.",
    )


def _no_unit(leads: Sequence[str], units: Sequence[str]) -> RecordError:
    unknown = ", ".join(repr(unit[:20]) for unit in dict.fromkeys(units))
    return RecordError(
        f"leads {', '.join(leads)} have the unknown unit {unknown}",
        "V, mV, uV, nV, or NU for none",
        "Give the unit with --unit, such as --unit uV.",
    )
