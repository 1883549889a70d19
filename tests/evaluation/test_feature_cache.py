"""The feature cache: what it gives equals what the encoder gives, and nothing stale or damaged comes from it."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ecgkit.entries import MethodEntry
from ecgkit.errors import RunError
from ecgkit.evaluation.analyses.layers import analyse_layers
from ecgkit.evaluation.features import cache as feature_cache
from ecgkit.evaluation.features import extract as features
from ecgkit.evaluation.features.cache import FeatureCache, cache_folder
from ecgkit.evaluation.features.encoder import EncoderChoice, ProbedEncoder, untrained_encoder
from ecgkit.evaluation.features.extract import extract
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.lock import hold
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from tests.evaluation.probing import probe
from tests.training.test_training import SMALL


@pytest.fixture
def encoder() -> ProbedEncoder:
    return untrained_encoder(host().get(MethodEntry, "stmem"), "tiny", SMALL, weights="random-init", seed=0)


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
    encoder: ProbedEncoder,
    store: Store,
    view: View,
    tmp_path: Path,
    encoded: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feature_cache, "SHARE", 8)
    cache = FeatureCache(tmp_path / "c")

    def ask(rows: list[int], *needs: str, also: tuple[str, ...] = ()) -> None:
        rows_ = np.array(rows)
        got = cache.extract(encoder.encoder, SMALL, store, view, rows_, needs, also=also)
        plain = extract(encoder.encoder, view, rows_, needs)
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


def test_methods_with_one_encoder_share_its_features(store: Store, tmp_path: Path, encoded: list[int]) -> None:
    """SimCLR and VICReg differ in their losses and heads only; an encoder of another width or contract is another."""
    rows = np.arange(4)

    def encode(method: str, settings: tuple[str, ...] = (), seed: int = 0) -> np.ndarray:
        choice = EncoderChoice(method=method, weights="random-init", preset="tiny", settings=settings)
        opened = choice.open(seed)
        view = open_view(store, opened.spec)
        return FeatureCache(tmp_path).extract(opened.loaded(), opened.config, store, view, rows)["pooled"]

    np.testing.assert_array_equal(encode("simclr"), encode("vicreg"))
    assert encoded == [4]
    assert np.abs(encode("simclr", seed=1) - encode("simclr")).max() > 0
    encode("simclr", ("channels=24",))
    encode("simclr", ("signal.eval_starts=[0]", "signal.seconds=5"))
    assert encoded == [4] * 4


def test_stopped_between_two_files_the_same_call_goes_on(
    encoder: ProbedEncoder,
    store: Store,
    view: View,
    tmp_path: Path,
    encoded: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feature_cache, "SHARE", 4)
    rows = np.arange(12)
    undisturbed = FeatureCache(tmp_path / "a").extract(encoder.encoder, SMALL, store, view, rows)["pooled"]
    counting = feature_cache.extract

    def stopped(*arguments, **settings):
        if len(encoded) == 5:
            raise KeyboardInterrupt
        return counting(*arguments, **settings)

    cache = FeatureCache(tmp_path / "b")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(feature_cache, "extract", stopped)
        cache.extract(encoder.encoder, SMALL, store, view, rows)
    again = cache.extract(encoder.encoder, SMALL, store, view, rows)["pooled"]
    assert encoded == [4] * 6, "what was done is not done again"
    np.testing.assert_array_equal(again, undisturbed)


def test_who_needs_features_that_another_makes_waits_for_them(
    encoder: ProbedEncoder, store: Store, view: View, tmp_path: Path, encoded: list[int]
) -> None:
    cache, rows = FeatureCache(tmp_path), np.arange(4)
    key = feature_cache.fingerprint(feature_cache.key_of(encoder.encoder, SMALL, store, view, {}))
    other = threading.Thread(target=cache.extract, args=(encoder.encoder, SMALL, store, view, rows))
    with hold(tmp_path / key / ".lock", tmp_path):
        other.start()
        other.join(0.3)
        assert other.is_alive() and not encoded
    cache.extract(encoder.encoder, SMALL, store, view, rows)
    other.join(10)
    assert encoded == [4], "one of the two encoded them"


def test_a_damaged_file_is_found_and_remade(
    encoder: ProbedEncoder, store: Store, view: View, tmp_path: Path, encoded: list[int]
) -> None:
    cache, rows = FeatureCache(tmp_path), np.arange(6)
    first = cache.extract(encoder.encoder, SMALL, store, view, rows)["pooled"]
    (file,) = tmp_path.rglob("*.safetensors")
    whole = file.read_bytes()
    # One bit of a feature: safetensors itself would read it without a word.
    for broken in (whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:], whole[:100], b""):
        file.write_bytes(broken)
        again = cache.extract(encoder.encoder, SMALL, store, view, rows)["pooled"]
        np.testing.assert_array_equal(again, first)
        assert file.read_bytes() == whole
    assert encoded == [6, 6, 6, 6]


def test_whatever_changes_the_features_changes_the_key(
    encoder: ProbedEncoder, store: Store, view: View, tmp_path: Path, encoded: list[int]
) -> None:
    cache, rows = FeatureCache(tmp_path), np.arange(4)

    def ask(encoder: torch.nn.Module, config: object, view: View) -> int:
        cache.extract(encoder, config, store, view, rows)
        return len(encoded)

    other = untrained_encoder(encoder.entry, "tiny", SMALL, weights="random-init", seed=1)
    same = untrained_encoder(encoder.entry, "tiny", SMALL, weights="random-init", seed=0)
    assert ask(encoder.encoder, SMALL, view) == 1
    assert ask(same.encoder, SMALL, view) == 1
    assert ask(other.encoder, SMALL, view) == 2
    assert ask(encoder.encoder, replace(SMALL, mask_ratio=0.5), view) == 3
    assert ask(encoder.encoder, SMALL, view.only(["I"])) == 4
    with torch.no_grad():
        next(same.encoder.parameters()).add_(1e-6)
    assert ask(same.encoder, SMALL, view) == 5
    assert ask(encoder.encoder, SMALL, view) == 5


def test_what_the_encoder_reads_besides_the_signal_is_in_the_key(
    store: Store, view: View, encoder: ProbedEncoder
) -> None:
    class Ages:
        def __init__(self, first: float) -> None:
            self.values = torch.zeros(len(store), 2)
            self.values[0, 0] = first

        def at(self, rows: np.ndarray, starts: np.ndarray) -> torch.Tensor:
            return self.values[torch.from_numpy(rows)]

    keys = [
        feature_cache.key_of(encoder.encoder, SMALL, store, view, {"demographics": Ages(first)}) for first in (0, 0, 1)
    ]
    assert keys[0] == keys[1]
    assert keys[0] != keys[2]


def test_tokens_that_would_not_fit_are_refused_before_they_are_made(
    encoder: ProbedEncoder, store: Store, view: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "LARGEST", 1000)
    with pytest.raises(RunError, match="tokens of 30 records"):
        extract(encoder.encoder, view, np.arange(30), ["tokens"])
    with pytest.raises(RunError, match="tokens of 30 records"):
        FeatureCache(tmp_path).extract(encoder.encoder, SMALL, store, view, np.arange(30), ["tokens"])
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_probe_from_the_cache_gives_the_same_row(
    encoder: ProbedEncoder, store: Store, tmp_path: Path, encoded: list[int]
) -> None:
    plain, first, again = (
        probe(encoder, store, "simulated", tmp_path / name, cache=cache)
        for name, cache in (("plain", None), ("first", str(tmp_path / "c")), ("again", str(tmp_path / "c")))
    )
    assert len(encoded) == 2, "without a cache, and to fill it"
    assert plain.classes == first.classes == again.classes


def test_a_study_of_layers_shares_the_cache_with_heads_on_layers(
    encoder: ProbedEncoder, store: Store, view: View, tmp_path: Path, encoded: list[int]
) -> None:
    asked = ProbeRequest(str(store.path), "simulated")
    plain = analyse_layers(Probe(asked, encoder))
    assert len(encoded) == 1
    cache, rows = tmp_path / "c", Probe(asked, encoder).data.rows
    FeatureCache(cache).extract(encoder.encoder, encoder.config, store, view, rows, ("layers", "pooled"))
    kept = analyse_layers(Probe(ProbeRequest(str(store.path), "simulated", cache=str(cache)), encoder))
    assert len(encoded) == 2, "what another head had made serves"
    pd.testing.assert_frame_equal(kept.table, plain.table)
    assert kept.table["entropy"].notna().all()


def test_where_features_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ECGKIT_CACHE", raising=False)
    assert cache_folder(tmp_path / "runs" / "new") == tmp_path / "runs" / "new" / "features"
    monkeypatch.setenv("ECGKIT_CACHE", str(tmp_path / "e"))
    assert cache_folder(tmp_path) == tmp_path / "e" / "features"
    assert cache_folder(tmp_path, tmp_path / "asked") == tmp_path / "asked"


@pytest.mark.slow
def test_several_processes_write_the_files_of_one(
    cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "SHARE", 32)
    settings = ("width=16", "depth=1", "heads=1", "head_width=16", "signal.eval_starts=[0.5]")
    choice = EncoderChoice(method="stmem", weights="random-init", preset="tiny", settings=settings)
    request = ProbeRequest(str(cohort_store), "simulated", choice, device="cpu", cache=str(tmp_path / "one"))
    one = Probe(request).run(tmp_path / "a")

    def here(*_: object, **__: object) -> None:
        pytest.fail("this process encodes records")

    monkeypatch.setattr(feature_cache, "extract", here)
    told: list[tuple[str, int, int]] = []
    several = replace(request, workers=2, cache=str(tmp_path / "two"))
    two = Probe(several, progress=lambda *news: told.append(news)).run(tmp_path / "b")
    assert two.classes == one.classes
    files = [
        {p.name: p.read_bytes() for p in folder.rglob("*.safetensors")}
        for folder in map(Path, (tmp_path / "one", tmp_path / "two"))
    ]
    assert len(files[0]) > 2
    assert files[0] == files[1]
    counts = [done for stage, done, _ in told if stage == "features"]
    assert counts == sorted(counts)
    assert len(counts) == len(files[0])
