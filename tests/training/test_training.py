import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from ecgkit_stmem.config import PRESETS
from torch import nn

from ecgkit.config import read_yaml
from ecgkit.entries import MethodEntry, TaskEntry
from ecgkit.errors import OutputError, RunError, StoreError
from ecgkit.methods import Batch, Clock, Corpus, Features, Losses, Method
from ecgkit.plugins import host
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec, apply
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.tasks.data import task_data
from ecgkit.tasks.loading import load_task
from ecgkit.training.data import (
    Windows,
    evaluation_starts,
    load_batches,
    loader,
    plan_batches,
    pretraining_split,
    subset_by_patient,
    training_starts,
)
from ecgkit.training.loop import PretrainOptions, Watcher, pretrain
from ecgkit.training.run import load_encoder, open_run, read_metrics
from ecgkit.training.selection import best_epoch, is_flat, kept_epoch
from ecgkit.training.supply import open_supplies
from ecgkit.training.weights import load_weights, read_foreign_weights
from tests.conftest import synthetic_signal
from tests.store.rounding import allowed
from tests.store.test_store import make_store
from tests.training.standins import PairConfig, train

SMALL = replace(
    PRESETS["tiny"],
    width=16,
    depth=1,
    heads=1,
    head_width=16,
    decoder_width=16,
    decoder_depth=1,
    decoder_heads=1,
    recipe=replace(PRESETS["tiny"].recipe, epochs=3, batch_size=16),
)


@pytest.fixture(scope="module")
def stmem() -> MethodEntry:
    return host().get(MethodEntry, "stmem")


def test_schedule_against_the_formula() -> None:
    recipe = Recipe(epochs=10, batch_size=128, lr=1e-3, warmup_epochs=2)
    assert recipe.peak_lr == 5e-4
    assert recipe.lr_at(1) == pytest.approx(2.5e-4)
    assert recipe.lr_at(2) == pytest.approx(5e-4)
    assert recipe.lr_at(6) == pytest.approx(2.5e-4)
    assert recipe.lr_at(10) == pytest.approx(0, abs=1e-12)
    assert Recipe(epochs=1, warmup_epochs=0).lr_at(0) == Recipe().peak_lr


def test_split_goes_by_patient_and_keeps_the_test_fold_out(cohort_store: Path) -> None:
    table = Store(cohort_store).table
    everybody = np.ones(len(table), bool)
    split = pretraining_split(table["fold"], everybody)
    parts = [set(table["patient_id"].iloc[rows]) for rows in (split.train, split.val, split.held_out)]
    assert all(a.isdisjoint(b) for a in parts for b in parts if a is not b)
    assert sum(map(len, (split.train, split.val, split.held_out))) == len(table)
    everyone = pretraining_split(table["fold"], everybody, all_folds=True)
    assert len(everyone.train) == len(split.train) + len(split.held_out)
    assert len(everyone.held_out) == 0
    some = everybody.copy()
    some[split.train[:3]] = some[split.held_out[0]] = False
    fewer = pretraining_split(table["fold"], some)
    assert sorted(fewer.unusable) == sorted([*split.train[:3], split.held_out[0]])
    assert sorted(np.concatenate(list(fewer.parts().values()))) == list(range(len(table)))
    with pytest.raises(StoreError, match="validation"):
        pretraining_split(table["fold"], everybody & (table["fold"] != 9).to_numpy())


