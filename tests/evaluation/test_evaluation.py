import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score

from ecgkit.entries import MethodEntry, TaskEntry
from ecgkit.errors import LeakError, OutputError, ResultsError, RunError, TaskError
from ecgkit.evaluation.features.encoder import EncoderChoice, pretrained_encoder, untrained_encoder
from ecgkit.evaluation.features.extract import RecordFeatures, extract
from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.heads.linear import GRID, LinearHead
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.results.row import find_rows, load_row
from ecgkit.evaluation.scores.areas import FEWEST_UNITS
from ecgkit.evaluation.scores.metrics import macro_auroc
from ecgkit.evaluation.suites.places import Places
from ecgkit.ingestion import ingest
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods.batch import Batch
from ecgkit.methods.features import Features
from ecgkit.plugins import host
from ecgkit.reporting.page.sentences import sentences
from ecgkit.signal.spec import apply
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.tasks.data import task_data
from ecgkit.tasks.loading import load_task
from ecgkit.training.loop import PretrainOptions, pretrain
from ecgkit.training.run import read_metrics
from tests.conftest import synthetic_signal, write_wfdb
from tests.evaluation.probing import probe
from tests.training.test_training import SMALL


def task_entry(name: str) -> TaskEntry:
    return host().get(TaskEntry, name)


def test_ptbxl_superclasses_equal_the_statement_table(shared: Path) -> None:
    task = load_task(task_entry("ptbxl-super"))
    statements = pd.read_csv(shared / "data" / "ptb-xl" / "scp_statements.csv", index_col=0)
    expected = statements["diagnostic_class"].dropna().groupby(statements["diagnostic_class"]).groups
    assert {label: set(c.codes) for label, c in task.labels.items()} == {k: set(v) for k, v in expected.items()}


def test_ptbxl_superclasses_equal_the_published_split_tables(shared: Path, ptbxl_store: Path) -> None:
    """The tables of MERL, joined by ecg_id and by column name."""
    store = Store(ptbxl_store)
    data = task_data(load_task(task_entry("ptbxl-super")), "ptbxl-super", store)
    folder = shared / "data" / "splits" / "merl" / "ptbxl" / "super_class"
    for part in ("train", "val", "test"):
        published = pd.read_csv(next(folder.glob(f"*_{part}.csv*"))).set_index("ecg_id")
        ids = store.table["record_id"].iloc[data.rows[data.parts[part]]].astype(int)
        ours = pd.DataFrame(data.targets[data.parts[part]], index=ids.to_numpy(), columns=data.labels)
        both = ours.index.intersection(published.index)
        # The store is of release 1.0.1, the tables of 1.0.3: records that were withdrawn are not in both.
        assert len(both) >= 0.9 * len(ours)
        assert ours.loc[both].equals(published.loc[both, list(data.labels)].astype("int8"))


def test_task_on_a_store_without_its_labels_is_refused(cohort_store: Path) -> None:
    with pytest.raises(TaskError, match="'snomed'.*'scp' labels"):
        task_data(load_task(task_entry("ptbxl-super")), "ptbxl-super", Store(cohort_store))


def test_parts_of_a_task_share_no_patient(cohort_store: Path) -> None:
    store = Store(cohort_store)
    data = task_data(load_task(task_entry("simulated")), "simulated", store)
    patients = store.table["patient_id"].to_numpy()[data.rows]
    parts = [set(patients[rows]) for rows in data.parts.values()]
    assert sum(map(len, parts)) == len(set.union(*parts))


def parts_for_head(rng: np.random.Generator, R: int = 200) -> tuple[Part, Part, RecordFeatures]:
    x = rng.normal(size=(R, 6)).astype(np.float32) * [1, 10, 0.1, 1, 1, 0]  # one column is constant
    y = (x[:, :2] / [1, 10] + rng.normal(size=(R, 2)) > 0).astype(np.int8)
    y = np.concatenate([y, np.ones((R, 1), np.int8)], axis=1)  # a label that is always there
    half = R // 2
    features = RecordFeatures({"pooled": x}, ("I",), np.ones((R, 1), bool))
    train, val = (Part(features.take(rows), y[rows]) for rows in (np.arange(half), np.arange(half, R)))
    return train, val, features


