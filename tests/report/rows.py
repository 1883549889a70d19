"""Result rows as `ecgkit probe` writes them, for the tests of the report."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from ecgkit.evaluation.results.facts import Facts, IntervalFacts, LabelFacts, ProtocolFacts, SplitFacts
from ecgkit.evaluation.results.row import PREDICTIONS, ClassScore, ResultRow
from ecgkit.evaluation.scores.metrics import auroc, calibration
from ecgkit.leads import STANDARD_LEADS

CLASSES = {
    "NORM": ("Normal ECG", 963, 7721),
    "MI": ("Myocardial infarction", 550, 4379),
    "STTC": ("ST/T change", 521, 4186),
    "CD": ("Conduction disturbance", 496, 3940),
    "HYP": ("Hypertrophy", 0, 2119),
}
TEST_RECORDS = 2158
FEW = "HYP has 0 positive test records and is left out of the mean."
ONE_SEED = "One seed: the spread between seeds is unknown."


def make_classes(level: float) -> tuple[ClassScore, ...]:
    scores = []
    for i, (label, (name, positives, train)) in enumerate(CLASSES.items()):
        auroc = min(0.9951, level + 0.0137 * math.cos(2 * i)) if positives else None
        width = 0.4 / math.sqrt(max(positives, 1))
        scores.append(
            ClassScore(
                label=label,
                name=name,
                positives=positives,
                negatives=TEST_RECORDS - positives,
                train_positives=train,
                auroc=auroc,
                interval=None if auroc is None else (auroc - width, min(1.0, auroc + width)),
                auprc=None if auroc is None else auroc - 0.1234,
            )
        )
    return tuple(scores)


def make_training(epochs: int) -> tuple[dict, ...]:
    return tuple(
        {
            "epoch": epoch,
            "step": 68 * epoch,
            "lr": 6e-4 * (1 + math.cos(math.pi * epoch / epochs)) / 2,
            "train_loss": 0.31 + 0.7 * math.exp(-epoch / 6),
            "val_loss": 0.345 + 0.64 * math.exp(-epoch / 6) + 0.008 * math.sin(epoch),
            "records_per_second": 2113.4,
            "seconds": 8.251,
        }
        for epoch in range(1, epochs + 1)
    )


def make_row(**changes) -> ResultRow:
    values = {
        "run": "stmem-base",
        "method": "st-mem",
        "preset": "base",
        "weights": "pretrained",
        "store": "ptb-xl",
        "dataset": "ptb-xl",
        "task": "ptbxl-super",
        "task_title": "PTB-XL diagnostic superclasses",
        "head": "linear",
        "leads": ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"),
        "fraction": 1.0,
        "seed": 0,
        "macro_auroc": 0.91237,
        "macro_interval": (0.90411, 0.92002),
        "macro_auprc": 0.77381,
        "classes": make_classes(0.91),
        "counts": {
            "train": {"records": 17084, "patients": 14806},
            "val": {"records": 2146, "patients": 1922},
            "test": {"records": TEST_RECORDS, "patients": 1875},
        },
        "facts": Facts(
            protocol=ProtocolFacts(name="default", title="ecgkit's own rules"),
            labels=LabelFacts(source="PTB-XL statements by superclass", unlabelled="drop"),
            split=SplitFacts(
                kind="folds", folds={"train": (1, 2, 3, 4, 5, 6, 7, 8), "val": (9,), "test": (10,)}, test_sha256="77ab"
            ),
            head={"chosen": "C = 0.01 by macro AUROC on val"},
            interval=IntervalFacts(),
            thresholds_from="validation",
        ),
        "warnings": (FEW, ONE_SEED),
        "contract": {
            "fs": 250,
            "seconds": 9.0,
            "leads": ["I", "II", "V1"],
            "filter": {"band": [0.67, 40.0], "order": 3, "type": "butterworth"},
            "normalize": "lead-zscore",
            "crop": None,
        },
        "hashes": {"store": "9f2c" * 16, "split": "41aa" * 16, "checkpoint": "c07e" * 16},
        "environment": {"ecgkit": "0.1.0", "torch": "2.12.0", "device": "cpu", "command": "ecgkit probe runs/a"},
        "seconds": 412.3,
    }
    return ResultRow(**(values | changes))


def make_rows() -> list[tuple[Path, ResultRow]]:
    """Four runs on one task, one run on another; HYP has no positive test record."""
    return [
        (Path("runs/base/results/super/row.json"), make_row(training=make_training(40))),
        (
            Path("runs/base/results/random/row.json"),
            make_row(
                weights="random-init",
                macro_auroc=0.74127,
                macro_interval=(0.72811, 0.75409),
                macro_auprc=0.50013,
                classes=make_classes(0.74),
                seconds=398.04,
            ),
        ),
        (
            Path("runs/scratch/results/super/row.json"),
            make_row(
                run="resnet-scratch",
                method="supervised",
                weights="scratch",
                head="fine-tune",
                macro_auroc=0.89914,
                macro_interval=(0.88977, 0.90783),
                macro_auprc=0.7501,
                classes=make_classes(0.9),
                seconds=5210.7,
                training=make_training(25),
            ),
        ),
        (
            Path("runs/one-lead/results/super/row.json"),
            make_row(
                run="stmem-one-lead",
                leads=("I",),
                fraction=0.1,
                seed=3,
                macro_auroc=0.83318,
                macro_interval=None,
                macro_auprc=0.61172,
                classes=make_classes(0.83),
                warnings=(FEW, "1,708 training records."),
                seconds=61.2,
            ),
        ),
        (
            Path("runs/base/results/rhythm/row.json"),
            make_row(
                task="ptbxl-rhythm",
                task_title="PTB-XL rhythm",
                warnings=(),
                macro_auroc=0.95612,
                macro_interval=(0.93905, 0.96988),
                training=make_training(40),
            ),
        ),
    ]


def write_study(folder: Path, *, evil: str = "") -> list[tuple[Path, ResultRow]]:
    """Two models by share of the training part, lead set and seed, with the predictions that their scores are of.

    Args:
        folder: Where rows and predictions are written, as `ecgkit probe` lays them out.
        evil: Put into every name.
    """
    rows = []
    for r, (run, quality) in enumerate({"stmem-tiny": 2.0, "clear-tiny": 1.8}.items()):
        cases = [(fraction, seed, "") for fraction in (0.01, 0.1, 1.0) for seed in range(1 if fraction == 1 else 3)]
        cases += [(1.0, 0, name) for name in ("limb", "chest", "I II", "I")]
        for i, (fraction, seed, leads) in enumerate(cases):
            level = quality * (0.4 + 0.2 * (2 + math.log10(fraction))) - 0.3 * (len(leads) > 0) - 0.2 * (leads == "I")
            path = folder / run / "probes" / f"super-{i}" / "row.json"
            rows.append((path, write_result(path, run + evil, level, fraction, seed, leads, 100 * r + i, evil)))
    return rows


def write_result(
    path: Path, run: str, level: float, fraction: float, seed: int, leads: str, draw: int, evil: str = ""
) -> ResultRow:
    """Write one row with predictions of 400 records."""
    rng, own = np.random.default_rng(0), np.random.default_rng(draw)
    names = [label + evil for label in CLASSES]
    y = (rng.random((400, len(names))) < [0.4, 0.25, 0.2, 0.2, 0.1]).astype(int)
    p = 1 / (1 + np.exp(-(level * (2 * y - 1) + own.normal(size=y.shape) - 0.5)))
    frame = pd.DataFrame({"record_id": np.arange(400).astype(str), "patient_id": np.arange(400) // 2, "part": "test"})
    frame = frame.astype({"patient_id": str})
    for c, name in enumerate(names):
        frame[f"y_{name}"], frame[f"p_{name}"] = y[:, c], p[:, c]
    path.parent.mkdir(parents=True)
    frame.to_parquet(path.parent / PREDICTIONS)
    scores = auroc(y, p)
    macro = float(scores.mean())
    classes = tuple(
        ClassScore(
            label=name,
            name=CLASSES[label][0],
            positives=int(y[:, c].sum()),
            negatives=int(400 - y[:, c].sum()),
            train_positives=int(17084 * fraction * y[:, c].mean()),
            auroc=float(scores[c]),
            interval=(float(scores[c]) - 0.03, min(1.0, float(scores[c]) + 0.03)),
            auprc=float(scores[c]) - 0.1,
            threshold=0.5,
            f1=float(scores[c]) - 0.15,
            sensitivity=float(scores[c]) - 0.2,
        )
        for c, (label, name) in enumerate(zip(CLASSES, names, strict=True))
    )
    lead_names = {"limb": STANDARD_LEADS[:6], "chest": STANDARD_LEADS[6:], "I II": ("I", "II"), "I": ("I",)}
    row = make_row(
        run=run,
        method=run.removesuffix(evil).split("-")[0],
        preset="tiny",
        fraction=fraction,
        seed=seed,
        lead_set=leads,
        leads=lead_names.get(leads, STANDARD_LEADS),
        classes=classes,
        macro_auroc=macro,
        macro_interval=(macro - 0.02, min(1.0, macro + 0.02)),
        macro_auprc=macro - 0.1,
        calibration=calibration(y, p),
        warnings=(ONE_SEED,),
        training=make_training(30),
        seconds=20.0 + 3 * draw % 17,
        counts={
            "train": {"records": round(17084 * fraction), "patients": round(14806 * fraction)},
            "val": {"records": 2146, "patients": 1922},
            "test": {"records": 400, "patients": 200},
        },
    )
    path.write_text(json.dumps(asdict(row)))
    return row


def write_layers(run: Path, *, layers: int = 6) -> Path:
    """Write a study of layers beside a run's results, as `ecgkit probe --layers` does."""
    file = run / "analyses" / "ptbxl-super-layers-ptb-xl-seed0" / "layers.csv"
    file.parent.mkdir(parents=True)
    lines = [f"{i},{0.8 + 0.01 * i - 0.002 * i * i},{0.79 + 0.01 * i - 0.002 * i * i},," for i in range(1, layers + 1)]
    file.write_text("\n".join(["layer,val_auroc,test_auroc,similarity,entropy", *lines]) + "\n")
    return file
