"""A result keeps its fitted head: opened again it predicts the same numbers, with an encoder that is checked."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from ecgkit.errors import ResultsError, RunError
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.probe.classifier import open_classifier
from ecgkit.evaluation.probe.kept import STATE
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.results.predictions import read_predictions
from ecgkit.evaluation.results.row import HEAD, ROW, load_row
from ecgkit.evaluation.scores.calibrators import Calibration, fit_calibration
from ecgkit.training.run import WEIGHTS
from tests.api.runs import make_run
from tests.evaluation.probing import check_predicts_again

QUICK = ("recipe.epochs=2", "recipe.warmup_epochs=0")
# Head, lead set, weights, settings.
KINDS = {
    "linear": ("linear", "", "", ()),
    "linear-limb": ("linear", "limb", "", ()),
    "knn": ("knn", "", "", ("standardize=true",)),
    "attention-pooling": ("attention-pooling", "", "", QUICK),
    "pma": ("pma", "", "", (*QUICK, "classifier=bn_mlp")),
    "hug": ("hug", "II,V1,V5", "", QUICK),
    "fine-tune": ("fine-tune", "", "", QUICK),
    "fine-tune-hug": ("fine-tune", "II,V1,V5", "", (*QUICK, "head=hug", "inner.levels=groups", "start=probe")),
    "fine-tune-attention-pooling": ("fine-tune", "", "", (*QUICK, "head=attention-pooling")),
    "random-init": ("linear", "", "random-init", ()),
    "scratch": ("linear", "", "scratch", ()),
    "regression": ("linear", "", "", ()),
    "boosting": ("boosting", "limb", "", ("trees=20", "smallest=5")),
    "boosting-regression": ("boosting", "", "random-init", ("trees=20", "smallest=5")),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "stmem", "stmem")


def result_of(kind: str, run: Path, store: Path, out: Path) -> Path:
    head, leads, weights, settings = KINDS[kind]
    encoder = EncoderChoice(method="stmem", weights=weights, preset="tiny") if weights else EncoderChoice(str(run))
    task = "qt" if kind.endswith("regression") else "simulated"
    request = ProbeRequest(
        str(store),
        task,
        encoder,
        head=head,
        leads=leads,
        head_settings=settings,
        epochs=1 if weights == "scratch" else None,
        cache=None,
        device="cpu",
    )
    Probe(request).run(out)
    return out


@pytest.fixture(scope="module")
def linear(run: Path, cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return result_of("linear", run, cohort_store, tmp_path_factory.mktemp("results") / "linear")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "linear"])
def test_a_result_predicts_again(kind: str, run: Path, cohort_store: Path, tmp_path: Path) -> None:
    """The folder alone, and the run that it names, give the numbers that the probe wrote."""
    out = result_of(kind, run, cohort_store, tmp_path / "result")
    row = load_row(out / ROW)
    classifier = check_predicts_again(out, cohort_store)
    assert [output.threshold for output in classifier.kept.outputs] == [
        *(score.threshold for score in row.classes),
        *(None for _ in row.targets),
    ]
    assert classifier.kept.leads == row.leads
    assert (classifier.kept.kind == "numbers") == kind.endswith("regression") == (classifier.calibration is None)


def test_calibration_is_fitted_on_validation(linear: Path) -> None:
    """Both calibrations equal a plain computation on the validation records of the result."""
    found = open_classifier(linear).calibration
    assert found is not None
    val = read_predictions(linear / ROW, "val")
    inside = logit(np.clip(val.predicted, 1e-6, 1 - 1e-6))

    def loss(temperature: float) -> float:
        p = expit(inside / temperature)
        return -float(np.mean(val.targets * np.log(p) + (1 - val.targets) * np.log1p(-p)))

    plain = minimize_scalar(loss, bounds=(0.01, 100), method="bounded", options={"xatol": 1e-8}).x
    assert loss(found.temperature) == pytest.approx(loss(plain), abs=1e-9)
    stepped = found.apply(val.predicted, "isotonic")
    for c in range(val.targets.shape[1]):
        y, p = val.targets[:, c], val.predicted[:, c]
        if y.min() < y.max():
            assert stepped[:, c].mean() == pytest.approx(y.mean())
            assert (np.diff(stepped[np.argsort(p), c]) >= -1e-12).all()
        else:
            np.testing.assert_array_equal(stepped[:, c], p)


def test_a_calibration_of_known_answer() -> None:
    """Logits that are twice too large get T = 2; a file gives the calibration back."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 2))
    targets = (rng.random(logits.shape) < expit(logits)).astype(np.int8)
    fitted = fit_calibration(targets, expit(2 * logits))
    assert fitted.temperature == pytest.approx(2, abs=0.1)
    again = Calibration.of(fitted.arrays())
    for way in ("temperature", "isotonic"):
        np.testing.assert_array_equal(again.apply(expit(logits), way), fitted.apply(expit(logits), way))
    one_sided = fit_calibration(np.zeros((5, 1), np.int8), np.full((5, 1), 0.3))
    np.testing.assert_array_equal(one_sided.apply(np.array([[0.4]]), "isotonic"), [[0.4]])


def test_an_encoder_that_is_gone_or_changed(linear: Path, run: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(linear, tmp_path / "one" / "folder" / "deeper")
    with pytest.raises(RunError, match=r"the encoder of .* is gone: .* does not exist. Name its run folder with --run"):
        open_classifier(alone)
    moved = shutil.copytree(run, tmp_path / "moved")
    open_classifier(alone, run=moved)
    (moved / WEIGHTS).write_bytes((make_run(tmp_path / "other", "stmem", seed=1) / WEIGHTS).read_bytes())
    with pytest.raises(RunError, match="are not those that .* was made with"):
        open_classifier(alone, run=moved)


def test_a_folder_without_a_sound_head(linear: Path, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="does not exist"):
        open_classifier(tmp_path / "none")
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(ResultsError, match=f"run is not a result.*ecgkit probe {run}"):
        open_classifier(run)
    result = shutil.copytree(linear, run / "probes/x")
    with pytest.raises(ResultsError, match=f"Name one of its results, such as {result}"):
        open_classifier(run)
    broken = shutil.copytree(linear, tmp_path / "broken")
    (broken / STATE).write_bytes(b"not tensors")
    with pytest.raises(ResultsError, match="cannot be read"):
        open_classifier(broken)
    (broken / HEAD).unlink()
    with pytest.raises(ResultsError, match="keeps no fitted head"):
        open_classifier(broken)
    assert set(load_file(linear / STATE)) >= {"head.weights", "calibration.temperature"}