def test_batches_hold_every_record_once_and_one_lead_set_each(tmp_path: Path) -> None:
    from ecgkit.leads import STANDARD_LEADS
    from ecgkit.recording import Recording

    leads = [STANDARD_LEADS, ("I", "II"), ("V1",)]
    recordings = [Recording(synthetic_signal(500, len(leads[i % 3])), 250.0, leads[i % 3]) for i in range(20)]
    store = make_store(tmp_path / "s.zarr", recordings)
    view = open_view(store, SignalSpec(fs=250, seconds=2, window=2))
    batches = plan_batches(view, np.arange(20), 4, (0, 0))
    assert sorted(np.concatenate(batches).tolist()) == list(range(20))
    windows = Windows(view, training_starts(view, 0, 0))
    for batch in load_batches(windows, batches):
        rows = batch.rows.tolist()
        assert len({r % 3 for r in rows}) == 1
        assert [STANDARD_LEADS[i] for i in batch.lead_ids] == list(leads[rows[0] % 3])
        assert batch.signal.shape == (len(rows), len(leads[rows[0] % 3]), 500)
    other = plan_batches(view, np.arange(20), 4, (0, 1))
    assert [b.tolist() for b in other] != [b.tolist() for b in batches]
    assert [b.tolist() for b in plan_batches(view, np.arange(20), 4, (0, 0))] == [b.tolist() for b in batches]


def test_a_batch_is_the_contract_of_each_record_and_workers_change_nothing(cohort_store: Path) -> None:
    store, spec = Store(cohort_store), PRESETS["tiny"].signal
    view = open_view(store, spec)
    rows = np.array([3, 77, 41])
    batch = Windows(view, evaluation_starts(view, 125))[rows]
    for b, row in enumerate(rows):
        recording = store.recording(row)
        wanted = apply(recording.signal, recording.fs, spec, 0.5)
        unscaled = apply(recording.signal, recording.fs, replace(spec, normalize="none"), 0.5)
        np.testing.assert_allclose(batch.signal[b], wanted, rtol=0, atol=allowed(view, row, unscaled.std()))
    windows = Windows(view, training_starts(view, 1, 2))
    batches = plan_batches(view, np.arange(40), 8, (1, 2))
    for here, there in zip(load_batches(windows, batches), loader(windows, batches, workers=2), strict=True):
        assert torch.equal(here.signal, there.signal)
        assert torch.equal(here.rows, there.rows)


LOADING = """
import multiprocessing, os, signal, sys, torch
from ecgkit.training.data import loader

class Zeros(torch.utils.data.Dataset):
    def __getitem__(self, rows):
        return torch.zeros(2)

kept = loader(Zeros(), [[0]] * 8, 1)
batches = iter(kept)
next(batches)
kept.cycle = [kept, batches]  # nothing frees them before Python ends
(worker,) = multiprocessing.active_children()
if os.fork() == 0:  # somebody else than the parent
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        os.kill(worker.pid, number)
    os._exit(0)
os.wait()
print(sum(1 for batch in batches), worker.is_alive())
"""


@pytest.mark.slow
def test_loading_processes_outlive_signals_and_end_with_python() -> None:
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, timeout=120, check=True)
    assert (done.stdout, done.stderr) == ("7 True\n", "")


def test_crops_stay_in_the_record(cohort_store: Path) -> None:
    view = open_view(Store(cohort_store), PRESETS["tiny"].signal)
    starts = np.stack([training_starts(view, 0, epoch) for epoch in range(50)])
    assert starts.min() == 0
    assert starts.max() == 250
    assert (starts + 2250 <= view.lengths).all()
    assert len(np.unique(starts[:, 0])) > 20


@pytest.mark.slow
def test_pretraining_writes_a_run_that_opens_again(stmem: MethodEntry, cohort_store: Path, tmp_path: Path) -> None:
    seen: list[Any] = []
    watcher = Watcher(step=lambda done, total: seen.append((done, total)))
    metrics = pretrain(stmem, SMALL, Store(cohort_store), tmp_path / "run", PretrainOptions(preset="tiny"), watcher)
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"]
    assert seen[-1] == (len(seen), len(seen))
    run = open_run(tmp_path / "run")
    assert run.config == SMALL
    assert run.preset == "tiny"
    assert read_metrics(run.path) == metrics
    assert run.details["store"]["sha256"] == Store(cohort_store).content_hash
    parts = pd.read_parquet(run.path / "records.parquet")
    assert parts.groupby("part").size().to_dict() == {k: n for k, n in run.details["records"].items() if n}
    features = run.encoder()(torch.zeros(1, 12, 2250), torch.arange(12))
    assert features.pooled.shape == (1, 16)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    stmem: MethodEntry, cohort_store: Path, tmp_path: Path
) -> None:
    states = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        pretrain(stmem, SMALL, Store(cohort_store), tmp_path / name, PretrainOptions(seed=seed))
        states.append(load_weights(tmp_path / name / "model.safetensors"))
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert not all(torch.equal(states[0][k], states[2][k]) for k in states[0])


