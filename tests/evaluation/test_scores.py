"""Metrics and intervals against scikit-learn, plain loops and known truths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, roc_auc_score, roc_curve

from ecgkit.evaluation.results.averages import Average, average_over_seeds
from ecgkit.evaluation.scores.areas import areas, macro_interval
from ecgkit.evaluation.scores.bootstrap import Difference, bootstrap_counts, intervals
from ecgkit.evaluation.scores.classification import score_classes
from ecgkit.evaluation.scores.metrics import RANKING, auroc, calibration, f1, f1_at, macro_auroc, ranking_metrics
from ecgkit.evaluation.scores.significance import class_tests, differences_from, holm
from ecgkit.evaluation.scores.thresholds import best_f1_thresholds
from ecgkit.tasks.data import TaskData

EXACT = 1e-12


def people(R: int) -> list[str]:
    return [str(i) for i in range(R)]


def sample(R: int, C: int, seed: int, levels: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, (R, C)), rng.integers(0, levels + 1, (R, C)) / levels


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 2**31))
def test_ranking_metrics_against_all_pairs_and_sklearn(R: int, C: int, seed: int) -> None:
    targets, scores = sample(R, C, seed)
    areas, precisions, best, recall = ranking_metrics(targets, scores, specificity=0.8).values()
    np.testing.assert_array_equal(auroc(targets, scores), areas)
    for c in range(C):
        y, s = targets[:, c], scores[:, c]
        if y.any():
            assert precisions[c] == pytest.approx(average_precision_score(y, s), abs=EXACT)
            p, r, _ = precision_recall_curve(y, s)
            assert best[c] == pytest.approx(np.max(2 * p * r / np.maximum(p + r, 1e-300)), abs=EXACT)
        else:
            assert np.isnan([precisions[c], best[c]]).all()
        if y.min() == y.max():
            assert np.isnan(areas[c])
            continue
        wins = sum((p > n) + 0.5 * (p == n) for p in s[y == 1] for n in s[y == 0])
        assert areas[c] == pytest.approx(wins / (y.sum() * (1 - y).sum()), abs=EXACT)
        assert areas[c] == pytest.approx(roc_auc_score(y, s), abs=EXACT)
        false, true, _ = roc_curve(y, s, drop_intermediate=False)
        assert recall[c] == pytest.approx(true[false <= 0.2 + 1e-9].max(), abs=EXACT)
    if np.isfinite(areas).any():
        assert macro_auroc(targets, scores) == pytest.approx(np.nanmean(areas))


@pytest.mark.parametrize("name", RANKING)
def test_a_metric_on_resamples_is_the_metric_of_the_repeated_records(name: str) -> None:
    def metric(targets: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        return ranking_metrics(targets, scores, weights)[name]

    targets, scores = sample(60, 3, 1)
    weights = bootstrap_counts([str(i // 2) for i in range(60)], draws=20, seed=2)
    values = metric(targets, scores, weights)
    for k, times in enumerate(weights):
        rows = np.repeat(np.arange(60), times)
        np.testing.assert_allclose(values[k], metric(targets[rows], scores[rows]), atol=EXACT)


def test_the_bootstrap_equals_a_loop_over_sklearn() -> None:
    targets, scores = sample(80, 2, 3, levels=30)
    weights = bootstrap_counts(people(80), draws=50)
    values = auroc(targets, scores, weights)
    for k in range(50):
        rows = np.repeat(np.arange(80), weights[k])
        for c in range(2):
            assert values[k, c] == pytest.approx(roc_auc_score(targets[rows, c], scores[rows, c]), abs=EXACT)


def test_records_of_a_patient_are_drawn_together() -> None:
    weights = bootstrap_counts(["b", "a", "b", "c"], draws=200)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()
    assert len(np.unique(weights, axis=0)) > 5


def test_copies_of_a_record_under_one_patient_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (40, 2))
    scores = rng.normal(size=(40, 2)) + 0.8 * targets
    copies = np.repeat(np.arange(40), 8)

    def width(rows: np.ndarray, patients: list[str]) -> float:
        low, high = intervals(auroc(targets[rows], scores[rows], bootstrap_counts(patients))).macro
        return high - low

    alone, naive = width(np.arange(40), people(40)), width(copies, people(320))
    assert width(copies, copies.astype(str).tolist()) == pytest.approx(alone, rel=0.1)
    assert naive < 0.6 * alone


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    inside = 0
    for trial in range(100):
        rng = np.random.default_rng(trial)
        y = rng.integers(0, 2, (60, 1))
        s = rng.normal(size=(60, 1)) + y  # the true AUROC is Phi(1 / sqrt 2)
        low, high = intervals(auroc(y, s, bootstrap_counts(people(60), draws=200))).macro
        inside += low <= 0.7602 <= high
    assert 85 <= inside <= 100


def test_a_class_without_positives_has_no_interval() -> None:
    targets = np.array([[1, 0], [0, 0], [1, 0], [0, 0]])
    spread = intervals(
        auroc(targets, np.random.default_rng(0).random((4, 2)), bootstrap_counts(list("abcd"), draws=50))
    )
    assert np.isnan(spread.classes[1]).all()
    assert np.isfinite(spread.macro).all()


def plain_delong(y: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The definition by all pairs."""

    def kernel(s: np.ndarray) -> np.ndarray:
        p, n = s[y == 1][:, None], s[y == 0][None]
        return (p > n) + 0.5 * (p == n)

    d = kernel(first) - kernel(second)
    v10, v01 = d.mean(1), d.mean(0)
    return d.mean(), v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01)


