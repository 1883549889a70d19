"""Codes of entities: each is one that the datasets of the field use; labels with codes as a CSV file."""

import csv
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ecgkit.errors import ConfigError, OutputError
from ecgkit.knowledge.codes import load_codes
from ecgkit.knowledge.export import write_labels_csv
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.labels import VOCABULARY, Entities, read_labels
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.lexicon.terms import load_lexicon
from ecgkit.knowledge.reports import Reports
from ecgkit.knowledge.vocabulary import read_vocabulary
from tests.conftest import PROJECT

# Concepts of dx_mapping_unscored.csv of the Challenge of 2021 that no task of the project uses, with their names there.
UNSCORED = {
    "106068003": "atrial rhythm",
    "29320008": "atrioventricular junctional rhythm",
    "164895002": "ventricular tachycardia",
    "49260003": "idioventricular rhythm",
    "81898007": "ventricular escape rhythm",
    "251187003": "atrial escape beat",
    "75532003": "ventricular escape beat",
    "195060002": "ventricular pre excitation",
    "55827005": "left ventricular high voltage",
    "370365005": "left ventricular strain",
    "251205003": "prolonged P wave",
    "251200008": "indeterminate cardiac axis",
    "251259000": "high t-voltage",
    "418818005": "brugada",
    "164937009": "u wave abnormal",
    "251139008": "suspect arm ecg leads reversed",
    "713422000": "atrial tachycardia",
    "426995002": "junctional escape",
}
# Verhoeff, Error Detecting Decimal Codes (1969): the last digit of a SNOMED CT identifier is its check digit.
PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def times(a: int, b: int) -> int:
    """Multiply in the dihedral group of ten elements."""
    if a < 5:
        return (a + b) % 5 if b < 5 else (a + b) % 5 + 5
    return (a - b) % 5 + 5 if b < 5 else (a - b) % 5


def checks(identifier: str) -> bool:
    total = 0
    for place, digit in enumerate(map(int, reversed(identifier))):
        for _ in range(place % 8):
            digit = PERMUTATION[digit]
        total = times(total, digit)
    return total == 0


def test_every_entity_has_a_row() -> None:
    assert list(load_codes()) == list(load_lexicon().entities)


def test_scp_statements_are_those_of_ptb_xl_and_none_is_forgotten(shared: Path) -> None:
    with (shared / "data" / "ptb-xl" / "scp_statements.csv").open(encoding="utf-8") as file:
        known = {row[""] for row in csv.DictReader(file)}
    used = [code for codes in load_codes().values() for code in codes.scp_ecg]
    assert sorted(used) == sorted(known)


def test_snomed_concepts_are_those_of_the_field() -> None:
    used = [code for codes in load_codes().values() for code in codes.snomed_ct]
    assert len(used) == len(set(used)) and all(map(checks, used))
    tasks = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "ecgkit/tasks").glob("*.yaml"))
    in_tasks = set(re.findall(r"\b\d{6,}\b", tasks))
    assert not set(used) - in_tasks - set(UNSCORED)
    assert not set(UNSCORED) - set(used)


def test_codes_agree_with_the_label_map() -> None:
    findings = yaml.safe_load((PROJECT / "ecgkit/tasks/label_map.yaml").read_text(encoding="utf-8"))["findings"]
    entity_of = {code: entity for entity, codes in load_codes().items() for code in codes.snomed_ct}
    compared = 0
    for finding in findings:
        if len(finding.get("scp", ())) == 1 and len(finding.get("snomed", ())) == 1:
            (entity,) = {e for e, codes in load_codes().items() if finding["scp"][0] in codes.scp_ecg}
            kinds = {entity, *load_lexicon().vocabulary.ancestors(entity)}
            assert {entity_of[code] for code in finding["snomed"][0].split(" | ")} <= kinds, finding
            compared += 1
    assert compared > 25


def test_icd_categories_have_the_form() -> None:
    for codes in load_codes().values():
        for code in codes.icd10:
            assert re.fullmatch(r"I(21|25|44|45|47|48|49|51)\.\d|R00\.[01]|R94\.3|Z95\.0|Q24\.0|E87\.8", code)


@pytest.fixture
def entities(tmp_path: Path) -> Entities:
    reports = Reports(("007", "2", "3"), ("AF, possible LVH", "LVH", ""), tmp_path / "k", "h")
    return extract_knowledge(reports, LexiconBackend(), ExtractOptions(min_count=1)).entities


def test_labels_as_a_file_with_codes(entities: Entities, tmp_path: Path) -> None:
    table = pd.read_csv(write_labels_csv(entities, tmp_path / "long.csv"), dtype=str, keep_default_na=False)
    rows = {(r.record_id, r.entity): r for r in table.itertuples()}
    assert set(rows) == {
        ("007", "atrial fibrillation"),
        ("007", "left ventricular hypertrophy"),
        ("2", "left ventricular hypertrophy"),
    }
    assert rows["007", "left ventricular hypertrophy"].polarity == "uncertain"
    flimmer = rows["007", "atrial fibrillation"]
    assert (flimmer.scp_ecg, flimmer.snomed_ct, flimmer.icd10) == ("AFIB", "164889003", "I48.9")


def test_labels_as_a_matrix(entities: Entities, tmp_path: Path) -> None:
    path = write_labels_csv(entities, tmp_path / "wide.csv", form="wide")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].split(",")[0] == "record_id" and lines[3] == "3,,"
    wide = pd.read_csv(path, dtype=str).set_index("record_id")
    assert wide.loc["007", "atrial fibrillation"] == "1" and wide.loc["2", "atrial fibrillation"] == "0"
    with pytest.raises(OutputError, match="--overwrite"):
        write_labels_csv(entities, path)
    with pytest.raises(ConfigError, match="long or wide"):
        write_labels_csv(entities, tmp_path / "x.csv", form="tall")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["yaml", "csv"])
def test_a_vocabulary_has_codes_of_its_own(reports: Reports, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"own.{kind}"
    if kind == "yaml":
        af = "{aliases: [af], codes: {snomed_ct: [1, 22], icd10: X9}}"
        path.write_text(f"entities:\n  atrial fibrillation: {af}\n  sinus rhythm: {{}}\n")
    else:
        path.write_text(
            "name,entity,parent,snomed_ct,icd10\natrial fibrillation,atrial fibrillation,,1 22,X9\n"
            "sinus rhythm,sinus rhythm,,,\n"
        )
    for name, used in (("a", path), ("b", reports.folder / "a" / VOCABULARY)):  # and what was written is read again
        options = ExtractOptions(min_count=1, vocabulary=used, name=name)
        extract_knowledge(reports, LexiconBackend(), options)
        labels = read_labels(reports.folder / name)
        table = pd.read_csv(write_labels_csv(labels, tmp_path / f"{name}.csv"), dtype=str, keep_default_na=False)
        codes = table.groupby("entity")[["scp_ecg", "snomed_ct", "icd10"]].first()
        assert codes.loc["atrial fibrillation"].tolist() == ["", "1 22", "X9"]
        assert codes.loc["sinus rhythm"].tolist() == list(load_codes()["sinus rhythm"].cells().values())


@pytest.mark.parametrize("codes", ["5", "{loinc: 5}", "{icd10: {a: 1}}"])
def test_bad_codes_are_refused(tmp_path: Path, codes: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"entities:\n  atrial fibrillation: {{codes: {codes}}}\n")
    with pytest.raises(ConfigError, match=r"codes of 'atrial fibrillation'"):
        read_vocabulary(path)
