"""L2-penalised logistic regression, solved for all labels and all penalties at once.

Each pair of a label and a C is a separate problem,

    minimise over w, b:  sum_i log(1 + exp(-s_i (w x_i + b))) + |w|^2 / (2 C),   s_i = +-1,

but all of them share the features, so one matrix product serves them together. They are solved by L-BFGS (Nocedal,
Updating quasi-Newton matrices with limited storage, Math. Comp. 35:773-782, 1980) in the coordinates of the features'
principal axes, where the Hessian is close to diagonal and that diagonal is the starting matrix. The step along a
direction is found by Newton's method on the line, which costs no product with the features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

MEMORY = 10
TOLERANCE = 1e-8  # largest gain that a further step may still promise, relative to the objective at the start
MAX_ITERATIONS = 500
LINE_STEPS = 2
COARSE = 4000  # records of the first, rough solution, which is the starting point of the full problem


@dataclass(frozen=True)
class LogisticModels:
    """The solutions of all problems.

    Args:
        weights: Coefficients, ``[G, C, D]`` for G penalties and C labels.
        bias: Intercepts, ``[G, C]``.
        converged: Bool ``[G, C]``, which problems converged.
        objective: Final value of the objective, ``[G, C]``.
        iterations: Number of iterations of the problem that took longest.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    converged: NDArray[np.bool_]
    objective: NDArray[np.float64]
    iterations: int

    @classmethod
    def of(cls, weights: NDArray[np.float64], bias: NDArray[np.float64]) -> "LogisticModels":
        """Return the solutions under one penalty from coefficients ``[C, D]`` and intercepts ``[C]``."""
        solved = np.ones((1, len(bias)), bool)
        return cls(weights[None], bias[None], solved, np.zeros_like(bias)[None], 0)

    def only(self, penalty: int) -> "LogisticModels":
        """Return the solutions under one of the penalties."""
        return LogisticModels.of(self.weights[penalty], self.bias[penalty])

    def logits(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return ``[G, R, C]`` for features ``[R, D]``."""
        return np.einsum("rd,gcd->grc", x, self.weights, optimize=True) + self.bias[:, None]


def fit_logistic(
    x: NDArray[np.floating],
    y: NDArray[np.integer],
    penalties: Sequence[float],
    *,
    device: torch.device | str = "cpu",
    tolerance: float = TOLERANCE,
) -> LogisticModels:
    """Solve every label under every penalty.

    Args:
        x: Features ``[R, D]``, with column means near 0 and columns of comparable scale.
        y: Labels ``[R, C]``, 0 and 1; each label needs both.
        penalties: The values of C, inverse strength of the penalty as in scikit-learn.
        device: Device to compute on.
        tolerance: Tolerance of convergence; see `TOLERANCE`.
    """
    features = torch.as_tensor(np.asarray(x, np.float32), device=device)
    targets = torch.as_tensor(np.asarray(y, np.float32), device=device)
    # Principal axes: the eigenvectors of X'X turn the Hessian nearly diagonal.
    spectrum, axes = torch.linalg.eigh((features.T @ features).double())
    rotated = features @ axes.float()
    G, C = len(penalties), y.shape[1]
    ridge = (1 / torch.tensor(penalties, dtype=torch.float32, device=device)).repeat_interleave(C)
    labels = torch.arange(C, device=device).repeat(G)
    frequency = targets.mean(0).clamp(1e-6, 1 - 1e-6)
    start = torch.zeros(rotated.shape[1] + 1, G * C, device=device)
    start[-1] = torch.logit(frequency)[labels]
    if len(x) > 2 * COARSE:
        # A rough solution on some of the records is cheap and saves most steps of the full problem.
        some = torch.from_numpy(np.random.default_rng(0).choice(len(x), COARSE, replace=False)).to(device)
        share = COARSE / len(x)
        rough = _Problems(rotated[some], targets[some], labels, ridge * share, spectrum.float() * share, frequency)
        start = _solve(rough, start, tolerance=1e-3).solution
    problems = _Problems(rotated, targets, labels, ridge, spectrum.float(), frequency)
    solved = _solve(problems, start, tolerance)
    objective = problems.objective(solved.solution, problems.logits(solved.solution), problems.y())
    weights = (axes @ solved.solution[:-1].double()).T.reshape(G, C, x.shape[1])
    return LogisticModels(
        weights.cpu().numpy(),
        solved.solution[-1].double().reshape(G, C).cpu().numpy(),
        solved.converged.reshape(G, C).cpu().numpy(),
        objective.reshape(G, C).cpu().numpy(),
        solved.iterations,
    )


@dataclass(frozen=True)
class _Problems:
    """P problems over the same N records. A point is ``[D + 1, P]``; its last row is the bias.

    Args:
        x: Features ``[N, D]``.
        targets: Labels ``[N, C]``.
        labels: ``[P]``, the column of `targets` of each problem.
        ridge: ``[P]``, 1 / C.
        spectrum: ``[D]``, the diagonal of x'x.
        frequency: ``[C]``, share of positives.
    """

    x: Tensor
    targets: Tensor
    labels: Tensor
    ridge: Tensor
    spectrum: Tensor
    frequency: Tensor

    def only(self, keep: Tensor) -> "_Problems":
        return _Problems(self.x, self.targets, self.labels[keep], self.ridge[keep], self.spectrum, self.frequency)

    def scale(self) -> Tensor:
        """Return the inverse of the Hessian's diagonal for constant probabilities, ``[D + 1, P]``."""
        weight = (self.frequency * (1 - self.frequency))[self.labels]
        slopes = weight * self.spectrum.clamp(min=0)[:, None] + self.ridge
        return 1 / torch.cat([slopes, (weight * len(self.x))[None]])

    def logits(self, point: Tensor) -> Tensor:
        return torch.addmm(point[-1], self.x, point[:-1])

    def y(self) -> Tensor:
        return self.targets[:, self.labels]

    def gradient(self, point: Tensor, logits: Tensor, y: Tensor) -> Tensor:
        residual = torch.sigmoid(logits) - y
        return torch.cat([self.x.T @ residual + self.ridge * point[:-1], residual.sum(0, keepdim=True)])

    def objective(self, point: Tensor, logits: Tensor, y: Tensor) -> Tensor:
        loss = (F.softplus(logits) - y * logits).sum(0, dtype=torch.float64)
        return loss + 0.5 * self.ridge.double() * point[:-1].double().square().sum(0)


@dataclass
class _Solved:
    solution: Tensor
    converged: Tensor
    iterations: int = 0


def _solve(problems: _Problems, start: Tensor, tolerance: float) -> _Solved:
    """Run L-BFGS on all problems at once. A problem that has converged is dropped from the batch."""
    P = start.shape[1]
    active = torch.arange(P, device=start.device)
    point, y = start.clone(), problems.y()
    logits = problems.logits(point)
    gradient, scale = problems.gradient(point, logits, y), problems.scale()
    enough = tolerance * problems.objective(point, logits, y)
    solved = _Solved(start.clone(), torch.zeros(P, dtype=torch.bool, device=start.device))
    steps: list[tuple[Tensor, Tensor, Tensor]] = []
    for iteration in range(MAX_ITERATIONS + 1):
        # A Newton step would gain half of g' H^-1 g.
        done = 0.5 * (gradient * scale * gradient).sum(0) <= enough
        solved.solution[:, active], solved.converged[active] = point, done
        solved.iterations = iteration
        keep = torch.nonzero(~done).ravel()
        if not len(keep) or iteration == MAX_ITERATIONS:
            return solved
        if len(keep) <= 0.9 * len(active):
            active, problems = active[keep], problems.only(keep)
            point, logits, gradient, scale, y = (t[:, keep] for t in (point, logits, gradient, scale, y))
            enough = enough[keep]
            steps = [(s[:, keep], g[:, keep], r[keep]) for s, g, r in steps]
        direction = -_inverse_hessian(gradient, steps, scale)
        along = problems.x @ direction[:-1] + direction[-1]
        length = _line_search(problems, point, logits, direction, along, y)
        point, logits = point + length * direction, logits + length * along
        previous, gradient = gradient, problems.gradient(point, logits, y)
        s, g = length * direction, gradient - previous
        curvature = (s * g).sum(0)
        usable = curvature > 0
        steps = [*steps, (s * usable, g * usable, torch.where(usable, 1 / curvature.clamp(min=1e-30), 0.0))][-MEMORY:]
    raise AssertionError("the loop returns")


def _inverse_hessian(gradient: Tensor, steps: list[tuple[Tensor, Tensor, Tensor]], scale: Tensor) -> Tensor:
    """Apply the L-BFGS approximation of the inverse Hessian (the two loops of Nocedal, 1980)."""
    q, alphas = gradient, []
    for s, g, rho in reversed(steps):
        alpha = rho * (s * q).sum(0)
        q = q - alpha * g
        alphas.append(alpha)
    q = q * scale
    for (s, g, rho), alpha in zip(steps, reversed(alphas), strict=True):
        q = q + s * (alpha - rho * (g * q).sum(0))
    return q


def _line_search(
    problems: _Problems, point: Tensor, logits: Tensor, direction: Tensor, along: Tensor, y: Tensor
) -> Tensor:
    """Return the minimising step length ``[P]`` along each direction, by safeguarded Newton steps on the line."""
    length = torch.ones(logits.shape[1], device=logits.device)
    flat = problems.ridge * (point[:-1] * direction[:-1]).sum(0)
    bend = problems.ridge * direction[:-1].square().sum(0)
    for _ in range(LINE_STEPS):
        probability = torch.sigmoid(logits + length * along)
        slope = (along * (probability - y)).sum(0) + flat + length * bend
        second = (along.square() * probability * (1 - probability)).sum(0) + bend
        length = (length - slope / second.clamp(min=1e-30)).clamp(length / 4, length * 4)
    return length
