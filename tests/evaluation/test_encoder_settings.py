"""Settings of a trained run that need no other weights, such as another readout: probed without another training."""

from pathlib import Path

import numpy as np
import pytest

import ecgkit
from ecgkit.errors import ConfigError, EcgkitError
from ecgkit.evaluation.features.encoder import EncoderChoice, pretrained_encoder
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.results.predictions import read_predictions
from ecgkit.evaluation.results.row import ROW
from ecgkit.evaluation.suites.places import Places

SMALL = ["width=16", "depth=1", "heads=1", "latent_depth=1", "decoder_depth=1", "recipe.warmup_epochs=0.1"]
MEAN = "readout=enc_mean"


@pytest.fixture(scope="module")
def run(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "lamae"
    ecgkit.pretrain(
        method="lamae", preset="tiny", data=cohort_store, out=out, epochs=1, settings=SMALL, workers=0, device="cpu"
    )
    return out


@pytest.mark.slow
def test_another_readout_of_a_run_is_another_encoder(run: Path, cohort_store: Path, tmp_path: Path) -> None:
    asked = {"data": cohort_store, "task": "simulated", "no_cache": True, "device": "cpu"}
    folder, row = ecgkit.probe(run, settings=[f"encoder.{MEAN}"], out=tmp_path / "mean", **asked).rows[0]
    _, usual = ecgkit.probe(run, out=tmp_path / "usual", **asked).rows[0]
    assert (row.run, usual.run) == (f"lamae, {MEAN}", "lamae")
    assert row.macro_auroc != usual.macro_auroc
    assert row.hashes["checkpoint"] == usual.hashes["checkpoint"]
    assert row.facts.protocol == usual.facts.protocol
    # A kept head reads the same encoder again.
    table = ecgkit.predict(folder, data=cohort_store, device="cpu").table.set_index("record_id")
    written = read_predictions(folder / ROW)
    again = table.loc[list(written.records), [f"p_{label.label}" for label in row.classes]]
    np.testing.assert_allclose(again.to_numpy(np.float64), written.predicted, atol=1e-6)


@pytest.mark.slow
def test_the_setting_decides_features_names_and_folders(run: Path, cohort_store: Path) -> None:
    plain, changed = pretrained_encoder(run), pretrained_encoder(run, (MEAN,))
    assert (changed.name, changed.config.readout) == (f"lamae, {MEAN}", "enc_mean")
    assert plain.settings != changed.settings
    for name, value in plain.loaded().state_dict().items():
        assert np.array_equal(value, changed.loaded().state_dict()[name])
    of = [ProbeRequest(str(cohort_store), "simulated", EncoderChoice(run=str(run), settings=s)) for s in ((), (MEAN,))]
    first, second = (Places().name(request) for request in of)
    assert first != second


@pytest.mark.slow
def test_a_setting_that_needs_other_weights_is_refused(run: Path) -> None:
    with pytest.raises(EcgkitError, match=str(run)):
        pretrained_encoder(run, ("width=32",))
    with pytest.raises(ConfigError, match="raedout"):
        pretrained_encoder(run, ("raedout=enc_mean",))
