"""``ecgkit probe --layers`` and ``--perturb``: tables and figures in place of the one number of a probe."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgkit.cli.render import print_table, progress, say

if TYPE_CHECKING:
    import pandas as pd

    from ecgkit.entries import HeadEntry, TaskEntry
    from ecgkit.evaluation.probe import ProbeOptions
    from ecgkit.evaluation.subject import Subject
    from ecgkit.store.reader import Store
    from ecgkit.tasks.task import TaskData


@dataclass(frozen=True)
class Asked:
    """What a study is of.

    Args:
        subject: The encoder.
        store: The data.
        task: The task.
        head: The head, for a perturbation.
        options: As for a probe.
        run: The run folder, if the encoder is of one.
        out: Folder of the study; None for the default below the run.
    """

    subject: "Subject"
    store: "Store"
    task: "TaskEntry"
    head: "HeadEntry"
    options: "ProbeOptions"
    run: Path | None
    out: Path | None

    def folder(self, kind: str) -> Path:
        """Return where the study is written."""
        parent = self.run or Path("runs") / self.subject.name
        name = f"{self.task.name}-{kind}-{self.store.name.removesuffix('.zarr')}-seed{self.options.seed}"
        return self.out or parent / "studies" / name

    def data(self) -> "TaskData":
        """Return the task on the store."""
        from ecgkit.store.views import open_view
        from ecgkit.tasks.task import load_task, task_data

        view = open_view(self.store, self.subject.spec)
        return task_data(load_task(self.task, self.options.task_settings), self.task.name, self.store, view.usable)


def study(asked: Asked, layers: str, perturb: str) -> None:
    """Study layers or a perturbation."""
    from ecgkit.errors import ConfigError

    if layers and perturb:
        raise ConfigError("--layers and --perturb together", "one of them")
    if asked.subject.weights == "scratch":
        raise ConfigError("--scratch with --layers or --perturb", "a run, or --random-init")
    if layers and asked.options.leads:
        raise ConfigError("--layers with --leads", "one of them: layers are studied on all leads of the contract")
    if layers:
        _layers(asked, layers)
    else:
        _perturb(asked, perturb)


def _layers(asked: Asked, layers: str) -> None:
    from ecgkit.atomic import check_output
    from ecgkit.evaluation.layers import study_layers
    from ecgkit.report.studies import LAYERS, write_layer_study

    folder, options = asked.folder("layers"), asked.options
    check_output(folder, LAYERS, overwrite=True)
    with progress() as watch:
        found = study_layers(
            asked.subject, asked.store, asked.data(), layers,
            seed=options.seed, device=options.device, progress=watch,
        )  # fmt: skip
    title = f"{asked.subject.name} on {asked.task.name} ({asked.store.name})"
    write_layer_study(folder, found, title=title)
    columns = {"layer": "g", "val_auroc": ".4f", "test_auroc": ".4f", "similarity": ".3f", "entropy": ".3f"}
    _print(f"Layers of {title}", found.table, columns)
    if found.best is not None:
        say(f"best on val: layer {found.best}; the test column is for looking, not for choosing")
    say(f"similarity and entropy over {found.records} test records; written to {folder}")


def _perturb(asked: Asked, perturb: str) -> None:
    from ecgkit.atomic import check_output
    from ecgkit.evaluation.perturb import study_perturbation
    from ecgkit.evaluation.perturbations import parse_disturbances
    from ecgkit.report.studies import LEVELS, write_perturbation_study

    chosen = parse_disturbances(perturb)
    options = asked.options
    leads = f"-leads-{options.leads.name}" if options.leads else ""
    folder = asked.folder(re.sub(r"[^A-Za-z0-9-]+", "-", f"{chosen.name}-{asked.head.name}{leads}"))
    check_output(folder, LEVELS, overwrite=True)
    with progress() as watch:
        table = study_perturbation(
            asked.subject, asked.store, asked.task, asked.head, chosen,
            run=asked.run, options=options, progress=watch,
        )  # fmt: skip
    given = f", leads {options.leads.name}" if options.leads else ""
    title = f"{asked.subject.name}, {asked.head.name} on {asked.task.name} ({asked.store.name}{given})"
    write_perturbation_study(folder, table, chosen, title=title)
    columns = {
        "perturbation": "", "level": "g", "auroc": ".4f", "auroc_change": "+.4f", "loss": ".4f", "loss_change": "+.4f",
    }  # fmt: skip
    _print(f"{title}: {chosen.kind.axis}", table, columns)
    say(f"head fitted on clean records, test records disturbed before crop and filter; written to {folder}")


def _print(title: str, table: "pd.DataFrame", columns: dict[str, str]) -> None:
    cells = [[_cell(value, form) for value in table[name].tolist()] for name, form in columns.items()]
    rows = [dict(zip(columns, line, strict=True)) for line in zip(*cells, strict=True)]
    print_table(title, rows, numeric=[name for name, form in columns.items() if form])


def _cell(value: object, form: str) -> str:
    return "-" if isinstance(value, float) and not math.isfinite(value) else format(value, form)
