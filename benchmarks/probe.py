"""Linear solves and bootstrap of a probe against scikit-learn, in one run.

    python benchmarks/probe.py [--records 17000] [--width 768] [--labels 71]

Features are synthetic and correlated, labels have frequencies from 0.4 to 40 %. scikit-learn is timed on some labels
and multiplied; times are processor seconds of one thread each, so that a busy machine does not distort the ratio.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from ecgkit.evaluation.heads.logistic import fit_logistic
from ecgkit.evaluation.scores.bootstrap import bootstrap_counts
from ecgkit.evaluation.scores.metrics import auroc

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
TIMED_LABELS = 6
TEST_RECORDS = 2200
DRAWS = 1000
TIMED_DRAWS = 5


def seconds(work: Callable[[], object]) -> tuple[float, object]:
    """Return processor seconds and the result."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def problem(records: int, width: int, labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return standardised features and labels."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(records, 64)) @ rng.normal(size=(64, width)) / 8
    x = shared + 0.7 * rng.normal(size=(records, width)) * np.exp(-np.arange(width) / 200)
    x = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
    logits = x @ rng.normal(size=(width, labels)) * 0.06 + rng.logistic(size=(records, labels))
    share = np.exp(rng.uniform(np.log(0.004), np.log(0.4), labels))
    return x, np.stack([logits[:, c] > np.quantile(logits[:, c], 1 - share[c]) for c in range(labels)], 1).astype(int)


def solve(records: int, width: int, labels: int, tolerance: float) -> list[str]:
    """Time all labels and penalties, and compare every objective that scikit-learn was timed on."""
    x, y = problem(records + TEST_RECORDS, width, labels)
    x, y, x_test, y_test = x[:records], y[:records], x[records:], y[records:]
    ours, models = seconds(lambda: fit_logistic(x, y, PENALTIES))
    logits, total, excess, apart, unconverged = models.logits(x_test), 0.0, -np.inf, 0.0, 0
    timed = range(0, labels, max(1, labels // TIMED_LABELS))
    for c in timed:
        for g, C in enumerate(PENALTIES):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                spent, plain = seconds(
                    lambda C=C, c=c: LogisticRegression(C=C, tol=tolerance, max_iter=10_000).fit(x, y[:, c])
                )
            total += spent
            pairs = ((models.weights[g, c], models.bias[g, c]), (plain.coef_[0].astype(float), plain.intercept_[0]))
            mine, theirs = (objective(w, b, x, y[:, c], C) for w, b in pairs)
            excess = max(excess, (mine - theirs) / theirs)
            if caught:
                unconverged += 1
            elif y_test[:, c].any():
                areas = [roc_auc_score(y_test[:, c], s) for s in (logits[g, :, c], plain.decision_function(x_test))]
                apart = max(apart, abs(areas[0] - areas[1]))
    theirs = total * labels / len(timed)
    return [
        f"{labels} labels x {len(PENALTIES)} penalties, {records} x {width}, its tol {tolerance:g}",
        f"{ours:.1f} s",
        f"{theirs:.1f} s",
        f"{theirs / ours:.0f}",
        f"objective higher by at most {excess:.1e} (relative); test AUROC apart by at most {apart:.1e} where "
        f"scikit-learn converged ({unconverged} of its fits did not)",
    ]


def objective(w: np.ndarray, b: float, x: np.ndarray, y: np.ndarray, C: float) -> float:
    """Return the penalised loss in double precision."""
    z = x.astype(np.float64) @ w + b
    return float(np.sum(np.logaddexp(0, z) - y * z) + 0.5 / C * w @ w)


def bootstrap(labels: int) -> list[str]:
    """Time resamples of the macro AUROC."""
    rng = np.random.default_rng(0)
    y = (rng.random((TEST_RECORDS, labels)) < np.exp(rng.uniform(np.log(0.005), np.log(0.4), labels))).astype(int)
    s = rng.normal(size=y.shape) + y
    weights = bootstrap_counts([str(i) for i in range(TEST_RECORDS)], draws=DRAWS)
    auroc(y, s)  # compiles, once on a machine
    ours, values = seconds(lambda: auroc(y, s, weights))
    worst = 0.0

    def plain() -> None:
        nonlocal worst
        for k in range(TIMED_DRAWS):
            rows = np.repeat(np.arange(TEST_RECORDS), weights[k])
            for c in range(labels):
                if 0 < y[rows, c].sum() < len(rows):
                    worst = max(worst, abs(roc_auc_score(y[rows, c], s[rows, c]) - values[k, c]))

    theirs = seconds(plain)[0] * DRAWS / TIMED_DRAWS
    what = f"{DRAWS} resamples, {labels} labels, {TEST_RECORDS} records"
    return [what, f"{ours:.1f} s", f"{theirs:.1f} s", f"{theirs / ours:.0f}", f"apart by at most {worst:.1e}"]


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("records", 17000), ("width", 768), ("labels", 71)):
        options.add_argument(f"--{name}", type=int, default=default)
    args = options.parse_args()
    torch.set_num_threads(1)
    table = Table("what", "ecgkit", "scikit-learn", "ratio", "difference", title="Probe, one thread")
    with threadpool_limits(1):
        for tolerance in (1e-4, 1e-6):  # its default, and one at which rare labels converge too
            table.add_row(*solve(args.records, args.width, args.labels, tolerance))
        table.add_row(*bootstrap(args.labels))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
