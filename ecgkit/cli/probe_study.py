"""``ecgkit probe --layers`` and ``--perturb``: tables and figures in place of the one number of a probe."""

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
        return task_data(load_task(self.task), self.task.name, self.store, view.usable)


def study(asked: Asked, layers: str, perturb: str) -> None:
    """Study layers or a perturbation."""
    from ecgkit.errors import ConfigError

    if layers and perturb:
        raise ConfigError("--layers and --perturb together", "one of them")
    if asked.subject.weights == "scratch":
        raise ConfigError("--scratch with --layers or --perturb", "a run, or --random-init")
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
    from ecgkit.evaluation.perturb import parse_perturbation, study_perturbation
    from ecgkit.report.studies import LEVELS, write_perturbation_study

    chosen, levels = parse_perturbation(perturb)
    options = asked.options
    folder = asked.folder(f"{chosen.name}-{asked.head.name}")
    check_output(folder, LEVELS, overwrite=True)
    with progress() as watch:
        table = study_perturbation(
            asked.subject, asked.store, asked.data(), asked.head, chosen, levels,
            run=asked.run, head_config=options.head_config, seed=options.seed,
            device=options.device, progress=watch,
        )  # fmt: skip
    title = f"{asked.subject.name}, {asked.head.name} on {asked.task.name} ({asked.store.name}): {chosen.summary}"
    write_perturbation_study(folder, table, chosen, title=title)
    columns = {"level": "g", "auroc": ".4f", "auroc_change": "+.4f", "loss": ".4f", "loss_change": "+.4f"}
    _print(f"{title}, in {chosen.unit}", table, columns)
    say(f"head fitted on clean records, test records disturbed before crop and filter; written to {folder}")


def _print(title: str, table: "pd.DataFrame", columns: dict[str, str]) -> None:
    rows = [
        {name: "-" if values[i] != values[i] else format(values[i], form) for name, (values, form) in cells.items()}
        for cells in [{name: (table[name].tolist(), form) for name, form in columns.items()}]
        for i in range(len(table))
    ]
    print_table(title, rows, numeric=list(columns))
