"""The tables of ``docs/benchmarks.md``, from result rows and run folders: ``python tables.py OUT`` prints them again.

A number is the mean macro AUROC x 100 over seeds with its standard deviation. A difference is paired: each resample of
test patients scores both encoders of a seed, and the differences of all seeds are averaged; Holm corrects a column.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from safetensors import safe_open

from ecgkit.evaluation.results.predictions import read_predictions
from ecgkit.evaluation.results.row import ResultRow, find_rows
from ecgkit.evaluation.scores.areas import areas, unit_numbers
from ecgkit.evaluation.scores.bootstrap import Difference
from ecgkit.evaluation.scores.significance import differences_from, holm
from ecgkit.studies.file import Study, read_study

Rows = list[tuple[Path, ResultRow]]


def write(study: Study, out: Path) -> None:
    """Write ``OUT/tables.md``."""
    parts = [f"## {title}\n\n{table}" for title, table in tables(study, out / "results", out / "runs")]
    (out / "tables.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"wrote {out / 'tables.md'}")


@dataclass(frozen=True)
class Side:
    """One side of a comparison: an encoder under a head, with the leads and the share of the labels it is given."""

    encoder: str
    head: str = "linear"
    leads: str = "12"
    fraction: float = 1

    def __str__(self) -> str:
        given = "" if self.leads == "12" else f", leads {self.leads}"
        return self.encoder + ("" if self.head == "linear" else f", {self.head}") + given

    def has(self, row: ResultRow) -> bool:
        """Return whether a row belongs to this side."""
        own = (self.encoder, self.head, self.leads, self.fraction)
        return (name(row), head_of(row), leads_of(row), row.fraction) == own


Pair = tuple[Side, Side]
LEADS = ("12", "limb", "3", "I", "II")

# What the papers say is better, first.
DIRECTIONS: dict[str, tuple[Pair, ...]] = {
    "sparse over dense attention": ((Side("clear"), Side("clear-dense")),),
    "HUG over the mean": ((Side("clear", "hug"), Side("clear")),),
    "layer mixing over the last layer": (
        (Side("stmem", "ppa"), Side("stmem")),
        (Side("stmem", "pma"), Side("stmem")),
        (Side("stmem", "pma"), Side("stmem", "ppa")),
        (Side("ipastmem"), Side("stmem")),
    ),
    "latent attention over leads apart": (
        (Side("lamae"), Side("ind-shared")),
        (Side("lamae"), Side("ind-separate")),
        (Side("lamae", leads="I"), Side("ind-shared", leads="I")),
    ),
    "entities beside reports": ((Side("kmerl"), Side("merl")), (Side("kmerl", leads="I"), Side("merl", leads="I"))),
    "lead masking for few leads": tuple(
        (Side("sim-kmerl", "zero-shot", leads), Side("sim-kmerl-no-dlm", "zero-shot", leads)) for leads in ("12", "I")
    ),
    "queries beside contrast": (
        (Side("sim-kmerl", "zero-shot"), Side("sim-kmerl-contrast-only", "zero-shot")),
        (Side("sim-kmerl", "zero-shot"), Side("sim-kmerl-query-only", "zero-shot")),
    ),
}


def tables(study: Study, results: Path, runs: Path) -> Iterable[tuple[str, str]]:
    """Yield each table with its title."""
    linear, leads, zero_shot = (read(results, suite) for suite in ("fractions", "leads", "zero-shot"))
    heads = read(results, "heads-by-lead") + read(results, "heads-by-layer")
    scratch = read(results, "scratch")
    whole = [entry for entry in linear if entry[1].fraction == 1]
    yield "What was trained", markdown([cost(training.name, runs) for training in study.trainings])
    yield "Linear probe by share of the labels", markdown(by(linear + scratch, lambda row: f"{row.fraction:.0%}"))
    yield "Against its own random encoder, all labels", markdown(against(whole, by_random(study)))
    yield "Linear probe by leads", markdown(by(whole + leads, leads_of, LEADS))
    shown = {name(row) for _, row in heads}
    yield "Heads, all labels", markdown(by([e for e in whole if name(e[1]) in shown] + heads, head_of))
    yield "Zero-shot on the simulated cohort", markdown(by(zero_shot, leads_of, LEADS))
    pairs = [pair for group in DIRECTIONS.values() for pair in group]
    yield "Directions of the papers", markdown(against(whole + leads + heads + zero_shot, pairs))


def read(results: Path, suite: str) -> Rows:
    """Return the rows of a suite and of its random encoders; none where it was not run."""
    folders = [folder for folder in (results / suite, results / f"{suite}-untrained") if folder.exists()]
    return find_rows(folders) if folders else []


def head_of(row: ResultRow) -> str:
    """Return a row's head without its settings."""
    return row.head.split(",")[0]


def leads_of(row: ResultRow) -> str:
    """Return the name of the leads that an encoder is given."""
    return row.lead_set or "12"


