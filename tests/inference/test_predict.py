"""`ecgkit predict`: the numbers of the probe for a store, its files and single files, with notes and a ledger."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ecgkit
from ecgkit.beats.find import find_beats
from ecgkit.errors import ResultsError
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.probe.classifier import open_classifier
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.results.predictions import read_predictions
from ecgkit.evaluation.results.row import ROW, load_row
from ecgkit.evaluation.scores.thresholds import best_f1_thresholds
from ecgkit.inference.predict import Predicted
from ecgkit.ingestion import ingest
from ecgkit.store.reader import Store
from tests.conftest import synthetic_signal, write_wfdb


def columns(table: pd.DataFrame, names: tuple[str, ...], kind: str = "p_") -> np.ndarray:
    return table[[f"{kind}{name}" for name in names]].to_numpy(np.float64)


@pytest.fixture(scope="module")
def alone(results: list[Path], few_store: Path) -> list[Predicted]:
    return [ecgkit.predict(result, data=few_store, device="cpu") for result in results]


def test_a_store_gives_the_numbers_of_the_probe(
    results: list[Path], alone: list[Predicted], few_store: Path, tmp_path: Path
) -> None:
    """Probabilities and decisions of the test part are those of predictions.parquet and row.json."""
    out = tmp_path / "predictions.csv"
    made = ecgkit.predict(results[0], data=few_store, out=out, device="cpu")
    assert made.names == alone[0].names
    pd.testing.assert_frame_equal(made.table, alone[0].table)
    table = pd.read_csv(out, dtype={"record_id": str}).set_index("record_id")
    assert len(table) == 48
    assert not made.rejected
    assert not out.with_name("predictions.ledger.csv").exists()
    assert not (tmp_path / "predictions.csv.partial").exists()
    for part in ("val", "test"):
        written = read_predictions(results[0] / ROW, part)
        mine = table.loc[list(written.records)]
        np.testing.assert_allclose(columns(mine, written.names), written.predicted, rtol=0, atol=1e-6)
        for c, score in enumerate(load_row(results[0] / ROW).classes):
            if score.threshold is None:
                assert mine[f"positive_{score.label}"].isna().all()
            else:
                np.testing.assert_array_equal(
                    mine[f"positive_{score.label}"], written.predicted[:, c] >= score.threshold
                )


def test_files_need_no_store(results: list[Path], alone: list[Predicted], few: Path) -> None:
    """The folder that a store was made of, and one of its files, give the numbers of the store, in processes too."""
    of_store = alone[0].table.set_index("record_id")
    of_folder = ecgkit.predict(results[0], data=few, device="cpu", workers=2).table.set_index("record_id")
    assert list(of_folder.index) == list(of_store.index)
    probabilities = [name for name in of_store if name.startswith("p_")]
    np.testing.assert_allclose(of_folder[probabilities], of_store[probabilities], rtol=0, atol=1e-6)
    record = next(few.rglob("*.hea"))
    one = ecgkit.predict(results[0], data=record, device="cpu").table
    np.testing.assert_allclose(
        one[probabilities].iloc[0], of_store.loc[record.stem, probabilities].astype(float), atol=1e-6
    )


def test_several_results_are_averaged(results: list[Path], alone: list[Predicted], few_store: Path) -> None:
    """Means of probabilities, thresholds chosen for the mean on validation, and each calibrated on its own."""
    both = ecgkit.predict(results, data=few_store, device="cpu", calibrate="isotonic")
    found = [columns(each.table, both.names) for each in alone]
    fitted = [open_classifier(result).calibration for result in results]
    stepped = [each.apply(p, "isotonic") for each, p in zip(fitted, found, strict=True) if each is not None]
    np.testing.assert_allclose(columns(both.table, both.names), np.mean(stepped, axis=0), atol=1e-6)
    val = [read_predictions(result / ROW, "val") for result in results]
    chosen = best_f1_thresholds(val[0].targets, (val[0].predicted + val[1].predicted) / 2)
    assert both.thresholds is not None
    for name, threshold in zip(both.names, chosen, strict=True):
        assert both.thresholds[name] == (threshold if np.isfinite(threshold) else None)
    decided = both.table[[f"positive_{name}" for name in both.names]].to_numpy(np.float64, na_value=np.nan)
    np.testing.assert_array_equal(
        decided, np.where(np.isfinite(chosen), np.mean(found, axis=0) >= chosen - 1e-6, np.nan)
    )


def test_what_records_lack_is_said(results: list[Path], tmp_path: Path, ecgkit: Callable) -> None:
    """Leads, rate and length in the notes; what cannot be read in a ledger, with exit code 3."""
    folder, out = tmp_path / "files", tmp_path / "out.csv"
    write_wfdb(folder, "whole", synthetic_signal(5000))
    write_wfdb(folder, "slow", synthetic_signal(2500), fs=250)
    write_wfdb(folder, "limb", synthetic_signal(5000, 2), ("I", "II"))
    write_wfdb(folder, "short", synthetic_signal(600))
    write_wfdb(folder, "long", synthetic_signal(6000))
    write_wfdb(folder, "tiny", synthetic_signal(300))
    write_wfdb(folder, "broken", synthetic_signal(5000))
    (folder / "broken.dat").write_bytes(b"\0" * 10)
    done = ecgkit("predict", results[0], "--data", folder, "--out", out, "--device", "cpu")
    assert done.code == 3, done.err
    table = pd.read_csv(out).set_index("record_id")
    assert set(table.index) == {"whole", "slow", "limb", "short", "long"}
    assert table.loc["whole", "notes"] == "resampled from 500 Hz"
    assert pd.isna(table.loc["slow", "notes"])
    assert "1.2 s instead of" in table.loc["short", "notes"]
    assert "first 10 s of 12 s" in table.loc["long", "notes"]
    assert "leads missing: V1 V2 V3 V4 V5 V6" in table.loc["limb", "notes"]
    assert "4 records resampled" in done.out
    ledger = pd.read_csv(tmp_path / "out.ledger.csv").set_index("record_id")
    assert set(ledger.index) == {"tiny", "broken"}
    assert "0.6 s long" in ledger.loc["tiny", "reason"]
    assert "2 records gave no prediction" in done.err
    again = ecgkit("predict", results[0], "--data", folder, "--out", out, "--device", "cpu")
    assert again.code == 2
    assert "already exists" in again.err
    (folder / "broken.dat").unlink()
    for name in ("whole", "slow", "limb", "short", "long"):
        (folder / f"{name}.dat").unlink()
    none = ecgkit("predict", results[0], "--data", folder, "--out", out, "--device", "cpu", "--overwrite")
    assert none.code == 2
    assert "can be read" in none.err
    assert not list(tmp_path.glob("*.partial"))
    assert len(pd.read_csv(out)) == 5, "the earlier table is kept"


def test_stopped_work_goes_on(results: list[Path], few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finished parts are kept and not made again; the table is the same."""
    from ecgkit.inference import predict, records

    monkeypatch.setattr(records, "BLOCK", 20)
    whole = ecgkit.predict(results[0], data=few, device="cpu").table
    make, calls = predict.predict_part, []

    def failing(job: object, call: tuple) -> None:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(call[0])
        make(job, call)

    out = tmp_path / "p.parquet"
    monkeypatch.setattr(predict, "predict_part", failing)
    with pytest.raises(KeyboardInterrupt, match="40 of 48 records"):
        ecgkit.predict(results[0], data=few, out=out, device="cpu")
    calls.clear()
    made = ecgkit.predict(results[0], data=few, out=out, device="cpu")
    assert calls == [2]
    pd.testing.assert_frame_equal(made.table, whole)
    assert list(pd.read_parquet(out)["record_id"]) == list(whole["record_id"])


