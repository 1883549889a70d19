"""Every family that ecgkit ships keeps the promises of the kit."""

import functools
from collections.abc import Sequence

import pytest

from ecgkit.distribution import DISTRIBUTION
from ecgkit.entries import MethodEntry
from ecgkit.plugins import host
from ecgkit.testing import CHECKS, OF_ENCODERS, method_tests
from ecgkit.testing.case import Case
from ecgkit.testing.conformance import run_check

# As small as they can be: what is checked does not depend on sizes.
RESNET = "channels=4 projector_hidden=16 projection=8"
VIT = "width=12 depth=1 heads=2 hidden=16"
SENTENCE = "width=16 depth=1 heads=2 head_width=8 hidden=16"
SMALL = {
    "3kg": RESNET,
    "barlow_twins": RESNET,
    "byol": RESNET,
    "clear": "width=16 depth=1 heads=2 hidden=16 decoder_width=16 decoder_depth=1 decoder_heads=2",
    "clocs": "width=8 channels=[4,8]",
    "cmsc": RESNET,
    "cpc": "width=8 depth=1 states=2 negatives=4",
    "crt": "width=8 depth=1 decoder_depth=1 heads=2 head_width=4 hidden=8",
    "data2vec": f"{VIT} layers=1",
    "dino": f"{RESNET} bottleneck=8 prototypes=12",
    "dinosr": f"{VIT} layers=1 codes=6",
    "heartlang": f"{SENTENCE} codebook.width=16 codebook.hidden=16 codebook.head_width=8",
    "heartlang_tokenizer": f"{SENTENCE} decoder_depth=1 codes=12 code_width=4",
    "hierarchical": "width=24 heads=2 hidden=16 deep=8 stages=2",
    "jepa": f"{VIT} predictor_width=8 predictor_depth=1",
    "kmerl": "width=16 depth=1 heads=2 head_width=8 query_width=16 query_layers=1 query_hidden=16 projection=16",
    "lamae": "width=16 depth=1 heads=2 latent_depth=1 decoder_depth=1",
    "merl": "channels=4 hidden=16 projection=16",
    "moco": f"{RESNET} queue=16",
    "moco_v3": RESNET,
    "simclr": RESNET,
    "simsiam": f"{RESNET} predictor_hidden=4",
    "stmem": "width=16 depth=1 heads=1 head_width=16 decoder_width=16 decoder_depth=1 decoder_heads=1",
    "ts_tcc": "channels=4 context=8 context_depth=1 context_heads=2 context_hidden=8",
    "vicreg": RESNET,
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

BASELINES = ("age_sex", "class_prevalence", "measurements")  # without weights

# These compile code, train twice or start processes.
SLOW = ("compile", "resume", "step", "two-processes")
# The baselines share encoders, views and teachers, so the longest checks run on those that add something of their own:
# a queue, a centre, codebooks, a sampler, draws that all processes share. All run by `ecgkit plugins check ssl`.
SHARED = {
    "loads": ("clocs", "jepa", "simclr"),
    "compile": ("ts_tcc",),
    "resume": ("dino", "dinosr", "moco"),
    "step": (),
    "two-processes": ("clocs", "dinosr", "moco", "ts_tcc"),
}


def pairs(checks: Sequence[str]) -> list[tuple[str, str]]:
    """Return the names and checks that are run."""
    methods = host().entries(MethodEntry)
    baselines = {name for name in SMALL if host().owner(methods[name]).name == "ssl"}
    return [(n, check) for n in SMALL for check in checks if n not in baselines or n in SHARED.get(check, SMALL)]


@functools.cache
def case_of(name: str) -> Case:
    return Case(host().get(MethodEntry, name), settings=SMALL[name].split())


def keeps(name: str, check: str) -> None:
    result = run_check(case_of(name), check)
    if result.outcome == "skipped":
        pytest.skip(result.why)
    assert result.outcome == "ok", result.why


@pytest.mark.parametrize(("name", "check"), pairs([check for check in CHECKS if check not in SLOW]))
def test_family(name: str, check: str) -> None:
    keeps(name, check)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "check"), pairs(SLOW))
def test_family_slow(name: str, check: str) -> None:
    keeps(name, check)


test_encoders = method_tests(*ENCODERS, checks=OF_ENCODERS)
test_measurements = method_tests("measurements", checks=OF_ENCODERS)
# They read no signal, so leads change nothing.
test_baselines = method_tests(
    "age_sex", "class_prevalence", checks=[c for c in OF_ENCODERS if c not in ("leads", "loads")]
)


def test_no_family_is_missing_here() -> None:
    methods = host().entries(MethodEntry)
    assert {name for name, entry in methods.items() if host().owner(entry).distribution == DISTRIBUTION} == {
        *SMALL,
        *ENCODERS,
        *BASELINES,
    }
