"""One ONNX model of encoder and head takes mV at the stated rate, and gives what `ecgkit predict` gives."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import ecgkit
from ecgkit.entries import TaskEntry
from ecgkit.errors import ConfigError, ResultsError, RunError
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.export.onnx_classifier import Scaling
from ecgkit.ingestion import IngestOptions, ingest
from ecgkit.plugins import host
from ecgkit.signal.normalize import normalize
from ecgkit.simulate import simulate_cohort
from ecgkit.tasks.loading import load_task
from tests.api.runs import make_run

QUICK = ("recipe.epochs=2", "recipe.warmup_epochs=0")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "stmem", "stmem")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort at the rate of the model, so that its signals are the input of the ONNX model."""
    folder = tmp_path_factory.mktemp("cohort")
    simulate_cohort(folder / "files", records=48, seed=3)
    ingest(folder / "files", folder / "few.zarr", IngestOptions(fs=250))
    return folder / "few.zarr"


SLOW = [pytest.mark.slow]
ONE_EPOCH = ("recipe.epochs=1", "recipe.warmup_epochs=0")
SCRATCH = EncoderChoice(method="stmem", weights="scratch", preset="tiny", settings=("depth=1",))


@pytest.mark.parametrize(
    ("head", "asked"),
    [
        ("linear", {}),
        ("linear", {"task": "age"}),  # ridge regression
        pytest.param("attention-pooling", {"leads": "I,II,V2", "head_settings": QUICK}, marks=SLOW),
        pytest.param("hug", {"leads": "I,II,V2", "head_settings": QUICK}, marks=SLOW),
        pytest.param("pma", {"head_settings": QUICK}, marks=SLOW),
        pytest.param("ppa", {"head_settings": QUICK}, marks=SLOW),
        pytest.param("fine-tune", {"head_settings": ONE_EPOCH}, marks=SLOW),
        pytest.param("fine-tune", {"head_settings": (*ONE_EPOCH, "head=hug")}, marks=SLOW),
        pytest.param("linear", {"encoder": SCRATCH, "epochs": 1}, marks=SLOW),
    ],
)
def test_the_model_predicts(head: str, asked: dict[str, Any], run: Path, store: Path, tmp_path: Path) -> None:
    wanted = {"task": "simulated", "encoder": EncoderChoice(str(run)), **asked}
    Probe(ProbeRequest(str(store), head=head, cache=None, device="cpu", **wanted)).run(tmp_path / "result")
    made = ecgkit.export_encoder(tmp_path / "result", onnx=tmp_path / "model.onnx")
    assert made.onnx is not None
    assert made.onnx.difference <= 1e-4
    about = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    names, samples = json.loads(about["leads"]), int(about["samples"])
    assert (about["fs"], about["unit"], samples) == ("250", "mV", 2500)
    records = ecgkit.open_store(store)
    whole = [n for n in range(len(records)) if np.isfinite(records[n].signal).all()][:8]
    signal = np.stack(
        [records[n].signal[[records[n].leads.index(name) for name in names], :samples] for n in whole]
    ).astype(np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"signal": signal})
    predicted = ecgkit.predict(tmp_path / "result", data=store, device="cpu")
    expected = predicted.table[[f"p_{name}" for name in json.loads(about["classes"])]].to_numpy()[whole]
    # As docs/export.md promises: predicted numbers above 1 are compared relative to them.
    assert (np.abs(found - expected) <= 1e-4 * np.maximum(1, np.abs(expected))).all()
    if not asked:
        with pytest.raises(ConfigError, match="the head was fitted with leads of its own"):
            ecgkit.export_encoder(tmp_path / "result", onnx=tmp_path / "other.onnx", leads="I")


@pytest.mark.slow
def test_the_own_classifier_of_an_encoder_predicts(store: Path, tmp_path: Path) -> None:
    classes = tuple(load_task(host().get(TaskEntry, "simulated")).labels)
    run = make_run(tmp_path / "run", "inception1d", classes=classes)
    Probe(ProbeRequest(str(store), "simulated", EncoderChoice(str(run)), head="own", cache=None, device="cpu")).run(
        tmp_path / "result"
    )
    made = ecgkit.export_encoder(tmp_path / "result", onnx=tmp_path / "model.onnx")
    assert made.onnx is not None and made.onnx.difference <= 1e-4


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ("knn", "it compares each record with the training records"),
        ("prevalence", "it reads nothing of the record"),
        ("boosting", "its trees jump at thresholds"),
    ],
)
def test_a_head_that_is_no_module_is_refused(head: str, why: str, run: Path, store: Path, tmp_path: Path) -> None:
    Probe(ProbeRequest(str(store), "simulated", EncoderChoice(str(run)), head=head, cache=None, device="cpu")).run(
        tmp_path / "result"
    )
    with pytest.raises(RunError, match=f"the head {head} cannot be exported: {why}.*ecgkit export RUN"):
        ecgkit.export_encoder(tmp_path / "result", onnx=tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_no_run_is_named_for_a_baseline_that_has_none(store: Path, tmp_path: Path) -> None:
    encoder = EncoderChoice(method="class_prevalence", weights="none")
    Probe(ProbeRequest(str(store), "simulated", encoder, head="prevalence", cache=None)).run(tmp_path / "result")
    with pytest.raises(RunError, match=r"reads nothing of the record. Use 'ecgkit predict'\.$"):
        ecgkit.export_encoder(tmp_path / "result", onnx=tmp_path / "model.onnx")


def test_a_result_without_its_head_is_refused(run: Path, store: Path, tmp_path: Path) -> None:
    encoder = EncoderChoice(str(run))
    request = ProbeRequest(
        str(store), "simulated", encoder, head="prevalence", cache=None, device="cpu", keep_head=False
    )
    Probe(request).run(tmp_path / "result")
    with pytest.raises(ResultsError, match="keeps no fitted head"):
        ecgkit.export_encoder(tmp_path / "result", onnx=tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "how",
    ["none", "record-zscore", "lead-zscore", "record-minmax", "lead-minmax", "record-symmetric", "lead-symmetric"],
)
def test_scaling_equals_numpy(how: str) -> None:
    """Constant leads and constant records included."""
    signal = np.random.default_rng(0).normal(size=(3, 2, 50)).astype(np.float32)
    signal[1, 1], signal[2] = 4, 0.3
    np.testing.assert_allclose(Scaling(how)(torch.from_numpy(signal)), normalize(signal, how), atol=2e-6)
