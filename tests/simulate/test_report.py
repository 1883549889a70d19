import numpy as np
import pytest

from ecgkit.simulate.findings import FINDINGS, labels, settle
from ecgkit.simulate.report import DENIALS, DOUBTS, PHRASES, VERDICTS, write_report

SEEDS = range(200)


def reports(findings: frozenset[str], rate: float = 72.0, loose: str | None = None) -> list[tuple[str, ...]]:
    return [write_report(findings, rate, loose, np.random.default_rng(seed)) for seed in SEEDS]


@pytest.mark.parametrize("key", FINDINGS)
def test_every_finding_is_told_in_several_ways(key: str) -> None:
    said = [set(report) & set(PHRASES[key]) for report in reports(settle([key]), rate=45.0)]
    assert all(said)
    assert len(set().union(*said)) >= 3


@pytest.mark.parametrize("key", FINDINGS)
def test_nothing_is_denied_or_doubted_that_is_there(key: str) -> None:
    findings = settle([key])
    forbidden = {line for label in labels(findings) for table in (DENIALS, DOUBTS) for line in table.get(label, ())}
    assert not any(forbidden & set(report) for report in reports(findings))


def test_denials_are_common_and_doubts_rare_and_never_in_a_normal_report() -> None:
    denials, doubts = ({line for lines in table.values() for line in lines} for table in (DENIALS, DOUBTS))
    normal, abnormal = reports(frozenset({"NSR"})), reports(frozenset({"NSR", "RBBB"}))
    assert 0.05 < np.mean([bool(denials & set(report)) for report in normal]) < 0.25
    assert 0.01 < np.mean([bool(doubts & set(report)) for report in abnormal]) < 0.12
    assert not any(doubts & set(report) for report in normal)


@pytest.mark.parametrize(
    ("keys", "verdict"), [((), "normal"), (("SB",), "rate only"), (("IAVB",), "borderline"), (("LBBB",), "abnormal")]
)
def test_the_last_line_is_the_verdict(keys: tuple[str, ...], verdict: str) -> None:
    assert {report[-1] for report in reports(settle(keys))} == set(VERDICTS[verdict])


def test_a_fast_ventricle_is_named() -> None:
    fast = {line for report in reports(frozenset({"AF"}), rate=130.0) for line in report}
    slow = {line for report in reports(frozenset({"AF"}), rate=80.0) for line in report}
    assert "Atrial fibrillation with rapid ventricular response" in fast - slow


def test_only_a_very_slow_rhythm_is_marked() -> None:
    assert not any("Marked" in line for report in reports(frozenset({"SB"}), rate=56.0) for line in report)


def test_a_loose_lead_is_named_first() -> None:
    assert all("V3" in report[0] for report in reports(frozenset({"NSR"}), loose="V3"))
