"""The lexicon: what it finds, and what it takes for denied or doubted."""

import csv
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgkit.errors import ConfigError
from ecgkit.knowledge.codes import load_codes
from ecgkit.knowledge.in_parts import read_in_parts
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.lexicon.literals import needed_words
from ecgkit.knowledge.lexicon.terms import compile_terms, fold, load_lexicon
from ecgkit.knowledge.mentions import Mention
from ecgkit.knowledge.statements import clean, split_statements
from ecgkit.simulate.report import DENIALS, DOUBTS, PHRASES
from ecgkit.unfinished import Unfinished

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
        ("atrial fibrillation: no", "atrial fibrillation", "absent"),
        ("AF (no), LVH: possible", "atrial fibrillation", "absent"),
        ("AF: no, LVH: possible", "left ventricular hypertrophy", "uncertain"),
        ("Vorhofflimmern: nein", "atrial fibrillation", "absent"),
        ("förmaksflimmer: nej", "atrial fibrillation", "absent"),
        ("r/o AF", "atrial fibrillation", "uncertain"),
        ("rule out inferior infarct", "inferior myocardial infarction", "uncertain"),
        ("AF ruled out", "atrial fibrillation", "absent"),
        ("weder LSB noch RSB", "right bundle branch block", "absent"),
        ("neither LBBB nor RBBB", "right bundle branch block", "absent"),
        ("inga tecken på vänsterkammarhypertrofi", "left ventricular hypertrophy", "absent"),
        ("ej förmaksflimmer", "atrial fibrillation", "absent"),
        ("Ausschluss Vorhofflimmern", "atrial fibrillation", "absent"),
        ("zum Ausschluss eines Infarkts", "myocardial infarction", "uncertain"),
        ("V.a. Hinterwandinfarkt", "inferior myocardial infarction", "uncertain"),
        ("fragl. chron. inferiorer infarkt", "inferior myocardial infarction", "uncertain"),
        ("rhythm is probably junctional", "junctional rhythm", "uncertain"),
        ("rhythm was previously sinus", "sinus rhythm", "absent"),
        ("no longer in atrial fibrillation", "atrial fibrillation", "absent"),
        ("wahrscheinlich normales ekg", "normal ecg", "uncertain"),
        ("linksschenkelblock ueberdrehter linkstyp", "left axis deviation", "present"),
        ("vorhofﬂimmern", "atrial fibrillation", "present"),
        ("vorhof\u00adflimmern", "atrial fibrillation", "present"),
        ("acute inferior myocardial infarction", "inferior myocardial infarction", "present"),
        ("acute inferior myocardial infarction", "acute myocardial infarction", "present"),
        ("anterior and lateral myocardial infarction", "lateral myocardial infarction", "present"),
    ],
)
def test_polarity(text: str, entity: str, polarity: str) -> None:
    assert said(text)[entity] == polarity


def test_the_longest_term_counts() -> None:
    assert said("incomplete right bundle branch block") == {"incomplete right bundle branch block": "present"}
    assert said("unvollständiger rechtsschenkelblock") == {"incomplete right bundle branch block": "present"}
    assert said("supraventrikuläre extrasystole(n)") == {"premature atrial complex": "present"}
    assert said("second degree av block") == {"second degree atrioventricular block": "present"}


def test_a_doubt_goes_on_through_a_list() -> None:
    found = said("st & t abnorm, wahrscheinlich anteriore ischämie oder linksbelastung laterale ischämie rsb")
    assert found["st-t abnormality"] == "present" and found["right bundle branch block"] == "present"
    assert {found[e] for e in ("anterior ischaemia", "ventricular strain", "lateral ischaemia")} == {"uncertain"}


def test_a_risk_is_no_finding() -> None:
    found = said("trifascicular block, may be at increased risk of developing complete heart block")
    assert found == {"trifascicular block": "present"}


def test_a_line_that_ends_with_no_goes_on() -> None:
    assert split_statements("Sinus rhythm\nNo\natrial fibrillation\nLBBB") == [
        "sinus rhythm",
        "no atrial fibrillation",
        "lbbb",
    ]
    assert split_statements("kein Hinweis auf\r\n  LSB\nSoft\u00ad\nhyphen") == ["kein hinweis auf lsb", "softhyphen"]


