"""The tables of ``docs/benchmarks.md``, from result rows and run folders: ``python tables.py OUT`` prints them again.

A number is the mean macro AUROC x 100 over seeds with its standard deviation. A difference is paired: each resample of
test patients scores both encoders of a seed, and the differences of all seeds are averaged; Holm corrects a column.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors import safe_open

from ecgkit.evaluation.comparison import predictions_on_test
from ecgkit.evaluation.measure import DRAWS
from ecgkit.evaluation.results import ResultRow, find_rows
from ecgkit.evaluation.statistics import Difference, Resampled, difference_of, holm, resample

Rows = list[tuple[Path, ResultRow]]


def write(plan: dict[str, Any], out: Path) -> None:
    """Write ``OUT/tables.md``."""
    parts = [f"## {title}\n\n{table}" for title, table in tables(plan, out / "results", out / "runs")]
    (out / "tables.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"wrote {out / 'tables.md'}")


def tables(plan: dict[str, Any], results: Path, runs: Path) -> Iterable[tuple[str, str]]:
    """Yield each table with its title."""
    trained, untrained = read(results / "fractions"), read(results / "fractions-untrained") + read(results / "scratch")
    yield "What was trained", markdown([cost(name, runs) for name in (*plan["runs"], *plan["simulated_runs"])])
    yield "Linear probe by share of the labels", markdown(by(trained + untrained, lambda row: f"{row.fraction:.0%}"))
    full = [entry for entry in trained if entry[1].fraction == 1]
    yield "Against its own random encoder, all labels", markdown(against_random(plan, full, untrained))
    pairs = [(a, b) for a, b in PAIRS if any(name(row) == a for _, row in full)]
    yield "Pairs of methods, all labels", markdown(against(full, full, pairs))
    leads = read(results / "leads") + read(results / "leads-untrained") + full + untrained
    whole = [entry for entry in leads if entry[1].fraction == 1 and entry[1].head != "end-to-end"]
    yield "Linear probe by leads", markdown(by(whole, lambda row: row.lead_set or "12"))
    heads = [entry for folder in ("heads-by-lead", "heads-by-lead-untrained", "heads-by-layer")
             for entry in read(results / folder)]  # fmt: skip
    shown = {name(row) for _, row in heads}
    linear = [entry for entry in full + untrained if entry[1].fraction == 1 and name(entry[1]) in shown]
    yield "Heads, all labels", markdown(by(heads + linear, lambda row: row.head.split(",")[0]))
    yield (
        "Zero-shot on the simulated cohort",
        markdown(by(read(results / "zero-shot"), lambda row: row.lead_set or "12")),
    )


PAIRS = (("clear", "clear-dense"), ("ipastmem", "stmem"), ("lamae", "ind-shared"), ("kmerl", "merl"))


def read(folder: Path) -> Rows:
    """Return the rows of a suite; none where it was not run."""
    return find_rows([folder]) if folder.exists() else []


def name(row: ResultRow) -> str:
    """Return what a row's encoder is called, whatever its seed."""
    return row.run.rsplit("-s", 1)[0] if row.weights == "pretrained" else f"{row.method} {row.preset}, {row.weights}"


def by(rows: Rows, column: Callable[[ResultRow], str]) -> list[dict[str, str]]:
    """Return a line an encoder and a column a kind of row, in the order in which they are met."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _, row in rows:
        if row.macro_auroc is not None:
            values[name(row)][column(row)].append(100 * row.macro_auroc)
    columns = list(dict.fromkeys(key for line in values.values() for key in line))
    return [
        {"encoder": encoder, **{key: spread(line[key]) if key in line else "" for key in columns}}
        for encoder, line in values.items()
    ]


def spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation."""
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def cost(run: str, runs: Path) -> dict[str, str]:
    """Return what a run's training cost, means over seeds."""
    folders = sorted(runs.glob(f"{run}-s[0-9]"))
    if not folders:
        return {"run": run, "seeds": "0"}
    lines = [[json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] for folder in folders]
    config = yaml.safe_load((folders[0] / "config.yaml").read_text())
    first, last = (np.mean([epochs[i]["val_loss"] for epochs in lines]) for i in (0, -1))
    return {
        "run": run, "method": f"{config['method']} {config['preset']}", "seeds": str(len(folders)),
        "encoder's parameters": f"{parameters(folders[0]):,}", "epochs": str(len(lines[0])),
        "val loss": f"{first:.3f} to {last:.3f}",
        "training (s)": f"{np.mean([sum(epoch['seconds'] for epoch in epochs) for epochs in lines]):.0f}",
    }  # fmt: skip


