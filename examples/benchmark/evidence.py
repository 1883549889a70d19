"""Rows of ``docs/evidence`` and tables of ``docs/benchmarks.md``: ``python evidence.py [OUT]``.

OUT is the folder of ``evidence.sh``, or that of ``examples/all-methods/table.sh``, of which only scores and differences
are taken. Its runs and results replace the rows of the same runs in ``docs/evidence/*.csv``.
The tables of the page are then written from these rows, between ``<!-- table NAME -->`` and ``<!-- end of table -->``.
Without OUT, only the page is written. The rows hold numbers about models, and nothing of any record.
"""

import csv
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import tables
import yaml
from tables import Side

from ecgkit.evaluation.results.row import find_rows
from ecgkit.evaluation.scores.significance import holm

DOCS = Path(__file__).parents[2] / "docs"
EVIDENCE, PAGE = DOCS / "evidence", DOCS / "benchmarks.md"
Line = dict[str, str]

# The columns that name a row: a new row replaces the one with the same values there.
KEYS = {
    "runs": ("run",),
    "curves": ("run", "epoch"),
    "scores": ("encoder", "seed", "draw", "task", "head", "leads", "fraction"),
    "differences": ("first", "second", "task", "fraction"),
    "independent": ("run",),
}
PROBED = 20  # epochs between two points of a curve
HEADS = ("linear", "boosting", "prevalence")  # that of encoders, and those of baselines that are no encoders


def runs_of(out: Path) -> Iterable[Line]:
    """Yield one line per finished run: its budget, losses and cost."""
    for folder in sorted((out / "runs").iterdir()):
        if not (folder / "model.safetensors").exists():
            continue
        epochs, config = epochs_of(folder), yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        recipe = config["config"]["recipe"]
        losses = [epoch["val_loss"] for epoch in epochs]
        best = min(range(len(losses)), key=losses.__getitem__)
        yield {
            "run": folder.name,
            "method": config["method"],
            "preset": config["preset"],
            "parameters": str(tables.parameters(folder)),
            "batch": str(recipe["batch_size"]),
            "peak_lr": f"{recipe['lr'] * recipe['batch_size'] / 256:g}",
            "epochs": str(len(epochs)),
            "of": str(recipe["epochs"]),
            "best_epoch": str(epochs[best]["epoch"]),
            "val_first": f"{losses[0]:.4f}",
            "val_best": f"{losses[best]:.4f}",
            "val_last": f"{losses[-1]:.4f}",
            "minutes": f"{sum(epoch['seconds'] for epoch in epochs) / 60:.1f}",
        }


def curves_of(out: Path) -> Iterable[Line]:
    """Yield the losses and the score on the validation records at the first epoch and every 20th."""
    for folder in sorted((out / "runs").iterdir()):
        if not (folder / "metrics.jsonl").exists():
            continue
        for epoch in epochs_of(folder):
            if epoch["epoch"] == 1 or epoch["epoch"] % PROBED == 0:
                score = epoch.get("probe_macro_auroc")
                yield {
                    "run": folder.name.removesuffix(".partial"),
                    "epoch": str(epoch["epoch"]),
                    "train_loss": f"{epoch['train_loss']:.4f}",
                    "val_loss": f"{epoch['val_loss']:.4f}",
                    "val_auroc": "" if score is None else f"{100 * score:.2f}",
                }


