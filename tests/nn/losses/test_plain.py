"""Every loss against loops over records, written from its equation, for several sizes."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ecgkit.nn.losses.barlow_twins import barlow_twins_loss, cross_correlation
from ecgkit.nn.losses.byol import byol_loss
from ecgkit.nn.losses.clocs import clocs_loss
from ecgkit.nn.losses.cmsc import cmsc_loss
from ecgkit.nn.losses.code_prediction import code_errors, code_logits
from ecgkit.nn.losses.cpc import ahead_contrast
from ecgkit.nn.losses.data2vec import layer_targets, token_errors
from ecgkit.nn.losses.dino import Centre, dino_loss
from ecgkit.nn.losses.dinosr import Codebooks
from ecgkit.nn.losses.jepa import jepa_loss
from ecgkit.nn.losses.key_queue import queue_contrast
from ecgkit.nn.losses.moco_v3 import moco_v3_loss
from ecgkit.nn.losses.nt_xent import nt_xent
from ecgkit.nn.losses.simsiam import simsiam_loss
from ecgkit.nn.losses.threekg import threekg_loss
from ecgkit.nn.losses.ts_tcc import temporal_contrast
from ecgkit.nn.losses.vicreg import vicreg_parts
from ecgkit.nn.losses.wav2vec2 import masked_contrast, perplexity, size_penalty, unused

Array = NDArray[np.float64]
SIZES = [(2, 3), (5, 4), (8, 2)]  # records, width


def drawn(n: int, *shape: int) -> list[Array]:
    rng = np.random.default_rng(n)
    return [rng.normal(size=shape) for _ in range(4)]


def tensors(*arrays: Array) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in arrays]


def cos(x: Array, y: Array) -> float:
    return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))


def cross_entropy(logits: Sequence[float], target: int) -> float:
    return math.log(sum(math.exp(value) for value in logits)) - logits[target]


def same(found: torch.Tensor, expected: float) -> None:
    assert float(found) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("n", "d"), SIZES)
def test_losses_of_two_views(n: int, d: int) -> None:
    a, b, c, e = drawn(n, n, d)
    views = [*a, *b]
    total = 0.0
    for i, own in enumerate(views):
        others = [j for j in range(2 * n) if j != i]
        total += cross_entropy([cos(own, views[j]) / 0.3 for j in others], others.index((i + n) % (2 * n)))
    same(nt_xent(*tensors(a, b), 0.3), total / (2 * n))
    same(nt_xent(*tensors(b, a), 0.3), total / (2 * n))

    def contrast(queries: Array, keys: Array) -> float:
        return 0.6 * np.mean([cross_entropy([cos(queries[i], k) / 0.3 for k in keys], i) for i in range(n)])

    expected = contrast(a, e) + contrast(b, c)
    same(moco_v3_loss(tuple(tensors(a, b)), tuple(tensors(c, e)), 0.3), expected)
    stored = e / np.linalg.norm(e, axis=1, keepdims=True)
    expected = float(
        np.mean([cross_entropy([cos(a[i], b[i]) / 0.3, *(cos(a[i], m) / 0.3 for m in e)], 0) for i in range(n)])
    )
    same(queue_contrast(*tensors(a, b, stored), 0.3), expected)
    expected = float(np.mean([4 - 2 * cos(a[i], e[i]) - 2 * cos(b[i], c[i]) for i in range(n)]))
    same(byol_loss(tuple(tensors(a, b)), tuple(tensors(c, e))), expected)
    same(byol_loss(tuple(tensors(a, a)), tuple(tensors(a, a))), 0)
    same(simsiam_loss(tuple(tensors(a, b)), tuple(tensors(c, e))), expected / 4 - 1)


@pytest.mark.parametrize(("n", "d"), SIZES)
def test_losses_of_dimensions(n: int, d: int) -> None:
    a, b, *_ = drawn(n, n, d)
    spread = [np.sqrt(z.var(0) + 1e-5) for z in (a, b)]
    C = [
        [
            sum((a[i, k] - a[:, k].mean()) * (b[i, m] - b[:, m].mean()) for i in range(n))
            / n
            / spread[0][k]
            / spread[1][m]
            for m in range(d)
        ]
        for k in range(d)
    ]
    loss = sum((C[k][k] - 1) ** 2 for k in range(d))
    loss += 0.2 * sum(C[k][m] ** 2 for k in range(d) for m in range(d) if k != m)
    same(barlow_twins_loss(*tensors(a, b), 0.2), loss)
    on = cross_correlation(*tensors(a, a)).diagonal()
    np.testing.assert_allclose(on, 1 - 1e-5 / (a.var(0) + 1e-5))

    parts = vicreg_parts(*tensors(a, b), (1.0, 2.0, 3.0))
    same(parts["invariance"], float(np.mean([(a[i, k] - b[i, k]) ** 2 for i in range(n) for k in range(d)])))
    hinge = sum(max(0.0, 1 - math.sqrt(z[:, k].var(ddof=1) + 1e-4)) for z in (a, b) for k in range(d)) / d
    same(parts["variance"], hinge)
    off = sum(np.cov(z.T, ddof=1)[k, m] ** 2 for z in (a, b) for k in range(d) for m in range(d) if k != m) / d
    same(parts["covariance"], 3 * off)


@pytest.mark.parametrize("patients", [[0, 0, 1, 1, 2], [0, 1, 2, 3, 4], [7, 7, 7, 7, 7]])
def test_losses_of_patients(patients: list[int]) -> None:
    n, T = len(patients), 0.4
    a, b, *_ = drawn(n, n, 3)
    who = torch.tensor(patients)
    cells = [(i, j) for i in range(n) for j in range(n) if patients[i] == patients[j]]
    rows = [cross_entropy([cos(a[i], b[m]) / T for m in range(n)], j) for i, j in cells]
    columns = [cross_entropy([cos(a[m], b[j]) / T for m in range(n)], i) for i, j in cells]
    same(cmsc_loss(*tensors(a, b), who, T), float(np.mean(rows) + np.mean(columns)) / 2)

    of_diagonal = [
        float(np.mean([x for x, (i, j) in zip(side, cells, strict=True) if i == j])) for side in (rows, columns)
    ]
    above = [x for x, (i, j) in zip(rows, cells, strict=True) if i < j]
    below = [x for x, (i, j) in zip(columns, cells, strict=True) if i > j]
    parts = [*of_diagonal, *(float(np.mean(some)) for some in (above, below) if some)]
    same(clocs_loss(torch.stack(tensors(a, b), dim=-1), who, T), sum(parts) / len(parts))
    assert clocs_loss(torch.from_numpy(a)[..., None], who, T) == 0

    terms = [
        cross_entropy([cos(a[i], a[j]) / T, *(cos(a[i], a[k]) / T for k in range(n) if patients[k] != patients[i])], 0)
        for i, j in cells
        if i != j
    ]
    same(threekg_loss(torch.from_numpy(a), who, T), float(np.mean(terms)) if terms else 0)


@pytest.mark.parametrize("views", [2, 4])
def test_dino(views: int) -> None:
    rng = np.random.default_rng(views)
    student, teacher, centre = rng.normal(size=(views, 3, 5)), rng.normal(size=(2, 3, 5)), rng.normal(size=5)
    terms = []
    for t, s in itertools.product(range(2), range(views)):
        for i in range(3) if s != t else ():
            q = np.exp(student[s, i] / 0.1) / np.exp(student[s, i] / 0.1).sum()
            p = np.exp((teacher[t, i] - centre) / 0.2) / np.exp((teacher[t, i] - centre) / 0.2).sum()
            terms.append(-(p * np.log(q)).sum())
    assert len(terms) == 3 * (2 * views - 2)
    same(dino_loss(*tensors(student, teacher, centre), (0.1, 0.2)), float(np.mean(terms)))


def test_a_centre_of_constant_logits_converges() -> None:
    centre = Centre(2)
    for _ in range(5):
        centre.collect(torch.ones(2, 3, 2))
        centre.update()
    torch.testing.assert_close(centre.value, torch.full((2,), 1 - 0.9**5))
    centre.update()  # nothing was collected
    torch.testing.assert_close(centre.value, torch.full((2,), 1 - 0.9**5))


@pytest.mark.parametrize("beta", [0.0, 0.5, 2.0])
def test_data2vec_leaves_padding_out(beta: float) -> None:
    layers, x, *_ = drawn(3, 2, 3, 6, 4)  # two layers, three records, six tokens
    lengths = [6, 4, 2]
    real = torch.arange(6) < torch.tensor(lengths)[:, None]
    found = layer_targets(torch.from_numpy(layers), "instance", real)
    for b, n in enumerate(lengths):
        part = layers[:, b, :n]
        expected = ((part - part.mean(1, keepdims=True)) / np.sqrt(part.var(1, keepdims=True) + 1e-5)).mean(0)
        np.testing.assert_allclose(found[b, :n], expected, atol=1e-9)
    e = x[0] - x[1]
    d = e**2 if beta == 0 else np.where(abs(e) < beta, e**2 / (2 * max(beta, 1e-9)), abs(e) - beta / 2)
    np.testing.assert_allclose(token_errors(*tensors(x[0], x[1]), beta), d.sum(-1) / 2)


def test_losses_of_later_steps() -> None:
    B, S, D, M, k = 2, 6, 3, 4, 2
    rng = np.random.default_rng(0)
    z, p, negatives = rng.normal(size=(B, S, D)), rng.normal(size=(B, S - k, D)), rng.normal(size=(B, S - k, M, D))
    found = ahead_contrast(*tensors(p, z, negatives), k)
    for b, t in itertools.product(range(B), range(S - k)):
        same(found[b, t], cross_entropy([p[b, t] @ z[b, t + k], *(p[b, t] @ x for x in negatives[b, t])], 0))
    later, predicted = rng.normal(size=(2, 4, 3, D))  # four records, three distances
    terms = [cross_entropy([later[i, k] @ predicted[j, k] for j in range(4)], i) for i in range(4) for k in range(3)]
    same(temporal_contrast(*tensors(later, predicted)), float(np.mean(terms)))


def test_prediction_of_codes() -> None:
    x, codes, *_ = drawn(4, 5, 3)
    e, T = codes[:4], 0.3
    labels = torch.tensor([0, 3, 1, 1, 2])
    logits = code_logits(*tensors(x, e), T)
    found = code_errors(logits, labels)
    for i, label in enumerate(labels.tolist()):
        same(found[i], cross_entropy([cos(x[i], e[v]) / T for v in range(4)], label))


def test_codes_are_moving_means_of_what_chose_them() -> None:
    rng = np.random.default_rng(0)
    K, B, N, D, V, m = 2, 2, 4, 3, 3, 0.7
    books = Codebooks(K, V, D, m).double()
    sums, counts = books.sums.numpy().copy(), books.counts.numpy().copy()
    for _ in range(3):
        tokens, real = rng.normal(size=(K, B, N, D)), rng.random((B, N)) < 0.8
        found = books(torch.from_numpy(tokens), torch.from_numpy(real)).numpy()
        fresh, used = np.zeros_like(sums), np.zeros_like(counts)
        for layer, b, n in itertools.product(range(K), range(B), range(N)):
            distances = [np.linalg.norm(tokens[layer, b, n] - sums[layer, v] / counts[layer, v]) for v in range(V)]
            assert found[layer, b, n] == int(np.argmin(distances))
            if real[b, n]:
                fresh[layer, found[layer, b, n]] += tokens[layer, b, n]
                used[layer, found[layer, b, n]] += 1
        books.update()
        sums, counts = m * sums + (1 - m) * fresh, m * counts + (1 - m) * used
        np.testing.assert_allclose(books.codes, sums / counts[..., None])
    before = books.counts.clone()
    books.eval()(torch.from_numpy(tokens), torch.from_numpy(real))
    assert torch.equal(books.fresh_counts, torch.zeros(K, V))
    assert torch.equal(books.counts, before)


def test_masked_contrast_leaves_the_same_codes_out() -> None:
    B, M, D, n, T = 2, 4, 3, 5, 0.2
    rng = np.random.default_rng(1)
    p, q = rng.normal(size=(2, B, M, D))
    codes, negatives = rng.integers(2, size=(B, M, 2)), rng.integers(B * M, size=(B, M, n))
    assert any((codes.reshape(-1, 2)[negatives[b, t]] == codes[b, t]).all(1).any() for b in range(B) for t in range(M))
    found = masked_contrast(*tensors(p, q), torch.from_numpy(codes), torch.from_numpy(negatives), T)
    for b, t in itertools.product(range(B), range(M)):
        others = [divmod(int(j), M) for j in negatives[b, t]]
        wrong = [cos(p[b, t], q[i]) / T for i in others if (codes[i] != codes[b, t]).any()]
        same(found[b, t], cross_entropy([cos(p[b, t], q[b, t]) / T, *wrong], 0))
    shares = rng.dirichlet(np.ones(6), size=2)
    expected = sum(math.exp(-sum(x * math.log(x + 1e-7) for x in group)) for group in shares)
    same(perplexity(torch.from_numpy(shares)), expected)
    same(unused(torch.from_numpy(shares)), (12 - expected) / 12)
    same(size_penalty(torch.from_numpy(p)), float(np.mean([x**2 for x in p.ravel()])))


def test_jepa_counts_records_alike() -> None:
    z, t, *_ = drawn(2, 2, 4, 3)
    hidden = np.array([[1, 0, 0, 0], [1, 1, 1, 0]], bool)
    expected = np.mean([np.abs(z[b] - t[b])[hidden[b]].mean() for b in range(2)])
    same(jepa_loss(*tensors(z, t), torch.from_numpy(hidden), "l1"), float(expected))


def test_losses_stay_precise_under_autocast() -> None:
    a, b = (x.float() for x in tensors(*drawn(1, 6, 8)[:2]))
    exact = nt_xent(a, b, 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert nt_xent(a, b, 0.05) == exact