@pytest.mark.parametrize(
    ("end", "polarity"),
    [
        ("Rule out", "uncertain"),
        ("r/o", "uncertain"),
        ("Findings consistent with", "uncertain"),
        ("Absence of", "absent"),
        ("Negative for", "absent"),
        ("No evidence of", "absent"),
        ("Neither", "absent"),
        ("Ausschluss", "absent"),
        ("Keine Hinweise auf", "absent"),
        ("Inga tecken på", "absent"),
    ],
)
@pytest.mark.parametrize("break_", ["\n", " \r\n  "])
def test_a_line_that_ends_before_its_finding_goes_on(end: str, break_: str, polarity: str) -> None:
    first, *others = split_statements(f"{end}{break_}AF\nLBBB")
    assert others == ["lbbb"]
    assert said(first) == {"atrial fibrillation": polarity}


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("st segments are depressed and t waves inverted in i, avl, v4,5,6", {"location": "i, avl, v4,5,6"}),
        ("Q waves in II, III and aVF", {"location": "ii, iii and avf"}),
        ("marked sinus bradycardia", {"severity": "severe"}),
        ("st segment depression is marked", {"severity": "severe"}),
        ("mässige amplitudenkriterien für linkshypertrophie", {"severity": "moderate"}),
        ("new left bundle branch block", {"change": "new"}),
        ("LBBB unchanged", {"change": "unchanged"}),
        ("sinus tachycardia. atrial fibrillation no longer present", {}),
        ("probable inferior infarct", {"certainty": "probable", "location": "inferior"}),
        ("AF unlikely", {"certainty": "unlikely"}),
        ("infarkt unwahrscheinlich", {"certainty": "unlikely"}),
    ],
)
def test_attributes(text: str, attributes: dict[str, str]) -> None:
    first = LEXICON.read_text(clean(text))[0]
    expected = {"certainty": "certain", "severity": "", "location": "", "change": ""} | attributes
    assert {name: getattr(first, name) for name in expected} == expected


def test_what_is_gone_was_there_before() -> None:
    mentions = {m.name: m for m in LEXICON.read_text(clean("sinus rhythm has replaced atrial fibrillation"))}
    assert (
        mentions["atrial fibrillation"].change == "resolved" and mentions["atrial fibrillation"].certainty == "denied"
    )
    assert mentions["sinus rhythm"].certainty == "certain"


WORDS = st.sampled_from(
    [
        "no",
        "kein",
        "ej",
        "possible",
        "wahrscheinlich",
        "möglich",
        "AF:",
        "LBBB",
        "Überdrehter",
        "Linkstyp",
        ",",
        "or",
        "oder",
        "in",
        "V1-3",
        "ischämie",
        "new",
        "ST-",
        "depression",
        "Vorhofﬂimmern",
        "infarkt",
        "?",
        ".",
        "not seen",
        "förmaksflimmer",
        "ß",
        "İ",
        "ǅ",
        "Å",
        "so\xadft",
    ]
)


@given(st.lists(WORDS, max_size=12))
def test_spans_lie_in_the_text_and_hold_a_term(words: list[str]) -> None:
    for text in split_statements(" ".join(words)):
        assert clean(text) == text and len(fold(text)) == len(text)
        for mention in LEXICON.read_text(text):
            assert isinstance(mention, Mention) and mention.spans
            for start, stop in mention.spans:
                assert 0 <= start < stop <= len(text)
                assert load_lexicon().entities[mention.name].pattern.search(fold(text)[start:stop])


def test_the_needed_words_leave_out_no_match() -> None:
    texts = [fold(clean(line)) for lines in PHRASES.values() for line in lines]
    texts += [fold(name) for name in load_lexicon().entities]
    for entity in load_lexicon().entities.values():
        for text in texts:
            if entity.words and entity.pattern.search(text):
                assert any(word in text for word in entity.words), (entity.name, text)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("a(b|c)d+", {"a"}), ("left (axis|type)", {"left "}), ("(vorhof|atrial)x?", {"vorhof", "atrial"}), ("a*", set())],
)
def test_words_that_a_pattern_needs(pattern: str, words: set[str]) -> None:
    assert needed_words(re.compile(pattern)) == words


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
    "WPW": "ventricular pre-excitation",
    "LAnFB": "left anterior fascicular block",
    "LQT": "prolonged qt interval",
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
    codes = {code: entity for entity, found in load_codes().items() for code in found.scp_ecg}
    with (shared / "data" / "ptb-xl" / "scp_statements.csv").open(encoding="utf-8") as file:
        rows = {row[""]: row["description"] for row in csv.DictReader(file)}
    lineage = load_lexicon().vocabulary
    scored = {code: text for code, text in rows.items() if code in codes}
    assert len(scored) >= 65
    for code, text in scored.items():
        meant = {codes[code]}
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


def test_parts_that_are_kept_say_the_same_as_the_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgkit.knowledge.in_parts.PART_TEXTS", 3)
    texts = [
        f"{said}, case {n}"
        for n in range(4)
        for said in ("mild ST depression in V5, new", "no atrial fibrillation", "old infarct, probably")
    ] + ["nothing of interest"]
    unfinished = Unfinished(tmp_path / "labels", "entity labels", hidden=True)
    told: list[int] = []
    with unfinished.open():
        unfinished.begin("x")
        found = read_in_parts(unfinished, LEXICON, texts, lambda _, done, total: told.append(done), None)
    assert list(found.mentions) == LEXICON.read_texts(texts)
    assert told == [3, 6, 9, 12, 13]


def test_a_worker_gets_the_kind_of_lexicon_that_was_handed_out() -> None:
    assert type(pickle.loads(pickle.dumps(Other()))) is Other
    assert pickle.loads(pickle.dumps(LEXICON)) is pickle.loads(pickle.dumps(LexiconBackend()))


class Other(LexiconBackend):
    """A lexicon of somebody else."""
