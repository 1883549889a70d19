"""Attention over time, leads left out, and the command that shows them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ecgkit_hierarchical.config import TINY

from ecgkit.entries import MethodEntry, TaskEntry
from ecgkit.errors import RunError
from ecgkit.evaluation.analyses.attention import _by_sample, lead_worth, record_attention
from ecgkit.evaluation.features.encoder import pretrained_encoder, untrained_encoder
from ecgkit.evaluation.features.extract import extract
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.results.predictions import read_predictions
from ecgkit.evaluation.results.row import ROW, load_row
from ecgkit.evaluation.scores.metrics import auroc, f1
from ecgkit.evaluation.scores.thresholds import best_f1_thresholds
from ecgkit.plugins import host
from ecgkit.reporting.page.write import render_report
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.training.loop import pretrain
from ecgkit.training.supply import open_supplies
from ecgkit.wording import percent, quantity
from tests.conftest import Outcome
from tests.training.test_training import SMALL as PLAIN

SMALL = replace(
    TINY,
    width=24,
    heads=2,
    hidden=16,
    deep=8,
    gate=True,
    signal=replace(TINY.signal, seconds=5.0, window=5.0),
    recipe=replace(TINY.recipe, epochs=1),
)


@pytest.fixture(scope="module")
def run(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "gated"
    entry, task = host().get(MethodEntry, "hierarchical"), host().get(TaskEntry, "simulated")
    pretrain(entry, SMALL, Store(cohort_store), out, task=task)
    return out


def test_weights_by_sample_against_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    weights, first = rng.normal(size=9), np.arange(9) * 10 - 5
    spans = np.stack([first, first + 30], axis=1).clip(0, 90)
    spans[:, 1] = np.minimum(spans[:, 1], 80)
    plain = []
    for t in range(90):
        own = [w for w, (a, b) in zip(weights, spans, strict=True) if a <= t < b]
        plain.append(np.mean(own) if own else 0.0)
    np.testing.assert_allclose(_by_sample(weights, spans, 90), plain, atol=1e-12)


@pytest.mark.slow
def test_a_record_is_told_as_the_model_computes_it(run: Path, cohort_store: Path) -> None:
    encoder, store = pretrained_encoder(run), Store(cohort_store)
    record = str(store.table["record_id"].iloc[5])
    found = record_attention(encoder, store, record)
    assert found.signal.shape == (12, 1250) and found.over_time.shape == (1250,)
    view = open_view(store, encoder.spec)
    supplies = open_supplies(encoder.encoder.needs, store, view)
    logits = extract(encoder.encoder, view, np.array([5]), ("logits",), supplies=supplies)["logits"][0]
    top = int(logits.argmax())
    assert found.label == encoder.encoder.classes[top]
    assert found.probability == pytest.approx(1 / (1 + np.exp(-logits[top])), rel=1e-5)
    present = np.array(view.present)
    present[:, 3] = False
    without = extract(encoder.encoder, replace(view, present=present), np.array([5]), ("logits",), supplies=supplies)
    assert found.without[3] == pytest.approx(logits[top] - without["logits"][0, top], abs=1e-5)
    assert found.gate.shape == (12,) and (found.gate > 0).all() and found.gate.sum() < 1


def test_leads_left_out_are_worth_what_auroc_loses(run: Path, cohort_store: Path) -> None:
    encoder, store = pretrained_encoder(run), Store(cohort_store)
    probe = Probe(ProbeRequest(str(cohort_store), "simulated", head="own"), encoder)
    view, data, worth = probe.opened.view, probe.data, lead_worth(probe)
    rows = data.rows[data.parts["test"]]
    assert worth.drop.shape == (10, 12) and worth.records == len(rows)
    present = np.array(view.present)
    present[:, 7] = False
    logits = extract(
        encoder.encoder,
        replace(view, present=present),
        rows,
        ("logits",),
        supplies=open_supplies(encoder.encoder.needs, store, view),
    )["logits"]
    expected = worth.auroc - auroc(data.targets[data.parts["test"]], logits)
    np.testing.assert_allclose(worth.drop[:, 7], expected)


def test_the_thresholds_of_a_row_are_those_of_its_f1_and_there_are_no_others(
    ecgkit: Callable[..., Outcome], run: Path, cohort_store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "own"
    done = ecgkit("probe", run, "--data", cohort_store, "--task", "simulated", "--head", "own", "--out", out)
    assert done.code == 0, done.err
    row, val, test = load_row(out / ROW), *(read_predictions(out / ROW, part) for part in ("val", "test"))
    thresholds = best_f1_thresholds(val.targets, val.predicted)
    assert [c.threshold for c in row.classes] == [t if np.isfinite(t) else None for t in thresholds]
    found = f1(test.targets, test.predicted >= thresholds)
    scored = [c for c, score in enumerate(row.classes) if score.f1 is not None]
    assert [row.classes[c].f1 for c in scored] == pytest.approx(found[scored], abs=1e-12)
    assert scored and not [name for name in row.facts.head if "threshold" in name]
    page = render_report([(out / ROW, row)])
    for c in scored:
        shown = f"<td>{percent(row.classes[c].f1)}<small>at {quantity(row.classes[c].threshold)}</small></td>"
        assert shown in page


def test_an_encoder_without_attention_says_so(cohort_store: Path) -> None:
    encoder = untrained_encoder(host().get(MethodEntry, "stmem"), "tiny", PLAIN, weights="random-init", seed=0)
    store = Store(cohort_store)
    with pytest.raises(RunError, match="no attention"), torch.no_grad():
        record_attention(encoder, store, str(store.table["record_id"].iloc[0]))


def test_the_command(ecgkit: Callable[..., Outcome], run: Path, cohort_store: Path, tmp_path: Path) -> None:
    record = str(Store(cohort_store).table["record_id"].iloc[0])
    words = ("inspect", run, "--attention", "--data", cohort_store)
    drawn = ecgkit(*words, "--record", record, "--out", tmp_path / "a.png")
    assert drawn.code == 0, drawn.err
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    values = json.loads(ecgkit(*words, "--record", record, "--json").out)
    assert len(values["leads"]) == 12 and len(values["attention"]) == 1250
    table = ecgkit(*words, "--task", "simulated", "--json")
    assert np.array(json.loads(table.out)["drop"], float).shape == (10, 12)
    for wrong in ((), ("--record", record), ("--task", "cinc2020")):
        shown = ecgkit(*words, *wrong)
        assert (shown.code, shown.out) == (2, "")
    assert ecgkit("inspect", cohort_store, "--task", "simulated").code == 2
