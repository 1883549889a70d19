"""Batches whose records belong together: pairs of a patient, floors, and what is left over."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ecgkit.errors import PluginError, RunError
from ecgkit.methods import Batch, Clock, Corpus, Losses
from ecgkit.nn.contrastive import gather
from ecgkit.recipe import Recipe
from ecgkit.store.reader import Store
from ecgkit.store.views import View
from ecgkit.training.data import Split, plan_batches, subset_by_patient
from ecgkit.training.loop import PretrainOptions, Watcher, pretrain
from ecgkit.training.plan import Plan, cut
from ecgkit.training.sampling import PatientPairs
from ecgkit.training.supply import patient_numbers
from ecgkit.training.weights import load_weights
from tests.processes import run_in_processes
from tests.training import standins
from tests.training.standins import PairConfig, Pairs, assert_equal


class LeadSets:
    """What planning reads of a view: which leads each record has."""

    def __init__(self, lead_sets: list[int]) -> None:
        self.present = np.eye(4, dtype=bool)[lead_sets]


class Patients:
    """What `PatientPairs` reads of a store."""

    def __init__(self, patients: list[Any]) -> None:
        self.units = np.array([f"recording {row}" if p is None else str(p) for row, p in enumerate(patients)], object)


def view(lead_sets: list[int]) -> View:
    return cast(View, LeadSets(lead_sets))


def pairs(patients: list[Any]) -> PatientPairs:
    return PatientPairs(cast(Store, Patients(patients)))


@given(
    records=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), min_size=2, max_size=60),
    parts=st.integers(1, 4),
    processes=st.integers(1, 3),
    epoch=st.integers(0, 3),
)
def test_no_pair_is_torn_and_no_batch_mixes_lead_sets(
    records: list[tuple[int, int]], parts: int, processes: int, epoch: int
) -> None:
    patients, lead_sets = map(list, zip(*records, strict=True))
    sampler, rows = pairs([f"p{p}" for p in patients]), np.arange(len(records))
    planned = plan_batches(view(lead_sets), rows, 8, (3, epoch), sampler=sampler)
    used = np.concatenate(planned) if planned else np.empty(0, int)
    assert len(set(used.tolist())) == len(used)
    of_each = {key: records.count(key) for key in set(records)}
    assert len(used) == sum(n // 2 * 2 for n in of_each.values())
    for batch in planned:
        assert len({lead_sets[r] for r in batch}) == 1
        for rank in range(processes):
            for piece in cut(batch, parts=parts, processes=processes, rank=rank, group=2):
                for a, b in piece.rows.reshape(-1, 2):
                    assert patients[a] == patients[b]
                    assert a != b
                assert piece.counted in (0, len(piece.rows))
    again = plan_batches(view(lead_sets), rows, 8, (3, epoch), sampler=sampler)
    assert [b.tolist() for b in again] == [b.tolist() for b in planned]


def test_records_without_a_patient_pair_with_nobody() -> None:
    sampler = pairs([None, None, "a", "a", "a", None])
    [pair] = sampler(np.arange(6), np.random.default_rng(0))
    assert {"a"} == {["-", "-", "a", "a", "a", "-"][row] for row in pair}
    epochs = {tuple(sorted(sampler(np.arange(6), np.random.default_rng(e))[0])) for e in range(20)}
    assert epochs == {(2, 3), (2, 4), (3, 4)}


@given(
    n=st.integers(1, 50),
    fewest=st.integers(1, 4),
    parts=st.integers(1, 5),
    processes=st.integers(1, 4),
    lead_sets=st.integers(1, 3),
)
def test_no_piece_is_below_the_floor(n: int, fewest: int, parts: int, processes: int, lead_sets: int) -> None:
    sets = [i % lead_sets for i in range(n)]
    planned = plan_batches(view(sets), np.arange(n), 8, (0, 0), fewest=fewest)
    kept = sum(sets.count(s) for s in range(lead_sets) if sets.count(s) >= fewest)
    assert sum(map(len, planned)) == kept
    for batch in planned:
        assert fewest <= len(batch) < 8 + fewest
        cuts = [cut(batch, parts=parts, processes=processes, rank=rank, fewest=fewest) for rank in range(processes)]
        assert len(set(map(len, cuts))) == 1
        counted = [row for pieces in cuts for piece in pieces for row in piece.rows[: piece.counted]]
        assert sorted(counted) == sorted(batch.tolist())
        assert min(len(piece.rows) for pieces in cuts for piece in pieces) >= fewest
        weights = sum(piece.weight for pieces in cuts for piece in pieces)
        assert weights == pytest.approx(processes)


def test_a_sampler_whose_epochs_differ_is_refused() -> None:
    class Moody:
        group = 1

        def __call__(self, rows: Any, rng: np.random.Generator) -> Any:
            return rows[: rng.integers(1, len(rows))][:, None]

    plan = Plan(view([0] * 40), np.arange(40), Recipe(batch_size=2), 0, sampler=Moody())
    with pytest.raises(PluginError, match="the same number of groups in every epoch"):
        for epoch in range(20):
            plan.epoch(epoch)


class Siblings(Pairs):
    """Contrasts two records of one patient."""

    @classmethod
    def sampler(cls, config: PairConfig, corpus: Corpus) -> PatientPairs:
        return PatientPairs(corpus.store)

    @classmethod
    def fewest_records(cls, config: PairConfig) -> int:
        return 4

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        patients = batch.extra["patients"]
        assert torch.equal(patients[::2], patients[1::2])
        assert patients.dtype == torch.int64
        z = gather(F.normalize(self.encoder.encode(batch).pooled, dim=-1))  # record by record, then in pairs
        logits = z[::2] @ z[1::2].T / self.temperature
        pairs = torch.arange(len(logits))
        return Losses({"siblings": (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2})


def train_siblings(store: Path, out: Path, recipe: Recipe, **options: Any) -> Any:
    entry = replace(
        standins.entry("Pairs"), target="tests.training.test_sampling:Siblings", needs=("signal", "patients")
    )
    config, usual = replace(PairConfig(), recipe=recipe), PretrainOptions(device="cpu", **options)
    return pretrain(entry, config, Store(store), out, usual, Watcher())


def train_siblings_in_one(rank: int, *arguments: Any, **options: Any) -> None:
    train_siblings(*arguments[:-1], **arguments[-1])


@pytest.mark.slow
def test_siblings_train_the_same_in_any_number_of_workers_and_processes(cohort_store: Path, tmp_path: Path) -> None:
    recipe = replace(PairConfig().recipe, epochs=1)
    one = train_siblings(cohort_store, tmp_path / "one", recipe, workers=0)
    train_siblings(cohort_store, tmp_path / "workers", recipe, workers=2)
    assert_equal(tmp_path / "one", tmp_path / "workers")
    options = {"workers": 0}
    run_in_processes(2, train_siblings_in_one, cohort_store, tmp_path / "two", recipe, options)
    weights = [load_weights(tmp_path / run / "model.safetensors") for run in ("one", "two")]
    assert all((weights[1][name] - value).abs().max() < 1e-5 for name, value in weights[0].items())
    assert one[0]["train_siblings"] > 0.1


def test_a_batch_that_pairs_do_not_fill_is_refused(cohort_store: Path, tmp_path: Path) -> None:
    for size, told in ((9, "not a multiple of 2"), (2, "needs at least 4")):
        with pytest.raises(RunError, match=told):
            train_siblings(cohort_store, tmp_path / "run", replace(PairConfig().recipe, batch_size=size))


def test_windows_of_a_recording_of_an_unknown_patient_are_one_patients() -> None:
    store = Store.__new__(Store)
    store.attributes = {"dataset": "d"}
    ids, patients = ["a#1", "b#1", "a#2", "c", "b#2", "d#1"], [None, None, None, "p", None, "p"]
    store.__dict__["table"] = pd.DataFrame({"record_id": ids, "patient_id": pd.Series(patients, dtype=object)})
    a, b, c, d, e, f = patient_numbers(store)
    assert a == c and b == e and d == f and len({a, b, d}) == 3
    everyone = Split(np.arange(6), *[np.empty(0, np.int64)] * 3)
    for seed in range(20):
        taken = set(subset_by_patient(everyone, store.units, 2, seed).train.tolist())
        assert taken in ({0, 2}, {1, 4}, {3, 5})
