"""The text that an ECG cart prints: one line per finding, in varying words, and a verdict.

Phrases are ours, in the style of such machines. Some lines deny a finding that is absent, and a few are uncertain about
it, since readers of real reports must handle both. Lines say nothing that the labels do not say.
"""

import numpy as np

from ecgkit.simulate.findings import FINDINGS, NORMAL, labels

MOST_LINES = 18  # columns report_0 to report_17 of MIMIC-IV-ECG
DENYING = 0.12  # part of the reports with a line that denies an absent finding
UNSURE = 0.05  # part of the abnormal reports with a line that does not rule one out

PHRASES: dict[str, tuple[str, ...]] = {
    "NSR": ("Sinus rhythm", "Normal sinus rhythm", "Sinus rhythm", "NSR"),
    "SB": (
        "Sinus bradycardia",
        "Marked sinus bradycardia",
        "Sinus rhythm, slow rate",
        "Bradycardia, sinus origin",
    ),
    "STach": ("Sinus tachycardia", "Sinus tachycardia", "Sinus rhythm, fast rate", "Rapid sinus rhythm"),
    "AF": ("Atrial fibrillation", "AFIB", "A-fib", "Atrial fibrillation, irregular ventricular response"),
    "PVC": (
        "Ventricular premature complex(es)",
        "PVC(s)",
        "Premature ventricular contractions",
        "Ventricular ectopy",
    ),
    "LBBB": (
        "Left bundle branch block",
        "LBBB",
        "Complete left bundle branch block",
        "Left bundle-branch block",
    ),
    "RBBB": (
        "Right bundle branch block",
        "RBBB",
        "Complete right bundle branch block",
        "Right bundle-branch block",
    ),
    "LVH": (
        "Left ventricular hypertrophy",
        "LVH by voltage with secondary repolarization abnormality",
        "Left ventricular hypertrophy with strain pattern",
        "LVH",
    ),
    "STE-anterior": (
        "Anterior ST elevation, consider acute infarct",
        "ST elevation in anterior leads",
        "Anteroseptal ST segment elevation - consider injury",
        "STE V1-V4, possible acute anterior infarct",
    ),
    "STE-inferior": (
        "Inferior ST elevation, consider acute infarct",
        "ST elevation in inferior leads",
        "Inferior ST segment elevation - consider injury",
        "STE II, III, aVF, possible acute inferior infarct",
    ),
    "STE-lateral": (
        "Lateral ST elevation, consider acute infarct",
        "ST elevation in lateral leads",
        "Lateral ST segment elevation - consider injury",
        "STE I, aVL, V5-V6, possible acute lateral infarct",
    ),
    "IAVB": (
        "First degree A-V block",
        "1st degree AV block",
        "Prolonged PR interval",
        "with 1st degree A-V block",
    ),
    "WPW": ("WPW", "Ventricular pre-excitation", "WPW pattern"),
    "LAnFB": ("Left anterior fascicular block", "LAFB", "Left anterior hemiblock"),
    "LQT": ("Prolonged QT interval", "Prolonged QT", "Long QT interval"),
}

# By abbreviation: lines of a machine that looked for a finding and did not see it.
DENIALS: dict[str, tuple[str, ...]] = {
    "AF": ("No atrial fibrillation", "Atrial fibrillation not seen"),
    "PVC": ("No ventricular ectopy", "No PVCs seen"),
    "LBBB": ("No left bundle branch block", "No evidence of LBBB"),
    "RBBB": ("No right bundle branch block", "No evidence of RBBB"),
    "LVH": ("No evidence of left ventricular hypertrophy", "Voltage criteria for LVH not met"),
    "STE": ("No ST elevation", "No significant ST segment elevation"),
    "IAVB": ("No AV block", "PR interval is not prolonged"),
}
DOUBTS: dict[str, tuple[str, ...]] = {
    "LVH": ("Cannot rule out left ventricular hypertrophy", "Consider LVH"),
    "STE": ("Cannot rule out anterior ST elevation", "Possible ST elevation, repeat ECG advised"),
    "IAVB": ("Borderline first degree A-V block cannot be excluded",),
}
VERDICTS: dict[str, tuple[str, ...]] = {
    "normal": ("Normal ECG", "Normal ECG", "Normal tracing"),
    "rate only": ("Normal ECG except for rate", "Otherwise normal ECG", "Borderline ECG"),
    "borderline": ("Borderline ECG", "Otherwise normal ECG"),
    "abnormal": ("Abnormal ECG", "Abnormal ECG", "*** Abnormal ECG ***"),
}
FAST = 100.0  # 1/min, above which a report on atrial fibrillation names the rapid response


def write_report(
    findings: frozenset[str], rate: float, loose_lead: str | None, rng: np.random.Generator
) -> tuple[str, ...]:
    """Return the report's lines.

    Args:
        findings: Findings of the ECG.
        rate: Ventricular rate in 1/min.
        loose_lead: The flat lead, if there is one.
        rng: Random generator for the choice of words.
    """
    lines = [f"Lead(s) unsuitable for analysis: {loose_lead}"] if loose_lead else []
    lines += [_line(key, rate, rng) for key in FINDINGS if key in findings]
    if rng.random() < DENYING:
        lines.append(_absent(DENIALS, findings, rng))
    if findings - NORMAL and rng.random() < UNSURE:
        lines.append(_absent(DOUBTS, findings, rng))
    lines.append(_pick(VERDICTS[_verdict(findings)], rng))
    return tuple(line for line in lines if line)[:MOST_LINES]


def _line(key: str, rate: float, rng: np.random.Generator) -> str:
    if key == "AF" and rate > FAST and rng.random() < 0.7:
        return "Atrial fibrillation with rapid ventricular response"
    # A machine calls only a very slow rhythm marked.
    phrases = [phrase for phrase in PHRASES[key] if not (phrase.startswith("Marked") and rate > 50)]
    return _pick(phrases, rng)


def _absent(phrases: dict[str, tuple[str, ...]], findings: frozenset[str], rng: np.random.Generator) -> str:
    """Return a line that denies a finding that the ECG does not show."""
    absent = [label for label in phrases if label not in labels(findings)]
    return _pick(phrases[_pick(absent, rng)], rng) if absent else ""


def _verdict(findings: frozenset[str]) -> str:
    if findings == NORMAL:
        return "normal"
    if findings <= {"SB", "STach"}:
        return "rate only"
    return "borderline" if findings <= {"SB", "NSR", "IAVB"} else "abnormal"


def _pick(options: list[str] | tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
