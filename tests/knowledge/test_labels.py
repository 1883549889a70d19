"""Labels and vocabulary: what is stored, what it is bound to, what an editor may do; comparison and audit."""

import csv
import json
import re
import shutil
import stat
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import zarr

from ecgkit.errors import ConfigError, DatasetError, EcgkitError, OutputError, PluginError, StoreError
from ecgkit.knowledge.agreement import Agreement, compare
from ecgkit.knowledge.audit import write_audit
from ecgkit.knowledge.backends import Readings, make_backend
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.labels import ABSENT, PRESENT, UNCERTAIN, read_labels
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.mentions import Mention, merge_mentions, normalise_name
from ecgkit.knowledge.reports import Reports, of_store, open_reports
from ecgkit.knowledge.vocabulary import Vocabulary, make_vocabulary, read_vocabulary
from ecgkit.store.reader import Store


class Told:
    """A backend that says what it was told, by text."""

    provenance: ClassVar = {"backend": "told"}

    def __init__(self, said: dict[str, list[tuple[str, str]] | None], vocabulary: Vocabulary) -> None:
        self.said, self.maps = said, vocabulary

    def read(self, texts, watch) -> Readings:
        mentions = [
            None if self.said[t] is None else merge_mentions(Mention(n, p) for n, p in self.said[t]) for t in texts
        ]
        return Readings(mentions, {i: "no" for i, found in enumerate(mentions) if found is None})

    def vocabulary(self, counts, watch) -> Vocabulary:
        self.counts = counts
        return self.maps


SAID = {
    "a": [("af", "present"), ("imi", "present")],
    "b": [("af", "uncertain"), ("ami", "uncertain")],
    "c": [("af", "absent"), ("ami", "absent")],
    "d": None,
    "e": [],
}
MAPS = make_vocabulary(
    {"af": "atrial fibrillation", "imi": "inferior mi", "ami": "anterior mi"},
    {"inferior mi": "mi", "anterior mi": "mi"},
)
TEXTS = ("A\nB", "b", "c", "d\na", "", "e", "c\nb")


def told(tmp_path: Path, **options):
    reports = Reports(tuple("0123456"), TEXTS, tmp_path / "k", "h")
    return extract_knowledge(reports, Told(SAID, MAPS), ExtractOptions(**{"min_count": 1, **options}))


def test_present_wins_over_uncertain_and_uncertain_over_absent(tmp_path: Path) -> None:
    done = told(tmp_path, keep_children=True)
    assert done.entities.names == ("atrial fibrillation", "inferior mi", "mi")
    assert done.entities.values.tolist() == [
        [1, 1, 1],
        [2, 0, 2],
        [0, 0, 0],
        [1, 1, 1],
        [0, 0, 0],
        [0, 0, 0],
        [2, 0, 2],
    ]
    assert (ABSENT, PRESENT, UNCERTAIN) == (0, 1, 2)
    assert done.entities.complete.tolist() == [True, True, True, False, False, True, True]
    assert (done.with_report, done.incomplete, done.texts, done.saved) == (6, 1, 5, 4)
    assert done.entities.counts.tolist() == [2, 2, 2] and done.entities.uncertain.tolist() == [2, 0, 2]


def test_subtypes_become_their_superclass_and_the_relation_is_kept(tmp_path: Path) -> None:
    done = told(tmp_path)
    assert done.entities.names == ("atrial fibrillation", "mi")
    assert done.entities.parents == {"inferior mi": "mi", "anterior mi": "mi"}
    with (done.path / "entities.csv").open() as file:
        assert next(csv.DictReader(file)) == {
            "entity": "atrial fibrillation",
            "present": "2",
            "uncertain": "2",
            "parent": "",
        }


def test_rare_entities_go_and_nothing_left_is_an_error(tmp_path: Path) -> None:
    assert told(tmp_path, max_entities=1).entities.names == ("atrial fibrillation",)
    with pytest.raises(DatasetError, match="--min-count"):
        told(tmp_path / "x", min_count=3)
    for wrong in ({"min_count": 0}, {"unit": "word"}, {"name": "../up"}, {"max_entities": 0}):
        with pytest.raises(ConfigError):
            ExtractOptions(**wrong)


