"""The task of entities: which are its classes, which records take part, and what is said of it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ecgkit as kit
from ecgkit.config import build
from ecgkit.errors import ConfigError, StoreError, TaskError
from ecgkit.evaluation.results.facts import Facts
from ecgkit.evaluation.results.row import find_rows, load_row
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.labels import PRESENT, UNCERTAIN, Entities, read_labels
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.reports import open_reports
from ecgkit.reporting.page.sentences import sentences
from ecgkit.store.reader import Store
from ecgkit.tasks.data import TaskData, task_data
from ecgkit.tasks.entity_targets import labels_hash
from ecgkit.tasks.loading import find_task, load_task
from ecgkit.tasks.task import EntityLabels, Task
from ecgkit.workspace.fitting import fitting_tasks, the_task


@pytest.fixture(scope="module")
def store(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("entities") / "cohort.zarr"
    shutil.copytree(cohort_store, path)
    extract_knowledge(open_reports(path), LexiconBackend(), ExtractOptions(min_count=1, keep_children=True))
    return path


def opened(store: Path, *settings: str) -> TaskData:
    return task_data(load_task(find_task("entities"), settings), "entities", Store(store))


def test_classes_are_the_entities_with_enough_training_records(store: Path) -> None:
    data, labels, table = opened(store), read_labels(Store(store)), Store(store).table
    train = np.isin(table["fold"], range(1, 9)) & labels.complete
    counts = dict(zip(labels.names, (labels.values[train] == PRESENT).sum(0), strict=True))
    assert data.labels == tuple(name for name in labels.names if counts[name] >= 10)
    assert min(counts.values()) < 10 <= max(counts.values())
    columns = [labels.names.index(name) for name in data.labels]
    assert (data.targets == (labels.values[data.rows][:, columns] == PRESENT)).all()
    assert set(data.rows) == set(np.flatnonzero(labels.complete))
    assert set(table["fold"].iloc[data.rows[data.parts["test"]]]) == {10}
    assert data.extraction is not None and data.extraction.name == "labels"


class Unsure:
    """A store's labels, with one entity unsure in some records, and some reports unread."""

    def __init__(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = read_labels(Store(store))
        self.column = found.names.index("sinus rhythm")
        values, complete = found.values.copy(), found.complete.copy()
        self.rows = np.flatnonzero(values[:, self.column] == PRESENT)[:5]
        values[self.rows, self.column] = UNCERTAIN
        complete[[int(np.flatnonzero(values[:, self.column] == 0)[0])]] = False
        self.entities: Entities = replace(found, values=values, complete=complete)
        monkeypatch.setattr("ecgkit.tasks.entity_targets.read_labels", lambda *_: self.entities)


@pytest.mark.parametrize(("rule", "counted"), [("negative", 0), ("positive", 1)])
def test_the_rule_for_uncertain_entities(store: Path, rule: str, counted: int, monkeypatch) -> None:
    told = Unsure(store, monkeypatch)
    data = opened(store, f"entities.uncertain={rule}")
    places = np.flatnonzero(np.isin(data.rows, told.rows))
    assert len(places) == 5
    assert (data.targets[places, data.labels.index("sinus rhythm")] == counted).all()
    assert data.notes == ("1 records left out, whose report is missing or was not read completely",)


def test_records_of_an_unsure_report_are_left_out_if_asked(store: Path, monkeypatch) -> None:
    told = Unsure(store, monkeypatch)
    data = opened(store, "entities.uncertain=drop", "entities.only=[sinus rhythm]")
    assert data.labels == ("sinus rhythm",)
    assert not np.isin(told.rows, data.rows).any()
    unsure = int((told.entities.values[told.entities.complete][:, told.column] == UNCERTAIN).sum())
    assert f"{unsure} records left out, whose report is unsure of a class" in data.notes


def test_what_is_impossible_is_refused(store: Path, cohort_store: Path) -> None:
    with pytest.raises(TaskError, match=r"no entity of extraction labels .* 5000 training records.*min_count"):
        opened(store, "entities.min_count=5000")
    with pytest.raises(TaskError, match="no entity 'sinus rythm'. Did you mean 'sinus rhythm'"):
        opened(store, "entities.only=[sinus rythm]")
    with pytest.raises(StoreError, match="none called 'model'"):
        opened(store, "entities.name=model")
    with pytest.raises(StoreError, match="holds no entities"):
        opened(cohort_store)
    with pytest.raises(ConfigError, match="min_count 0 must be at least 1"):
        load_task(find_task("entities"), ["entities.min_count=0"])
    with pytest.raises(ConfigError, match="entities must stand without code_system"):
        build(Task, {"title": "x", "code_system": "scp", "entities": {}})


def test_several_extractions_must_be_chosen_from(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "two.zarr"
    shutil.copytree(store, path)
    options = ExtractOptions(min_count=40, name="few")
    extract_knowledge(open_reports(path), LexiconBackend(), options)
    with pytest.raises(
        StoreError, match=r"2 extractions of entities: few \(the lexicon.*--task-set entities.name=NAME"
    ):
        opened(path)
    few = opened(path, "entities.name=few")
    assert few.extraction is not None and few.extraction.name == "few"
    assert len(few.labels) < len(opened(path, "entities.name=labels").labels)
    hashes = {labels_hash(Store(path), EntityLabels(name)) for name in ("few", "labels")}
    assert len(hashes) == 2


def test_the_dataset_s_own_classes_come_before_entities(store: Path) -> None:
    names = [task.name for task in fitting_tasks(store)]
    assert names.index("simulated") < names.index("entities")
    with pytest.raises(TaskError) as told:
        the_task("", store, "ecgkit probe")
    assert "simulated (" in str(told.value) and "entities (" not in str(told.value)


def test_a_result_says_which_extraction(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "title: Rhythms\nunlabelled: keep\n"
        "entities: {name: labels, min_count: 2, only: [sinus rhythm, atrial fibrillation]}\n"
    )
    kit.probe(
        method="merl", preset="tiny", random_init=True, data=store, task=str(path), out=tmp_path / "r", device="cpu"
    )
    row = find_rows([tmp_path / "r"])[0][1]
    assert {c.label for c in row.classes} == {"sinus rhythm", "atrial fibrillation"}
    words = sentences(row)
    assert "out of" in words["labels"] and "extraction labels, read by the lexicon" in words["labels"]
    assert words["uncertain entities"] == "counted as negative"
    facts: Facts = row.facts
    assert facts.labels.extraction is not None
    assert row.hashes["entities"] == facts.labels.extraction.sha256 == labels_hash(Store(store), EntityLabels())
    assert load_row(find_rows([tmp_path / "r"])[0][0]) == row