def parameters(run: Path) -> int:
    """Count the weights of a run's encoder."""
    with safe_open(run / "model.safetensors", "np") as file:
        return sum(int(np.prod(file.get_slice(key).get_shape())) for key in file.keys() if key.startswith("encoder."))  # noqa: SIM118


def against_random(plan: dict[str, Any], trained: Rows, untrained: Rows) -> list[dict[str, str]]:
    """Compare each run with the random encoder of its family and settings."""
    partner = {run: f"{of['method']} {of['preset']}, random-init" for run, of in plan["runs"].items()}
    return against(trained, untrained, list(partner.items()))


def against(first: Rows, second: Rows, pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Compare encoders pair by pair, each seed with its like."""
    found = []
    for a, b in pairs:
        ours = {seed_of(row): path for path, row in first if name(row) == a}
        theirs = {seed_of(row): path for path, row in second if name(row) == b and row.fraction == 1}
        seeds = sorted(ours.keys() & theirs.keys())
        if seeds:
            found.append((a, b, len(seeds), mean_difference([(ours[seed], theirs[seed]) for seed in seeds])))
    corrected = holm([difference.p for *_, difference in found])
    return [
        {
            "first": a, "second": b, "seeds": str(seeds), "difference": f"{100 * d.value:+.1f}",
            "95 %": f"{100 * d.interval[0]:+.1f} to {100 * d.interval[1]:+.1f}", "p, Holm": f"{p:.3f}",
        }
        for (a, b, seeds, d), p in zip(found, corrected, strict=True)
    ]  # fmt: skip


def seed_of(row: ResultRow) -> int:
    """Return the seed of an encoder: of its training, where it was trained."""
    return int(row.run.rsplit("-s", 1)[1]) if row.weights == "pretrained" else row.seed


def mean_difference(pairs: Sequence[tuple[Path, Path]]) -> Difference:
    """Return the difference of macro AUROC, a mean over pairs, with its interval over patients."""
    values, draws = [], []
    for pair in pairs:
        first, second = (scores(path) for path in pair)
        values.append(first.macro - second.macro)
        draws.append(np.nanmean(first.draws, axis=1) - np.nanmean(second.draws, axis=1))
    mean = np.mean(draws, axis=0)
    return difference_of(float(np.mean(values)), mean[np.isfinite(mean)])


def scores(path: Path) -> Resampled:
    """Score a row's predictions on resamples of its test patients, the same for all rows of a test set."""
    frame = predictions_on_test(path).sort_index()
    labels = [column.removeprefix("y_") for column in frame if column.startswith("y_")]
    targets, predicted = (frame[[f"{kind}_{label}" for label in labels]].to_numpy() for kind in "yp")
    return Resampled.of(targets.astype(int), predicted, resample(frame["patient_id"].astype(str).tolist(), draws=DRAWS))


def markdown(lines: Sequence[dict[str, str]]) -> str:
    """Return a table."""
    if not lines:
        return "(not run)"
    columns = list(dict.fromkeys(column for line in lines for column in line))
    rows = [columns, ["---"] * len(columns), *[[line.get(column, "") for column in columns] for line in lines]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write(yaml.safe_load((Path(__file__).parent / "benchmark.yaml").read_text(encoding="utf-8")), folder)