def by_random(study: Study) -> list[Pair]:
    """Return each run beside the random encoder of its family and preset."""
    real = (training for training in study.trainings if not training.name.startswith("sim-"))
    return [(Side(of.name), Side(f"{of.method} {of.preset}, random-init")) for of in real]


def name(row: ResultRow) -> str:
    """Return the name of a row's encoder, without its seed."""
    return row.run.rsplit("-s", 1)[0] if row.weights == "pretrained" else f"{row.method} {row.preset}, {row.weights}"


def by(rows: Rows, column: Callable[[ResultRow], str], first: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return one line per encoder and one column per kind of row: the given columns first."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _, row in rows:
        if row.macro_auroc is not None:
            values[name(row)][column(row)].append(100 * row.macro_auroc)
    met = dict.fromkeys(key for line in values.values() for key in line)
    columns = [*(key for key in first if key in met), *(key for key in met if key not in first)]
    return [
        {"encoder": encoder, **{key: spread(line[key]) if key in line else "" for key in columns}}
        for encoder, line in values.items()
    ]


def spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation."""
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def cost(run: str, runs: Path) -> dict[str, str]:
    """Return the cost of a run's training, as means over seeds."""
    folders = sorted(runs.glob(f"{run}-s[0-9]"))
    if not folders:
        return {"run": run, "seeds": "0"}
    lines = [[json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] for folder in folders]
    config = yaml.safe_load((folders[0] / "config.yaml").read_text())
    first, last = (np.mean([epochs[i]["val_loss"] for epochs in lines]) for i in (0, -1))
    return {
        "run": run,
        "method": f"{config['method']} {config['preset']}",
        "seeds": str(len(folders)),
        "encoder's parameters": f"{parameters(folders[0]):,}",
        "epochs": str(len(lines[0])),
        "val loss": f"{first:.3f} to {last:.3f}",
        "training (s)": f"{np.mean([sum(epoch['seconds'] for epoch in epochs) for epochs in lines]):.0f}",
    }


def parameters(run: Path) -> int:
    """Count the weights of a run's encoder."""
    with safe_open(run / "model.safetensors", "np") as file:
        return sum(int(np.prod(file.get_slice(key).get_shape())) for key in file.keys() if key.startswith("encoder."))  # noqa: SIM118


def against(rows: Rows, pairs: Sequence[Pair]) -> list[dict[str, str]]:
    """Compare pair by pair, each seed with the same seed; pairs without a common seed are left out."""
    found = []
    for first, second in pairs:
        ours, theirs = ({seed_of(row): path for path, row in rows if side.has(row)} for side in (first, second))
        seeds = sorted(ours.keys() & theirs.keys())
        if seeds:
            found.append((first, second, len(seeds), mean_difference([(ours[seed], theirs[seed]) for seed in seeds])))
    corrected = holm([difference.p for *_, difference in found])
    return [
        {
            "first": str(a),
            "second": str(b),
            "seeds": str(seeds),
            "difference": f"{100 * d.value:+.1f}",
            "95 %": f"{100 * d.interval[0]:+.1f} to {100 * d.interval[1]:+.1f}",
            "p, Holm": f"{p:.3f}",
        }
        for (a, b, seeds, d), p in zip(found, corrected, strict=True)
    ]


def seed_of(row: ResultRow) -> int:
    """Return the seed of an encoder: that of its training if it was trained."""
    return int(row.run.rsplit("-s", 1)[1]) if row.weights == "pretrained" else row.seed


def mean_difference(pairs: Sequence[tuple[Path, Path]]) -> Difference:
    """Return the difference of macro AUROC, a mean over pairs, with its interval over patients."""
    sides = [[macro(path) for path in side] for side in zip(*pairs, strict=True)]
    values = [float(np.mean([value for value, *_ in side])) for side in sides]
    shares = np.stack([np.mean([shares for _, shares, _ in side], axis=0) for side in sides])
    freedom = min(freedom for side in sides for *_, freedom in side)
    return differences_from(0, values, shares, freedom)[1]


def macro(path: Path) -> tuple[float, np.ndarray, float]:
    """Return the macro AUROC of a row's predictions, the share of each patient in its error, and its freedoms."""
    found = read_predictions(path)
    found = found.in_order_of(np.sort(found.records)) or found
    of = areas(found.targets.astype(int), found.predicted, unit_numbers(found.patients))
    scored = np.isfinite(of.values)
    return float(of.values[scored].mean()), of.shares[:, scored].mean(axis=1), of.freedom(scored)


def markdown(lines: Sequence[dict[str, str]]) -> str:
    """Return a table."""
    if not lines:
        return "(not run)"
    columns = list(dict.fromkeys(column for line in lines for column in line))
    rows = [columns, ["---"] * len(columns), *[[line.get(column, "") for column in columns] for line in lines]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write(read_study(Path(__file__).parent / "benchmark.yaml"), folder)