@pytest.mark.slow
def test_the_best_or_the_last_epoch_is_kept(stmem: MethodEntry, cohort_store: Path, tmp_path: Path) -> None:
    # A learning rate that destroys what it learnt makes an early epoch the best.
    wild = replace(SMALL, recipe=replace(SMALL.recipe, lr=10.0, warmup_epochs=0, checkpoint="best"))
    for rule in ("best", "last"):
        config = replace(wild, recipe=replace(wild.recipe, checkpoint=rule))
        pretrain(stmem, config, Store(cohort_store), tmp_path / rule)
    losses = [m["val_loss"] for m in read_metrics(tmp_path / "best")]
    same = all(
        torch.equal(a, b)
        for a, b in zip(
            *(load_weights(tmp_path / rule / "model.safetensors").values() for rule in ("best", "last")), strict=True
        )
    )
    assert same == (int(np.argmin(losses)) == len(losses) - 1)


def test_an_interrupted_training_leaves_nothing(stmem: MethodEntry, cohort_store: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(stmem, SMALL, Store(cohort_store), tmp_path / "run", watcher=Watcher(step=stop))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "run").mkdir()
    with pytest.raises(OutputError):
        pretrain(stmem, SMALL, Store(cohort_store), tmp_path / "run")


@dataclass(frozen=True)
class ProbeConfig:
    """A stranger's config."""

    signal: SignalSpec = SignalSpec(fs=100, seconds=2, window=2)
    recipe: Recipe = Recipe(epochs=1, batch_size=8)


