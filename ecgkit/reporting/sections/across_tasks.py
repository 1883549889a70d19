"""Models over several tasks: the mean of their macro AUROC, and their ranks with the critical difference."""

from collections.abc import Sequence

import numpy as np

from ecgkit.evaluation.scores.ranks import mean_ranks
from ecgkit.reporting.elements.section import Bars, Figure, Ranks, Rows, Section, Table
from ecgkit.reporting.tables.summary import Line, SummaryTable, summary_table
from ecgkit.wording import p_value, percent

MOST = 24  # models in a picture
FEWEST_TASKS, FEWEST_MODELS, FEWEST_RANKED = 2, 2, 3
FEW_TASKS = 5  # with fewer, the test of ranks finds only very regular differences
NOTE = (
    "Only models with a result on every one of the tasks, with the same share of the training records. Several seeds "
    "count as their mean. A mean over tasks weighs each task alike, whatever its number of records; an AUROC that is "
    "easy to raise counts as much as one that is hard. Ranks compare the order alone."
)
COLUMNS = ("model", "mean", "mean rank")


def across_tasks_section(rows: Rows) -> Section | None:
    """Return the means and ranks over tasks, a figure each for each share of the training records; None if there is
    nothing to compare.
    """
    table = summary_table(rows, tests=False)
    figures: list[Figure] = []
    for share in dict.fromkeys(share for _, share in table.columns):
        figures += _figures(table, share)
    return Section("Over all tasks", tuple(figures), NOTE) if figures else None


def _figures(table: SummaryTable, share: str) -> list[Figure]:
    columns = [column for column in table.columns if column[1] == share]
    values = {
        line: [cell.auroc.value if (cell := table.cells.get((line, column))) else None for column in columns]
        for line in table.lines
    }
    whole = {line: [v for v in own if v is not None] for line, own in values.items() if None not in own}
    if len(columns) < FEWEST_TASKS or len(whole) < FEWEST_MODELS:
        return []
    lines, tasks = list(whole), [task for task, _ in columns]
    names = _names(lines)
    scores = np.array([whole[line] for line in lines])  # (models, tasks)
    means, ranked = scores.mean(1), mean_ranks(scores.T)
    order = np.argsort(-means, kind="stable")[:MOST].tolist()
    numbers = tuple(
        (
            names[i],
            round(100 * float(means[i]), 2),
            round(float(ranked.ranks[i]), 2),
            *(100 * scores[i]).round(2).tolist(),
        )
        for i in np.argsort(-means, kind="stable").tolist()
    )
    held = Table((*COLUMNS, *tasks), numbers)
    left = len([own for own in values.values() if None in own and any(v is not None for v in own)])
    note = f"{len(tasks)} tasks: {', '.join(tasks)}."
    note += f" Left out: {left} model{'s' * (left > 1)} without a result on each." if left else ""
    bars = tuple((names[i], 100 * float(means[i]), percent(float(means[i]))) for i in order)
    title = f"Mean macro AUROC × 100 over {len(tasks)} tasks, {share} of training"
    found = [Figure(title, f"{title}; highest {bars[0][0]} with {bars[0][2]}", Bars(bars), held, note)]
    if FEWEST_RANKED <= len(lines) <= MOST:
        by_rank = np.argsort(ranked.ranks, kind="stable").tolist()
        chart = Ranks(tuple((names[i], float(ranked.ranks[i])) for i in by_rank), tuple(ranked.groups), ranked.critical)
        found.append(Figure(*_said(chart, share, ranked.p, len(tasks)), held, _rank_note(ranked.p, len(tasks))))
    return found


def _said(chart: Ranks, share: str, p: float, tasks: int) -> tuple[str, str, Ranks]:
    title = f"Mean ranks over {tasks} tasks, {share} of training"
    listed = ", ".join(f"{name} {rank:.2f}" for name, rank in chart.ranks)
    return title, f"{title}: {listed}; critical difference {chart.critical:.2f}", chart


def _rank_note(p: float, tasks: int) -> str:
    text = (
        "1 is the best on every task. A bar joins models whose mean ranks differ by less than the critical difference "
        f"(Nemenyi, 5 %). Friedman's test that all are alike: {p_value(p)}."
    )
    if tasks < FEW_TASKS:
        text += f" {tasks} tasks are few: a difference that is not found here may well exist."
    return text


def _names(lines: Sequence[Line]) -> list[str]:
    """Name models by their run and by what differs between them."""
    differs = [len({line[i] for line in lines}) > 1 for i in range(1, 4)]
    return [", ".join([line[0], *(p for p, use in zip(line[1:], differs, strict=True) if use)]) for line in lines]
