"""Nearest neighbours against plain loops; attention pooling finds what the mean dilutes and does not see padding."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ecgkit.entries import HeadEntry
from ecgkit.errors import ConfigError
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.attention_pooling import (
    AttentionPooling,
    AttentionPoolingConfig,
    AttentionPoolingHead,
)
from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.heads.knn import KnnConfig, KnnHead
from ecgkit.evaluation.heads.settings import head_config
from ecgkit.evaluation.heads.trained import RECIPE
from ecgkit.evaluation.scores.metrics import macro_auroc
from ecgkit.plugins import host


def part(fields: dict[str, np.ndarray], targets: np.ndarray, rows: slice) -> Part:
    chosen = {name: values[rows] for name, values in fields.items()}
    return Part(RecordFeatures(chosen, ("I",), np.ones((len(targets[rows]), 1), bool)), targets[rows])


@pytest.mark.parametrize("standardize", [False, True])
def test_nearest_neighbours_equal_plain_loops(standardize: bool) -> None:
    rng = np.random.default_rng(3)
    kept = (rng.normal(size=(620, 5)) * [1, 2, 3, 1, 1] + 0.5).astype(np.float32)
    x = kept.astype(np.float64)
    y = (x[:, :3] + rng.normal(size=(620, 3)) > 0.5).astype(np.int8)
    train, val, test = (part({"pooled": kept}, y, rows) for rows in (slice(40), slice(40, 320), slice(320, None)))
    config = KnnConfig(k=(1, 7, 500), temperature=(0.1, 1.0), standardize=standardize)
    head = KnnHead(config=config)
    head.fit(train, val)

    def plain(features: np.ndarray, k: int, temperature: float) -> np.ndarray:
        scale = (lambda f: (f - x[:40].mean(0)) / x[:40].std(0)) if standardize else lambda f: f
        known, out = scale(x[:40]), []
        for row in scale(features.astype(np.float64)):
            cosine = [float(row @ other / np.linalg.norm(row) / np.linalg.norm(other)) for other in known]
            nearest = sorted(range(40), key=lambda i: -cosine[i])[:k]
            weights = [np.exp(cosine[i] / temperature) for i in nearest]
            out.append(sum(w * y[i] for w, i in zip(weights, nearest, strict=True)) / sum(weights))
        return np.array(out)

    grid = [(k, t) for k in (1, 7, 40) for t in (0.1, 1.0)]  # of 40 records, no more than 40 are neighbours
    scores = [macro_auroc(val.targets, plain(val.features["pooled"], *at)) for at in grid]
    best = grid[int(np.argmax(scores))]
    choices = head.choices()
    assert choices["chosen"] == f"k = {best[0]}, temperature = {best[1]:g} by macro AUROC on val"
    np.testing.assert_allclose(list(choices["val_macro_auroc"].values()), scores, atol=1e-9)
    np.testing.assert_allclose(head.predict(test.features), plain(test.features["pooled"], *best), atol=1e-9)


def test_settings_of_nearest_neighbours_are_checked() -> None:
    entry = host().get(HeadEntry, "knn")
    assert head_config(entry, ["k=[3]"]).k == (3,)
    for wrong in ("k=[0]", "k=[]", "temperature=[0.0]"):
        with pytest.raises(ConfigError):
            head_config(entry, [wrong])


def test_padding_and_the_order_of_tokens_change_nothing() -> None:
    torch.manual_seed(0)
    pooling = AttentionPooling(12, 3, AttentionPoolingConfig()).eval()
    assert pooling.attention.num_heads == 4  # the most of 8 that divide 12 evenly
    tokens, real = torch.randn(4, 6, 12).half(), torch.ones(4, 6, dtype=torch.bool)
    expected = pooling(tokens, real)
    longer = torch.cat([tokens, 99 * torch.ones(4, 2, 12).half()], dim=1)
    there = torch.cat([real, torch.zeros(4, 2, dtype=torch.bool)], dim=1)
    order = torch.randperm(8)
    torch.testing.assert_close(pooling(longer[:, order], there[:, order]), expected, atol=1e-5, rtol=1e-4)
    assert pooling(tokens, ~real).isfinite().all()


def test_it_finds_a_token_that_the_mean_dilutes() -> None:
    """One token in 30, at any place, says the class; all others are noise, far larger in sum."""
    rng = np.random.default_rng(0)
    R, N, D = 400, 30, 8
    tokens = rng.normal(size=(R, N, D))
    y = rng.integers(0, 2, (R, 1)).astype(np.int8)
    place = rng.integers(0, N, R)
    tokens[np.arange(R), place] = 0
    tokens[np.arange(R), place, 0] = 8.0
    tokens[np.arange(R), place, 1] = 4.0 * (2 * y[:, 0] - 1)
    fields = {"tokens": tokens.astype(np.float16), "token_real": np.ones((R, N), bool)}
    train, val, test = (part(fields, y, rows) for rows in (slice(200), slice(200, 300), slice(300, None)))
    recipe = replace(RECIPE, epochs=25, batch_size=25, lr=5e-3 * 256 / 25, warmup_epochs=1.0)
    head = AttentionPoolingHead(config=AttentionPoolingConfig(recipe=recipe, heads=2))
    head.fit(train, val)
    found = macro_auroc(test.targets, head.predict(test.features))
    mean = np.abs(macro_auroc(test.targets, tokens[300:, :, 1].mean(1, keepdims=True)) - 0.5) + 0.5
    assert found > 0.97
    assert found > mean + 0.05
    again = AttentionPoolingHead(config=AttentionPoolingConfig(recipe=recipe, heads=2))
    again.fit(train, val)
    np.testing.assert_array_equal(again.predict(test.features), head.predict(test.features))
