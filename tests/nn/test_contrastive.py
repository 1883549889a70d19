"""The contrastive loss against a slow loop, and over two processes against one."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ecgkit.nn.contrastive import across, embedding_statistics, gather, info_nce
from ecgkit.training.processes import joined
from tests.processes import run_in_processes


def slow_info_nce(a: np.ndarray, b: np.ndarray, temperature: float) -> float:
    def similarity(x: np.ndarray, y: np.ndarray) -> float:
        return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y) / temperature)

    total = 0.0
    for i in range(len(a)):
        for own, others in ((a[i], b), (b[i], a)):
            scores = [similarity(own, other) for other in others]
            total -= scores[i] - math.log(sum(math.exp(s) for s in scores))
    return total / (2 * len(a))


@pytest.mark.parametrize(("n", "width", "temperature"), [(1, 3, 0.1), (2, 5, 0.07), (9, 4, 1.0)])
def test_info_nce_against_a_loop(n: int, width: int, temperature: float) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(2, n, width))
    found = info_nce(torch.from_numpy(a), torch.from_numpy(b), temperature)
    assert float(found) == pytest.approx(slow_info_nce(a, b, temperature), abs=1e-5)


def test_gather_is_the_identity_in_one_process() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    assert gather(x) is x
    with across([3]):
        assert gather(x) is x


def test_statistics_tell_a_collapse() -> None:
    torch.manual_seed(0)
    spread = embedding_statistics(torch.randn(4000, 8))
    assert float(spread["embedding_rank"]) == pytest.approx(8, rel=0.01)
    assert float(spread["embedding_variance"]) == pytest.approx(1, rel=0.01)
    line = embedding_statistics(torch.linspace(-1, 1, 50)[:, None] * torch.ones(8), name="ecg")
    assert float(line["ecg_rank"]) == pytest.approx(1, abs=1e-3)
    one_point = embedding_statistics(torch.ones(50, 8))
    assert float(one_point["embedding_variance"]) == pytest.approx(0, abs=1e-6)


class Tower(nn.Module):
    """Two projections and a learnt temperature, which stands behind the gather."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.a, self.b = nn.Linear(6, 4), nn.Linear(6, 4)
        self.temperature = nn.Parameter(torch.tensor([0.2]))

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.a(x), self.b(x.flip(1))
        return info_nce(a, b, self.temperature) + a.square().mean()  # one part over all, one over the own records


def gradients(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: p.grad.numpy().copy() for name, p in model.named_parameters() if p.grad is not None}


def one_of_two(rank: int, x: Tensor, sizes: tuple[int, int]) -> tuple[float, dict[str, np.ndarray]]:
    with joined("cpu") as processes:
        model = nn.parallel.DistributedDataParallel(Tower())
        start = sum(sizes[:rank])
        own = x[start : start + sizes[rank]] if sizes[rank] else x[:1]
        with across(sizes):
            loss = model(own) * sizes[rank] * 2 / sum(sizes)
        loss.backward()
        return float(processes.total({"loss": loss})["loss"]) / 2, gradients(model.module)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(8, 8), (9, 7), (3, 0)])
def test_two_processes_equal_one_with_both_batches(sizes: tuple[int, int]) -> None:
    torch.manual_seed(1)
    x = torch.randn(sum(sizes), 6)
    alone = Tower()
    loss = alone(x)
    loss.backward()
    for found, grads in run_in_processes(2, one_of_two, x, sizes):
        assert found == pytest.approx(loss.item(), abs=1e-5)
        for name, expected in gradients(alone).items():
            np.testing.assert_allclose(grads[name], expected, atol=1e-5, err_msg=name)
