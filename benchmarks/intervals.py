"""How often intervals hold the truth and tests of equal models reject, in 500 simulated test sets of patients.

    python -m benchmarks.intervals

The test sets are those of ``tests/evaluation/test_honest_numbers.py``: several records per patient, whose scores go
together, and a known AUROC. One thread, under a minute.
"""

import argparse

import numpy as np
from scipy.stats import norm

from ecgkit.evaluation.scores.areas import areas, macro_interval
from ecgkit.evaluation.scores.significance import class_tests, differences_from, holm
from tests.evaluation.test_honest_numbers import mean_areas, simulate

TEST_SETS = ((150, [0.2] * 3), (300, [0.03, 0.05, 0.1, 0.3, 0.5]))  # patients, and prevalence of each class
LEVEL = 0.05


def coverage(trials: int, patients: int, prevalence: list[float]) -> tuple[float, float]:
    """Return how often the interval of the mean AUROC, and that of a class, holds the truth."""
    means, classes = [], []
    for trial in range(trials):
        y, (scores,), patient, true = simulate(trial, patients=patients, prevalence=prevalence)
        found = areas(y, scores, patient)
        low, high = macro_interval(found, np.isfinite(found.values))
        means.append(low <= true <= high)
        stated = found.intervals[np.isfinite(found.intervals[:, 0])]
        classes += ((stated[:, 0] <= true) & (true <= stated[:, 1])).tolist()
    return float(np.mean(means)), float(np.mean(classes))


def coverage_of_rare(trials: int, positives: int, auroc: float) -> float:
    """Return how often the interval of a class with few positives holds the truth."""
    inside, apart = [], np.sqrt(2) * norm.ppf(auroc)
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        y = np.repeat([1, 0], [positives, 200])
        scores = rng.normal(size=len(y)) + apart * y
        low, high = areas(y[:, None], scores[:, None], np.arange(len(y))).intervals[0]
        inside.append(low <= auroc <= high)
    return float(np.mean(inside))


def rejections(trials: int, models: int) -> tuple[float, float]:
    """Return how often equal models are told apart: the best from any other, and two in any class after Holm."""
    means, classes = [], []
    for trial in range(trials):
        y, scores, patient, _ = simulate(trial, patients=150, prevalence=[0.2] * 3, models=models)
        found = [areas(y, own, patient) for own in scores]
        values, shares, freedom = mean_areas(found)
        first = int(np.argmax(values)) if models > 2 else 0
        means.append(any(one.p < LEVEL for one in differences_from(first, values, shares, freedom)))
        classes.append(bool((holm(class_tests(*found[:2])[1]) < LEVEL).any()))
    return float(np.mean(means)), float(np.mean(classes))


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    trials = parser.parse_args().trials
    for patients, prevalence in TEST_SETS:
        mean, one = coverage(trials, patients, prevalence)
        print(f"{patients} patients, {len(prevalence)} classes: mean {mean:.1%}, class {one:.1%} of intervals hold")
    for positives in (5, 10, 15):
        held = ", ".join(f"{coverage_of_rare(trials, positives, auroc):.1%}" for auroc in (0.6, 0.8, 0.95))
        print(f"{positives} positives, AUROC 0.6, 0.8, 0.95: {held} of intervals hold")
    pair, by_class = rejections(trials, 2)
    print(f"two equal models: told apart in {pair:.1%}, in any of three classes after Holm in {by_class:.1%}")
    print(f"the best of ten equal models: told from any other in {rejections(trials, 10)[0]:.1%}")


if __name__ == "__main__":
    main()
