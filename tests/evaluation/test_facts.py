"""Facts of a result: rows hold them as data, older rows open with their sentences, and cards put them into words."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from ecgkit.api.report import report
from ecgkit.errors import ResultsError
from ecgkit.evaluation.features.encoder import settings_of
from ecgkit.evaluation.results.facts import (
    CheckpointFacts,
    DrawFacts,
    Facts,
    LabelFacts,
    LeadFacts,
    LeakFacts,
    SplitFacts,
    TransferFacts,
    facts_of_old_row,
)
from ecgkit.evaluation.results.row import SCHEMA, load_row
from ecgkit.evaluation.results.table import table_lines
from ecgkit.reporting.page.sentences import sentences
from ecgkit.tasks.regression import FORMULAS
from tests.report.rows import make_row

OLD = Path(__file__).parent / "rows" / "schema_1.json"


def test_a_row_of_schema_1_opens_with_its_scores_and_its_sentences(tmp_path: Path) -> None:
    stored = json.loads(OLD.read_text())
    row = load_row(OLD)
    assert (stored["schema"], row.schema) == (1, SCHEMA)
    assert row.macro_auroc == stored["macro_auroc"] and len(row.classes) == len(stored["classes"])
    assert [score.auroc for score in row.classes] == [score["auroc"] for score in stored["classes"]]
    assert sentences(row) == stored["protocol"]
    assert row.facts.protocol.name == "default"
    assert next(iter(table_lines(row)))["protocol"] == "default"
    again = json.loads(json.dumps(asdict(row)))
    assert again["schema"] == SCHEMA and again["facts"]["old_words"] == stored["protocol"]
    (tmp_path / "r").mkdir()
    shutil.copy(OLD, tmp_path / "r" / "row.json")
    report(tmp_path, out=tmp_path / "page.html", tests=False)
    assert stored["protocol"]["checkpoint selection"] in (tmp_path / "page.html").read_text()


def test_what_comparisons_need_of_an_old_row_becomes_data() -> None:
    words = {
        "protocol": "merl (MERL, as published); departs in head",
        "split": "published tables csn",
        "label set": "shipped",
        "trained on": "ptbxl.zarr (ptb-xl), its train and val parts",
        "tested on": "georgia.zarr (cinc), 40 records",
    }
    facts = facts_of_old_row(words)
    assert (facts.protocol.name, facts.labels.label_set, facts.split.tables) == ("merl", "shipped", "csn")
    assert facts.transfer is not None
    assert (facts.transfer.trained_on, facts.transfer.tested_on) == ("ptbxl.zarr", "georgia.zarr")


@pytest.mark.parametrize("key", ["classes", "facts", "auroc", "run", "records"])
def test_a_row_with_a_flipped_bit_in_a_name_is_told(tmp_path: Path, key: str) -> None:
    text = json.dumps(asdict(load_row(OLD)))
    assert f'"{key}"' in text
    (tmp_path / "row.json").write_text(text.replace(f'"{key}"', f'"{key[:-1]}{chr(ord(key[-1]) ^ 8)}"', 1))
    with pytest.raises(ResultsError, match=r"row\.json cannot be read"):
        load_row(tmp_path / "row.json")


@pytest.mark.parametrize("schema", [0, 3, None])
def test_other_schemas_are_refused(tmp_path: Path, schema: int | None) -> None:
    (tmp_path / "row.json").write_text(json.dumps({**json.loads(OLD.read_text()), "schema": schema}))
    with pytest.raises(ResultsError, match="has schema"):
        load_row(tmp_path / "row.json")


def test_facts_survive_their_file(tmp_path: Path) -> None:
    transfer = TransferFacts(
        trained_on="a",
        trained_dataset="b",
        tested_on="c",
        tested_dataset="d",
        tested_records=3,
        from_system="scp",
        to_system="snomed",
        shared={"MI": ("1", "2")},
        left_out={"HYP": "no counterpart"},
        known=2,
        test_fold=10,
    )
    facts = replace(
        make_row().facts,
        transfer=transfer,
        draw=DrawFacts(rule="sample", random_state=3),
        leads=LeadFacts(given=("I", "II"), fill="zeros"),
        checkpoint=CheckpointFacts(selected_by="random", random_seed=1),
        leak_guard=LeakFacts(checked=True, records=1, tested=9, patients=1, allowed=True, built_on=("tokenizer",)),
        head={"chosen": "C = 1", "val_macro_auroc": {"C = 1": 0.5}},
    )
    (tmp_path / "row.json").write_text(json.dumps(asdict(make_row(facts=facts))))
    assert load_row(tmp_path / "row.json").facts == facts


@pytest.mark.parametrize(
    ("facts", "heading", "text"),
    [
        (Facts(split=SplitFacts(kind="published tables", tables="csn")), "split", "published tables csn"),
        (
            Facts(split=SplitFacts(kind="table column", column="part"), labels=LabelFacts(table="l.csv")),
            "split",
            "column part of l.csv",
        ),
        (
            Facts(split=SplitFacts(kind="folds", folds={"train": (1, 2), "val": (9,), "test": (10,)})),
            "split",
            "train folds 1, 2, val folds 9, test folds 10; folds go by patient",
        ),
        (
            Facts(
                split=SplitFacts(kind="folds", folds={"test": (10,)}, fold_column="fold"),
                labels=LabelFacts(table="l.csv", table_sha256="ab", columns=("x",)),
            ),
            "split",
            "test folds 10, by column fold",
        ),
        (
            Facts(labels=LabelFacts(table="l.csv", table_sha256="ab", columns=("x", "y"))),
            "labels",
            "columns x, y of l.csv, sha256 ab",
        ),
        (Facts(labels=LabelFacts(unlabelled="keep")), "unlabelled records", "kept as negatives"),
        (Facts(leads=LeadFacts(given=("I",))), "leads", "the model saw nothing else"),
        (Facts(leads=LeadFacts(given=("I",), fill="zeros")), "leads", "the model puts zeros in place of the others"),
        (
            Facts(leak_guard=LeakFacts(checked=True)),
            "leak guard",
            "no test record has the very samples of a pretraining record",
        ),
        (
            Facts(leak_guard=LeakFacts(checked=True, tested=9)),
            "leak guard",
            "A copy at another rate, length or scale is not found: the run holds no waveform signatures",
        ),
        (
            Facts(leak_guard=LeakFacts(checked=True, tested=9, compared=7, unsigned=2)),
            "leak guard",
            "7 of 9 test records were also compared by waveform signature, which finds copies at another rate, scale "
            "or length or with fewer leads; 2 test records have no signature; 2 pretraining records have no signature",
        ),
        (
            Facts(leak_guard=LeakFacts(checked=True, tested=9, same_store=True)),
            "leak guard",
            "a copy in it is found by its samples alone",
        ),
        (
            Facts(leak_guard=LeakFacts(checked=True, built_on=("tokenizer",))),
            "leak guard",
            "with the runs that it was built on: tokenizer",
        ),
        (
            Facts(checkpoint=CheckpointFacts(selected_by="lowest validation loss", epoch=3, epochs=9, value=0.5)),
            "checkpoint selection",
            "epoch 3 of 9, lowest validation loss (0.5000) in pretraining",
        ),
        (Facts(), "checkpoint selection", "weights brought from elsewhere"),
        (Facts(head={"val": {"C = 1": 0.25, "C = 2": None}}), "val", "C = 1: 0.2500, C = 2: None"),
    ],
)
def test_sentences_say_what_the_facts_hold(facts: Facts, heading: str, text: str) -> None:
    assert text in sentences(make_row(facts=facts))[heading]


def test_every_formula_has_words() -> None:
    assert all(formula.words for formula in FORMULAS.values())


def test_trainings_of_other_seeds_share_their_settings() -> None:
    details = {
        "method": "simclr",
        "config": {"channels": 16, "recipe": {"epochs": 20}},
        "seed": 0,
        "store": {"sha256": "a" * 64, "path": "/somewhere/a.zarr"},
        "records": {"train": 90, "val": 10},
        "environment": {"torch": "2"},
    }
    first = settings_of(details)
    assert first
    assert settings_of({**details, "seed": 7, "environment": {}, "preset": "tiny"}) == first
    assert settings_of({**details, "store": {**details["store"], "path": "/elsewhere/a.zarr"}}) == first
    changed = (
        {"config": {"channels": 16, "recipe": {"epochs": 40}}},
        {"store": {"sha256": "b" * 64}},
        {"subset": 50},
        {"records": {"train": 80, "val": 10}},
        {"method": "byol"},
    )
    assert len({first, *(settings_of({**details, **change}) for change in changed)}) == 1 + len(changed)
    assert settings_of({"method": "simclr"}) == ""  # such as imported weights
