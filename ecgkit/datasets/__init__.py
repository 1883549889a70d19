"""Dataset layouts, one module each. A layout finds a folder's records and reads metadata, labels and signals."""

from collections.abc import Callable

from ecgkit.entries import DatasetEntry
from ecgkit.hookspecs import hookimpl

# Layouts with the highest number are tried first: tables identify a dataset best, then the names of its records.
# "Any folder of WFDB records" fits nearly everything, so it comes last.
LAYOUTS = (
    ("stores", "a folder of stores, joined into one", "stores:Stores", 50),
    ("manifest", "any .npy or .mat files that a manifest.csv lists", "manifest:Manifest", 40),
    (
        "mimic-iv-ecg-ext-icd",
        "MIMIC-IV-ECG with ICD-10 codes (records_w_diag_icd10.csv in it or beside it)",
        "mimic_iv_ecg_ext_icd:MimicIvEcgExtIcd",
        30,
    ),
    (
        "mimic-iv-ecg",
        "MIMIC-IV-ECG 1.0 (record_list.csv, machine_measurements.csv)",
        "mimic_iv_ecg:MimicIvEcg",
        20,
    ),
    ("ptb-xl", "PTB-XL, 100 or 500 Hz (ptbxl_database.csv)", "ptb_xl:PTBXL", 20),
    ("code-15", "CODE-15 % (exams.csv, exams_part*.hdf5)", "code15:Code15", 20),
    ("ludb", "LUDB, marks of every lead (ludb.csv)", "ludb:Ludb", 20),
    ("cpsc2018-mat", "CPSC 2018, original files (REFERENCE.csv, A0001.mat)", "cpsc2018_mat:Cpsc2018Mat", 15),
    ("cpsc2018", "CPSC 2018 with headers (A0001.hea)", "cinc:Cpsc2018", 10),
    ("georgia", "Georgia 12-lead ECG Challenge Database (E00001.hea)", "cinc:Georgia", 10),
    (
        "chapman-shaoxing-ningbo",
        "Chapman-Shaoxing-Ningbo (WFDBRecords/, JS00001.hea)",
        "cinc:ChapmanShaoxingNingbo",
        10,
    ),
    ("norwegian-athletes", "Norwegian Endurance Athlete ECG Database", "norwegian_athletes:NorwegianAthletes", 10),
    ("mit-bih", "MIT-BIH Arrhythmia Database, two leads with beats", "mit_bih:MitBih", 10),
    ("cinc", "CinC Challenge 2020 or 2021, all sources", "cinc:Cinc", 5),
    ("wfdb", "any folder of WFDB records", "wfdb_folder:WfdbFolder", 0),
)
GENERAL = ("stores", "manifest", "wfdb")  # any dataset may have these layouts


@hookimpl
def register_datasets(register: Callable[[DatasetEntry], None]) -> None:
    """Register the dataset layouts that ship with ecgkit."""
    for name, summary, target, priority in LAYOUTS:
        at, general = f"ecgkit.datasets.{target}", name in GENERAL
        register(DatasetEntry(name=name, summary=summary, target=at, priority=priority, general=general))
