"""``ecgkit probe --layers`` and ``--perturb``: tables and figures in place of the one number of a probe."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgkit.cli.render import print_table, progress, say, warn

if TYPE_CHECKING:
    import pandas as pd

    from ecgkit.evaluation.probe.request import OpenedCase, ProbeCase
    from ecgkit.tasks.data import TaskData


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
        from ecgkit.evaluation.probe.leaks import leak_warnings, refuse_leak
        from ecgkit.store.views import open_view
        from ecgkit.tasks.data import task_data
        from ecgkit.tasks.loading import load_task

        opened = self.opened
        view = open_view(opened.store, opened.subject.spec)
        task = load_task(opened.task, opened.case.options.task_settings)
        data = task_data(task, opened.task.name, opened.store, view.usable)
        test, allow = data.rows[data.parts["test"]], opened.case.options.allow_overlap
        refuse_leak(opened.subject, opened.store, test, allow=allow)
        for line in leak_warnings(opened.subject, opened.store, test):
            warn(line)
        return data


def study(case: "ProbeCase", layers: str, perturb: str) -> list[dict[str, Any]]:
    """Study layers or a perturbation; return the rows of its table."""
    from ecgkit.errors import ConfigError
    from ecgkit.evaluation.probe.request import open_case

    if layers and perturb:
        raise ConfigError("--layers and --perturb together", "one of them")
    if case.model.weights == "scratch":
        raise ConfigError("--scratch with --layers or --perturb", "a run, or --random-init")
    if layers and case.options.leads:
        raise ConfigError("--layers with --leads", "one of them: layers are studied on all leads of the contract")
    asked = Asked(open_case(case))
    table = _layers(asked, layers) if layers else _perturb(asked, perturb)
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _layers(asked: Asked, layers: str) -> "pd.DataFrame":
    from ecgkit.atomic import check_output
    from ecgkit.evaluation.studies.layers import study_layers
    from ecgkit.reporting.tables.study_folder import LAYERS, write_layer_study

    folder, opened = asked.folder("layers"), asked.opened
    options = opened.case.options
    check_output(folder, LAYERS, overwrite=True)
    with progress() as watch:
        found = study_layers(
            opened.subject, opened.store, asked.data(), layers,
            seed=options.seed, device=options.device, cache=options.cache, progress=watch,
        )  # fmt: skip
    title = f"{opened.subject.name} on {opened.task.name} ({opened.store.name})"
    write_layer_study(folder, found, title=title)
    columns = {"layer": "g", "val_auroc": ".4f", "test_auroc": ".4f", "similarity": ".3f", "entropy": ".3f"}
    _print(f"Layers of {title}", found.table, columns)
    if found.best is not None:
        say(f"best on val: layer {found.best}; the test column is for looking, not for choosing")
    say(f"similarity and entropy over {found.records} test records; written to {folder}")
    return found.table


def _perturb(asked: Asked, perturb: str) -> "pd.DataFrame":
    from ecgkit.atomic import check_output
    from ecgkit.evaluation.studies.perturbations import parse_disturbances
    from ecgkit.evaluation.studies.robustness import study_perturbation
    from ecgkit.reporting.tables.study_folder import LEVELS, write_perturbation_study

    chosen = parse_disturbances(perturb)
    opened, options = asked.opened, asked.opened.case.options
    leads = f"-leads-{options.leads}" if options.leads else ""
    folder = asked.folder(re.sub(r"[^A-Za-z0-9-]+", "-", f"{chosen.name}-{opened.head.name}{leads}"))
    check_output(folder, LEVELS, overwrite=True)
    with progress() as watch:
        table = study_perturbation(
            opened.subject, opened.store, opened.task, opened.head, chosen,
            run=Path(run) if (run := opened.case.model.run) else None, options=options, progress=watch,
        )  # fmt: skip
    given = f", leads {options.leads}" if options.leads else ""
    title = f"{opened.subject.name}, {opened.head.name} on {opened.task.name} ({opened.store.name}{given})"
    write_perturbation_study(folder, table, chosen, title=title)
    columns = {
        "perturbation": "", "level": "g", "auroc": ".4f", "auroc_change": "+.4f", "loss": ".4f", "loss_change": "+.4f",
    }  # fmt: skip
    _print(f"{title}: {chosen.kind.axis}", table, columns)
    say(f"head fitted on clean records, test records disturbed before crop and filter; written to {folder}")
    return table


def _print(title: str, table: "pd.DataFrame", columns: dict[str, str]) -> None:
    cells = [[_cell(value, form) for value in table[name].tolist()] for name, form in columns.items()]
    rows = [dict(zip(columns, line, strict=True)) for line in zip(*cells, strict=True)]
    print_table(title, rows, numeric=[name for name, form in columns.items() if form])


def _cell(value: object, form: str) -> str:
    return "-" if isinstance(value, float) and not math.isfinite(value) else format(value, form)