def test_results_of_other_classes_are_refused(results: list[Path], few_store: Path, tmp_path: Path) -> None:
    other = shutil.copytree(results[1], results[1].parent / "other")
    text = (other / "head.json").read_text()
    (other / "head.json").write_text(text.replace('"name": "AF"', '"name": "AFL"'))
    with pytest.raises(ResultsError, match="predicts .*AF.* and .* predicts .*AFL.*; expected results of the same"):
        ecgkit.predict([results[0], other], data=few_store)
    shutil.rmtree(other)


def test_a_damaged_or_unfinished_part_is_made_again(
    results: list[Path], few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecgkit.errors import StoreError
    from ecgkit.inference import predict, records

    monkeypatch.setattr(records, "BLOCK", 20)
    whole = ecgkit.predict(results[0], data=few, device="cpu").table
    out = tmp_path / "p.csv"

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(predict, "_gathered", stopped)
        ecgkit.predict(results[0], data=few, out=out, device="cpu")
    parts = sorted((tmp_path / "p.csv.partial" / "parts").iterdir())
    (parts[0].parent / ".000009.of-a-killed-process.npz").write_bytes(b"half")
    content = bytearray(parts[1].read_bytes())
    content[content.index(b"notes")] ^= 8
    parts[1].write_bytes(content)
    with pytest.raises(StoreError, match=r"000001\.npz is damaged.*this part is made again"):
        ecgkit.predict(results[0], data=few, out=out, device="cpu")
    made = ecgkit.predict(results[0], data=few, out=out, device="cpu")
    pd.testing.assert_frame_equal(made.table, whole)
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["age_sex", "measurements"])
def test_baselines_predict_stores_and_files(method: str, few: Path, tmp_path: Path) -> None:
    """Trees read age and sex from the tables beside the files, and R peaks that are found again in their signals."""
    ingest(few, tmp_path / "few.zarr")
    find_beats(Store(tmp_path / "few.zarr"))
    encoder = EncoderChoice(method=method, weights="none")
    settings = ("trees=10", "smallest=2")
    request = ProbeRequest(
        str(tmp_path / "few.zarr"), "simulated", encoder, head="boosting", head_settings=settings, cache=None,
        device="cpu",
    )  # fmt: skip
    Probe(request).run(tmp_path / "result")
    written = read_predictions(tmp_path / "result" / ROW, "test")
    of_store = ecgkit.predict(tmp_path / "result", data=tmp_path / "few.zarr", device="cpu").table
    of_files = ecgkit.predict(tmp_path / "result", data=few, device="cpu").table
    for table in (of_store, of_files):
        mine = columns(table.set_index("record_id").loc[list(written.records)], written.names)
        np.testing.assert_allclose(mine, written.predicted, rtol=0, atol=1e-6)
    assert len(np.unique(columns(of_store, written.names))) > 20
    # All records, not only those of the test part.
    np.testing.assert_allclose(columns(of_files, written.names), columns(of_store, written.names), rtol=0, atol=1e-6)
