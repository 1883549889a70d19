"""Which rows of a record are ECG leads, by their names and units."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecgkit.errors import RecordError
from ecgkit.leads import find_lead

# Units of voltage as headers write them, in lower case, and what they are in microvolts; the micro sign exists twice.
MICROVOLTS = {"mv": 1000, "uv": 1, "\u00b5v": 1, "\u03bcv": 1, "v": 1_000_000}
NO_UNIT = "nu"


@dataclass(frozen=True)
class Rows:
    """The rows of a record that are ECG leads.

    Args:
        index: Their numbers in the record.
        leads: Their canonical names.
        signs: -1 for a lead that the source names as inverted.
        units: As the source writes them, in lower case.
        source_leads: The source's own names.
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
        """``mV``, or ``NU`` where the source gives none."""
        return "NU" if self.units[0] == NO_UNIT else "mV"

    @property
    def microvolts(self) -> tuple[int, ...]:
        """What one unit of each row is in microvolts, the row's sign included; thousandths of it for ``NU``."""
        return tuple(sign * MICROVOLTS.get(unit, 1000) for sign, unit in zip(self.signs, self.units, strict=True))


def find_rows(names: Sequence[str], units: Sequence[str]) -> Rows:
    """Return the first row of each ECG lead: rows in volts, or, where there is none, rows without a unit.

    Args:
        names: Of all rows.
        units: Of all rows.

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
        raise RecordError(f"the record has signals {', '.join(names) or 'none'}", "at least one ECG lead, by its name")
    index, leads, signs, kept = zip(*first.values(), strict=True)
    return Rows(
        index,
        leads,
        signs,
        kept,
        source_leads=tuple(names[row].strip() for row in index),
        other=tuple(name.strip() for row, name in enumerate(names) if row not in index),
    )
