"""The batched solver against scikit-learn, problem by problem."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ecgkit.evaluation.heads.logistic import fit_logistic

PENALTIES = (1e-3, 1e-1, 10.0)


def problems(R: int = 600, D: int = 24, C: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(R, 6)) @ rng.normal(size=(6, D)) + 0.3 * rng.normal(size=(R, D))  # nearly collinear columns
    x = (x - x.mean(0)) / x.std(0)
    z = x @ rng.normal(size=(D, C)) * 0.5 + rng.logistic(size=(R, C))
    return x, (z > np.quantile(z, [0.5, 0.8, 0.95, 0.99][:C], axis=0).diagonal()).astype(np.int8)


def objective(w: np.ndarray, b: float, x: np.ndarray, y: np.ndarray, C: float) -> float:
    z = x @ w + b
    return float(np.sum(np.logaddexp(0, z) - y * z) + 0.5 / C * w @ w)


def test_every_problem_reaches_the_minimum() -> None:
    x, y = problems()
    models = fit_logistic(x, y, PENALTIES)
    assert models.converged.all()
    for g, C in enumerate(PENALTIES):
        for c in range(y.shape[1]):
            plain = LogisticRegression(C=C, tol=1e-10, max_iter=100_000).fit(x, y[:, c])
            best = objective(plain.coef_[0], plain.intercept_[0], x, y[:, c], C)
            ours = objective(models.weights[g, c], models.bias[g, c], x, y[:, c], C)
            assert ours == pytest.approx(best, rel=2e-6)
            assert models.objective[g, c] == pytest.approx(ours, rel=1e-5)
            np.testing.assert_allclose(models.logits(x)[g, :, c], plain.decision_function(x), atol=0.02)


def test_many_records_that_start_from_some_of_them_end_at_the_same_minimum() -> None:
    x, y = problems(R=9000, C=2)
    some, whole = fit_logistic(x, y, [0.01]), fit_logistic(x[:9000], y, [0.01], tolerance=1e-9)
    np.testing.assert_allclose(some.objective, whole.objective, rtol=2e-6)
    plain = LogisticRegression(C=0.01, tol=1e-10, max_iter=10_000).fit(x, y[:, 1])
    ours = objective(some.weights[0, 1], some.bias[0, 1], x, y[:, 1], 0.01)
    assert ours == pytest.approx(objective(plain.coef_[0], plain.intercept_[0], x, y[:, 1], 0.01), rel=2e-6)


def test_separable_few_and_constant_features() -> None:
    x, y = problems(R=12, D=40, C=1)  # fewer records than features: separable
    x[:, 3] = 0
    models = fit_logistic(x, y, PENALTIES)
    assert models.converged.all()
    assert np.isfinite(models.weights).all()
    assert models.weights[..., 3] == pytest.approx(0, abs=1e-6)
    assert ((models.logits(x)[-1, :, 0] > 0) == (y[:, 0] == 1)).all()


def test_a_label_does_not_depend_on_its_neighbours() -> None:
    x, y = problems()
    together, alone = fit_logistic(x, y, PENALTIES), fit_logistic(x, y[:, 2:3], PENALTIES)
    np.testing.assert_allclose(together.logits(x)[:, :, 2], alone.logits(x)[:, :, 0], atol=0.02)


def test_no_label_at_all() -> None:
    x, y = problems()
    assert fit_logistic(x, y[:, :0], PENALTIES).weights.shape == (3, 0, 24)
