"""``ecgkit inspect RUN --attention``: attention over a record, and the importance of each lead for each class."""

from pathlib import Path
from typing import TYPE_CHECKING

import ecgkit
from ecgkit.cli.render import plain, print_json, print_table, progress, say
from ecgkit.errors import ConfigError
from ecgkit.wording import percent

if TYPE_CHECKING:
    from ecgkit.evaluation.analyses.attention import LeadWorth, RecordAttention


def show_attention(run: Path, data: Path, record: str, task: str, out: Path | None, as_json: bool) -> None:
    """Draw the attention over --record, or measure the importance of each lead on the test records of --task."""
    if bool(record) == bool(task):
        raise ConfigError(
            "--attention needs either --record or --task",
            remedy="Give --record ID for a drawing, or --task NAME for a table.",
        )
    if task:
        with progress() as watch:
            worth = ecgkit.inspect_lead_worth(run, data=data, task=task, progress=watch)
        _show_worth(task, worth, as_json)
        return
    if out is None and not as_json:
        raise ConfigError("--attention --record without --out", "", "Name the PNG file: --out attention.png.")
    with progress() as watch:
        found = ecgkit.inspect_attention(run, data=data, record=record, out=out, progress=watch)
    if as_json:
        print_json(_as_json(found))
    else:
        say(f"drew {out}")
        say(f"most likely class: {found.label or 'none (the model has no classifier)'}")


def _as_json(found: "RecordAttention") -> dict[str, object]:
    measures = {
        name: values for name, values in (("without", found.without), ("gate", found.gate)) if values is not None
    }
    leads = [
        {"lead": lead, **{name: float(values[i]) for name, values in measures.items()}}
        for i, lead in enumerate(found.leads)
    ]
    likely = {"class": found.label, "probability": found.probability}
    return {"record": found.record, **likely, "leads": leads, "attention": plain(found.over_time)}


def _show_worth(task: str, worth: "LeadWorth", as_json: bool) -> None:
    if as_json:
        print_json({"classes": worth.classes, "leads": worth.leads, "auroc": worth.auroc, "drop": worth.drop})
        return
    rows = []
    for label, auroc, drop in zip(worth.classes, worth.auroc, worth.drop, strict=True):
        if auroc == auroc:
            order = (-drop).argsort(kind="stable")
            falls = ", ".join(f"{worth.leads[i]} {100 * drop[i]:+.1f}" for i in order)
            rows.append({"class": label, "AUROC": percent(auroc), "drop without": falls})
    print_table(f"{task}: drop of AUROC x 100 without each lead, {worth.records} test records", rows, numeric=["AUROC"])
    if len(rows) < len(worth.classes):
        say(f"{len(worth.classes) - len(rows)} classes are left out: no positive or no negative test records")
