"""The feature cache: what it gives equals what the encoder gives, and nothing stale or damaged comes from it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ecgkit.entries import HeadEntry, MethodEntry, TaskEntry
from ecgkit.errors import RunError
from ecgkit.evaluation.features import cache as feature_cache
from ecgkit.evaluation.features import extract as features
from ecgkit.evaluation.features.cache import FeatureCache, cache_folder
from ecgkit.evaluation.features.encoder import Subject, untrained_subject
from ecgkit.evaluation.features.extract import extract
from ecgkit.evaluation.probe.options import ProbeOptions
from ecgkit.evaluation.probe.prepare import probe
from ecgkit.evaluation.studies.layers import study_layers
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from ecgkit.tasks.data import task_data
from ecgkit.tasks.loading import load_task
from tests.training.test_training import SMALL


@pytest.fixture
def subject() -> Subject:
    return untrained_subject(host().get(MethodEntry, "stmem"), "tiny", SMALL, weights="random-init", seed=0)


@pytest.fixture
def store(cohort_store: Path) -> Store:
    return Store(cohort_store)


@pytest.fixture
def view(store: Store) -> View:
    return open_view(store, SMALL.signal)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records were encoded, one number a time."""
    counts: list[int] = []

    def counting(encoder, view, rows, *args, **settings):
        counts.append(len(rows))
        return extract(encoder, view, rows, *args, **settings)

    monkeypatch.setattr(feature_cache, "extract", counting)
    return counts


def test_only_new_rows_and_new_features_are_encoded(
    subject: Subject, store: Store, view: View, tmp_path: Path, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "SHARE", 8)
    cache = FeatureCache(tmp_path / "c")

    def ask(rows: list[int], *needs: str, also: tuple[str, ...] = ()) -> None:
        rows_ = np.array(rows)
        got = cache.extract(subject.encoder, SMALL, store, view, rows_, needs, also=also)
        plain = extract(subject.encoder, view, rows_, needs)
        assert set(got.fields) == set(plain.fields)
        for name in got.fields:
            np.testing.assert_allclose(
                got[name].astype(float), plain[name].astype(float), atol=2e-3 if name == "tokens" else 1e-5
            )
            assert got[name].dtype == plain[name].dtype
        assert (got.present == plain.present).all()
        assert got.leads == plain.leads

    ask([30, 2, 7, *range(40, 50)], "pooled")
    assert encoded == [8, 5]
    ask([7, 30], "pooled")
    assert encoded == [8, 5]
    ask([7, 3, 30, 1], "pooled", also=("per_lead",))
    assert encoded == [8, 5, 2]
    ask([3, 1], "per_lead")  # was kept on the way
    assert encoded == [8, 5, 2]
    ask([3, 1, 7], "pooled", "per_lead")
    assert encoded == [8, 5, 2, 1]
    ask([5, 3], "tokens")
    assert encoded == [8, 5, 2, 1, 2]
    ask([3, 5], "tokens")
    assert encoded == [8, 5, 2, 1, 2]


def test_a_damaged_file_is_found_and_remade(
    subject: Subject, store: Store, view: View, tmp_path: Path, encoded: list[int]
) -> None:
    cache, rows = FeatureCache(tmp_path), np.arange(6)
    first = cache.extract(subject.encoder, SMALL, store, view, rows)["pooled"]
    (file,) = tmp_path.rglob("*.safetensors")
    whole = file.read_bytes()
    # One bit of a feature: safetensors itself would read it without a word.
    for broken in (whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:], whole[:100], b""):
        file.write_bytes(broken)
        again = cache.extract(subject.encoder, SMALL, store, view, rows)["pooled"]
        np.testing.assert_array_equal(again, first)
        assert file.read_bytes() == whole
    assert encoded == [6, 6, 6, 6]


