"""Numbers of result rows as text: always with the same digits, and a dash with its reason if there is no number.

A number that rounds to zero has no minus sign: that is what ``z`` in a format means.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

DASH = "–"
# Headings of the metrics of regression tasks.
REGRESSION_METRICS = {"mae": "MAE ({unit})", "rmse": "RMSE ({unit})", "r2": "R²", "pearson": "Pearson's r"}


# Control characters except line feed and tab; marks that turn the direction of text; bytes of names that are no UTF-8.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Return a text in which no character controls the terminal: each such character is written as an escape."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def is_number(value: Any) -> bool:
    """Return whether a value can be printed and drawn: it is not None, NaN or infinity."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def percent(value: float | None, digits: int = 1) -> str:
    """Write a fraction as a percentage, or a dash."""
    return f"{100 * value:z.{digits}f}" if value is not None and math.isfinite(value) else DASH


def signed(value: float) -> str:
    """Write a difference of fractions in percentage points with its sign."""
    return f"{100 * value:+z.1f}".replace("-", "−") if math.isfinite(value) else DASH


def interval(bounds: tuple[float, float] | None) -> str:
    """Write an interval of fractions in percent, or a dash."""
    return DASH if not has_interval(bounds) or bounds is None else f"{percent(bounds[0])}–{percent(bounds[1])}"


def quantity(value: float | None) -> str:
    """Write a number in its own unit with three digits or more, or a dash."""
    if value is None or not math.isfinite(value):
        return DASH
    decimals = min(3, max(0, 2 - math.floor(math.log10(abs(value))))) if value else 0
    return f"{value:z,.{decimals}f}"


def bounds(ends: tuple[float, float] | None) -> str:
    """Write an interval in its own unit, or a dash."""
    return f"{quantity(ends[0])} to {quantity(ends[1])}" if ends is not None and has_interval(ends) else DASH


def has_interval(bounds: tuple[float, float] | None) -> bool:
    """Return whether both ends are numbers."""
    return bounds is not None and all(is_number(bound) for bound in bounds)


def p_value(p: float) -> str:
    """Write a p value with three decimals."""
    return f"p {p:.3f}" if p >= 0.001 else "p < 0.001"


def seconds(value: float) -> str:
    """Write a duration in s."""
    if not is_number(value):
        return DASH
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def duration(value: float) -> str:
    """Write a number of seconds in the unit that a person would use."""
    if value < 120:
        return f"{value:.0f} s"
    if value < 7200:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.1f} h" if value < 36000 else f"{value / 3600:,.0f} h"


def plural(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 patient" or "1,200 patients"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def count(value: int | None) -> str:
    """Write a number of records or patients."""
    return DASH if value is None else f"{value:,}"


def scalar(value: Any) -> str:
    """Write a setting or a metric of any kind on one line."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def leads(names: Sequence[str]) -> str:
    """Write the number of leads, and their names if there are few."""
    return f"{len(names)}" if len(names) > 3 else f"{len(names)} ({', '.join(names)})"


def why_unscored(positives: int, negatives: int) -> str:
    """Say why a class has no AUROC, from its numbers of positive and negative test records."""
    if not positives:
        return "no positive test record"
    return "no negative test record" if not negatives else "the result holds no number"
