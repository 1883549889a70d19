"""Draw the statements that are annotated by hand: 300 for development and 300 for the test, from real reports.

    python benchmarks/annotations.py draw SHARED --set test          the drawn statements, with their texts
    python benchmarks/annotations.py sheet SHARED --set test > F.csv a sheet of the lexicon's findings with the verdicts
    ecgkit extract-knowledge audit --score F.csv                     the scores

SHARED is the folder that contains ``data/reports/ptbxl_reports.csv`` and ``data/norwegian-athletes``.

Drawn are unique statements, evenly over languages, and within a language evenly over four groups: short or long,
frequent or rare. PTB-XL's odd folds give the development set and its even folds the test set, since the lexicon's first
terms were written on the odd folds. The athletes' texts are divided by the parity of the record number. No text is in
both sets. `tests/knowledge/annotations/README.md` says how the statements were annotated.

Nothing of a report is kept in this project: a row names the source, the record, the place of the statement in the
report and the SHA-256 of the cleaned statement.
"""

import argparse
import csv
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.statements import split_statements, text_hash
from ecgkit.knowledge.verdicts import COLUMNS

LABELS = Path(__file__).parent.parent / "tests/knowledge/annotations"
SEED = 20240517
SHARES = {"de": 120, "en": 120, "sv": 60}  # statements of each set
LONG_WORDS = 6  # a statement of this many words or more is long
FREQUENT = 3  # a statement of this many reports or more is frequent
# Words that only one of the languages uses in ECG reports; the language with the most of them wins, otherwise English.
WORDS = {
    "de": "sinusrhythmus normales ekg lagetyp linkstyp rechtstyp möglich moeglich infarkt sonst kein keine und "
    "vorhofflimmern ischämie linkshypertrophie abnorm schenkelblock linksschenkelblock rechtsschenkelblock bericht "
    "unbestätigter wahrscheinlich nicht auszuschliessen mit bei verdacht schrittmacher hinterwand vorderwand "
    "sinusbradykardie sinustachykardie niedervoltage hypertrophie alter unbest links rechts st-senkung t-abflachung "
    "leichte zeichen der die das im steiltyp indifferenztyp extrasystolen ventrikuläre supraventrikuläre hemiblock",
    "sv": "sinusrytm normalt och ej kan uteslutas förlopp avvikande vänster höger förmaksflimmer el-axel förändring "
    "st-t-förändring ospecifikt ospecifik ålder amplitud bedömning rytm sinustakykardi sinusbradykardi skänkelblock "
    "kammarhypertrofi myokardskada hjärtinfarkt ischemi ospecifika normal-ekg sannolikt troligen bör måttliga inga "
    "extrasystoli ventrikulär supraventrikulär låga qrs-amplituder patologisk förmaksfladder sinusarytmi",
}
MARKERS = {language: frozenset(words.split()) for language, words in WORDS.items()}


@dataclass(frozen=True)
class Drawn:
    """A statement and its place: ``report[start:stop]`` of a record of a source."""

    source: str
    record: str
    start: int
    stop: int
    text: str
    language: str


def language_of(text: str) -> str:
    """Return the language of a cleaned statement."""
    words = re.findall(r"[\w-]+", text)
    counts = {language: sum(word in markers for word in words) for language, markers in MARKERS.items()}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else "en"


