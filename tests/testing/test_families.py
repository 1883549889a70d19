"""Every family that ecgkit ships keeps the promises of the kit."""

from ecgkit.entries import MethodEntry
from ecgkit.plugins import GROUP, host
from ecgkit.testing import method_tests

FAMILIES = ("clear", "hierarchical", "kmerl", "lamae", "merl", "stmem")

test_family = method_tests(*FAMILIES)


def test_no_family_is_missing_here() -> None:
    methods = host().entries(MethodEntry)
    assert {name for name, entry in methods.items() if host().owner(entry).distribution == GROUP} == set(FAMILIES)
