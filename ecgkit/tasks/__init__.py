"""The evaluation tasks that ecgkit ships, one YAML file each; `ecgkit.tasks.task` documents the files."""

from collections.abc import Callable

from ecgkit.entries import TaskEntry
from ecgkit.hookspecs import hookimpl


@hookimpl
def register_tasks(register: Callable[[TaskEntry], None]) -> None:
    """Register the tasks that ecgkit ships."""
    for name, summary in (
        ("ptbxl-all", "PTB-XL, all 71 statements, published folds"),
        ("ptbxl-diag", "PTB-XL, 44 diagnostic statements, published folds"),
        ("ptbxl-super", "PTB-XL, 5 diagnostic superclasses, published folds"),
        ("ptbxl-sub", "PTB-XL, 23 diagnostic subclasses, published folds"),
        ("ptbxl-form", "PTB-XL, 19 form statements, published folds"),
        ("ptbxl-rhythm", "PTB-XL, 12 rhythm statements, published folds"),
        ("cpsc2018", "CPSC 2018, 9 labels by word or SNOMED CT code, folds by record"),
        ("csn", "Chapman-Shaoxing-Ningbo, 38 labels by SNOMED CT code, folds by record"),
        (
            "icd10-circulatory",
            "MIMIC-IV-ECG-Ext-ICD, circulatory diseases as a tree: chapter, block, category, subcategory",
        ),
        ("icd10", "MIMIC-IV-ECG-Ext-ICD, all discharge diagnoses, published scenario"),
        ("cinc2020", "PhysioNet/CinC Challenge 2020, 24 classes"),
        ("cinc2020-unmerged", "PhysioNet/CinC Challenge 2020, all 27 codes unmerged, as some papers use it"),
        ("cinc2021", "PhysioNet/CinC Challenge 2021, 26 classes"),
        ("age", "age in years: regression, from the record table"),
        ("heart-rate", "heart rate in bpm: regression, from the measurement table or the store's R peaks"),
        ("qrs-duration", "QRS duration in ms: regression, from the measurement table"),
        ("qt", "QT interval and QTc in ms: regression, from the measurement table"),
        ("entities", "entities that 'ecgkit extract-knowledge' found in the reports, folds of the store"),
        ("simulated", "findings of 'ecgkit simulate', folds by patient"),
    ):
        register(TaskEntry(name=name, summary=summary, target=f"{__name__}:{name}.yaml"))