def test_whatever_changes_the_features_changes_the_key(
    subject: Subject, store: Store, view: View, tmp_path: Path, encoded: list[int]
) -> None:
    cache, rows = FeatureCache(tmp_path), np.arange(4)

    def ask(encoder: torch.nn.Module, config: object, view: View) -> int:
        cache.extract(encoder, config, store, view, rows)
        return len(encoded)

    other = untrained_subject(subject.entry, "tiny", SMALL, weights="random-init", seed=1)
    same = untrained_subject(subject.entry, "tiny", SMALL, weights="random-init", seed=0)
    assert ask(subject.encoder, SMALL, view) == 1
    assert ask(same.encoder, SMALL, view) == 1
    assert ask(other.encoder, SMALL, view) == 2
    assert ask(subject.encoder, replace(SMALL, mask_ratio=0.5), view) == 3
    assert ask(subject.encoder, SMALL, view.only(["I"])) == 4
    with torch.no_grad():
        next(same.encoder.parameters()).add_(1e-6)
    assert ask(same.encoder, SMALL, view) == 5
    assert ask(subject.encoder, SMALL, view) == 5


def test_what_the_encoder_reads_besides_the_signal_is_in_the_key(store: Store, view: View, subject: Subject) -> None:
    class Ages:
        def __init__(self, first: float) -> None:
            self.values = torch.zeros(len(store), 2)
            self.values[0, 0] = first

        def at(self, rows: np.ndarray, starts: np.ndarray) -> torch.Tensor:
            return self.values[torch.from_numpy(rows)]

    keys = [
        feature_cache.key_of(subject.encoder, SMALL, store, view, {"demographics": Ages(first)}) for first in (0, 0, 1)
    ]
    assert keys[0] == keys[1]
    assert keys[0] != keys[2]


def test_tokens_that_would_not_fit_are_refused_before_they_are_made(
    subject: Subject, store: Store, view: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "LARGEST", 1000)
    with pytest.raises(RunError, match="tokens of 30 records"):
        extract(subject.encoder, view, np.arange(30), ["tokens"])
    with pytest.raises(RunError, match="tokens of 30 records"):
        FeatureCache(tmp_path).extract(subject.encoder, SMALL, store, view, np.arange(30), ["tokens"])
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_probe_from_the_cache_gives_the_same_row(
    subject: Subject, store: Store, tmp_path: Path, encoded: list[int]
) -> None:
    task, head = host().get(TaskEntry, "simulated"), host().get(HeadEntry, "linear")
    plain, first, again = (
        probe(subject, store, task, head, tmp_path / name, ProbeOptions(cache=cache))
        for name, cache in (("plain", None), ("first", tmp_path / "c"), ("again", tmp_path / "c"))
    )
    assert len(encoded) == 2, "without a cache, and to fill it"
    assert plain.classes == first.classes == again.classes


def test_a_study_of_layers_shares_the_cache_with_heads_on_layers(
    subject: Subject, store: Store, view: View, tmp_path: Path, encoded: list[int]
) -> None:
    data = task_data(load_task(host().get(TaskEntry, "simulated")), "simulated", store, view.usable)
    plain = study_layers(subject, store, data)
    assert len(encoded) == 1
    cache = tmp_path / "c"
    FeatureCache(cache).extract(subject.encoder, subject.config, store, view, data.rows, ("layers", "pooled"))
    kept = study_layers(subject, store, data, cache=cache)
    assert len(encoded) == 2, "what another head had made serves"
    pd.testing.assert_frame_equal(kept.table, plain.table)
    assert kept.table["entropy"].notna().all()


def test_where_features_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECGKIT_CACHE", raising=False)
    assert cache_folder(tmp_path / "runs" / "new") == tmp_path / "runs" / "new" / "features"
    monkeypatch.setenv("ECGKIT_CACHE", str(tmp_path / "e"))
    assert cache_folder(tmp_path) == tmp_path / "e" / "features"
    assert cache_folder(tmp_path, tmp_path / "asked") == tmp_path / "asked"
