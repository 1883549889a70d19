"""Every family that ecgkit ships keeps the promises of the kit."""

import pytest

from ecgkit.distribution import DISTRIBUTION
from ecgkit.entries import MethodEntry
from ecgkit.plugins import host
from ecgkit.testing import CHECKS, method_tests

FAMILIES = ("clear", "hierarchical", "kmerl", "lamae", "merl", "stmem")
# These compile, train or start processes.
SLOW = ("compile", "learns", "resume", "step", "two-processes")

test_family = method_tests(*FAMILIES, leave_out=SLOW)
test_family_in_training = pytest.mark.slow(method_tests(*FAMILIES, leave_out=[*{*CHECKS} - {*SLOW}]))


def test_no_check_is_missing_here() -> None:
    assert {*SLOW} <= {*CHECKS}


def test_no_family_is_missing_here() -> None:
    methods = host().entries(MethodEntry)
    assert {name for name, entry in methods.items() if host().owner(entry).distribution == DISTRIBUTION} == set(
        FAMILIES
    )
