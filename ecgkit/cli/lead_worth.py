"""``ecgkit inspect RUN --lead-worth``: the importance of each lead for each class of a supervised model."""

from pathlib import Path

import ecgkit
from ecgkit.cli.render import print_json, print_table, progress, say
from ecgkit.errors import ConfigError
from ecgkit.wording import percent


def show_lead_worth(run: Path, data: Path, task: str, as_json: bool) -> None:
    """Print the fall of each class's AUROC without each lead."""
    if not task:
        raise ConfigError("--lead-worth without --task", remedy="Name the task that the run was trained on.")
    with progress() as watch:
        worth = ecgkit.inspect_lead_worth(run, data=data, task=task, progress=watch)
    if as_json:
        print_json({"classes": worth.classes, "leads": worth.leads, "auroc": worth.auroc, "drop": worth.drop})
        return
    rows = []
    for label, auroc, drop in zip(worth.classes, worth.auroc, worth.drop, strict=True):
        if auroc == auroc:
            order = (-drop).argsort(kind="stable")
            falls = ", ".join(f"{worth.leads[i]} {100 * drop[i]:+z.1f}" for i in order)
            rows.append({"class": label, "AUROC": percent(auroc), "drop without": falls})
    print_table(f"{task}: drop of AUROC x 100 without each lead, {worth.records} test records", rows, numeric=["AUROC"])
    if len(rows) < len(worth.classes):
        say(f"{len(worth.classes) - len(rows)} classes are left out: no positive or no negative test records")
