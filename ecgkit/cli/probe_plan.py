"""What ``ecgkit probe`` runs: a case a task and lead set, or a learning curve of each."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgkit.cli.probe_show import draw_lead_sets, show_curves, show_results, show_row
from ecgkit.cli.render import progress, say

if TYPE_CHECKING:
    from ecgkit.evaluation.probe.options import ProbeOptions
    from ecgkit.evaluation.probe.request import ModelChoice, OpenedCase, ProbeCase
    from ecgkit.evaluation.protocols.draws import Amount
    from ecgkit.evaluation.results.row import ResultRow

    Results = Sequence[tuple[Path, ResultRow]]


@dataclass(frozen=True)
class Plan:
    """What a command line asks for: one encoder on a store, a case a task and lead set.

    Args:
        data: Path of the store.
        tasks: Names of the tasks.
        leads: Lead sets as the user wrote them; empty for what the model's contract names.
        model: The encoder.
        options: What all cases share.
        amounts: Instead of one probe a case with all training records: how many of them, several draws each.
        seeds: How many draws; None for what the protocol has.
        out: Folder of the result, or of the results; None for the default below the run.
        cache: See `ProbeCase`.
    """

    data: Path
    tasks: tuple[str, ...]
    leads: str
    model: "ModelChoice"
    options: "ProbeOptions"
    amounts: "tuple[Amount, ...]"
    seeds: int | None
    out: Path | None
    cache: str | None = ""

    def cases(self) -> "list[ProbeCase]":
        """Return the cases, by task."""
        from ecgkit.evaluation.probe.request import ProbeCase
        from ecgkit.evaluation.protocols.lead_sets import parse_lead_sets

        sets = [given.name for given in parse_lead_sets(self.leads)] if self.leads else [""]
        wanted = [(task, replace(self.options, leads=name)) for task in self.tasks for name in sets]
        out = str(self.out or "") if len(wanted) == 1 else ""
        return [ProbeCase(str(self.data), task, self.model, options, out, self.cache) for task, options in wanted]

    def only_case(self) -> "ProbeCase":
        """Return the one case of a study.

        Raises:
            ConfigError: There are several, or draws of training records.
        """
        from ecgkit.errors import ConfigError

        cases = self.cases()
        if self.amounts:
            raise ConfigError("--fraction, --label-counts or --seeds with a study", "all training records, one seed")
        if len(cases) > 1:
            raise ConfigError(f"{len(cases)} tasks and lead sets with a study", "one task, and one lead set at most")
        return cases[0]

    def beside_results(self, below: Path, kind: str, suffix: str) -> Path:
        """Return the file for a table or picture of all results, by the folder of default results and its content."""
        tasks = "-".join(Path(task).stem for task in self.tasks)
        return (self.out or below / "probes") / f"{kind}-{tasks}-{self.options.head}-seed{self.options.seed}{suffix}"

    def opened(self) -> "Iterator[OpenedCase]":
        """Open the cases one after the other; of several, each result has a folder of its own inside `out`."""
        from ecgkit.evaluation.probe.request import open_case

        cases = self.cases()
        for case in cases:
            found = open_case(case)
            if self.out is not None and len(cases) > 1:
                found = replace(found, case=replace(case, out=str(self.out / found.folder.name)))
            yield found


def run_plan(plan: Plan) -> list[dict[str, Any]]:
    """Run what a command line asks for, show it, and return the rows with their folders."""
    results = _run_curves(plan) if plan.amounts else _run_cases(plan)
    return [{"folder": str(folder), **asdict(row)} for folder, row in results]


def _run_cases(plan: Plan) -> "Results":
    results = []
    for opened in plan.opened():
        _say_input(opened)
        with progress() as watch:
            row = opened.probe(watch)
        results.append((opened.folder, row))
    if len(results) == 1:
        show_row(row, opened.folder)
    else:
        show_results(results, plan.beside_results(opened.below, "results", ".csv"))
    if plan.leads:
        draw_lead_sets([row for _, row in results], plan.beside_results(opened.below, "leads", ".png"))
    return results


def _run_curves(plan: Plan) -> "Results":
    from ecgkit.evaluation.studies.learning_curve import learning_curve

    results: list[tuple[Path, ResultRow]] = []
    for opened in plan.opened():
        _say_input(opened)
        with progress() as watch:
            results += learning_curve(opened.case, plan.amounts, seeds=plan.seeds, progress=watch)
    show_curves(results)
    if plan.leads:
        draw_lead_sets([row for _, row in results], plan.beside_results(opened.below, "leads-curve", ".png"))
    return results


def _say_input(opened: "OpenedCase") -> None:
    leads = opened.case.options.leads
    say(f"input: {opened.subject.spec}, built from {opened.store.name}" + (f"; leads {leads}" if leads else ""))
