"""The worth of leads that are left out, thresholds, and the command that shows the worth."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ecgkit_hierarchical.config import TINY

from ecgkit.entries import MethodEntry, TaskEntry
from ecgkit.evaluation.analyses.lead_worth import lead_worth
from ecgkit.evaluation.features.encoder import pretrained_encoder
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
from ecgkit.training.loop import pretrain
from ecgkit.training.supply import open_supplies
from ecgkit.wording import percent, quantity
from tests.conftest import Outcome

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


def test_the_command(ecgkit: Callable[..., Outcome], run: Path, cohort_store: Path) -> None:
    words = ("inspect", run, "--lead-worth", "--data", cohort_store)
    table = ecgkit(*words, "--task", "simulated", "--json")
    assert np.array(json.loads(table.out)["drop"], float).shape == (10, 12)
    for wrong in ((), ("--task", "cinc2020")):
        shown = ecgkit(*words, *wrong)
        assert (shown.code, shown.out) == (2, "")
    assert ecgkit("inspect", cohort_store, "--task", "simulated").code == 2
