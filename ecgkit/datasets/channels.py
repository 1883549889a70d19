"""Find the rows of a record that are ECG leads, by their names and units."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecgkit.errors import RecordError
from ecgkit.leads import find_lead

# Microvolts per unit of voltage. Units are in lower case; Unicode has two micro signs.
MICROVOLTS = {"mv": 1000, "uv": 1, "\u00b5v": 1, "\u03bcv": 1, "v": 1_000_000}
NO_UNIT = "nu"


@dataclass(frozen=True)
class Rows:
    """The rows of a record that are ECG leads.

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

    @property
    def unit(self) -> str:
        """``mV``, or ``NU`` if the source gives no unit."""
        return "NU" if self.units[0] == NO_UNIT else "mV"

    @property
    def microvolts(self) -> tuple[int, ...]:
        """Microvolts per unit of each row, including the row's sign; thousandths of the unit for ``NU``."""
        return tuple(sign * MICROVOLTS.get(unit, 1000) for sign, unit in zip(self.signs, self.units, strict=True))


def find_rows(names: Sequence[str], units: Sequence[str]) -> Rows:
    """Find the first row of each ECG lead among the rows in volts; if there are none, among the rows without a unit.

    Args:
        names: Names of all rows.
        units: Units of all rows.

    Raises:
        RecordError: No row is an ECG lead.
    """
    found = [
        (row, *lead, unit.strip().lower())
        for row, (name, unit) in enumerate(zip(names, units, strict=True))
        if (lead := find_lead(name))
    ]
    calibrated = [entry for entry in found if entry[3] in MICROVOLTS]
    first: dict[str, tuple[int, str, int, str]] = {}
    for entry in calibrated or [entry for entry in found if entry[3] == NO_UNIT]:
        first.setdefault(entry[1], entry)
    if not first:
        raise RecordError(f"no signal of the record is an ECG lead (signals: {', '.join(names) or 'none'})")
    index, leads, signs, kept = zip(*first.values(), strict=True)
    return Rows(
        index,
        leads,
        signs,
        kept,
        source_leads=tuple(names[row].strip() for row in index),
        other=tuple(name.strip() for row, name in enumerate(names) if row not in index),
    )
