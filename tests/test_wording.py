"""Numbers as text: a number that rounds to zero has no minus sign."""

import math

import pytest

from ecgkit.wording import DASH, percent, quantity, signed


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (-0.0004, "0.0"),
        (0.0004, "0.0"),
        (-0.0, "0.0"),
        (-0.0016, "-0.2"),
        (0.5, "50.0"),
        (math.nan, DASH),
        (None, DASH),
    ],
)
def test_percent(value: float | None, shown: str) -> None:
    assert percent(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(-0.0004, "+0.0"), (0.0, "+0.0"), (-0.0016, "−0.2"), (0.0016, "+0.2"), (math.nan, DASH)]
)
def test_signed(value: float, shown: str) -> None:
    assert signed(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(-0.0001, "0.000"), (-0.0, "0"), (1234.56, "1,235"), (-0.25, "-0.250"), (None, DASH)]
)
def test_quantity(value: float | None, shown: str) -> None:
    assert quantity(value) == shown
