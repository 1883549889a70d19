"""What must be stated of a signal, and the one error that asks for what nobody states."""

from collections.abc import Callable
from dataclasses import dataclass

from ecgkit.errors import DatasetError, RecordError
from ecgkit.leads import STANDARD_LEADS

# What amplitudes below these values suggest; heart beats have about 1 mV.
_SUGGESTED = ((0.03, "V"), (30.0, "mV"), (30_000.0, "uV"), (float("inf"), "nV"))


@dataclass(frozen=True)
class Stated:
    """What is stated of a signal; empty where nobody states it.

    Args:
        fs: Sampling rate in Hz.
        leads: Names of its rows.
        unit: Its unit.
    """

    fs: float | None = None
    leads: tuple[str, ...] = ()
    unit: str = ""

    def complete(self, path: str) -> tuple[float, tuple[str, ...], str]:
        """Return rate, leads and unit.

        Raises:
            RecordError: One of them is not stated.
        """
        if self.fs is None or not self.leads or not self.unit:
            lacking = [
                what for what, value in (("rate", self.fs), ("leads", self.leads), ("unit", self.unit)) if not value
            ]
            raise RecordError(f"the {' and the '.join(lacking)} of {path} is stated nowhere")
        return self.fs, self.leads, self.unit


def ask_for_missing(what: str, stated: Stated, rows: int, largest: Callable[[], float]) -> None:
    """Ask for everything that nobody states, in one error.

    Args:
        what: Name of the signals, for the error.
        stated: What is stated.
        rows: Number of rows that need a name.
        largest: Returns the largest amplitude of a record, which suggests a unit.

    Raises:
        DatasetError: The options that state what is missing.
    """
    lacking, options, hints = [], [], []
    if stated.fs is None:
        lacking.append("the sampling rate")
        options.append("--fs 500")
    if not stated.leads:
        lacking.append(f"the names of the {rows} leads" if rows > 1 else "the name of the lead")
        options.append(f"--leads {rows if rows in (8, 12) else ','.join(STANDARD_LEADS[:rows])}")
        hints.append(f"--leads 12 means {' '.join(STANDARD_LEADS)}, in this order" if rows == 12 else "")
    elif len(stated.leads) != rows:
        raise DatasetError(f"{what} has {rows} rows, but {len(stated.leads)} leads are named", "one name per row")
    if not stated.unit:
        lacking.append("the unit")
        options.append(_suggested(hints, largest()))
    if options:
        told = " ".join(f"{hint}." for hint in hints if hint)
        raise DatasetError(
            f"{what} does not state {_joined(lacking)}",
            remedy=f"Give what is right for it, such as {' '.join(options)}. {told}",
        )


def _suggested(hints: list[str], value: float) -> str:
    unit = next(unit for limit, unit in _SUGGESTED if value <= limit)
    hints.append(f"Amplitudes of the first record reach {value:.4g}, which suggests {unit}")
    return f"--unit {unit}"


def _joined(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
