"""Several extractions of one store: which one is meant, and what is said of it."""

import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import zarr

import ecgkit
from ecgkit.config import build, override, read_yaml, to_dict
from ecgkit.entries import MethodEntry
from ecgkit.errors import StoreError
from ecgkit.evaluation.features.encoder import pretrained_encoder
from ecgkit.knowledge.export import entity_table
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.extractions import chosen_extraction, extraction_of, extractions
from ecgkit.knowledge.labels import read_labels
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.reports import open_reports
from ecgkit.knowledge.source import EntityField, EntitySource
from ecgkit.methods import method_config
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.training.loop import PretrainOptions, pretrain
from ecgkit.training.preparation import check_prepared, origins
from ecgkit.training.supply import entity_values

FAST = ["recipe.epochs=1", "width=16", "depth=1", "heads=1", "head_width=16", "projection=16", "text.width=16"]


@dataclass(frozen=True)
class Learns:
    """A config that chooses an extraction."""

    entities: EntityField = field(default_factory=EntitySource)


class Model(LexiconBackend):
    """The lexicon, which says that it is a model."""

    @property
    def provenance(self):
        prompts = {"extract": "v2 0123456789abcdef", "merge": "v1 fedcba9876543210"}
        return {"backend": "openai", "model": "qwen", "host": "127.0.0.1:8000", "prompts": prompts}


@pytest.fixture(scope="module")
def two(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cohort, read by the lexicon and by a model that keeps fewer entities."""
    path = tmp_path_factory.mktemp("two") / "cohort.zarr"
    shutil.copytree(cohort_store, path)
    for name, backend, least in (("labels", LexiconBackend(), 5), ("model", Model(), 20)):
        extract_knowledge(open_reports(path), backend, ExtractOptions(min_count=least, name=name))
    return path


def test_several_extractions_must_be_chosen_from(two: Path) -> None:
    store = Store(two)
    assert extractions(store) == ("labels", "model")
    with pytest.raises(StoreError) as told:
        entity_values(store)
    text = str(told.value)
    assert "2 extractions" in text and "labels (the lexicon" in text and "--set entities.name=NAME" in text
    assert "model (the model qwen on 127.0.0.1:8000, prompt v2 01234567)" in text
    assert entity_values(store, EntitySource("model")).shape[1] == len(read_labels(store, "model").names)
    with pytest.raises(StoreError, match=r"labels, model and none called 'modle'. Did you mean 'model'"):
        chosen_extraction(store, "modle", "--x")


def test_the_only_extraction_is_used_whatever_its_name(two: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.zarr"
    shutil.copytree(two, path)
    shutil.rmtree(path / "knowledge" / "labels")
    (path / "knowledge" / ".labels.partial").mkdir()
    store = Store(path)
    assert chosen_extraction(store, "", "--x") == "model"
    shutil.copytree(path / "knowledge" / "model", path / "knowledge" / "model-pilot")
    assert chosen_extraction(store, "", "--x") == "model"
    assert ecgkit.audit_knowledge(path, sample=2)[0].name == "audit-model.csv"
    assert ecgkit.export_knowledge(path, tmp_path / "model.csv").is_file()
    with pytest.raises(StoreError, match=r"2 extractions.*--name NAME"):
        ecgkit.export_knowledge(two, tmp_path / "two.csv")
    check_prepared(["entities"], store, owner="m", prepare=None, config=Learns())
    assert origins(["entities"], store, Learns())["entities"].endswith("prompt v2 01234567")
    with pytest.raises(StoreError, match="none called 'labels'"):
        check_prepared(["entities"], store, owner="m", prepare=lambda *_: None, config=Learns(EntitySource("labels")))


def test_a_store_without_entities_says_how_to_make_them(cohort_store: Path) -> None:
    store = Store(cohort_store)
    with pytest.raises(StoreError, match=r"ecgkit extract-knowledge .*cohort"):
        check_prepared(["entities"], store, owner="m", prepare=None)
    with pytest.raises(StoreError, match=r"no entities of extraction 'model'.*--name model"):
        check_prepared(["entities"], store, owner="m", prepare=lambda *_: None, config=Learns(EntitySource("model")))


def test_an_extraction_of_another_store_is_refused(two: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.zarr"
    shutil.copytree(two, path)
    array = zarr.open_array(path / "knowledge" / "model", mode="r+")
    array.attrs["content_sha256"] = "0" * 64
    with pytest.raises(StoreError, match="belongs to other records"):
        entity_values(Store(path), EntitySource("model"))


def test_other_entities_than_those_of_training_are_refused(two: Path) -> None:
    with pytest.raises(StoreError, match="other entities than the model"):
        entity_values(Store(two), EntitySource("model", ("sinus rhythm",)))


def test_configs_of_earlier_runs_are_read() -> None:
    config = build(Learns, {"entities": ["atrial fibrillation", "sinus rhythm"]})
    assert config.entities == EntitySource("", ("atrial fibrillation", "sinus rhythm"))
    assert build(Learns, to_dict(config)) == config
    assert override(config, ["entities.name=model"]).entities.name == "model"


def test_a_vote_names_its_voters(two: Path) -> None:
    labels = read_labels(Store(two), "model")
    voters = {
        "a": {"backend": "lexicon", "lexicon_version": "3"},
        "b": {"backend": "openai", "model": "m", "host": "h"},
    }
    labels.provenance.update(backend="vote", voters=voters, model="")  # type: ignore[attr-defined]
    assert extraction_of(labels, "vote").reader == "a vote of a (the lexicon 3), b (the model m on h)"


def test_a_run_and_its_card_name_the_extraction(two: Path, tmp_path: Path) -> None:
    entry = host().get(MethodEntry, "kmerl")
    _, config = method_config(entry, "tiny")
    config = override(config, [*FAST, "entities.name=model"])
    run = tmp_path / "run"
    pretrain(entry, config, Store(two), run, PretrainOptions("tiny", device="cpu"))
    names = read_labels(Store(two), "model").names
    assert read_yaml(run / "config.yaml")["config"]["entities"] == {"name": "model", "names": list(names)}
    told = f"{len(names)} of extraction model, read by the model qwen on 127.0.0.1:8000, prompt v2 01234567"
    assert f"Entities: {told}.\n" in (run / "README.md").read_text()
    assert pretrained_encoder(run).origins["entities"] == told
    json.dumps(pretrained_encoder(run).origins)


def test_the_table_of_entities_joins_the_records_of_a_store(two: Path) -> None:
    store = Store(two)
    labels = read_labels(store)
    complete, values = labels.complete.copy(), labels.values.copy()
    complete[3], values[:, 0], values[5, 1] = False, 0, 2
    table = entity_table(replace(labels, complete=complete, values=values))
    joined = store.table[["record_id", "fold"]].merge(table, on="record_id", validate="one_to_one")
    assert joined["record_id"].tolist() == store.table["record_id"].tolist()
    assert table.columns.tolist() == ["record_id", *labels.names]
    assert any(" " in name for name in labels.names)
    assert table.iloc[3, 1:].isna().all() and table[labels.names[0]].sum() == 0
    assert table[labels.names[1]].iloc[5] == 2