class Diverging(Method):
    """A stranger's method, whose loss is no number."""

    def __init__(self, config: ProbeConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        return Losses({"nan": self.weight.sum() * float("nan")})


@dataclass(frozen=True)
class LabelConfig(ProbeConfig):
    """A stranger's supervised config."""

    labels: tuple[str, ...] = ()


class Supervised(Method):
    """A stranger's supervised method: lead means, a linear layer, and the task's labels."""

    def __init__(self, config: LabelConfig) -> None:
        super().__init__()
        self.layer = nn.Linear(12, len(config.labels))
        self.register_buffer("trained_on", torch.zeros(1))

    @classmethod
    def complete(cls, config: LabelConfig, corpus: Corpus) -> LabelConfig:
        return replace(config, labels=corpus.labels)

    def prepare(self, corpus: Corpus) -> None:
        self.trained_on.fill_(len(corpus.train))

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        logits = self.layer(batch.signal.abs().mean(-1))
        return Losses({"bce": nn.functional.binary_cross_entropy_with_logits(logits, batch.extra["labels"])})


def test_a_supervised_method_trains_on_a_tasks_labels_and_split(cohort_store: Path, tmp_path: Path) -> None:
    store, task = Store(cohort_store), host().get(TaskEntry, "simulated")
    supervised = replace(
        entry("Supervised", needs=("signal", "labels")), config="tests.training.test_training:LabelConfig"
    )
    metrics = pretrain(supervised, LabelConfig(), store, tmp_path / "run", task=task)
    data = task_data(load_task(task), task.name, store)
    assert metrics[0]["train_loss"] > 0
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (saved["task"], saved["config"]["labels"]) == ("simulated", list(data.labels))
    assert load_weights(tmp_path / "run" / "model.safetensors")["trained_on"] == len(data.parts["train"])
    changed = PretrainOptions(task_settings=("split.train=[1, 2]",))
    pretrain(supervised, LabelConfig(), store, tmp_path / "changed", changed, task=task)
    few = task_data(load_task(task, changed.task_settings), task.name, store).parts["train"]
    assert load_weights(tmp_path / "changed" / "model.safetensors")["trained_on"] == len(few) < len(data.parts["train"])
    assert "with split.train=[1, 2]." in (tmp_path / "changed" / "README.md").read_text()
    # What a batch holds are the targets of just its rows.
    view = open_view(store, ProbeConfig().signal)
    labels = open_supplies(["signal", "labels"], store, view, data)
    rows = data.rows[data.parts["val"]][::-1].copy()
    batch = Windows(view, evaluation_starts(view, 0), labels)[rows]
    np.testing.assert_array_equal(batch.extra["labels"], data.targets[data.parts["val"]][::-1])
    with pytest.raises(StoreError, match="pretrain --task"):
        pretrain(supervised, LabelConfig(), store, tmp_path / "other")


def entry(name: str, **fields: Any) -> MethodEntry:
    here = "tests.training.test_training"
    return MethodEntry(
        name=name, summary="", target=f"{here}:{name}", config=f"{here}:ProbeConfig", presets="", paper="", **fields
    )


def test_a_loss_that_is_no_number_stops_the_training_and_its_records_are_saved(
    cohort_store: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"diverged.*recipe\.lr"):
        pretrain(entry("Diverging"), ProbeConfig(), Store(cohort_store), tmp_path / "run")
    [file] = (tmp_path / "run.partial").glob("diverged*")
    told = json.loads(file.read_text())
    assert (told["step"], told["losses"]["nan"], len(told["record_ids"])) == (1, "nan", 8)
    assert set(told["record_ids"]) <= set(Store(cohort_store).table["record_id"])
    assert not (tmp_path / "run").exists()


def test_a_method_that_needs_more_than_the_store_has_is_told_the_command(cohort_store: Path, tmp_path: Path) -> None:
    needy = entry("Diverging", needs=("signal", "entities"))
    with pytest.raises(StoreError, match="ecgkit extract-knowledge"):
        pretrain(needy, ProbeConfig(), Store(cohort_store), tmp_path / "run")


def test_losses_are_the_sum_of_their_parts() -> None:
    assert Losses({"a": torch.tensor(1.5), "b": torch.tensor(2.0)}).loss.item() == 3.5
    assert Features(torch.zeros(1, 2)).layers is None


def test_a_folder_that_is_no_finished_run_is_one_clear_error(stmem: MethodEntry, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "config.yaml").write_text("method: stmem\nconfig: {}\n")
    for name, message in (("absent", "does not exist"), ("empty", "config.yaml"), ("unfinished", "model.safetensors")):
        with pytest.raises(RunError, match=message):
            open_run(tmp_path / name)
    weights = tmp_path / "unfinished" / "model.safetensors"
    weights.write_bytes(b"no tensors at all")
    with pytest.raises(RunError, match="safetensors"):
        open_run(tmp_path / "unfinished").encoder()
    with pytest.raises(RunError, match="do not fit"):
        load_encoder(stmem, SMALL, {"encoder.norm.weight": torch.zeros(16)}, source="here")


class Evil:
    """What a hostile checkpoint would hold."""

    def __reduce__(self) -> Any:
        return (Path("hit").touch, ())


def test_foreign_weights_are_read_in_three_formats_and_never_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    tensor = torch.arange(6.0).view(2, 3)
    torch.save({"model": {"w": tensor}, "epoch": 3}, "nested.pth")
    torch.save({"w": tensor}, "bare.pt")
    np.savez("arrays.npz", w=tensor.numpy(), note="text")
    for name in ("nested.pth", "bare.pt", "arrays.npz"):
        state = read_foreign_weights(Path(name))
        assert list(state) == ["w"]
        assert torch.equal(state["w"], tensor)
    torch.save({"model": {"w": tensor}, "args": Evil()}, "evil.pth")
    Path("text.pth").write_text("hello")
    torch.save([1, 2], "list.pth")
    Path("w.bmp").touch()
    for name, message in (
        ("evil.pth", "cannot be read safely"),
        ("text.pth", "cannot be read safely"),
        ("list.pth", "no tensors"),
        ("w.bmp", ".safetensors"),
        ("absent.pth", "does not exist"),
    ):
        with pytest.raises(RunError, match=message):
            read_foreign_weights(Path(name))
    assert not Path("hit").exists()


def test_config_yaml_holds_every_setting(stmem: MethodEntry, cohort_store: Path, tmp_path: Path) -> None:
    pretrain(stmem, SMALL, Store(cohort_store), tmp_path / "run", PretrainOptions("tiny", seed=5))
    details = read_yaml(tmp_path / "run" / "config.yaml")
    assert details["seed"] == 5
    assert details["config"]["signal"]["filter"]["cascade"] is True
    assert {"ecgkit", "torch", "python", "device", "command"} <= set(details["environment"])
    json.dumps(details)


def test_a_subset_holds_whole_patients_and_smaller_ones_lie_within_larger(cohort_store: Path) -> None:
    store = Store(cohort_store)
    everyone = pretraining_split(store.table["fold"], np.ones(len(store), bool))
    before: set[int] = set()
    for size in (20, 40, 70, len(everyone.train)):
        split = subset_by_patient(everyone, store.units, size, seed=3)
        rows = set(split.train.tolist())
        others = set(everyone.train.tolist()) - rows
        assert size - 20 < len(rows) <= size
        assert before <= rows
        assert not {store.patients[row] for row in rows} & {store.patients[row] for row in others}
        assert np.array_equal(split.val, everyone.val)
        before = rows
    other = subset_by_patient(everyone, store.units, 60, seed=4)
    assert set(other.train.tolist()) != set(subset_by_patient(everyone, store.units, 60, seed=3).train.tolist())
    with pytest.raises(StoreError, match="there are"):
        subset_by_patient(everyone, store.units, len(everyone.train) + 1, seed=3)


@pytest.mark.parametrize(
    ("monitor", "values", "patience", "best", "flat"),
    [
        ("val_loss", [3.0, 2.0, 2.5, 2.1], 2, 2, True),
        ("val_loss", [3.0, 2.0, 2.5, 1.9], 2, 4, False),
        ("val_loss", [3.0, 2.0, 2.5, 2.1], None, 2, False),
        ("probe_macro_auroc", [0.6, None, 0.5, 0.7], 3, 4, False),
        ("probe_macro_auroc", [0.6, None, 0.5, 0.6], 3, 1, True),
        ("probe_macro_auroc", [None, None], 1, None, False),
    ],
)
def test_the_monitored_metric_decides_what_is_kept_and_when_to_stop(monitor, values, patience, best, flat) -> None:
    metrics = [{"epoch": n, "val_loss": 1.0, monitor: value} for n, value in enumerate(values, 1)]
    recipe = Recipe(monitor=monitor, patience=patience)
    found = best_epoch(metrics, monitor)
    assert (found and found["epoch"]) == best
    assert kept_epoch(metrics, recipe)["epoch"] == (best or len(values))
    assert is_flat(metrics, recipe) == flat


@pytest.mark.slow
def test_a_training_stops_early_and_keeps_the_best(cohort_store: Path, tmp_path: Path) -> None:
    """At a rate of 0 nothing gets better, so the first epoch is the best; two more are the patience."""
    config = PairConfig(recipe=Recipe(epochs=9, batch_size=16, lr=1e-30, warmup_epochs=0, precision="fp32", patience=2))
    metrics = train(cohort_store, tmp_path / "run", config=config, subset=60)
    assert [line["epoch"] for line in metrics] == [1, 2, 3]
    details = read_yaml(tmp_path / "run" / "config.yaml")
    assert details["subset"] == 60 and 40 < details["records"]["train"] <= 60
    assert "stopped early, 2 epochs after the best" in (tmp_path / "run" / "README.md").read_text()
