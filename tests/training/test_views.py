"""Augmented views of a batch: what they depend on, and a training with them that stops and goes on."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecgkit.entries import AugmentationEntry
from ecgkit.errors import ConfigError, PluginError, RunError
from ecgkit.methods import Batch
from ecgkit.plugins import Host
from ecgkit.signal.augment.base import Layout
from ecgkit.signal.augment.views import Augment, Pipeline, Views
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.training.data import Epochs, Supplies, Windows, evaluation_starts
from ecgkit.training.loop import Watcher
from ecgkit.training.views import AugmentedViews, views_of
from tests.training.standins import PairConfig, ViewConfig, assert_equal, train

NOISE = Augment("gauss", settings={"sigma": 0.5})


def batches_of(store: Path, config: Any, seed: int = 0) -> tuple[Epochs, Windows]:
    view = open_view(Store(store), config.signal)
    supplies: Supplies = views_of(config, seed)
    return Epochs(view, seed, supplies), Windows(view, evaluation_starts(view, 0), supplies)


ROWS = np.arange(4)


def views(batch: Batch) -> torch.Tensor:
    return torch.stack([view.signal for view in batch.views])


def test_views_depend_on_epoch_record_and_view_alone(cohort_store: Path) -> None:
    config = ViewConfig()
    epochs, _ = batches_of(cohort_store, config)
    first = views(epochs[0, ROWS])
    again, _ = batches_of(cohort_store, config)
    assert torch.equal(views(again[0, ROWS[::-1].copy()]).flip(1), first)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(views(epochs[1, ROWS]), first)
    other, _ = batches_of(cohort_store, config, seed=1)
    assert not torch.equal(views(other[0, ROWS]), first)


def test_validation_sees_the_same_views_each_time(cohort_store: Path) -> None:
    _, windows = batches_of(cohort_store, ViewConfig())
    assert torch.equal(views(windows[ROWS]), views(windows[ROWS]))


def test_without_augmentations_views_are_the_crop(cohort_store: Path) -> None:
    config = ViewConfig(views=Views(count=3, augmentations=()))
    epochs, _ = batches_of(cohort_store, config)
    batch = epochs[0, ROWS]
    assert len(batch.views) == 3
    for view in batch.views:
        assert torch.equal(view.signal, batch.signal)
        assert torch.equal(view.rows, batch.rows)


def test_an_augmentation_of_one_view_leaves_the_other(cohort_store: Path) -> None:
    config = ViewConfig(views=Views(augmentations=(replace(NOISE, views=(1,)),)))
    epochs, _ = batches_of(cohort_store, config)
    batch = epochs[0, ROWS]
    weak, strong = batch.views
    assert torch.equal(weak.signal, batch.signal)
    assert (strong.signal - batch.signal).std() == pytest.approx(0.5, rel=0.05)


def test_views_of_their_own_crops_differ(cohort_store: Path) -> None:
    spec = SignalSpec(fs=100, seconds=2, window=10)
    config = ViewConfig(signal=spec, views=Views(crops="own", augmentations=()))
    epochs, windows = batches_of(cohort_store, config)
    first, second = epochs[0, ROWS].views
    assert not torch.equal(first.signal, second.signal)
    whole = open_view(Store(cohort_store), spec)
    starts = windows.starts
    crops = {Windows(whole, np.full_like(starts, s))[ROWS[:1]].signal.numpy().tobytes() for s in range(801)}
    assert first.signal[:1].numpy().tobytes() in crops
    fixed = replace(config, signal=replace(spec, crop="start"))
    for view in batches_of(cohort_store, fixed)[0][0, ROWS].views:
        assert torch.equal(view.signal, windows[ROWS].signal)


def test_padding_stays_zero() -> None:
    spec = SignalSpec(fs=100, seconds=2, window=2, leads=("I", "II"))
    maker = AugmentedViews(Pipeline(Views(augmentations=(NOISE,))), spec)
    crops, lengths = torch.zeros(3, 2, 200), np.array([200, 120, 0])
    made = maker.of(ROWS[:3], spec.leads, np.zeros(3, np.int64), (crops, lengths), lambda starts: (crops, lengths))
    for views_, length in zip(made, lengths, strict=True):
        assert views_[:, :, :length].abs().min() > 0 if length else True
        assert not views_[:, :, length:].any()


def test_probability_is_how_often_an_augmentation_is_applied() -> None:
    pipeline = Pipeline(Views(augmentations=(replace(NOISE, probability=0.3),)))
    x, layout = np.zeros((1, 8)), Layout(("I",), 8, 100.0)
    changed = [pipeline(x, layout, 0, [seed]).any() for seed in range(400)]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.06)


def test_mistakes_in_a_config_are_named() -> None:
    for augment, error, words in (
        (Augment("gaus"), PluginError, "Did you mean 'gauss'"),
        (Augment("gauss", settings={"sgma": 1}), ConfigError, "augmentation gauss: unknown key 'sgma'"),
        (Augment("gauss", settings={"sigma": "much"}), ConfigError, "augmentation gauss: sigma = 'much'"),
    ):
        with pytest.raises(error, match=words):
            views_of(ViewConfig(views=Views(augmentations=(augment,))))
    with pytest.raises(ValueError, match="between 0 and 1"):
        Augment("gauss", 1.5)
    with pytest.raises(ValueError, match="2 views are numbered from 0"):
        Views(augmentations=(replace(NOISE, views=(2,)),))


def test_an_augmentation_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = AugmentationEntry(name="gauss", summary="no augmentation", target="ecgkit.signal.augment.noise:gauss")
    monkeypatch.setattr(Host, "get", lambda self, kind, name: entry)
    with pytest.raises(ConfigError, match="a subclass of Augmentation"):
        views_of(ViewConfig(views=Views(augmentations=(NOISE,))))


def test_a_batch_without_views_says_how_to_get_them(cohort_store: Path) -> None:
    epochs, _ = batches_of(cohort_store, PairConfig())
    with pytest.raises(RunError, match="views: Views"):
        _ = epochs[0, ROWS].views


def test_views_change_neither_with_workers_nor_with_a_stop(cohort_store: Path, tmp_path: Path) -> None:
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    train(cohort_store, straight, "TwoViews", ViewConfig(), workers=0)

    def step(done: int, total: int) -> None:
        if done == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(cohort_store, stopped, "TwoViews", ViewConfig(), workers=1, watcher=Watcher(step=step))
    train(cohort_store, stopped, "TwoViews", ViewConfig(), workers=0, resume=True)
    assert_equal(stopped, straight)
