"""ONNX: every family's outputs equal torch's in onnxruntime, at any batch, and the contract travels with the file."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import ecgkit as library
from ecgkit.config import to_dict
from ecgkit.errors import RunError
from ecgkit.export.onnx import TOLERANCE, export_onnx
from tests.api.runs import FAMILIES, make_run
from tests.conftest import synthetic_signal


def session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def merl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("export") / "merl", "merl")


COMPLEX = {"cpc", "ecgcpc", "s4"}  # state spaces compute with complex numbers, which the exporter does not know


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(COMPLEX))
def test_an_encoder_of_complex_numbers_is_refused_with_the_reason(family: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"{family} .*cannot be exported.*complex numbers"):
        export_onnx(library.load(make_run(tmp_path / "run", family)), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.slow
def test_an_encoder_whose_graph_fixes_the_batch_is_refused(tmp_path: Path) -> None:
    """CRT reads a Fourier transform, whose graph the exporter makes for one batch size."""
    with pytest.raises(RunError, match="crt works for one batch size only"):
        export_onnx(library.load(make_run(tmp_path / "run", "crt")), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in {*COMPLEX, "crt"}])
def test_every_family_equals_torch(family: str, tmp_path: Path) -> None:
    encoder = library.load(make_run(tmp_path / "run", family))
    done = export_onnx(encoder, tmp_path / "model.onnx")
    assert done.difference <= TOLERANCE
    assert list(done.outputs) == list(encoder.features)
    model = session(tmp_path / "model.onnx")
    assert [value.name for value in model.get_inputs()] == ["signal", *encoder.encoder.needs]
    signal = np.stack([synthetic_signal(5000, seed=seed) for seed in range(5)])  # a batch that was not tried before
    [batch, *_] = encoder.input(signal, 500, "12", "mV", age=[50] * 5, sex=["F"] * 5)
    given = {"signal": batch.signal.numpy()}
    if "beats" in batch.extra:
        beats = np.full((5, model.get_inputs()[1].shape[1]), -1)
        beats[:, : batch.extra["beats"].shape[1]] = batch.extra["beats"]
        given["beats"] = beats
    if "demographics" in batch.extra:
        given["demographics"] = batch.extra["demographics"].numpy()
    with torch.no_grad():
        expected = encoder.encoder.encode(batch)
    for name, found in zip(done.outputs, model.run(None, given), strict=True):
        np.testing.assert_allclose(found, getattr(expected, name), atol=TOLERANCE, rtol=0, err_msg=name)


@pytest.mark.slow
def test_the_contract_travels_and_no_path_does(ecgkit, merl: Path, tmp_path: Path) -> None:
    run = merl
    done = ecgkit("export", run, "--onnx", tmp_path / "m.onnx", "--leads", "II,I", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)["onnx"]
    assert said["inputs"]["signal"] == ["B", 2, 1000]
    assert said["difference"] <= TOLERANCE
    data = {e.key: e.value for e in onnx.load(tmp_path / "m.onnx").metadata_props}
    spec = library.load(run).spec
    assert json.loads(data["contract"]) == json.loads(json.dumps(to_dict(spec)))
    assert (data["fs"], data["samples"], data["method"], data["unit"]) == ("100", "1000", "merl", "mV")
    assert json.loads(data["leads"]) == ["I", "II"]
    assert len(data["checkpoint_sha256"]) == 64
    content = (tmp_path / "m.onnx").read_bytes()
    assert str(Path(library.__file__).parent).encode() not in content
    assert str(tmp_path).encode() not in content


@pytest.mark.slow
def test_what_a_graph_cannot_hold_is_said(tmp_path: Path) -> None:
    # Parameters of its own for each lead: which of them, depends on the values of a tensor.
    encoder = library.load(make_run(tmp_path / "run", "lamae", "ind-separate-tiny"))
    with pytest.raises(RunError, match="lamae under this config cannot be exported to ONNX"):
        export_onnx(encoder, tmp_path / "m.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


WRONG = {
    "exists": (["--onnx", "there.onnx"], "there.onnx exists"),
    "not ours": (["--onnx", "there.onnx", "--overwrite"], "was not exported by ecgkit"),
    "suffix": (["--onnx", "m.txt"], "must end in .onnx"),
    "nothing": ([], "no output is named"),
    "strange leads": (["--onnx", "m.onnx", "--leads", "I,VX"], "some of the model's"),
    "leads of a folder": (["--hub", "h", "--leads", "I"], "--leads without --onnx"),
    "licence of a file": (["--onnx", "m.onnx", "--license", "mit"], "without --hub"),
    "folder there": (["--hub", "other", "--overwrite"], "ecgkit did not make it"),
    "licence as a sentence": (["--hub", "h", "--license", "do what you want"], "is not an identifier"),
    "no results": (["--hub", "h", "--results", "other"], "no result below other"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_exports_write_nothing(ecgkit, merl: Path, tmp_path: Path, monkeypatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.onnx").write_text("somebody's")
    Path("other").mkdir()
    options, message = WRONG[case]
    done = ecgkit("export", merl, *options)
    assert done.code == 2
    assert message in done.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "there.onnx"]
    assert Path("there.onnx").read_text() == "somebody's"


def test_a_missing_library_is_said(ecgkit, merl: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("ecgkit.export.onnx.find_spec", lambda name: None)
    done = ecgkit("export", merl, "--onnx", tmp_path / "m.onnx")
    assert done.code == 2
    assert "pip install 'ecgkit-learn[onnx]'" in done.err
