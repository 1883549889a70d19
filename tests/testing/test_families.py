"""Every family that ecgkit ships keeps the promises of the kit."""

import pytest

from ecgkit.distribution import DISTRIBUTION
from ecgkit.entries import MethodEntry
from ecgkit.plugins import host
from ecgkit.testing import CHECKS, OF_ENCODERS, method_tests

# As small as they can be: what is checked does not depend on sizes.
SMALL = {
    "clear": "width=16 depth=1 heads=2 hidden=16 decoder_width=16 decoder_depth=1 decoder_heads=2",
    "hierarchical": "width=24 heads=2 hidden=16 deep=8 stages=2",
    "kmerl": "width=16 depth=1 heads=2 head_width=8 query_width=16 query_layers=1 query_hidden=16 projection=16",
    "lamae": "width=16 depth=1 heads=2 latent_depth=1 decoder_depth=1",
    "merl": "channels=4 hidden=16 projection=16",
    "stmem": "width=16 depth=1 heads=1 head_width=16 decoder_width=16 decoder_depth=1 decoder_heads=1",
}
# Families that only encode, at the sizes of their preset for tests.
ENCODERS = (
    "ecgcpc",
    "ecgfm",
    "ecgfounder",
    "ecgjepa",
    "hubertecg",
    "inception1d",
    "ked",
    "s4",
    "xresnet1d101",
)

# These compile code, train twice or start processes.
SLOW = ("compile", "resume", "step", "two-processes")
QUICK = [check for check in CHECKS if check not in SLOW]

test_clear, test_hierarchical, test_kmerl, test_lamae, test_merl, test_stmem = (
    method_tests(name, settings=settings.split(), leave_out=SLOW) for name, settings in SMALL.items()
)
test_clear_slow, test_hierarchical_slow, test_kmerl_slow, test_lamae_slow, test_merl_slow, test_stmem_slow = (
    pytest.mark.slow(method_tests(name, settings=settings.split(), leave_out=QUICK)) for name, settings in SMALL.items()
)
test_encoders = method_tests(*ENCODERS, checks=OF_ENCODERS)


def test_no_family_is_missing_here() -> None:
    methods = host().entries(MethodEntry)
    assert {name for name, entry in methods.items() if host().owner(entry).distribution == DISTRIBUTION} == {
        *SMALL,
        *ENCODERS,
    }
