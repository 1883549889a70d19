"""The lexicon: what it finds, and what it takes for denied or doubted."""

import csv
import re
from pathlib import Path

import pytest

from ecgkit.errors import ConfigError
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.lexicon.terms import compile_terms, load_lexicon
from ecgkit.knowledge.statements import clean
from ecgkit.simulate.report import DENIALS, DOUBTS, PHRASES

LEXICON = LexiconBackend()


def said(text: str) -> dict[str, str]:
    return {m.name: m.polarity for m in LEXICON.read_text(clean(text))}


@pytest.mark.parametrize(
    ("text", "entity", "polarity"),
    [
        ("Atrial fibrillation with rapid ventricular response", "atrial fibrillation", "present"),
        ("No atrial fibrillation", "atrial fibrillation", "absent"),
        ("Atrial fibrillation not seen", "atrial fibrillation", "absent"),
        ("Cannot rule out anterior infarct", "anterior myocardial infarction", "uncertain"),
        ("old inferior infarct cannot be excluded", "inferior myocardial infarction", "uncertain"),
        ("no evidence of LBBB", "left bundle branch block", "absent"),
        ("Consider LVH", "left ventricular hypertrophy", "uncertain"),
        ("Voltage criteria for LVH not met", "left ventricular hypertrophy by voltage", "absent"),
        ("No ST elevation or depression, normal axis", "st elevation", "absent"),
        ("PR interval is not prolonged", "prolonged pr interval", "absent"),
        ("no AV block but atrial fibrillation", "atrial fibrillation", "present"),
        ("no AV block but atrial fibrillation", "atrioventricular block", "absent"),
        ("linkshypertrophie möglich", "left ventricular hypertrophy", "uncertain"),
        ("kein hinweis auf rechtsschenkelblock", "right bundle branch block", "absent"),
        ("verdacht auf p-sinistrocardiale", "left atrial enlargement", "uncertain"),
        ("inferiorer infarkt wahrscheinlich alt", "inferior myocardial infarction", "present"),
        ("anteroseptaler myokardschaden nicht auszuschliessen", "anteroseptal myocardial infarction", "uncertain"),
        ("lateraler infarkt nicht auszuschliessen st-hebung", "st elevation", "present"),
        ("consistent with ischaemic heart disease", "ischaemic st-t change", "uncertain"),
        ("st & t abnorm, wahrscheinlich anterolaterale ischämie", "anterior ischaemia", "uncertain"),
        ("keine p-welle erkannt vorhofflattern", "atrial flutter", "present"),
        ("tachykardes vorhofflimmern", "atrial fibrillation", "present"),
        ("a-v block i linkstyp", "first degree atrioventricular block", "present"),
        ("förmaksflimmer", "atrial fibrillation", "present"),
        ("inferior myokardskada kan ej uteslutas", "inferior myocardial infarction", "uncertain"),
        ("vänster kammarhypertrofi", "left ventricular hypertrophy", "present"),
    ],
)
def test_polarity(text: str, entity: str, polarity: str) -> None:
    assert said(text)[entity] == polarity


def test_the_longest_term_counts() -> None:
    assert said("incomplete right bundle branch block") == {"incomplete right bundle branch block": "present"}
    assert said("unvollständiger rechtsschenkelblock") == {"incomplete right bundle branch block": "present"}
    assert said("supraventrikuläre extrasystole(n)") == {"premature atrial complex": "present"}
    assert said("second degree av block") == {"second degree atrioventricular block": "present"}


def test_a_cue_ends_with_its_entity() -> None:
    found = said("linksschenkelblock möglich anteriorer infarkt alter unbest. kein vorhofflimmern sinusrhythmus")
    assert found["left bundle branch block"] == "uncertain"
    assert found["anterior myocardial infarction"] == "present"
    assert (found["atrial fibrillation"], found["sinus rhythm"]) == ("absent", "present")


def test_spans_mark_the_term() -> None:
    text = clean("Sinus rhythm with LBBB and no LBBB")
    (mention,) = (m for m in LEXICON.read_text(text) if m.name == "left bundle branch block")
    assert [text[a:b] for a, b in mention.spans] == ["lbbb", "lbbb"]
    assert mention.polarity == "present"


# What the simulator's phrases mean in the lexicon's words.
MEANING = {
    "NSR": "sinus rhythm",
    "SB": "sinus bradycardia",
    "STach": "sinus tachycardia",
    "AF": "atrial fibrillation",
    "PVC": "premature ventricular complex",
    "LBBB": "left bundle branch block",
    "RBBB": "right bundle branch block",
    "LVH": "left ventricular hypertrophy",
    "STE": "st elevation",
    "IAVB": "first degree atrioventricular block",
}


def holds(found: dict[str, str], entity: str, polarity: str) -> bool:
    ancestors = {name: (name, *load_lexicon().vocabulary.ancestors(name)) for name in found}
    related = {name for name in found if entity in ancestors[name]} | set(load_lexicon().vocabulary.ancestors(entity))
    return any(found.get(name) == polarity for name in related)


@pytest.mark.parametrize("key", PHRASES)
def test_every_phrase_of_the_simulator_is_read(key: str) -> None:
    for phrase in PHRASES[key]:
        assert holds(said(phrase), MEANING[key.partition("-")[0]], "present"), phrase


def test_every_denial_and_doubt_of_the_simulator_is_read() -> None:
    for phrases, polarity in ((DENIALS, "absent"), (DOUBTS, "uncertain")):
        for label, lines in phrases.items():
            for line in lines:
                assert holds(said(line), MEANING[label], polarity), line


def test_scp_statement_names_are_terms(shared: Path) -> None:
    codes = {code: e.name for e in load_lexicon().entities.values() for code in e.scp}
    with (shared / "data" / "ptb-xl" / "scp_statements.csv").open(encoding="utf-8") as file:
        rows = {row[""]: row["description"] for row in csv.DictReader(file)}
    lineage = load_lexicon().vocabulary
    scored = {code: text for code, text in rows.items() if code in codes}
    assert len(scored) >= 65
    for code, text in scored.items():
        meant = {e.name for e in load_lexicon().entities.values() if code in e.scp}
        found = {entity for name in said(text) for entity in (name, *lineage.ancestors(name))}
        assert meant & found, f"{code}: {text}"


def test_the_files_are_sound() -> None:
    lexicon = load_lexicon()
    assert len(lexicon.entities) >= 80
    assert lexicon.vocabulary.ancestors("inferolateral myocardial infarction")[-1] == "myocardial infarction"
    for entity in lexicon.entities.values():
        assert not entity.pattern.search(""), entity.name
        assert not entity.parent or entity.parent in lexicon.entities, entity.name


def test_terms_are_understood_or_refused() -> None:
    pattern = compile_terms(["pr interval ~ long", "{side} block*"], {"side": "left|right"})
    assert pattern.fullmatch("pr-interval is really very long")
    assert pattern.fullmatch("right-blocks")
    assert not pattern.search("xleft block")
    with pytest.raises(ConfigError, match="set 'nowhere'"):
        compile_terms(["{nowhere} block"])
    with pytest.raises(ConfigError, match="lexicon terms"):
        compile_terms(["(left block"])


def test_a_hostile_text_costs_no_time() -> None:
    import time

    began = time.perf_counter()
    for text in ("a " * 5000, "inferior " * 2000, "no " * 3000 + "lbbb", "(" * 5000, "st " * 3000 + "depressed"):
        LEXICON.read_text(clean(text))
    assert time.perf_counter() - began < 20
    assert not re.search("zzz", text)
