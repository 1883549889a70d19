"""The linear probe once more, by scikit-learn alone: ``python benchmarks/independent_probe.py FEATURES RESULT TASK``.

FEATURES is the ``.parquet`` that ``ecgkit embed`` wrote of the run and store of RESULT. RESULT is a result folder of
``ecgkit probe`` with all labels, and TASK is the task's YAML file. Nothing is imported from ecgkit. Labels are read
from the codes in FEATURES. RESULT tells which records are validation and test records, and the scores to compare with.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
TOLERANCE = 1e-3  # largest difference of an AUROC that still counts as the same


@dataclass(frozen=True)
class Scores:
    """AUROCs of one probe.

    Args:
        macro: Mean over the classes that the test records can score.
        classes: AUROC by class; classes without positives or negatives are left out.
        penalty: The chosen C.
    """

    macro: float
    classes: dict[str, float]
    penalty: float


def targets(codes: pd.Series, task: Path) -> pd.DataFrame:
    """Return one column per class of a task file, 1 where a record has one of the class's codes."""
    classes = yaml.safe_load(task.read_text(encoding="utf-8"))["labels"]
    found = [set() if held is None else set(held) for held in codes]
    return pd.DataFrame({key: [int(bool(held & set(of["codes"]))) for held in found] for key, of in classes.items()})


def area(truth: NDArray[np.int64], scores: NDArray[np.float64]) -> dict[int, float]:
    """Return the AUROC of each column that has positives and negatives."""
    mixed = [c for c in range(truth.shape[1]) if 0 < truth[:, c].sum() < len(truth)]
    return {c: float(roc_auc_score(truth[:, c], scores[:, c])) for c in mixed}


def fit(x: NDArray[np.float64], y: NDArray[np.int64], C: float, parts: list[NDArray[np.float64]]) -> list[NDArray]:
    """Fit one logistic regression per class and return the decision values of each part."""
    out = [np.zeros((len(part), y.shape[1])) for part in parts]
    for c in range(y.shape[1]):
        if len(np.unique(y[:, c])) < 2:
            continue
        model = LogisticRegression(C=C, tol=1e-8, max_iter=100_000).fit(x, y[:, c])
        for values, part in zip(out, parts, strict=True):
            values[:, c] = model.decision_function(part)
    return out


def probe(features: Path, result: Path, task: Path) -> Scores:
    """Fit on the training records, choose C on the validation records, and score the test records.

    Args:
        features: Table with ``record_id``, ``labels`` and ``pooled``.
        result: Result folder; its ``predictions.parquet`` names the validation and test records.
        task: YAML file with the codes of each class.
    """
    table = pd.read_parquet(features, columns=["record_id", "labels", "pooled"])
    truth = targets(table["labels"], task)
    # A record without any class of the task takes no part.
    table, truth = table[truth.any(axis=1)], truth[truth.any(axis=1)]
    parts = pd.read_parquet(result / "predictions.parquet", columns=["record_id", "part"])
    part = table["record_id"].map(parts.set_index("record_id")["part"]).fillna("train").to_numpy()
    x, y = np.stack(table["pooled"].to_list()).astype(np.float64), truth.to_numpy()
    mean, sd = x[part == "train"].mean(0), x[part == "train"].std(0)
    x = (x - mean) / np.where(sd > 0, sd, 1.0)
    train, val, test = (part == name for name in ("train", "val", "test"))
    best, chosen = (-1.0, PENALTIES[0]), np.zeros((0, 0))
    for C in PENALTIES:
        on_val, on_test = fit(x[train], y[train], C, [x[val], x[test]])
        score = float(np.mean(list(area(y[val], on_val).values()) or [0.0]))
        if score > best[0]:
            best, chosen = (score, C), on_test
    classes = {str(truth.columns[c]): value for c, value in area(y[test], chosen).items()}
    return Scores(float(np.mean(list(classes.values()))), classes, best[1])


def main() -> None:
    """Print both scores and end with code 1 if an AUROC differs by more than `TOLERANCE`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("task", type=Path)
    given = parser.parse_args()
    plain = probe(given.features, given.result, given.task)
    row = json.loads((given.result / "row.json").read_text(encoding="utf-8"))
    print(f"macro AUROC: scikit-learn {plain.macro:.5f}, ecgkit {row['macro_auroc']:.5f}, C = {plain.penalty:g}")
    if abs(plain.macro - row["macro_auroc"]) > TOLERANCE:
        raise SystemExit(f"the scores differ by more than {TOLERANCE:g}")


if __name__ == "__main__":
    main()