@settings(max_examples=40, deadline=None)
@given(st.integers(6, 40), st.integers(0, 2**31))
def test_delong_against_all_pairs(R: int, seed: int) -> None:
    targets, first = sample(R, 1, seed)
    second = sample(R, 1, seed + 1)[1]
    y, alone = targets[:, 0], np.arange(R)
    one, other = areas(targets, first, alone), areas(targets, second, alone)
    difference, p = class_tests(one, other)
    if min(y.sum(), (1 - y).sum()) < 2:
        assert np.isnan([difference[0], p[0]]).all()
        return
    value, variance = plain_delong(y, first[:, 0], second[:, 0])
    assert difference[0] == pytest.approx(value, abs=EXACT)
    assert ((one.shares - other.shares) ** 2).sum() == pytest.approx(variance, abs=EXACT)
    assert one.values[0] == pytest.approx(auroc(targets, first)[0], abs=EXACT)
    assert one.variances[0] == pytest.approx(plain_delong(y, first[:, 0], np.zeros(R))[1], abs=EXACT)
    assert p[0] == pytest.approx(
        1
        if variance < 1e-15 and value == 0
        else 2 * t.sf(abs(value) / variance**0.5, min(y.sum(), (1 - y).sum()) - 1)
        if variance > 1e-15
        else 0
    )


def test_the_variance_of_records_of_patients_is_obuchowskis() -> None:
    rng = np.random.default_rng(3)
    y, s, patient = rng.integers(0, 2, 60), rng.normal(size=60), rng.integers(0, 15, 60)
    found = areas(y[:, None], s[:, None] + y[:, None], patient)
    s = s + y
    kernel = (s[y == 1][:, None] > s[y == 0][None]) + 0.5 * (s[y == 1][:, None] == s[y == 0][None])
    area, m, n = kernel.mean(), (y == 1).sum(), (y == 0).sum()
    above, below = kernel.mean(1) - area, kernel.mean(0) - area
    u = np.array([above[patient[y == 1] == i].sum() for i in range(15)])
    v = np.array([below[patient[y == 0] == i].sum() for i in range(15)])
    positive, negative = (len(np.unique(patient[y == side])) for side in (1, 0))
    a, b = positive / (positive - 1), negative / (negative - 1)
    expected = a * (u**2).sum() / m**2 + b * (v**2).sum() / n**2 + 2 * np.sqrt(a * b) * (u * v).sum() / (m * n)
    assert found.variances[0] == pytest.approx(expected, rel=1e-12)
    assert (found.units[0], found.sides[:, 0].tolist()) == (min(positive, negative), [positive, negative])


def test_limits_of_an_auroc_are_newcombes_and_none_is_stated_for_few_patients() -> None:
    y = np.repeat([1, 0], [6, 40])[:, None]
    perfect = areas(y, y.astype(float), np.arange(46))
    low, high = perfect.intervals[0]
    assert high == 1 and 0.7 < low < 0.95  # the spread of the data is zero, so the model alone gives the width
    z = norm.ppf(0.975)
    middle = (6 + 40) / 2 - 1
    variance = low * (1 - low) * (1 + middle * ((1 - low) / (2 - low) + low / (1 + low))) / (6 * 40)
    assert (1 - low) ** 2 == pytest.approx(z**2 * variance, rel=1e-6)
    few = areas(y[2:], y[2:].astype(float), np.arange(44))
    assert np.isnan(few.intervals).all()
    together = areas(y, y.astype(float), np.r_[[0, 0, 0, 1, 1, 2], np.arange(3, 43)])
    assert np.isnan(together.intervals).all(), "six records of three patients"
    assert np.isfinite(macro_interval(few, np.array([True]))).all()


def test_paired_difference_sees_what_separate_intervals_do_not() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (300, 2))
    common = rng.normal(size=(300, 2)) + y
    better, worse = common + 0.1 * y, common
    weights = bootstrap_counts(people(300))

    def difference(first: np.ndarray, second: np.ndarray) -> Difference:
        measured = [areas(y, scores, np.arange(300)) for scores in (first, second)]
        shares = np.stack([one.cautious_shares.mean(1) for one in measured])
        freedom = measured[0].freedom(np.ones(2, bool))
        return differences_from(0, [float(one.values.mean()) for one in measured], shares, freedom)[1]

    found = difference(better, worse)
    alone = [intervals(auroc(y, s, weights)).macro for s in (better, worse)]
    assert alone[0][0] < alone[1][1]  # the separate intervals overlap
    assert 0 < found.interval[0] < found.value < found.interval[1]
    assert found.p < 0.01
    turned = difference(worse, better)
    assert (turned.value, turned.p) == pytest.approx((-found.value, found.p))
    assert difference(worse, worse).p == 1