def test_linear_head_is_the_converged_logistic_regression_that_val_prefers() -> None:
    train, val, features = parts_for_head(np.random.default_rng(0))
    x = features["pooled"]
    head = LinearHead()
    head.fit(train, val)
    scores = {}
    mean, deviation = train.features["pooled"].mean(0), train.features["pooled"].std(0)
    x_train, y_train = train.features["pooled"], train.targets
    scaled = lambda f: (f - mean) / np.where(deviation > 0, deviation, 1)  # noqa: E731
    for C in GRID:
        plain = [
            LogisticRegression(C=C, tol=1e-8, max_iter=10_000).fit(scaled(x_train), y_train[:, c]) for c in range(2)
        ]
        predicted = np.stack([m.predict_proba(scaled(x))[:, 1] for m in plain], axis=1)
        scores[C] = macro_auroc(val.targets[:, :2], predicted[100:])
        if head.choices()["chosen"].startswith(f"C = {C:g} "):
            np.testing.assert_allclose(head.predict(features)[:, :2], predicted, atol=1e-4)
    assert head.choices()["chosen"].startswith(f"C = {max(scores, key=scores.__getitem__):g} ")
    assert (head.predict(features)[:, 2] == 1).all()
    assert head.choices()["fits_not_converged"] == 0


def test_features_are_the_mean_over_crops_in_the_order_of_the_rows(cohort_store: Path) -> None:
    store = Store(cohort_store)
    entry = host().get(MethodEntry, "stmem")
    encoder = untrained_encoder(entry, "", SMALL, weights="random-init", seed=0).encoder
    rows = np.array([50, 3, 99])
    features = extract(encoder, open_view(store, SMALL.signal), rows, batch_size=2)
    for i, row in enumerate(rows):
        recording = store.recording(row)
        crops = [apply(recording.signal, recording.fs, SMALL.signal, s) for s in SMALL.signal.eval_starts]
        with torch.no_grad():
            plain = encoder(torch.from_numpy(np.stack(crops)), torch.arange(12)).pooled.mean(0)
        np.testing.assert_allclose(features["pooled"][i], plain, atol=1e-4)
    with pytest.raises(RunError, match="no beats features"):
        extract(encoder, open_view(store, SMALL.signal), rows, ["beats"])


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["random-init", "scratch"])
def test_a_row_holds_what_its_predictions_give(cohort_store: Path, tmp_path: Path, weights: str) -> None:
    store, entry = Store(cohort_store), host().get(MethodEntry, "stmem")
    encoder = untrained_encoder(entry, "tiny", SMALL, weights=weights, seed=0)
    row = probe(encoder, store, "simulated", tmp_path / "r", epochs=2)
    assert load_row(tmp_path / "r" / "row.json") == row
    assert [r for _, r in find_rows([tmp_path])] == [row]
    predictions = pd.read_parquet(tmp_path / "r" / "predictions.parquet").query("part == 'test'")
    assert len(predictions) == row.counts["test"]["records"]
    for score in row.classes:
        y, p = predictions[f"y_{score.label}"], predictions[f"p_{score.label}"]
        assert (score.positives, score.negatives) == ((y == 1).sum(), (y == 0).sum())
        if score.auroc is None:
            assert score.positives == 0 or score.negatives == 0
            assert score.label in row.warnings[0]
        else:
            assert score.auroc == pytest.approx(roc_auc_score(y, p), abs=1e-9)
            units = predictions["patient_id"].groupby(y).nunique().min()
            assert (score.interval is None) == (units < FEWEST_UNITS)
            assert score.interval is None or score.interval[0] <= score.auroc <= score.interval[1]
            if score.threshold is None:
                assert score.f1 is None
            else:
                assert score.f1 == pytest.approx(f1_score(y, p >= score.threshold), abs=1e-9)
    aurocs = [score.auroc for score in row.classes if score.auroc is not None]
    assert row.means["auroc"].value == row.macro_auroc == pytest.approx(np.mean(aurocs))
    assert row.means["auroc"].classes == len(aurocs)
    assert row.means["auroc_stable"].classes == sum(s.positives >= 10 and s.auroc is not None for s in row.classes)
    assert 0 <= row.calibration["ece"] <= 1
    assert row.leads == STANDARD_LEADS
    assert row.weights == weights
    assert {"store", "split", "checkpoint"} == set(row.hashes)
    assert "one seed only" in row.warnings
    assert bool(row.training) == (weights == "scratch")
    epoch = max(row.training, key=lambda line: line["val_macro_auroc"])["epoch"] if row.training else None
    chosen = f"epoch {epoch} by macro AUROC on val" if epoch else "none: random weights, seed 0"
    assert sentences(row)["checkpoint selection"].startswith(chosen)
    json.dumps(asdict(row))


