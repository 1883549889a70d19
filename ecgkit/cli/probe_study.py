"""``ecgkit probe --layers`` and ``--perturb``: tables and figures in place of the one number of a probe."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgkit.cli.render import print_table, progress, say, warn

if TYPE_CHECKING:
    import pandas as pd

    from ecgkit.evaluation.case import OpenedCase, ProbeCase
    from ecgkit.tasks.task import TaskData


@dataclass(frozen=True)
class Asked:
    """What a study is of.

    Args:
        opened: Encoder, data, task and head.
    """

    opened: "OpenedCase"

    def folder(self, kind: str) -> Path:
        """Return where the study is written."""
        case, store = self.opened.case, self.opened.store
        name = f"{case.task}-{kind}-{store.name.removesuffix('.zarr')}-seed{case.options.seed}"
        return Path(case.out) if case.out else self.opened.below / "studies" / name

    def data(self) -> "TaskData":
        """Return the task on the store."""
        from ecgkit.evaluation.leaks import leak_warnings, refuse_leak
        from ecgkit.store.views import open_view
        from ecgkit.tasks.task import load_task, task_data

        opened = self.opened
        view = open_view(opened.store, opened.subject.spec)
        data = task_data(load_task(opened.task), opened.task.name, opened.store, view.usable)
        test, allow = data.rows[data.parts["test"]], opened.case.options.allow_overlap
        refuse_leak(opened.subject, opened.store, test, allow=allow)
        for line in leak_warnings(opened.subject, opened.store, test):
            warn(line)
        return data


def study(case: "ProbeCase", layers: str, perturb: str) -> None:
    """Study layers or a perturbation."""
    from ecgkit.errors import ConfigError
    from ecgkit.evaluation.case import open_case

    if layers and perturb:
        raise ConfigError("--layers and --perturb together", "one of them")
    if case.model.weights == "scratch":
        raise ConfigError("--scratch with --layers or --perturb", "a run, or --random-init")
    asked = Asked(open_case(case))
    if layers:
        _layers(asked, layers)
    else:
        _perturb(asked, perturb)


def _layers(asked: Asked, layers: str) -> None:
    from ecgkit.atomic import check_output
    from ecgkit.evaluation.layers import study_layers
    from ecgkit.report.studies import LAYERS, write_layer_study

    folder, opened = asked.folder("layers"), asked.opened
    options = opened.case.options
    check_output(folder, LAYERS, overwrite=True)
    with progress() as watch:
        found = study_layers(
            opened.subject, opened.store, asked.data(), layers,
            seed=options.seed, device=options.device, progress=watch,
        )  # fmt: skip
    title = f"{opened.subject.name} on {opened.task.name} ({opened.store.name})"
    write_layer_study(folder, found, title=title)
    columns = {"layer": "g", "val_auroc": ".4f", "test_auroc": ".4f", "similarity": ".3f", "entropy": ".3f"}
    _print(f"Layers of {title}", found.table, columns)
    if found.best is not None:
        say(f"best on val: layer {found.best}; the test column is for looking, not for choosing")
    say(f"similarity and entropy over {found.records} test records; written to {folder}")


def _perturb(asked: Asked, perturb: str) -> None:
    from ecgkit.atomic import check_output
    from ecgkit.evaluation.heads.settings import head_config
    from ecgkit.evaluation.perturb import parse_perturbation, study_perturbation
    from ecgkit.report.studies import LEVELS, write_perturbation_study

    chosen, levels = parse_perturbation(perturb)
    opened, options = asked.opened, asked.opened.case.options
    folder = asked.folder(f"{chosen.name}-{opened.head.name}")
    check_output(folder, LEVELS, overwrite=True)
    with progress() as watch:
        table = study_perturbation(
            opened.subject, opened.store, asked.data(), opened.head, chosen, levels,
            run=Path(run) if (run := opened.case.model.run) else None,
            head_config=head_config(opened.head, options.head_settings), seed=options.seed,
            device=options.device, progress=watch,
        )  # fmt: skip
    title = f"{opened.subject.name}, {opened.head.name} on {opened.task.name} ({opened.store.name}): {chosen.summary}"
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
