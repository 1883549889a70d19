"""Published archives of ECGs: one card per archive, and which archives share recordings."""

from collections.abc import Callable

from ecgkit.entries import ArchiveEntry
from ecgkit.hookspecs import hookimpl

ARCHIVES = {
    "ptb-xl": "PTB-XL",
    "ptb-xl-plus": "PTB-XL+: features and statements for PTB-XL",
    "mimic-iv-ecg": "MIMIC-IV-ECG",
    "mimic-iv-ecg-ext-icd": "MIMIC-IV-ECG-Ext-ICD: diagnoses for MIMIC-IV-ECG",
    "cpsc2018": "China Physiological Signal Challenge 2018",
    "cpsc2019": "China Physiological Signal Challenge 2019, R peaks",
    "cpsc2020": "China Physiological Signal Challenge 2020, premature beats",
    "cpsc2021": "China Physiological Signal Challenge 2021, atrial fibrillation",
    "cinc2017": "PhysioNet/CinC Challenge 2017, one lead",
    "cinc2020": "PhysioNet/CinC Challenge 2020",
    "cinc2021": "PhysioNet/CinC Challenge 2021",
    "georgia": "Georgia 12-lead ECG Challenge Database",
    "chapman-shaoxing-ningbo": "Chapman-Shaoxing-Ningbo",
    "ptbdb": "PTB Diagnostic ECG Database",
    "incartdb": "St Petersburg INCART 12-lead Arrhythmia Database",
    "mit-bih": "MIT-BIH Arrhythmia Database",
    "afdb": "MIT-BIH Atrial Fibrillation Database",
    "svdb": "MIT-BIH Supraventricular Arrhythmia Database",
    "nsrdb": "MIT-BIH Normal Sinus Rhythm Database",
    "ltafdb": "Long Term AF Database",
    "ludb": "Lobachevsky University Database, marks of every lead",
    "norwegian-athletes": "Norwegian Endurance Athlete ECG Database",
    "code-15": "CODE-15 %",
    "code-test": "CODE-test",
    "sph": "Shandong Provincial Hospital",
    "zzu-pecg": "ZZU pECG, children",
    "echonext": "EchoNext, findings of echocardiography",
}


@hookimpl
def register_archives(register: Callable[[ArchiveEntry], None]) -> None:
    """Register the archives that ecgkit knows."""
    for name, summary in ARCHIVES.items():
        register(ArchiveEntry(name=name, summary=summary, target=f"ecgkit.archives:cards/{name}.yaml"))
