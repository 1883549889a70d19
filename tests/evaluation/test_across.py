"""A head fitted on one store and tested on another: which records, which classes, which hashes, and what is told."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ecgkit.config import override
from ecgkit.entries import MethodEntry, load_target
from ecgkit.errors import LeakError, StoreError, TaskError
from ecgkit.evaluation.features.encoder import EncoderChoice, ProbedEncoder, untrained_encoder
from ecgkit.evaluation.probe.other_store import transfer_task
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.protocols.draws import Amount
from ecgkit.evaluation.results.row import PREDICTIONS, ResultRow
from ecgkit.evaluation.suites.places import Places
from ecgkit.ingestion import ingest
from ecgkit.plugins import host
from ecgkit.reporting.page.sentences import sentences
from ecgkit.simulate import simulate_cohort
from ecgkit.store.pair import StorePair, pair_views
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.tasks.loading import find_task, load_task
from ecgkit.training.supply import OfTwo, open_supplies
from tests.conftest import Outcome
from tests.evaluation.probing import probe

PRESET = override(load_target(host().get(MethodEntry, "stmem").presets, "stmem")["tiny"], ["depth=1", "width=32"])


@pytest.fixture(scope="module")
def encoder() -> ProbedEncoder:
    return untrained_encoder(host().get(MethodEntry, "stmem"), "tiny", PRESET, weights="random-init", seed=0)


@pytest.fixture(scope="module")
def statements_store(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every fifth of the real PTB-XL records, at 100 Hz."""
    folder, source = tmp_path_factory.mktemp("few"), shared / "data" / "ptb-xl"
    table = pd.read_csv(source / "ptbxl_database.csv").iloc[::5]
    (folder / "ptb-xl").mkdir()
    table.to_csv(folder / "ptb-xl" / "ptbxl_database.csv", index=False)
    for name in table["filename_lr"]:
        for suffix in (".hea", ".dat"):
            target = folder / "ptb-xl" / f"{name}{suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / f"{name}{suffix}", target)
    ingest(folder / "ptb-xl", folder / "statements.zarr")
    return folder / "statements.zarr"


