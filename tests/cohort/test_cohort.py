"""Statements about records: the language, the meaning of names, and answers that are not known."""

import csv
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ecgkit as kit
from ecgkit.cohort.find import find_cohort
from ecgkit.cohort.statement import JOINS, Joined, Node, Term, parse
from ecgkit.errors import ConfigError, StoreError
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.labels import PRESENT, UNCERTAIN, read_labels
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.reports import open_reports
from ecgkit.store.reader import Store

WORDS = st.from_regex(r"[A-Za-z0-9_:.-]{1,8}", fullmatch=True).filter(lambda word: word.lower() not in JOINS)
TERMS = st.one_of(
    st.builds(lambda words: Term(" ".join(words)), st.lists(WORDS, min_size=1, max_size=3)),
    st.builds(Term, WORDS, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), WORDS),
)


def spelled(node: Node) -> str:
    """Write a tree with every parenthesis."""
    if isinstance(node, Term):
        return str(node)
    if node.join == "not":
        return f"not ({spelled(node.parts[0])})"
    return "(" + f") {node.join} (".join(spelled(part) for part in node.parts) + ")"


TREES = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.builds(lambda part: Joined("not", (part,)), inner),
        st.builds(
            lambda join, parts: Joined(join, tuple(parts)),
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=2, max_size=3),
        ),
    ),
    max_leaves=12,
)


@given(TREES)
def test_every_tree_is_read_back(tree: Node) -> None:
    assert parse(spelled(tree)) == tree


def test_not_binds_before_and_and_before_or() -> None:
    assert parse("a or not b and c") == Joined(
        "or", (Term("a"), Joined("and", (Joined("not", (Term("b"),)), Term("c"))))
    )
    assert parse("'rock and roll' AND age>=60") == Joined(
        "and", (Term("rock and roll", quoted=True), Term("age", ">=", "60"))
    )


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ConfigError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "ends too early"),
        ("a and", "ends too early"),
        ("(a or b", "ends too early"),
        ("a) or b", r"'\)' is unexpected at character 2"),
        ("a or or b", "'or' is unexpected at character 6"),
        ("age > > 3", "'>' is unexpected at character 7"),
        ('"open', "quote that is not closed at character 1"),
        ("a ! b", "the sign '!' at character 3"),
        ("not " * 60 + "a", "levels of parentheses"),
        ("a" * 10_001, "at most 10,000"),
    ],
)
def test_what_is_no_statement_is_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(text)


@pytest.fixture(scope="module")
def store(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("where") / "cohort.zarr"
    shutil.copytree(cohort_store, path)
    extract_knowledge(open_reports(path), LexiconBackend(), ExtractOptions(min_count=2, keep_children=True))
    return path


def test_entities_and_columns_select_records(store: Path) -> None:
    labels, table = read_labels(Store(store)), Store(store).table.frame()
    present = labels.values[:, labels.names.index("sinus rhythm")] == PRESENT
    found = kit.find_records(store, "sinus and age > 60 and not sex = F")
    wanted = present & labels.complete & (table["age"] > 60).to_numpy() & (table["sex"] == "M").to_numpy()
    assert wanted.any() and found.rows.tolist() == np.flatnonzero(wanted).tolist()
    assert found.meanings["sinus"] == "entity sinus rhythm"
    assert kit.find_records(store, "afib").meanings == {"afib": "entity atrial fibrillation"}
    assert found.extraction.startswith(f"{len(labels.names)} of extraction labels, read by the lexicon")
    assert found.patients == table["patient_id"][wanted].nunique() and sum(found.folds.values()) == len(found)


def test_either_side_and_labels(store: Path) -> None:
    table = Store(store).table.frame()
    code = table["labels"].explode().value_counts().index[0]
    held = table["labels"].map(lambda codes: code in codes).to_numpy()
    assert kit.find_records(store, f'labels:{code} or "{code}"').rows.tolist() == np.flatnonzero(held).tolist()
    assert len(kit.find_records(store, f"not {code}")) == int((~held).sum())
    assert kit.find_records(store, "fold = 10 or fold = 9").folds.keys() <= {9, 10}


def test_what_is_not_known_is_neither_true_nor_false(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    labels = read_labels(Store(store))
    column = labels.names.index("sinus rhythm")
    values, complete = labels.values.copy(), labels.complete.copy()
    values[:4, column], complete[4:7] = UNCERTAIN, False
    changed = replace(labels, values=values, complete=complete)
    monkeypatch.setattr("ecgkit.cohort.names.read_labels", lambda *_: changed)
    opened = Store(store)
    yes, no = find_cohort(opened, "sinus rhythm"), find_cohort(opened, "not sinus rhythm")
    assert not set(yes.rows) & set(no.rows)
    assert yes.unknown == no.unknown == len(opened) - len(yes) - len(no) >= 7
    assert set(range(4)) == set(find_cohort(opened, "'sinus rhythm' = uncertain").rows)
    assert set(range(7)) <= set(find_cohort(opened, "sinus rhythm or fold < 99").rows)  # true whatever the report says
    assert find_cohort(opened, "sinus rhythm and fold > 99").unknown == 0


def test_unknown_names_are_refused_with_a_hint(store: Path, cohort_store: Path, tmp_path: Path) -> None:
    for statement, told in (
        ("atrial fibrilation", "Did you mean 'atrial fibrillation'"),
        ("agee > 3", "Did you mean 'age'"),
        ("age", "a comparison, such as age = "),
        ("age > old", "holds numbers"),
        ("sex > F", "= or !="),
        ("sinus rhythm > 3", "absent, present, uncertain"),
        ("entity:nothing here", "is unknown"),
        ("paced", "'paced' is the entity 'pacemaker rhythm', which extraction labels does not hold"),
        ("report = x", "is unknown"),
    ):
        with pytest.raises(ConfigError, match=told):
            find_cohort(Store(store), statement)
    with pytest.raises(ConfigError, match="its reports were not read: ecgkit extract-knowledge"):
        find_cohort(Store(cohort_store), "atrial fibrillation")
    two = tmp_path / "two.zarr"
    shutil.copytree(store, two)
    extract_knowledge(open_reports(two), LexiconBackend(), ExtractOptions(min_count=2, name="other"))
    with pytest.raises(StoreError, match=r"2 extractions.*--entities NAME"):
        find_cohort(Store(two), "sinus rhythm")
    assert len(find_cohort(Store(two), "sinus rhythm", "other")) and len(find_cohort(Store(two), "age > 0"))


def test_the_command_prints_and_writes_a_cohort(store: Path, ecgkit: Callable, tmp_path: Path) -> None:
    where = "atrial fibrillation and not left bundle branch block"
    found = kit.find_records(store, where)
    told = ecgkit("inspect", store, "--where", where)
    assert told.code == 0 and f"{len(found)} of {found.records}" in told.out
    plain = json.loads(ecgkit("inspect", store, "--where", where, "--json").out)
    assert plain["records"] == len(found) == len(plain["record_ids"])
    assert ecgkit("inspect", store, "--where", where, "--csv", tmp_path / "c.csv").code == 0
    with (tmp_path / "c.csv").open() as file:
        assert [row["record_id"] for row in csv.DictReader(file)] == plain["record_ids"]
    assert pd.read_csv(tmp_path / "c.csv").columns.tolist() == ["record_id", "patient_id", "fold"]
    assert ecgkit("inspect", store, "--csv", tmp_path / "d.csv").code == 2
    nobody = ecgkit("inspect", store, "--where", "age > 200")
    assert nobody.code == 0 and "0 of" in nobody.out
