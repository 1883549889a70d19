"""The probes that the options of `probe` and `probe_table` describe, as a suite."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgkit.api.arguments import PathLike, Settings, assignments
from ecgkit.config import build
from ecgkit.evaluation.protocols.lead_sets import parse_lead_sets
from ecgkit.evaluation.suites.file import Suite, SuiteHead, SuiteTask
from ecgkit.store.remote import located

ALL = (100.0,)


@dataclass(frozen=True)
class Amounts:
    """The amounts of training records that are used.

    Args:
        fractions: Percentages of the training records; all of them if there are no counts either.
        counts: Numbers of training records.
        seeds: Number of random draws per amount; None for the protocol's number.
    """

    fractions: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    seeds: int | None = None

    @property
    def percentages(self) -> tuple[float, ...]:
        """The percentages of the training records."""
        return self.fractions or (() if self.counts else ALL)

    @property
    def alone(self) -> bool:
        """Whether all training records are used, once."""
        return self.seeds is None and self.percentages == ALL and not self.counts


def grid_of(
    store: Path,
    tasks: Sequence[str],
    head: SuiteHead,
    *,
    leads: str | Sequence[str],
    amounts: Amounts,
    splits: PathLike | None,
    task_settings: Settings,
    eval_data: PathLike | None,
    **asked: Any,
) -> Suite:
    """Return the suite of one store and one head.

    Args:
        store: Store with the labels.
        tasks: Names or YAML files of the tasks.
        head: The head.
        leads: Lead sets; empty for all leads.
        amounts: Amounts of training records.
        splits: Published split tables; None for the tasks' own split.
        task_settings: Settings of the tasks.
        eval_data: Other store to test on.
        asked: Further fields of the suite, as they are.

    Raises:
        ConfigError: A value does not fit its field.
        LeadError: A name is not a lead.
    """
    settings = tuple(assignments(task_settings))
    values = {
        **asked,
        "tasks": tuple(SuiteTask(name.strip(), str(store), settings, str(splits or "")) for name in tasks),
        "heads": (head,),
        "leads": tuple(each.name for each in parse_lead_sets(leads)) if leads else ("",),
        "stores": {str(store): str(store)},
        "fractions": dict.fromkeys(amounts.percentages, 1 if amounts.alone else amounts.seeds),
        "label_counts": dict.fromkeys(amounts.counts, amounts.seeds),
        "eval_data": str(located(eval_data)) if eval_data else "",
    }
    return build(Suite, values, source="probe")