@pytest.fixture(scope="module")
def challenge_store(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real records of Georgia, Ningbo and PTB-XL with SNOMED CT codes."""
    path = tmp_path_factory.mktemp("stores") / "challenge.zarr"
    ingest(shared / "data" / "cinc2021", path)
    return path


@pytest.fixture(scope="module")
def other_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other")
    simulate_cohort(folder / "cohort", records=40, seed=8)
    ingest(folder / "cohort", folder / "other.zarr")
    return folder / "other.zarr"


def judge(encoder: ProbedEncoder, data: Path, other: Path, task: str, out: Path, **options: object) -> ResultRow:
    return probe(encoder, data, task, out, eval_data=str(other), **options)


@pytest.mark.slow
def test_statements_are_tested_on_codes(
    encoder: ProbedEncoder, statements_store: Path, challenge_store: Path, tmp_path: Path
) -> None:
    row = judge(encoder, statements_store, challenge_store, "ptbxl-super", tmp_path / "r")
    here, other = Store(statements_store), Store(challenge_store)
    assert [score.label for score in row.classes] == ["CD", "HYP", "MI"]
    assert (row.task, row.task_title[-24:]) == ("ptbxl-super@challenge", "tested on challenge.zarr")
    assert (row.store, row.dataset) == ("statements.zarr to challenge.zarr", "cinc")
    assert row.hashes["store"] == other.content_hash and row.hashes["training store"] == here.content_hash
    told = sentences(row)
    assert "NORM" in told["classes left out"] and "sinus rhythm" in told["classes left out"]
    assert set(row.facts.transfer.left_out) == {"NORM", "STTC"} and set(row.facts.transfer.shared) == {
        "CD",
        "HYP",
        "MI",
    }
    assert any("no such class: NORM, STTC" in warning for warning in row.warnings)
    assert "713427006" in told["shared classes"] and "statements.zarr" in told["trained on"]
    table = pd.read_parquet(tmp_path / "r" / PREDICTIONS)
    tested = table[table["part"] == "test"].set_index("record_id")
    assert sorted(tested.index) == sorted(other.table["record_id"])
    assert set(table[table["part"] == "val"]["record_id"]) <= set(here.table["record_id"])
    labels = other.table.frame().set_index("record_id")["labels"]
    for record, own in tested.iterrows():
        codes = set(labels[record])
        assert own["y_HYP"] == bool(codes & {"164873001", "89792004", "67741000119109", "446358003", "266249003"})
        assert own["y_CD"] == bool(codes & {"59118001", "713426002", "698252002"})  # of CD's codes, what is there
    assert row.counts["train"]["records"] > 50 and row.counts["test"]["records"] == len(other)


@pytest.mark.slow
def test_a_store_tested_on_itself_gives_the_ordinary_result(
    encoder: ProbedEncoder, cohort_store: Path, tmp_path: Path
) -> None:
    across = judge(encoder, cohort_store, cohort_store, "simulated", tmp_path / "a")
    alone = probe(encoder, cohort_store, "simulated", tmp_path / "b")
    assert across.counts == alone.counts
    assert across.hashes["split"] == alone.hashes["split"]
    for ours, theirs in zip(across.classes, alone.classes, strict=True):
        assert (ours.positives, ours.negatives) == (theirs.positives, theirs.negatives)
        assert ours.auroc == theirs.auroc
    assert any("left out: they or their patients" in warning for warning in across.warnings)


@pytest.mark.slow
def test_pretraining_on_the_other_store_leaves_its_test_fold_and_leaks_are_told(
    encoder: ProbedEncoder, cohort_store: Path, other_cohort: Path, tmp_path: Path
) -> None:
    table = Store(other_cohort).table.frame()
    fold = table[table["fold"] == 10]
    assert 0 < len(fold) < len(table)
    trained = table[table["fold"] <= 8]
    clean = replace(encoder, seen=frozenset(trained["sha256"]))
    row = judge(clean, cohort_store, other_cohort, "simulated", tmp_path / "a")
    assert row.counts["test"]["records"] <= len(fold) and "only fold 10" in sentences(row)["split"]
    assert row.facts.transfer.test_fold == 10
    assert not [warning for warning in row.warnings if "LEAK" in warning]
    leaky = replace(encoder, seen=frozenset(table["sha256"]))
    with pytest.raises(LeakError, match="other.zarr"):
        judge(leaky, cohort_store, other_cohort, "simulated", tmp_path / "b")
    row = judge(leaky, cohort_store, other_cohort, "simulated", tmp_path / "b", allow_overlap=True)
    assert [warning for warning in row.warnings if "LEAK" in warning and str(row.counts["test"]["records"]) in warning]
    whole = judge(encoder, cohort_store, other_cohort, "simulated", tmp_path / "c")
    assert whole.counts["test"]["records"] > row.counts["test"]["records"]


@pytest.mark.slow
def test_draws_of_training_records_follow_them(
    encoder: ProbedEncoder, cohort_store: Path, other_cohort: Path, tmp_path: Path
) -> None:
    half = judge(encoder, cohort_store, other_cohort, "simulated", tmp_path / "r", amount=Amount(50.0))
    alone = probe(encoder, cohort_store, "simulated", tmp_path / "s", amount=Amount(50.0))
    assert half.counts["train"] == alone.counts["train"]
    assert [score.train_positives for score in half.classes] == [score.train_positives for score in alone.classes]


def test_scratch_and_lead_sets_go_across(cohort_store: Path, other_cohort: Path, tmp_path: Path) -> None:
    encoder = untrained_encoder(host().get(MethodEntry, "stmem"), "tiny", PRESET, weights="scratch", seed=0)
    row = judge(encoder, cohort_store, other_cohort, "simulated", tmp_path / "r", epochs=1, leads="I+II")
    assert row.head == "end-to-end" and row.leads == ("I", "II")
    assert row.hashes["store"] == Store(other_cohort).content_hash


def test_what_cannot_be_carried_over_is_refused(
    encoder: ProbedEncoder, cohort_store: Path, statements_store: Path, tmp_path: Path
) -> None:
    class Foreign(Store):
        code_system = "icd10"

    store, view = Store(cohort_store), open_view(Store(cohort_store), encoder.spec)
    here = Probe(ProbeRequest(str(cohort_store), "simulated"), encoder).opened
    data = here.data
    with pytest.raises(TaskError, match="no class of 'Simulated cohort, findings'"):
        transfer_task(here, Foreign(cohort_store), encoder, view)
    bare = replace(data, task=replace(data.task, icd10=load_task(find_task("icd10")).icd10))
    with pytest.raises(TaskError, match="a task of codes"):
        transfer_task(replace(here, data=bare), store, encoder, view)
    everything = replace(data, parts={**data.parts, "train": np.arange(len(data.rows))})
    with pytest.raises(TaskError, match="left to test"):
        transfer_task(replace(here, data=everything), store, encoder, view)


def test_two_stores_read_as_one(encoder: ProbedEncoder, cohort_store: Path, other_cohort: Path) -> None:
    first, other = Store(cohort_store), Store(other_cohort)
    both = StorePair(first, other)
    views = [open_view(store, encoder.spec) for store in (first, other)]
    view = pair_views(*views)
    assert len(both) == len(view.signal) == len(first) + len(other)
    for row in (0, len(first) - 1, len(first), len(both) - 1):
        of, at = (0, row) if row < len(first) else (1, row - len(first))
        np.testing.assert_array_equal(view.signal[row], views[of].signal[at])
        assert both.table["record_id"][row] == (first, other)[of].table["record_id"][at]
    assert both.content_hash not in (first.content_hash, other.content_hash)
    rows, starts = np.array([len(first), 0, len(first) + 2]), np.zeros(3, np.int64)
    ages = open_supplies(["demographics"], both, view)["demographics"].at(rows, starts)
    assert torch.equal(ages[1], open_supplies(["demographics"], first, view)["demographics"].at(rows[1:2], starts)[0])
    with pytest.raises(StoreError, match="reports"):
        open_supplies(["reports"], both, view)


def test_shorter_lists_are_filled_up() -> None:
    class Fixed:
        def __init__(self, width: int) -> None:
            self.width = width

        def at(self, rows: np.ndarray, starts: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(rows[:, None] * 100 + starts[:, None] + np.arange(self.width))

    both = OfTwo(Fixed(2), Fixed(3), begins=5)
    found = both.at(np.array([7, 1, 5]), np.array([10, 20, 30]))
    assert found.tolist() == [[210, 211, 212], [120, 121, -1], [30, 31, 32]]
    assert both.at(np.array([1]), np.array([0])).tolist() == [[100, 101]]


@pytest.mark.slow
def test_the_command_lists_what_is_shared(
    ecgkit: Callable[..., Outcome], statements_store: Path, challenge_store: Path, tmp_path: Path
) -> None:
    words = (
        "probe",
        "--method",
        "stmem",
        "--preset",
        "tiny",
        "--set",
        "depth=1",
        "--set",
        "width=32",
        "--random-init",
        "--data",
        statements_store,
    )
    shown = ecgkit(*words, "--task", "ptbxl-form", "--eval-data", challenge_store, "--out", tmp_path / "r")
    assert shown.code == 0, shown.err
    text = " ".join(shown.out.split())
    assert "shared classes: 11, by the label map, from scp to snomed" in text
    assert "classes left out: DIG: no counterpart in SNOMED CT" in text
    row = json.loads((tmp_path / "r" / "row.json").read_text())
    assert len(row["classes"]) == 11
    page = ecgkit("report", tmp_path / "r", "--out", tmp_path / "page.html")
    assert page.code == 0, page.err
    html = (tmp_path / "page.html").read_text()
    assert "classes left out" in html and "statements.zarr to challenge.zarr" in html
    refused = ecgkit(*words, "--task", "ptbxl-form", "--eval-data", challenge_store, "--layers", "all")
    assert refused.code == 2 and "an analysis uses one store" in " ".join(refused.err.split())


def test_results_of_two_stores_have_folders_of_their_own(cohort_store: Path, other_cohort: Path) -> None:
    request = ProbeRequest(str(cohort_store), "simulated", EncoderChoice(method="stmem", weights="random-init"))
    alone, both = (Places().name(each) for each in (request, replace(request, eval_data=str(other_cohort))))
    assert both != alone and "cohort-to-other" in both