def test_the_same_probe_twice_gives_the_same_numbers(cohort_store: Path, tmp_path: Path) -> None:
    entry, rows = host().get(MethodEntry, "stmem"), []
    for name in ("a", "b"):
        encoder = untrained_encoder(entry, "tiny", SMALL, weights="random-init", seed=4)
        rows.append(probe(encoder, cohort_store, "simulated", tmp_path / name))
    assert rows[0].classes == rows[1].classes
    assert rows[0].macro_interval == rows[1].macro_interval
    assert rows[0].hashes == rows[1].hashes


def test_what_is_no_result_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="ecgkit probe"):
        find_rows([tmp_path])
    with pytest.raises(ResultsError, match="does not exist"):
        find_rows([tmp_path / "absent"])
    for content in ("{", "[]", '{"schema": 99}', '{"schema": 1}'):
        (tmp_path / "row.json").write_text(content)
        with pytest.raises(ResultsError, match=r"row\.json"):
            find_rows([tmp_path])


@pytest.mark.slow
def test_test_records_that_pretraining_saw_are_refused_or_told(cohort_store: Path, tmp_path: Path, ecgkit) -> None:
    store, entry = Store(cohort_store), host().get(MethodEntry, "stmem")
    rows = {}
    for name, everything in (("clean", False), ("leaky", True)):
        pretrain(entry, SMALL, store, tmp_path / name, PretrainOptions(all_folds=everything))
        encoder = pretrained_encoder(tmp_path / name)
        out = tmp_path / name / "probe"
        rows[name] = probe(encoder, store, "simulated", out, allow_overlap=everything)
    refused = ("probe", tmp_path / "leaky", "--data", cohort_store, "--task", "simulated")
    for words in (refused, (*refused, "--layers", "all")):
        shown = ecgkit(*words, "--out", tmp_path / "refused")
        assert shown.code == 2 and "go on with --allow-overlap" in shown.err and not (tmp_path / "refused").exists()
    with pytest.raises(LeakError, match="expected a test part that pretraining never saw"):  # before any feature
        broken = replace(encoder, encoder=None)
        probe(broken, store, "simulated", tmp_path / "refused")
    silent = replace(encoder, seen=frozenset(), seen_patients=frozenset())
    unknown = probe(silent, store, "simulated", tmp_path / "unknown")
    assert "cannot be excluded" in unknown.warnings[0] and "leak guard" not in sentences(unknown)
    assert not unknown.facts.leak_guard.checked
    told = {name: sentences(row)["leak guard"] for name, row in rows.items()}
    assert told["clean"].startswith("no test record has the very samples")
    assert told["leaky"].startswith("overlap allowed")
    assert rows["leaky"].facts.leak_guard.allowed and not rows["clean"].facts.leak_guard.found
    assert not [w for w in rows["clean"].warnings if "LEAK" in w]
    lowest = min(read_metrics(tmp_path / "clean"), key=lambda line: line["val_loss"])
    kept = f"epoch {lowest['epoch']} of {SMALL.recipe.epochs}, lowest validation loss ({lowest['val_loss']:.4f})"
    assert sentences(rows["clean"])["checkpoint selection"].startswith(kept)
    n, patients = rows["leaky"].counts["test"]["records"], rows["leaky"].counts["test"]["patients"]
    assert (
        rows["leaky"].warnings[0] == f"LEAK: pretraining saw {n} of the {n} test records and {patients} test patients"
    )


@pytest.mark.slow
def test_what_the_runs_saw_that_a_run_is_built_on_counts_too(cohort_store: Path, tmp_path: Path) -> None:
    store, run = Store(cohort_store), tmp_path / "second-stage"
    pretrain(host().get(MethodEntry, "stmem"), SMALL, store, run, PretrainOptions())
    whole = store.table[["record_id", "patient_id", "sha256"]].assign(part="parent train", dataset="")
    records = pd.read_parquet(run / "records.parquet")
    pd.concat([records, whole]).to_parquet(run / "records.parquet", index=False)
    details = yaml.safe_load((run / "config.yaml").read_text())
    tokenizer = {"run": "/runs/tokenizer", "method": "stmem", "weights_sha256": "0", "records": len(whole)}
    unknown = {"run": "/runs/imported", "method": "stmem", "weights_sha256": "0", "records": 0}
    parents = [{**tokenizer, "built_on": [unknown]}]
    (run / "config.yaml").write_text(yaml.safe_dump({**details, "built_on": parents}))
    encoder = pretrained_encoder(run)
    with pytest.raises(LeakError, match="pretraining saw"):
        probe(encoder, store, "simulated", tmp_path / "r")
    row = probe(encoder, store, "simulated", tmp_path / "r", allow_overlap=True)
    found = row.facts.leak_guard
    assert (found.built_on, found.silent, found.allowed) == (("tokenizer", "imported"), ("imported",), True)
    assert found.records == found.tested == row.counts["test"]["records"]
    assert "built on: tokenizer, imported" in sentences(row)["leak guard"]
    unseen = replace(encoder, seen=frozenset(records["sha256"][:5]), seen_patients=frozenset())
    warned = probe(unseen, store, "simulated", tmp_path / "r")
    assert warned.warnings[0].startswith("built on imported, which does not say")