def reports_of(shared: Path) -> Iterator[tuple[str, str, bool, str]]:
    """Yield source, record, whether it belongs to the test set, and report."""
    with (shared / "data/reports/ptbxl_reports.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield "ptb-xl", row["ecg_id"], int(row["strat_fold"]) % 2 == 0, row["report"]
    for header in sorted((shared / "data/norwegian-athletes").glob("*.hea")):
        number = int(re.sub(r"\D", "", header.stem))
        yield "athletes", header.stem, number % 2 == 0, athlete_report(header)


def athlete_report(header: Path) -> str:
    """Return the machine's and the cardiologist's text of a record of the athletes, one finding per line."""
    lines = header.read_text(encoding="utf-8").splitlines()
    texts = [line.partition(":")[2] for line in lines if line.startswith(("#SL12:", "#C:"))]
    return "\n".join(part.strip() for text in texts for part in text.split(","))


def place(report: str, statement: str) -> tuple[int, int]:
    """Return where a cleaned statement lies in its report."""
    pattern = r"\s+".join(map(re.escape, statement.split()))
    found = re.search(pattern, report, re.IGNORECASE)
    return found.span() if found else (0, len(report))


def candidates(shared: Path) -> tuple[dict[str, Drawn], dict[str, Drawn], Counter[str]]:
    """Return the unique statements of either set by their text, and the number of reports with each."""
    sets: tuple[dict[str, Drawn], dict[str, Drawn]] = ({}, {})
    counts: Counter[str] = Counter()
    for source, record, test, report in reports_of(shared):
        for text in dict.fromkeys(split_statements(report)):
            counts[text] += 1
            if text not in sets[0] and text not in sets[1] and text != "trace only requested":
                sets[test][text] = Drawn(source, record, *place(report, text), text, language_of(text))
    return sets[0], sets[1], counts


def draw(pool: Sequence[Drawn], counts: Counter[str], rng: np.random.Generator) -> list[Drawn]:
    """Draw a set: for each language, in turn from its four groups."""
    chosen: list[Drawn] = []
    for language, share in SHARES.items():
        groups: dict[tuple[bool, bool], list[Drawn]] = {}
        for item in pool:
            if item.language == language:
                key = (len(item.text.split()) >= LONG_WORDS, counts[item.text] >= FREQUENT)
                groups.setdefault(key, []).append(item)
        queues = [[group[i] for i in rng.permutation(len(group))] for _, group in sorted(groups.items())]
        taken = 0
        while taken < share and any(queues):
            for queue in queues:
                if queue and taken < share:
                    chosen.append(queue.pop())
                    taken += 1
    return chosen


def print_draw(shared: Path, test: bool) -> None:
    """Print the drawn statements of a set, with their places and texts."""
    *sets, counts = candidates(shared)
    rows = draw(list(sets[test].values()), counts, np.random.default_rng(SEED + test))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for row in rows:
        writer.writerow((row.language, row.source, row.record, row.start, row.stop, text_hash(row.text), row.text))


def annotated(shared: Path, name: str) -> Iterator[tuple[str, str, str, dict[str, str]]]:
    """Yield each statement: its record, its language, its text in the report, and the polarity of each entity."""
    reports = {(source, record): report for source, record, _, report in reports_of(shared)}
    with (LABELS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            text = reports[row["source"], row["record"]][int(row["start"]) : int(row["stop"])]
            if text_hash(" ".join(text.lower().split())) != row["sha256"]:
                raise SystemExit(f"{row['source']} {row['record']}: the report is not the one that was annotated")
            findings = dict(part.split(": ") for part in row["findings"].split("; ") if part)
            yield f"{row['source']} {row['record']}", row["language"], text, findings


def print_sheet(shared: Path, name: str, language: str) -> None:
    """Print a sheet of what the lexicon finds, with verdicts that follow from the annotation."""
    backend = LexiconBackend()
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record, spoken, text, stated in annotated(shared, name):
        if language in ("", spoken):
            found = {m.name: m.polarity for part in split_statements(text) for m in backend.read_text(part)}
            stated.pop("other", None)
            rows = [(e, p, "", "ok" if stated.get(e) == p else stated.get(e, "no")) for e, p in found.items()]
            rows += [(e, "", "", p) for e, p in stated.items() if e not in found]
            for row in rows or [("", "", "", "ok")]:
                writer.writerow((record, text, *row, ""))


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["draw", "sheet"])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--set", choices=["development", "test"], default="test")
    parser.add_argument("--language", choices=["", *SHARES], default="")
    a = parser.parse_args()
    if a.part == "draw":
        print_draw(a.shared, a.set == "test")
    else:
        print_sheet(a.shared, a.set, a.language)


if __name__ == "__main__":
    main()
