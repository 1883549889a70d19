"""The curve over training records: a row a draw, the same as a probe of its own; mean and spread; protocols' draws."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecgkit.api.probe import probe
from ecgkit.errors import TaskError
from ecgkit.evaluation.analyses.learning_curve import curve
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.protocols.draws import Amount
from ecgkit.evaluation.results.row import find_rows
from tests.api.runs import make_run
from tests.conftest import Outcome

SMALL = EncoderChoice(method="lamae", weights="random-init", preset="tiny", settings=("depth=1", "width=16", "heads=2"))


ENCODER = {"method": "lamae", "random_init": True, "preset": "tiny", "settings": SMALL.settings}


@pytest.mark.slow
def test_a_curve_has_a_row_a_draw_and_ends_at_the_whole(cohort_store: Path, tmp_path: Path) -> None:
    asked = {"data": cohort_store, "task": "simulated", **ENCODER, "cache": tmp_path / "cache"}
    found = probe(**asked, fraction=[20, 100], label_counts=[15, 10_000], seeds=2, out=tmp_path / "curve")
    rows = [row for _, row in found.rows]
    share = [row.fraction for row in rows[4:6]]
    assert [(row.fraction, row.label_count, row.seed) for row in rows] == [
        (0.2, None, 0),
        (0.2, None, 1),
        (1.0, None, 0),
        (1.0, None, 1),
        (share[0], 15, 0),
        (share[1], 15, 1),
        (1.0, 10_000, 0),
        (1.0, 10_000, 1),
    ]
    [(_, whole)] = probe(**asked, out=tmp_path / "whole").rows
    assert whole.classes == rows[2].classes == rows[6].classes
    assert (whole.label_count, whole.fraction) == (None, 1.0) and "one seed only" in whole.warnings
    [(_, again)] = probe(**asked, fraction=20, seed=1, seeds=1, out=tmp_path / "again").rows
    assert again.classes == rows[1].classes  # a probe of its own gives the row of the curve
    for row in rows:
        assert row.counts["test"] == whole.counts["test"] and row.counts["val"] == whole.counts["val"]
        assert row.counts["train"]["records"] <= (
            row.label_count or round(row.fraction * whole.counts["train"]["records"])
        )
        assert "one seed only" not in row.warnings
        assert (row.facts.draw is not None) == (row.label_count is not None or row.fraction < 1)
        assert row.facts.split.test_sha256 == whole.facts.split.test_sha256
    points = curve([row for row in rows if row.label_count is None])
    assert [point.asked for point in points] == ["20 %", "100 %"]
    values = [row.macro_auroc for row in rows[:2]]
    auroc = points[0].auroc
    assert (auroc.value, auroc.deviation) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert len(find_rows([tmp_path / "curve"])) == 8
    for values in ({"percent": 0}, {"percent": 101}, {"count": 0}):
        with pytest.raises(TaskError):
            Amount(**values)


@pytest.mark.slow
def test_a_curve_from_scratch_starts_anew_each_time(cohort_store: Path, tmp_path: Path) -> None:
    asked = {"data": cohort_store, "task": "simulated", **ENCODER, "random_init": False, "scratch": True, "epochs": 1}
    found = probe(**asked, fraction=[30, 100], seeds=1, out=tmp_path / "curve")
    [(_, whole)] = probe(**asked, out=tmp_path / "whole").rows
    assert found.rows[1][1].classes == whole.classes


@pytest.mark.slow
def test_a_grid_by_options_goes_on_where_it_was_stopped(
    cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {
        "data": cohort_store,
        "task": "simulated",
        **ENCODER,
        "cache": tmp_path / "cache",
        "out": tmp_path / "r",
        "fraction": [50, 100],
        "seeds": 1,
        "leads": ["12", "I"],
    }
    real, runs = Probe.run, []

    def interrupted(*arguments: object) -> object:
        runs.append(arguments)
        if len(runs) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(Probe, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        probe(**asked)
    before = {path: path.read_bytes() for path, _ in find_rows([tmp_path / "r"])}
    assert len(before) == 2
    found = probe(**asked)
    assert (len(found.rows), found.skipped, len(runs)) == (4, 2, 5)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert found.heat_map.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_command_prints_mean_and_spread(ecgkit: Callable[..., Outcome], cohort_store: Path, tmp_path: Path) -> None:
    words = (
        "probe",
        "--data",
        cohort_store,
        "--task",
        "simulated",
        "--method",
        "lamae",
        "--preset",
        "tiny",
        "--set",
        "depth=1",
        "--set",
        "width=16",
        "--random-init",
        "--out",
    )
    shown = ecgkit(*words, tmp_path / "r", "--fraction", "10,100", "--label-counts", "20", "--protocol", "lamae")
    assert shown.code == 0, shown.err
    # LAMAE states no fractions: one draw each; three of a count.
    assert "5 results" in shown.out and "by labelled training records" in shown.out and " ± " in shown.out
    assert "protocol: lamae (LAMAE's probe as far as it is stated" in shown.out
    rows = [row for _, row in find_rows([tmp_path / "r"])]
    assert sorted((row.label_count or 0, row.seed) for row in rows) == [(0, 0), (0, 0), (20, 0), (20, 1), (20, 2)]
    for option, value, said in (
        ("--label-counts", "20,many", "50,100,500"),
        ("--fraction", "0", "1,10,100"),
        ("--fraction", "x", "1,10,100"),
        ("--protocol", "merle", "Did you mean 'merl'"),
        ("--label-set", "shipped", "--splits"),
        ("--label-set", "own", "label_set"),
    ):
        wrong = ecgkit(*words, tmp_path / "wrong", option, value)
        assert wrong.code == 2 and said in wrong.err, wrong.err


@pytest.mark.slow
def test_lead_sets_and_fractions_are_crossed(
    ecgkit: Callable[..., Outcome], cohort_store: Path, tmp_path: Path
) -> None:
    words = (
        "probe",
        "--data",
        cohort_store,
        "--method",
        "lamae",
        "--preset",
        "tiny",
        "--random-init",
        "--seeds",
        "2",
        "--set",
        "depth=1",
        "--set",
        "width=16",
        "--set",
        "heads=2",
        "--cache",
        tmp_path / "cache",
    )
    sets, shares = ("12", "random:2#1", "random:2#2"), (0.3, 1.0)
    given = ("--leads", "12", "--leads", "random:2:2", "--fraction", "30,100")
    shown = ecgkit(*words, "--task", "simulated", *given, "--out", tmp_path / "r")
    assert shown.code == 0, shown.err
    found = {(row.lead_set, row.fraction, row.seed): row for _, row in find_rows([tmp_path / "r"])}
    assert set(found) == {(leads, share, seed) for leads in sets for share in shares for seed in (0, 1)}
    request = ProbeRequest(
        str(cohort_store), "simulated", SMALL, leads="random:2#2", amount=Amount(30), seed=1, cache=None
    )
    alone = Probe(request).run(tmp_path / "alone")
    assert alone.classes == found["random:2#2", 0.3, 1].classes != found["12", 0.3, 1].classes
    lines = [line.split() for line in shown.out.splitlines() if line.split()[1:3] in (["30", "%"], ["100", "%"])]
    assert [(line[0], line[1], line[4]) for line in lines] == [
        (leads, share, draws) for leads, draws in (("12", "2"), ("random:2", "4")) for share in ("30", "100")
    ]
    mean = np.mean([found[leads, 0.3, seed].macro_auroc for leads in sets[1:] for seed in (0, 1)])
    assert lines[2][5] == f"{100 * mean:.1f}"
    assert "12 results" in shown.out
    assert (
        (tmp_path / "r" / "leads-curve-simulated-linear-12_random-2-2-fraction-30-100-seed0.png")
        .read_bytes()
        .startswith(b"\x89PNG")
    )


def test_tasks_and_fractions_are_crossed(ecgkit: Callable[..., Outcome], cohort_store: Path, tmp_path: Path) -> None:
    words = (
        "probe",
        "--data",
        cohort_store,
        "--method",
        "lamae",
        "--preset",
        "tiny",
        "--random-init",
        "--seeds",
        "1",
        "--set",
        "depth=1",
        "--set",
        "width=16",
        "--set",
        "heads=2",
        "--cache",
        tmp_path / "cache",
    )
    shown = ecgkit(
        *words, "--task", "simulated,heart-rate", "--leads", "I", "--fraction", "40,100", "--out", tmp_path / "r"
    )
    assert shown.code == 0, shown.err
    rows = [row for _, row in find_rows([tmp_path / "r"])]
    assert {(row.task, row.fraction) for row in rows} == {(t, f) for t in ("simulated", "heart-rate") for f in (0.4, 1)}
    assert "heart rate (bpm)" in shown.out and "I, 40 % of training, seed 0" in shown.out and "AUROC" in shown.out


@pytest.mark.slow
def test_draws_without_a_difference_count_as_one_seed_and_a_lack_of_records_is_said(
    ecgkit: Callable[..., Outcome], cohort_store: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run", "lamae")
    words = ("--data", cohort_store, "--task", "simulated", "--seeds", "2")
    shown = ecgkit("probe", run, *words, "--fraction", "100", "--label-counts", "5000")
    assert shown.code == 0, shown.err
    lines = [line.split() for line in shown.out.splitlines() if line.split()[:1] in (["100"], ["5,000"])]
    assert len(lines) == 2
    assert not any("±" in line for line in lines)
    assert "training 100 %: all 2 draws gave the same number; it counts as one seed" in shown.err
    rows = [row for _, row in find_rows([run])]
    [there] = {row.counts["train"]["records"] for row in rows if row.label_count is None}
    asked = f"5,000 labelled training records were asked for; the task has {there}, and all of them were used"
    assert [asked in row.warnings for row in rows] == [row.label_count is not None for row in rows]
    assert asked in shown.err