def test_holm_against_the_definition() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.5]) == pytest.approx([1.0, 1.0])
    assert holm([]).shape == (0,)


def test_thresholds_are_chosen_where_f1_is_highest_and_used_as_they_are() -> None:
    targets, scores = sample(70, 3, 5, levels=9)
    targets[:, 2] = 0
    thresholds = best_f1_thresholds(targets, scores)
    values = f1_at(targets, scores, thresholds)
    for c in range(2):
        every = [f1_score(targets[:, c], scores[:, c] >= t) for t in np.unique(scores[:, c])]
        assert values[c] == pytest.approx(max(every), abs=EXACT)
        assert f1_at(targets, scores, np.full(3, 0.5))[c] == pytest.approx(f1_score(targets[:, c], scores[:, c] >= 0.5))
    assert np.isinf(thresholds[2])
    assert np.isnan(values[2])
    weights = bootstrap_counts(people(70), draws=3)
    rows = np.repeat(np.arange(70), weights[1])
    np.testing.assert_allclose(
        f1_at(targets, scores, thresholds, weights)[1], f1_at(targets[rows], scores[rows], thresholds)
    )


def test_calibration_of_honest_and_of_boastful_probabilities() -> None:
    rng = np.random.default_rng(0)
    p = rng.random((20_000, 1))
    y = (rng.random((20_000, 1)) < p).astype(int)
    honest, boastful = calibration(y, p), calibration(y, np.clip(2 * p - 0.5, 0, 1))
    assert honest["ece"] < 0.02
    assert boastful["ece"] > 0.1
    assert sum(honest["count"]) == 20_000
    np.testing.assert_allclose(honest["predicted"], honest["observed"], atol=0.05)


def test_f1_of_decisions_is_sklearns_and_has_no_value_where_nothing_is_true_or_predicted() -> None:
    targets, scores = sample(50, 3, 2)
    predicted = scores > 0.5
    targets[:, 1], predicted[:, 1] = 0, False
    targets[:, 2] = 0
    values = f1(targets, predicted)
    assert values[0] == pytest.approx(f1_score(targets[:, 0], predicted[:, 0]), abs=EXACT)
    assert np.isnan(values[1])
    assert values[2] == 0  # something is predicted, and wrongly


def test_an_average_states_a_deviation_only_of_seeds_that_differ() -> None:
    one, again, other = (0, 0.8, (0.7, 0.9)), (1, 0.8, (0.7, 0.9)), (2, 0.9, (0.85, 0.95))
    assert average_over_seeds([one]) == Average(0.8, None, (0.7, 0.9), seeds=1)
    assert average_over_seeds([one, again]) == Average(0.8, None, (0.7, 0.9), seeds=2)
    assert average_over_seeds([one, again]).percent == "80.0 (70.0–90.0)"
    several = average_over_seeds([one, other, (3, None, None)])
    assert (several.value, several.deviation) == pytest.approx((0.85, 0.1 / 2**0.5))
    assert (several.interval, several.percent, several.quantity) == (None, "85.0 ± 7.1", "0.850 ± 0.071")
    assert average_over_seeds([(0, None, None)]).percent == "–"


def test_two_results_of_one_seed_count_once() -> None:
    zero, twice, one = (0, 0.8, None), (0, 0.8, None), (1, 0.9, None)
    assert average_over_seeds([zero, twice, one]) == average_over_seeds([zero, one])
    assert average_over_seeds([zero, twice, one]).seeds == 2


@pytest.mark.parametrize("in_training", [0, 1])
def test_a_class_that_training_shows_one_side_of_counts_in_no_mean(in_training: int) -> None:
    """No head can learn it: it would score 50.0, and pull the mean towards that."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (300, 3)).astype(np.int8)
    targets[:100, 2] = in_training
    probabilities = np.clip(0.5 + 0.3 * (targets - 0.5) + 0.1 * rng.normal(size=targets.shape), 0, 1)
    probabilities[:, 2] = in_training
    parts = {"train": np.arange(100), "val": np.arange(100, 200), "test": np.arange(200, 300)}
    data = TaskData(np.arange(300), targets, ("a", "b", "c"), parts, 0, None)  # type: ignore[arg-type]
    found = score_classes(data, probabilities, np.arange(300).astype(str))
    assert np.isnan(found.values["auroc"][2]) and np.isnan(found.spreads["auroc"].classes[2]).all()
    assert found.means["auroc"].classes == 2
    assert found.means["auroc"].value == pytest.approx(found.values["auroc"][:2].mean())
    assert found.means["auroc"].value > 0.9
