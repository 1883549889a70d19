"""The findings that an ECG of the cohort can show: names, codes, frequency, persistence, and mutual exclusion.

Codes are SNOMED CT's, as the PhysioNet/CinC Challenges 2020 and 2021 map them (``dx_mapping_scored.csv`` and
``dx_mapping_unscored.csv``). ST elevation has one code there; its territory is told in the report only.
Shares and persistences are ours: they give about 35 % normal ECGs and each finding in 5 to 15 % of the
records. The rare findings are drawn only where a difficulty gives their rate.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ecgkit.errors import ConfigError
from ecgkit.simulate.difficulty import Difficulty


@dataclass(frozen=True)
class Finding:
    """One finding.

    Args:
        key: Name of the finding in this module.
        label: Abbreviation in the Challenges; the territories of ST elevation share one.
        code: SNOMED CT concept id.
        share: Relative weight with which a patient who is not healthy has it.
        persistence: Probability that an ECG of such a patient shows it; 1 for a lifelong finding.
        excludes: Keys of findings that cannot be seen together with it; the relation holds both ways.
    """

    key: str
    label: str
    code: str
    share: float
    persistence: float
    excludes: frozenset[str] = frozenset()


_VENTRICULAR = frozenset({"STE-anterior", "STE-inferior", "STE-lateral", "LVH", "LBBB", "RBBB", "WPW"})
_RHYTHMS = frozenset({"NSR", "SB", "STach", "AF"})

# If two findings exclude each other, the one that comes first here is kept.
_TABLE = (
    Finding("AF", "AF", "164889003", 0.19, 0.75, _RHYTHMS | {"IAVB"}),
    Finding("SB", "SB", "426177001", 0.14, 0.70, _RHYTHMS),
    Finding("STach", "STach", "427084000", 0.15, 0.70, _RHYTHMS | {"PVC", "IAVB"}),
    Finding("NSR", "NSR", "426783006", 0.0, 0.0, _RHYTHMS),
    Finding("IAVB", "IAVB", "270492004", 0.17, 1.0, frozenset({"AF", "STach"})),
    # Only one finding may reshape QRS and ST: a block hides the voltage and the ST level of the others.
    Finding("LBBB", "LBBB", "164909002", 0.13, 1.0, _VENTRICULAR),
    Finding("RBBB", "RBBB", "59118001", 0.13, 1.0, _VENTRICULAR),
    Finding("LVH", "LVH", "164873001", 0.15, 1.0, _VENTRICULAR),
    Finding("STE-anterior", "STE", "164931005", 0.08, 0.75, _VENTRICULAR),
    Finding("STE-inferior", "STE", "164931005", 0.08, 0.75, _VENTRICULAR),
    Finding("STE-lateral", "STE", "164931005", 0.08, 0.75, _VENTRICULAR),
    Finding("PVC", "PVC", "427172004", 0.20, 0.80, frozenset({"STach"})),
    Finding("WPW", "WPW", "74390002", 0.0, 0.90, _VENTRICULAR | {"AF", "IAVB", "LAnFB"}),
    Finding("LAnFB", "LAnFB", "445118002", 0.0, 1.0, frozenset({"LBBB"})),
    Finding("LQT", "LQT", "111975006", 0.0, 0.90, frozenset({"AF", "STach"})),
)
RARE = frozenset({"WPW", "LAnFB", "LQT"})
FINDINGS: dict[str, Finding] = {finding.key: finding for finding in _TABLE}

NORMAL = frozenset({"NSR"})
HEALTHY = 0.35  # share of the patients without any lasting condition
EPISODE = 0.14  # probability that a healthy patient's ECG shows a slow or a fast sinus rhythm


def compatible(first: str, second: str) -> bool:
    """Return whether two findings can be seen in one ECG."""
    return first == second or (second not in FINDINGS[first].excludes and first not in FINDINGS[second].excludes)


def settle(wanted: Iterable[str]) -> frozenset[str]:
    """Return the wanted findings that fit together, with a sinus rhythm if no other rhythm is among them."""
    asked, kept = set(wanted), list[str]()
    for key in FINDINGS:
        if key in asked and all(compatible(key, other) for other in kept):
            kept.append(key)
    return frozenset(kept) if _RHYTHMS & set(kept) else frozenset({*kept, "NSR"})


def check_findings(findings: frozenset[str]) -> None:
    """Refuse a set of findings that no ECG can show.

    Raises:
        ConfigError: A key is unknown, two findings exclude each other, or the rhythm is not named.
    """
    unknown = sorted(findings - FINDINGS.keys())
    if unknown:
        raise ConfigError(f"findings {', '.join(unknown)} are unknown", f"some of {', '.join(FINDINGS)}")
    clashes = [f"{a} with {b}" for a in sorted(findings) for b in sorted(findings) if a < b and not compatible(a, b)]
    if clashes:
        raise ConfigError(f"findings exclude each other: {', '.join(clashes)}")
    if not findings & _RHYTHMS:
        raise ConfigError("the findings contain no rhythm", f"one of {', '.join(sorted(_RHYTHMS))}")


def codes(findings: Iterable[str]) -> tuple[str, ...]:
    """Return the SNOMED CT codes of findings without repeats, in the order of the table."""
    found = set(findings)
    return tuple(dict.fromkeys(finding.code for key, finding in FINDINGS.items() if key in found))


def labels(findings: Iterable[str]) -> tuple[str, ...]:
    """Return the Challenges' abbreviations of findings without repeats, in the order of the table."""
    found = set(findings)
    return tuple(dict.fromkeys(finding.label for key, finding in FINDINGS.items() if key in found))