def test_labels_are_read_as_written_in_an_open_format(tmp_path: Path) -> None:
    done = told(tmp_path)
    read = read_labels(tmp_path / "k")
    assert read.names == done.entities.names and np.array_equal(read.values, done.entities.values)
    assert np.array_equal(read.complete, done.entities.complete) and read.record_ids == tuple("0123456")
    assert read.provenance["options"]["min_count"] == 1 and read.parents == done.entities.parents
    array = zarr.open_array(tmp_path / "k" / "labels", mode="r")
    assert (array.dtype, array.shape) == (np.uint8, (7, 2))
    assert array.attrs["names"] == list(read.names) and array.attrs["counts"] == read.counts.tolist()
    with pytest.raises(OutputError, match="exists"):
        told(tmp_path)
    assert told(tmp_path, overwrite=True).path == done.path


def test_labels_of_a_store_are_bound_to_it(cohort_store: Path, tmp_path: Path) -> None:
    path = shutil.copytree(cohort_store, tmp_path / "s.zarr")
    with pytest.raises(StoreError, match=re.escape(f"ecgkit extract-knowledge {path}")):
        read_labels(Store(path))
    done = extract_knowledge(of_store(Store(path)), LexiconBackend(), ExtractOptions(min_count=5))
    assert done.path == path / "knowledge" / "labels"
    labels = read_labels(Store(path))
    assert labels.record_ids == tuple(Store(path).table["record_id"]) and labels.complete.all()
    assert np.array_equal(read_labels(path).values, labels.values)
    truth = Store(path).table["labels"].map(lambda codes: "164889003" in codes).to_numpy()  # atrial fibrillation
    found = labels.values[:, labels.names.index("atrial fibrillation")] == PRESENT
    assert np.array_equal(found, truth)
    about = json.loads((path / "knowledge" / "labels" / "zarr.json").read_text())
    about["attributes"]["content_sha256"] = "other"
    (path / "knowledge" / "labels" / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(StoreError, match="other records"):
        read_labels(Store(path))
    (path / "knowledge" / "labels" / "records.parquet").write_bytes(b"damaged")
    with pytest.raises(StoreError, match="cannot be read"):
        read_labels(path)


def test_reports_of_a_table(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("id,report,other\n7,Sinus rhythm,x\n8,,LBBB\n", encoding="utf-8")
    reports = open_reports(table)
    assert (reports.ids, reports.texts) == (("7", "8"), ("Sinus rhythm", ""))
    assert reports.folder == tmp_path / "mine.knowledge"
    other = open_reports(table, columns=["other"], id_column="report")
    assert (other.ids[0], other.texts) == ("Sinus rhythm", ("x", "LBBB")) and other.content_hash != reports.content_hash
    for wrong in ({"columns": ["text"]}, {"id_column": "nr"}):
        with pytest.raises(EcgkitError, match="lacks column"):
            open_reports(table, **wrong)
    table.write_text("id,report\n7,\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="no text"):
        open_reports(table)
    with pytest.raises(StoreError):
        open_reports(tmp_path / "none.csv")


def test_a_vocabulary_as_yaml_and_as_csv(tmp_path: Path) -> None:
    (tmp_path / "v.yaml").write_text(
        "entities:\n  Atrial Fibrillation: {aliases: [AF, afib], parent: arrhythmia}\n  arrhythmia:\n"
        "ignored: [artefact]\n"
    )
    rows = "name,entity,parent\nAF,atrial fibrillation,arrhythmia\nafib,atrial fibrillation,\nartefact,,\n"
    (tmp_path / "v.csv").write_text(rows)
    a, b = read_vocabulary(tmp_path / "v.yaml"), read_vocabulary(tmp_path / "v.csv")
    assert a == b
    assert a.entity_of["af"] == a.entity_of["atrial fibrillation"] == "atrial fibrillation"
    assert a.ancestors("atrial fibrillation") == ("arrhythmia",) and a.ignored == {"artefact"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("entities: [a]", "keys entities"),
        ("entities: {a: {alias: [b]}}", "aliases"),
        ("entities: {a: {aliases: b}}", "list of names"),
        ("entities: {a: {aliases: [c]}, b: {aliases: [c]}}", "'c' belongs to"),
        ("entities: {a: {aliases: [b]}, b: {}}", "belongs to|another name"),
        ("entities: {a: {parent: b}, b: {parent: a}}", "its own ancestor"),
        ("entities: {a: {}}\nignored: [a]", "ignored but also in use"),
        ("entities: {'<script>': {}}", "not a name"),
        ("entities: {a: {}}\nmore: 1", "keys entities"),
        ("- a", "mapping"),
        ("entities: {a: !!python/object:os.system {}}", "cannot be read"),
    ],
)
def test_a_wrong_vocabulary_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "v.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_vocabulary(tmp_path / "v.yaml")


def test_names_are_short_noun_phrases() -> None:
    assert normalise_name("  Left  Bundle-Branch Block. ") == "left bundle-branch block"
    for bad in ("", "<b>x</b>", "a" * 81, "one two three four five six seven eight nine ten eleven", "x\x00y", '"]}'):
        assert normalise_name(bad) == ""


def test_an_unknown_backend_is_told(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="lexicon"):
        make_backend("lexikon", tmp_path)
    with pytest.raises(ConfigError, match="has no settings"):
        make_backend("lexicon", tmp_path, assignments=["depth=4"])


def test_agreement_and_kappa(tmp_path: Path) -> None:
    row = Agreement("x", both=20, only_a=5, only_b=10, neither=15)
    assert row.agreement == pytest.approx(0.7) and row.kappa == pytest.approx(0.4)  # Cohen's textbook example
    assert Agreement("x", 0, 0, 0, 9).kappa is None
    done = told(tmp_path)
    same = compare(done.entities, done.entities)
    assert (same.records, same.total.agreement, same.total.kappa) == (5, 1.0, 1.0)
    other = extract_knowledge(
        Reports(tuple("0123456"), TEXTS, tmp_path / "k2", "h"),
        Told({**SAID, "b": [("af", "present")]}, MAPS),
        ExtractOptions(min_count=1),
    )
    difference = compare(done.entities, other.entities)
    by_name = {r.entity: r for r in difference.rows}
    assert (by_name["atrial fibrillation"].only_a, by_name["atrial fibrillation"].only_b) == (0, 2)
    strange = extract_knowledge(
        Reports(("0",), ("a",), tmp_path / "k3", "h3"), Told(SAID, MAPS), ExtractOptions(min_count=1)
    )
    with pytest.raises(StoreError, match="different records"):
        compare(done.entities, strange.entities)


def test_the_audit_sheet_is_escaped_private_and_whole(tmp_path: Path) -> None:
    texts = ('Atrial fibrillation <script>alert("1")</script>', "=cmd()|' lbbb, no pvc", "", "Possible LVH")
    reports = Reports(("<i>1</i>", "2", "3", "4"), texts, tmp_path / "k", "h")
    extract_knowledge(reports, LexiconBackend(), ExtractOptions(min_count=1))
    table, page = write_audit(reports, 10)
    html = page.read_text(encoding="utf-8")
    assert "<script" not in html and "<i>1" not in html and "&lt;script&gt;" in html
    assert not re.findall(r"(?:src|href|url)\s*[=(]", html), "self-contained"
    marked = re.findall(r'<mark class="(\w+)" title="([^"]*)">([^<]*)</mark>', html)
    assert ("present", "atrial fibrillation (present)", "atrial fibrillation") in marked
    assert ("absent", "premature ventricular complex (absent)", "pvc") in marked
    assert ("uncertain", "left ventricular hypertrophy (uncertain)", "lvh") in marked
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["record_id"] for r in rows] == ["<i>1</i>", "2", "2", "4"] and rows[0]["verdict"] == ""
    assert all(row["text"][:1] not in "=+-@" for row in rows)
    for file in (table, page):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert write_audit(reports, 1, seed=3)[0].read_text() == write_audit(reports, 1, seed=3)[0].read_text()
    with pytest.raises(StoreError):
        write_audit(Reports(reports.ids, texts, tmp_path / "k", "h2"), 5)
