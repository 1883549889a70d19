"""A run that is built on another one says so, knows what that one saw, and goes on with no other weights."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from ecgkit.config import read_yaml
from ecgkit.entries import MethodEntry, SupplyEntry
from ecgkit.errors import OutputError, PluginError, RunError, StoreError
from ecgkit.evaluation.features.encoder import pretrained_encoder
from ecgkit.hookspecs import hookimpl
from ecgkit.methods import Batch, Clock, Corpus, Losses
from ecgkit.plugins import Host, Plugin
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.training import run as run_folder
from ecgkit.training import supply
from ecgkit.training.loop import PretrainOptions, Watcher, pretrain
from ecgkit.training.run import RECORD_COLUMNS, open_run, read_records, seen_records
from ecgkit.training.supply import ByRow, open_supplies
from ecgkit.training.weights import file_sha256, load_weights
from tests.training import standins
from tests.training.standins import PairConfig, Plain, train

QUICK = replace(PairConfig().recipe, epochs=1)


@dataclass(frozen=True)
class SecondConfig(PairConfig):
    """A second stage's config."""

    parent: str = ""


class Second(Plain):
    """Starts with the encoder of another run."""

    @classmethod
    def built_on(cls, config: SecondConfig) -> tuple[Path, ...]:
        return (Path(config.parent),)

    def prepare(self, corpus: Corpus) -> None:
        assert isinstance(self.config, SecondConfig)
        self.encoder.load_state_dict(open_run(Path(self.config.parent)).encoder().state_dict())


def second_entry() -> MethodEntry:
    here = "tests.training.test_parents"
    entry = standins.entry("Plain")
    return replace(entry, name="second", summary="x", target=f"{here}:Second", config=f"{here}:SecondConfig")