def count_labels(records: Iterable[frozenset[str]]) -> dict[str, int]:
    """Return the number of records by abbreviation, in the order of the table, including zeros but of rare findings."""
    counts = Counter(label for findings in records for label in labels(findings))
    return {label: counts[label] for label in labels(FINDINGS) if counts[label] or label not in labels(RARE)}


def draw_conditions(rng: np.random.Generator, rates: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """Draw the lasting conditions of a patient; none for a healthy one.

    Args:
        rng: Random generator.
        rates: Share of the records with each finding, by key: findings are drawn independently of each other. None
            draws from the shares of the table.
    """
    if rates:
        return tuple(key for key, rate in rates.items() if rng.random() < rate / FINDINGS[key].persistence)
    if rng.random() < HEALTHY:
        return ()
    keys = [key for key, finding in FINDINGS.items() if finding.share > 0]
    shares = np.array([FINDINGS[key].share for key in keys])
    count = 1 + min(int(rng.poisson(0.75)), 2)
    return tuple(str(key) for key in rng.choice(keys, size=count, replace=False, p=shares / shares.sum()))


def draw_findings(conditions: tuple[str, ...], rng: np.random.Generator, *, episodes: bool = True) -> frozenset[str]:
    """Draw the findings of one ECG of a patient.

    Args:
        conditions: The patient's lasting conditions.
        rng: Random generator.
        episodes: Whether healthy patients have episodes of a slow or fast sinus rhythm.
    """
    seen = [key for key in conditions if rng.random() < FINDINGS[key].persistence]
    if episodes and not conditions and rng.random() < EPISODE:
        seen = [str(rng.choice(["SB", "STach"]))]
    return settle(seen)


def record_findings(findings: frozenset[str], difficulty: Difficulty, rng: np.random.Generator) -> frozenset[str]:
    """Return the findings that label and report tell: the true ones with the errors of a difficulty.

    Args:
        findings: What the ECG shows.
        difficulty: Its shares of missed and added findings and of wrong rhythms.
        rng: Random generator; nothing is drawn if labels are true.
    """
    if difficulty.true_labels:
        return findings
    rhythm = next(key for key in FINDINGS if key in findings & _RHYTHMS)
    if rng.random() < difficulty.wrong_rhythm:
        rhythm = str(rng.choice([key for key in FINDINGS if key in _RHYTHMS - {rhythm}]))
    told = {rhythm}
    for key, rate in difficulty.rates.items():
        if key in _RHYTHMS:
            continue
        if rng.random() < (1 - difficulty.missed if key in findings else rate * difficulty.added):
            told.add(key)
    return settle(told)