def epochs_of(folder: Path) -> list[dict[str, float]]:
    """Return the metrics of each epoch of a run."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def scores_of(out: Path) -> Iterable[Line]:
    """Yield one line per result."""
    for _, row in results_of(out):
        low, high = row.macro_interval or (float("nan"), float("nan"))
        if row.macro_auroc is not None:
            yield {
                "encoder": tables.name(row),
                "seed": str(tables.seed_of(row)),
                "draw": str(row.seed),
                "task": row.task,
                "head": row.head,
                "leads": tables.leads_of(row),
                "fraction": f"{row.fraction:g}",
                "auroc": f"{100 * row.macro_auroc:.2f}",
                "low": f"{100 * low:.2f}",
                "high": f"{100 * high:.2f}",
                "test_records": str(max(one.positives + one.negatives for one in row.classes)),
            }


def differences_of(out: Path) -> Iterable[Line]:
    """Yield each trained encoder against its random encoder by share of the labels; p values are not corrected."""
    results = results_of(out)
    for task, fraction in sorted({(row.task, row.fraction) for _, row in results}):
        rows = [(path, row) for path, row in results if (row.task, row.fraction) == (task, fraction)]
        trained = {tables.name(row): row for _, row in rows if row.weights == "pretrained"}
        for name, row in sorted(trained.items()):
            pair = [Side(side, fraction=fraction) for side in (name, f"{row.method} {row.preset}, random-init")]
            ours, theirs = ({tables.seed_of(r): path for path, r in rows if side.has(r)} for side in pair)
            if seeds := sorted(ours.keys() & theirs.keys()):
                found = tables.mean_difference([(ours[seed], theirs[seed]) for seed in seeds])
                low, high = found.interval
                yield {
                    "first": name,
                    "second": str(pair[1]),
                    "task": task,
                    "fraction": f"{fraction:g}",
                    "seeds": str(len(seeds)),
                    "difference": f"{100 * found.value:.2f}",
                    "low": f"{100 * low:.2f}",
                    "high": f"{100 * high:.2f}",
                    "p": f"{found.p:.4g}",
                }


def results_of(out: Path) -> tables.Rows:
    """Return the results of either script."""
    return find_rows([out / ("results" if (out / "results").exists() else "table")])


def independent_of(out: Path) -> Iterable[Line]:
    """Yield one line per probe that scikit-learn repeated."""
    for file in sorted((out / "independent").glob("*.txt")):
        if found := re.search(r"scikit-learn ([\d.]+), ecgkit ([\d.]+)", file.read_text(encoding="utf-8")):
            yield {"run": file.stem, "scikit-learn": found[1], "ecgkit": found[2]}


READ: dict[str, Callable[[Path], Iterable[Line]]] = {
    "runs": runs_of,
    "curves": curves_of,
    "scores": scores_of,
    "differences": differences_of,
    "independent": independent_of,
}


def kept(kind: str, folder: Path = EVIDENCE) -> list[Line]:
    """Return the stored rows of one kind; none before the first."""
    file = folder / f"{kind}.csv"
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def add(kind: str, new: Iterable[Line], folder: Path = EVIDENCE) -> None:
    """Store rows; a row with the same key is replaced."""
    found = {tuple(line[key] for key in KEYS[kind]): line for line in [*kept(kind, folder), *new]}
    if not found:
        return
    folder.mkdir(exist_ok=True)
    with (folder / f"{kind}.csv").open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(next(iter(found.values()))), lineterminator="\n")
        writer.writeheader()
        writer.writerows(line for _, line in sorted(found.items()))


def trainings_table(rows: Sequence[Line]) -> list[Line]:
    """Return the lines of the table of trainings."""
    return [
        {
            "run": row["run"],
            "encoder's parameters": f"{int(row['parameters']):,}",
            "epochs": f"{row['epochs']} of {row['of']}",
            "best epoch": row["best_epoch"],
            "val loss: first, best": f"{row['val_first']}, {row['val_best']}",
            "minutes": row["minutes"],
        }
        for row in rows
    ]


def curves_table(rows: Sequence[Line]) -> list[Line]:
    """Return one line per run: the score on the validation records by epoch."""
    lines: dict[str, Line] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: int(row["epoch"])):
        if row["val_auroc"]:
            lines[row["run"]][f"epoch {row['epoch']}"] = f"{float(row['val_auroc']):.1f}"
    return [{"run": run, **line} for run, line in sorted(lines.items())]


def scores_table(rows: Sequence[Line], task: str) -> list[Line]:
    """Return one line per encoder and one column per share of the labels."""
    values: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    tested: dict[str, str] = {}
    for row in rows:
        if row["task"] == task and row["leads"] == "12" and row["head"].startswith(HEADS):
            values[row["encoder"]][float(row["fraction"])].append(float(row["auroc"]))
            tested[row["encoder"]] = row["test_records"]
    return [
        {
            "encoder": name,
            "test records": tested[name],
            **{f"{share:.0%}": tables.spread(found) for share, found in sorted(line.items())},
        }
        for name, line in sorted(values.items(), key=lambda item: (item[0].partition(" ")[0], item[0]))
    ]


def differences_table(rows: Sequence[Line], task: str) -> list[Line]:
    """Return one line per encoder, the largest gain first, with Holm's correction over the table."""
    chosen = sorted((row for row in rows if row["task"] == task), key=lambda row: float(row["fraction"]))
    corrected = holm([float(row["p"]) for row in chosen])
    lines: dict[str, Line] = {}
    for row, p in zip(chosen, corrected, strict=True):
        share = f"{float(row['fraction']):.0%}"
        line = lines.setdefault(row["first"], {"trained": row["first"], "seeds": row["seeds"]})
        gain, low, high = (f"{float(row[key]):+.1f}" for key in ("difference", "low", "high"))
        line |= {f"gain with {share} of the labels": f"{gain} ({low} to {high})", f"p, Holm ({share})": f"{p:.3f}"}
    gains = {row["first"]: float(row["difference"]) for row in chosen}  # with the most labels
    return sorted(lines.values(), key=lambda line: -gains[line["trained"]])


def made(name: str) -> str:
    """Return the Markdown of a table of the page."""
    kind, _, task = name.partition(" ")
    table: dict[str, Callable[[list[Line]], list[Line]]] = {
        "runs": trainings_table,
        "curves": curves_table,
        "independent": list,
        "scores": lambda rows: scores_table(rows, task),
        "differences": lambda rows: differences_table(rows, task),
    }
    return tables.markdown(table[kind](kept(kind)))


def filled(page: str) -> str:
    """Return the page with its tables made again."""
    pattern = re.compile(r"<!-- table (?P<name>[^>]+) -->\n.*?<!-- end of table -->", re.DOTALL)
    return pattern.sub(
        lambda found: f"<!-- table {found['name']} -->\n\n{made(found['name'])}\n\n<!-- end of table -->", page
    )


def main() -> None:
    """Add the rows of a folder, if one is named, and write the page's tables."""
    if len(sys.argv) > 1:
        out = Path(sys.argv[1])
        for kind in READ if (out / "results").exists() else ("scores", "differences"):
            add(kind, READ[kind](out))
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE} and {EVIDENCE}")


if __name__ == "__main__":
    main()
