"""Hub folders: what `ecgkit.load` and a probe read again, with a card, and nothing of the place or the patients."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

import ecgkit as library
from ecgkit.atomic import kind_of
from ecgkit.evaluation.features.encoder import pretrained_encoder
from ecgkit.training.weights import load_weights
from tests.api.runs import make_run
from tests.conftest import synthetic_signal


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("hub") / "my-run", "merl")
    lines = [{"epoch": n, "val_loss": 1 / n} for n in (1, 2, 3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_it_is_loaded_and_probed_again(ecgkit, run: Path, cohort_store: Path, tmp_path: Path) -> None:
    hub, result = tmp_path / "hub", tmp_path / "result"
    probed = ecgkit("probe", run, "--data", cohort_store, "--task", "simulated", "--out", result)
    assert probed.code == 0, probed.err
    done = ecgkit("export", run, "--hub", hub, "--results", result, "--license", "cc-by-4.0")
    assert done.code == 0, done.err
    assert "1 results on the card" in done.out
    assert sorted(p.name for p in hub.iterdir()) == [".ecgkit", "README.md", "config.json", "model.safetensors"]
    signal = synthetic_signal(5000)
    before, after = (library.load(path)(signal, 500, "12", "mV") for path in (run, hub))
    np.testing.assert_array_equal(before.pooled, after.pooled)
    encoder = pretrained_encoder(hub)  # what a probe judges
    assert (encoder.spec, encoder.entry.name) == (library.load(run).spec, "merl")
    first = json.loads((result / "row.json").read_text())
    front, card = (hub / "README.md").read_text().split("---\n", 2)[1:]
    said = yaml.safe_load(front)
    assert (said["license"], said["library_name"], said["datasets"]) == ("cc-by-4.0", "ecgkit", ["simulated"])
    [metric, *_] = said["model-index"][0]["results"][0]["metrics"]
    assert metric == {"type": "auroc", "name": "macro AUROC", "value": first["macro_auroc"]}
    for words in ("## Input", "100 Hz", "## Data", "3 epochs", "lowest 0.3333 in epoch 3", "## Results", "arXiv 2403"):
        assert words in card


def test_it_tells_nothing_of_the_place(ecgkit, run: Path, tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    assert ecgkit("export", run, "--hub", hub).code == 0
    config = json.loads((hub / "config.json").read_text())
    assert (config["model_type"], config["method"]) == ("ecgkit", "merl")
    assert "command" not in config["environment"]
    assert "device" not in config["environment"]
    text = (hub / "config.json").read_text() + (hub / "README.md").read_text()
    assert str(run.parent) not in text
    assert yaml.safe_load((hub / "README.md").read_text().split("---\n")[1])["license"] == "other"


def test_the_encoder_alone_unless_the_whole_is_asked_for(ecgkit, run: Path, tmp_path: Path) -> None:
    for name, options in (("part", []), ("whole", ["--whole"])):
        assert ecgkit("export", run, "--hub", tmp_path / name, *options).code == 0
    part, whole = (load_weights(tmp_path / name / "model.safetensors") for name in ("part", "whole"))
    assert {name.split(".")[0] for name in part} == {"encoder"}
    assert whole.keys() == load_weights(run / "model.safetensors").keys() > part.keys()


def test_only_a_hub_folder_is_replaced(ecgkit, run: Path, tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    assert ecgkit("export", run, "--hub", hub).code == 0
    assert ecgkit("export", run, "--hub", hub).code == 2
    assert ecgkit("export", run, "--hub", hub, "--overwrite").code == 0
    assert kind_of(hub) == "hub model"
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / ".ecgkit").write_text("run\n")
    done = ecgkit("export", hub, "--hub", tmp_path / "run", "--overwrite")
    assert done.code == 2
    assert "is not a hub model and is not replaced" in done.err
