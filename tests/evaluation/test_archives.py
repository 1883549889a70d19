"""A probe names the archives that pretraining and test share."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ecgkit.evaluation.features.encoder import _archives
from ecgkit.evaluation.probe.leaks import archive_warnings
from ecgkit.ingestion import ingest
from ecgkit.simulate import simulate_cohort
from ecgkit.store.reader import Store


def warnings(pretrained: tuple[str, ...], tested: tuple[str, ...], *, same: bool = False) -> tuple[str, ...]:
    encoder = SimpleNamespace(archives=pretrained, store="a")
    store = SimpleNamespace(archives=tested, hashes={"store": "a" if same else "b"})
    return archive_warnings(cast(Any, encoder), cast(Any, store))


def test_both_archives_are_named() -> None:
    (warning,) = warnings(("cinc2021",), ("ptb-xl",))
    assert "pretraining used cinc2021 and the test uses ptb-xl, which share recordings" in warning
    (warning,) = warnings(("ptb-xl",), ("ptb-xl",))
    assert "both use ptb-xl" in warning


@pytest.mark.parametrize(("pretrained", "tested"), [(("mimic-iv-ecg",), ("ptb-xl",)), (("wfdb",), ("wfdb",)), ((), ())])
def test_other_archives_are_not(pretrained: tuple[str, ...], tested: tuple[str, ...]) -> None:
    assert warnings(pretrained, tested) == ()


def test_one_store_has_folds_of_its_own() -> None:
    assert warnings(("ptb-xl",), ("ptb-xl",), same=True) == ()


def test_the_archives_of_parents_count() -> None:
    details = {
        "store": {"dataset": "mimic-iv-ecg", "archives": ["mimic-iv-ecg"]},
        "built_on": [{"run": "r", "archives": ["ptb-xl"], "built_on": [{"run": "q", "archives": ["georgia"]}]}],
    }
    assert _archives(details) == ("mimic-iv-ecg", "ptb-xl", "georgia")
    assert _archives({"store": {"dataset": "ptb-xl"}}) == ("ptb-xl",)
    assert _archives({}) == ()


@pytest.mark.slow
def test_a_probe_of_an_archive_of_the_pretraining_warns_in_its_result(
    ecgkit, cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECGKIT_PRETRAIN_SETTINGS", "depth=1 width=32 heads=2 decoder_depth=1")
    monkeypatch.setenv("ECGKIT_PRETRAIN_EPOCHS", "1")
    monkeypatch.setenv("ECGKIT_PRETRAIN_WORKERS", "0")
    simulate_cohort(tmp_path / "cohort", records=24, seed=8)  # laid out as MIMIC-IV-ECG, as the other cohort is
    ingest(tmp_path / "cohort", tmp_path / "other.zarr")
    assert Store(tmp_path / "other.zarr").archives == Store(cohort_store).archives == ("mimic-iv-ecg",)
    run = tmp_path / "run"
    done = ecgkit("pretrain", "--method", "stmem", "--preset", "tiny", "--data", tmp_path / "other.zarr", "--out", run)
    assert done.code == 0, done.err
    done = ecgkit("probe", run, "--data", cohort_store, "--task", "simulated", "--out", tmp_path / "probe", "--json")
    assert done.code == 0, done.err
    warning = "pretraining and test both use mimic-iv-ecg: the same recordings may be in both"
    assert warning in done.out and json.loads(done.out)
    assert any(warning in file.read_text() for file in (tmp_path / "probe").rglob("*.json"))