def test_a_result_replaces_a_result_and_nothing_else(cohort_store: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").touch()
    entry = host().get(MethodEntry, "stmem")
    encoder = untrained_encoder(entry, "tiny", SMALL, weights="random-init", seed=0)
    for out, error in ((tmp_path / "r", None), (tmp_path / "r", None), (tmp_path / "thesis", OutputError)):
        if error is None:
            probe(encoder, cohort_store, "simulated", out)
        else:
            with pytest.raises(error, match="ecgkit did not make it"):
                probe(encoder, cohort_store, "simulated", out)
    assert (tmp_path / "thesis" / "chapter").exists()


def test_results_that_differ_in_anything_have_folders_of_their_own(cohort_store: Path) -> None:
    request, places = ProbeRequest(str(cohort_store), "simulated"), Places()
    choices = [
        EncoderChoice(method="stmem", weights=w, preset="tiny", settings=s)
        for w in ("random-init", "scratch")
        for s in ((), ("depth=2",))
    ]
    folders = {
        places.name(replace(request, encoder=choice, seed=seed, epochs=epochs))
        for choice in choices
        for seed in (0, 1)
        for epochs in (None, 3)
    }
    assert len(folders) == 16


def test_features_by_lead_lie_on_the_contracts_axis(tmp_path: Path, cohort: Path) -> None:
    """A store whose records have other leads, in another order: each lead's features stand in its place."""
    signal = np.stack([synthetic_signal(5000, seed=s) for s in range(2)])
    write_wfdb(tmp_path / "src", "a", signal[0])
    write_wfdb(tmp_path / "src", "b", signal[1][[6, 1]], ("V1", "II"))
    ingest(tmp_path / "src", tmp_path / "s.zarr")
    store = Store(tmp_path / "s.zarr")
    encoder = untrained_encoder(host().get(MethodEntry, "stmem"), "", SMALL, weights="random-init", seed=0).encoder
    features = extract(encoder, open_view(store, SMALL.signal), np.array([0, 1]), ["pooled", "per_lead"])
    assert features["per_lead"].shape == (2, 12, encoder.width)
    assert features.present.sum(1).tolist() == [12, 2]
    assert (features["per_lead"][1][~features.present[1]] == 0).all()
    assert np.abs(features["per_lead"][1][[1, 6]]).min() > 0
    assert features.take(np.array([1]))["per_lead"].shape == (1, 12, encoder.width)


class Broken(torch.nn.Module):
    """An encoder whose training diverged: one number of one record is NaN."""

    def __init__(self, field: str) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.field = field

    def encode(self, batch: Batch) -> Features:
        values = torch.ones(len(batch.rows), 4, 3)
        values[np.asarray(batch.rows) == 3, 2, 1] = torch.nan
        return Features(pooled=values.mean(1)) if self.field == "pooled" else Features(torch.ones(3), tokens=values)


@pytest.mark.parametrize("field", ["pooled", "tokens"])
def test_features_that_are_no_numbers_are_one_clear_error(cohort_store: Path, field: str) -> None:
    view = open_view(Store(cohort_store), SMALL.signal)
    with pytest.raises(RunError, match=r"gives NaN or infinity for 1 of \d+ records, first for row 3; expected finite"):
        extract(Broken(field), view, np.array([50, 3, 99]), [field])  # type: ignore[arg-type]


def test_predictions_that_are_no_numbers_are_one_clear_error(cohort_store: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(LinearHead, "predict", lambda head, features: np.full((len(features), 4), np.nan))
    entry = host().get(MethodEntry, "stmem")
    encoder = untrained_encoder(entry, "", SMALL, weights="random-init", seed=0)
    with pytest.raises(RunError, match="predicts NaN or infinity"):
        probe(encoder, cohort_store, "simulated", tmp_path / "p")
    assert not (tmp_path / "p").exists()