@pytest.fixture(autouse=True)
def stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin with two methods, and with two supplies: the number of each record, and something that no store has."""
    module, here = ModuleType("stranger"), "tests.training.test_parents"

    def register_methods(register: Callable[[MethodEntry], None]) -> None:
        register(replace(standins.entry("Plain"), summary="x"))
        register(second_entry())

    def register_supplies(register: Callable[[SupplyEntry], None]) -> None:
        for name in ("numbers", "nothing"):
            command = f"stranger add {name}"
            register(SupplyEntry(name=name, summary="x", target=f"{here}:open_{name}", command=command))

    module.__dict__.update(register_methods=hookimpl(register_methods), register_supplies=hookimpl(register_supplies))
    found = Host(set())
    found._add(Plugin("stranger"), lambda: module)
    assert not found.plugins[-1].error
    for room in (supply, run_folder):
        monkeypatch.setattr(room, "host", lambda: found)


def train_second(store: Path, out: Path, parent: Path, **options: Any) -> Any:
    entry = second_entry()
    config, watcher = SecondConfig(recipe=QUICK, parent=str(parent)), options.pop("watcher", Watcher())
    return pretrain(entry, config, Store(store), out, PretrainOptions(device="cpu", workers=0, **options), watcher)


@pytest.fixture
def parent(cohort_store: Path, tmp_path: Path) -> Path:
    train(cohort_store, tmp_path / "first", "Plain", replace(PairConfig(), recipe=QUICK), workers=0)
    return tmp_path / "first"


def test_a_run_knows_its_parents_and_what_they_saw(cohort_store: Path, tmp_path: Path, parent: Path) -> None:
    # A parent that saw other records, of another dataset.
    foreign = read_records(parent).assign(dataset="elsewhere")
    foreign["sha256"] = "x" + foreign["sha256"]
    foreign.to_parquet(parent / "records.parquet", index=False)
    train_second(cohort_store, tmp_path / "second", parent)
    train_second(cohort_store, tmp_path / "third", tmp_path / "second")
    sha256 = file_sha256(parent / "model.safetensors")
    shutil.rmtree(parent)
    saw = set(seen_records_of(foreign))
    for run in ("second", "third"):
        seen = seen_records(tmp_path / run)
        assert list(seen) == RECORD_COLUMNS
        assert saw < set(seen["sha256"])
        assert set(seen["part"]) == {"train", "val", "parent train", "parent val"}
        encoder = pretrained_encoder(tmp_path / run)
        assert saw < encoder.seen
        assert {patient.split(":")[0] for patient in encoder.seen_patients} == {"elsewhere", dataset_of(cohort_store)}
    [second] = read_yaml(tmp_path / "third" / "config.yaml")["built_on"]
    [first] = second["built_on"]
    assert (first["run"], first["weights_sha256"], first["records"]) == (str(parent.resolve()), sha256, len(saw))
    assert second["weights_sha256"] == file_sha256(tmp_path / "second" / "model.safetensors")


def seen_records_of(table: Any) -> list[str]:
    return table.loc[table["part"].isin(["train", "val"]), "sha256"].tolist()


def dataset_of(store: Path) -> str:
    return str(Store(store).attributes["dataset"])


def test_a_run_of_the_first_release_has_one_dataset(cohort_store: Path, parent: Path) -> None:
    before = read_records(parent)
    before.drop(columns="dataset").to_parquet(parent / "records.parquet", index=False)
    assert read_records(parent).to_dict("list") == before.to_dict("list")
    assert set(before["dataset"]) == {dataset_of(cohort_store)}


def test_other_weights_of_a_parent_are_not_gone_on_with(cohort_store: Path, tmp_path: Path, parent: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    out = tmp_path / "second"
    with pytest.raises(KeyboardInterrupt):
        train_second(cohort_store, out, parent, save_minutes=0, watcher=Watcher(step=stop))
    (parent / "model.safetensors").rename(parent / "kept")
    weights = load_weights(parent / "kept")
    from ecgkit.training.weights import save_tensors

    save_tensors(parent / "model.safetensors", {name: value + 1 for name, value in weights.items()})
    with pytest.raises(OutputError, match="built on other weights than"):
        train_second(cohort_store, out, parent, resume=True)
    (parent / "kept").replace(parent / "model.safetensors")
    train_second(cohort_store, out, parent, resume=True)
    with pytest.raises(RunError, match="does not exist"):
        train_second(cohort_store, tmp_path / "third", tmp_path / "nothing")


def open_numbers(store: Store, view: Any, data: Any) -> ByRow:
    return ByRow(torch.arange(len(store)))


def open_nothing(store: Store, view: Any, data: Any) -> None:
    return None


class Numbered(Plain):
    """Reads a stranger's supply."""

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        assert torch.equal(batch.extra["numbers"], batch.rows)
        return super().training_step(batch, clock)


def test_a_method_reads_what_a_stranger_supplies(cohort_store: Path, tmp_path: Path) -> None:
    entry = replace(standins.entry("Plain"), target="tests.training.test_parents:Numbered", needs=("signal", "numbers"))
    config, options = replace(PairConfig(), recipe=QUICK), PretrainOptions(device="cpu", workers=1)
    pretrain(entry, config, Store(cohort_store), tmp_path / "run", options)
    with pytest.raises(StoreError, match=r"holds no nothing, which Plain needs. Add them with: stranger add nothing"):
        pretrain(replace(entry, needs=("nothing",)), config, Store(cohort_store), tmp_path / "other", options)
    with pytest.raises(PluginError, match="no supply 'numbrs'.*numbers"):
        pretrain(replace(entry, needs=("numbrs",)), config, Store(cohort_store), tmp_path / "other", options)


def test_patients_are_numbers_that_records_share(cohort_store: Path) -> None:
    store = Store(cohort_store)
    view = open_view(store, PairConfig().signal)
    rows = np.arange(len(store))[::-1].copy()
    numbers = open_supplies(["patients"], store, view)["patients"].at(rows, np.zeros_like(rows))
    same = numbers[:, None] == numbers[None]
    patients = store.table["patient_id"].to_numpy()[rows]
    np.testing.assert_array_equal(same.numpy(), patients[:, None] == patients[None])
