import itertools
import re

import numpy as np
import pytest

from ecgkit.errors import ConfigError
from ecgkit.simulate.findings import (
    FINDINGS,
    check_findings,
    codes,
    compatible,
    count_labels,
    draw_conditions,
    draw_findings,
    labels,
    settle,
)


def test_exclusion_holds_both_ways() -> None:
    assert all(compatible(a, b) == compatible(b, a) for a, b in itertools.product(FINDINGS, repeat=2))


@pytest.mark.parametrize(
    ("first", "second"),
    [("AF", "IAVB"), ("AF", "NSR"), ("SB", "STach"), ("LBBB", "RBBB"), ("LBBB", "LVH"), ("LBBB", "STE-inferior")],
)
def test_what_cannot_be_seen_together(first: str, second: str) -> None:
    assert not compatible(first, second)
    with pytest.raises(ConfigError, match="exclude each other"):
        check_findings(frozenset({first, second, "NSR"}))


@pytest.mark.parametrize(("first", "second"), [("AF", "LBBB"), ("SB", "IAVB"), ("AF", "PVC"), ("NSR", "LVH")])
def test_what_can(first: str, second: str) -> None:
    assert compatible(first, second)


def test_settle_keeps_one_rhythm_and_always_has_one() -> None:
    assert settle([]) == {"NSR"}
    assert settle(["IAVB", "AF"]) == {"AF"}
    assert settle(["LVH"]) == {"LVH", "NSR"}
    for keys in itertools.combinations(FINDINGS, 3):
        check_findings(settle(keys))


def test_unknown_findings_and_a_missing_rhythm_are_refused() -> None:
    with pytest.raises(ConfigError, match="flutter"):
        check_findings(frozenset({"flutter", "NSR"}))
    with pytest.raises(ConfigError, match="no rhythm"):
        check_findings(frozenset({"LVH"}))


def test_codes_are_concept_ids_and_one_for_each_label() -> None:
    assert all(re.fullmatch(r"\d{8,9}", finding.code) for finding in FINDINGS.values())
    assert len({finding.code for finding in FINDINGS.values()}) == len({f.label for f in FINDINGS.values()})
    assert codes(["STE-anterior", "NSR"]) == ("426783006", "164931005")
    assert labels(["STE-anterior", "NSR"]) == ("NSR", "STE")


def test_every_finding_is_frequent_enough() -> None:
    records = []
    for patient in range(2500):
        rng = np.random.default_rng([3, patient])
        records.append(draw_findings(draw_conditions(rng), rng))
    share = {label: count / len(records) for label, count in count_labels(records).items()}
    assert 0.28 < sum(record == {"NSR"} for record in records) / len(records) < 0.42
    assert all(0.05 < share[label] < 0.15 for label in share if label != "NSR")
