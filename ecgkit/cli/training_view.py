"""Printed progress of a training: one line per epoch, and on a terminal running numbers and a progress bar."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from ecgkit.cli.render import bars, errors, on_screen, say, warn, watch_on
from ecgkit.progress import of_stage
from ecgkit.wording import duration, percent

if TYPE_CHECKING:
    from ecgkit.training.options import Beginning, Watcher


GAP = 3  # columns between two cells


@contextmanager
def training_view() -> "Iterator[Watcher]":
    """Yield a watcher that shows a training.

    Nothing is shown before the first step or record is reported. Of several processes only one reports, and a process
    that only starts others never does.
    """
    from ecgkit.training.options import Watcher

    with ExitStack() as screen:
        shown, live = bars(transient=True), Live(console=errors, transient=True)
        bar = watch_on(shown)

        def show() -> None:
            if errors.is_terminal and not live.is_started:
                live.update(shown)
                screen.enter_context(on_screen(shown))
                screen.enter_context(live)

        def prepare(stage: str, done: int, total: int) -> None:
            show()
            bar(stage, done, total)

        watcher = Watcher(
            prepare=prepare,
            start=_started,
            resume=lambda step: say(f"continues from step {step}"),
            expect=lambda seconds: say(f"expected time: {duration(seconds)}"),
            step=of_stage(prepare, "steps"),
            epoch=lambda metrics: say(epoch_line(metrics)),
            warn=warn,
        )
        if errors.is_terminal:
            watcher.live = lambda metrics: live.update(Group(running_numbers(metrics, errors.width), shown))
        yield watcher


def _started(beginning: "Beginning") -> None:
    say(str(beginning))
    lost = len(beginning.split.unusable)
    if lost:
        warn(f"{lost} records are left out: they have none of the model's leads, or too little signal")


def epoch_line(metrics: Mapping[str, Any]) -> str:
    """Return the main metrics of an epoch as one line; ``metrics.jsonl`` holds all of them."""
    probe = metrics.get("probe_macro_auroc")
    return (
        f"epoch {metrics['epoch']:4d}  train {metrics['train_loss']:z.4f}  val {metrics['val_loss']:z.4f}  "
        f"{metrics['records_per_second']:.0f} records/s"
        + (f"  probe AUROC {percent(probe)}" if probe is not None else "")
    )


def running_numbers(metrics: Mapping[str, Any], width: int) -> Table:
    """Return the running means and rates as a grid that fits into so many columns of text."""
    parts = {name.removeprefix("train_"): f"{v:z.4f}" for name, v in metrics.items() if name.startswith("train_")}
    tokens = metrics["tokens_per_second"]
    cells = {
        "epoch": str(metrics["epoch"]),
        "step": f"{metrics['step']:,} of {metrics['steps']:,}",
        **parts,
        "lr": f"{metrics['lr']:.2e}",
        "records/s": f"{metrics['records_per_second']:,.0f}",
        "tokens/s": "-" if tokens is None else f"{tokens:,}",
        "data wait": f"{percent(metrics['data_wait'])} %",
        "MFU": f"{percent(metrics['mfu'], 0)} %",
        "memory": f"{metrics['peak_memory_gib']:.1f} GiB",
        "time": time.strftime("%H:%M:%S"),
    }
    widest = max(map(len, cells)) + max(map(len, cells.values())) + 2 * GAP
    side_by_side = max(1, width // widest)
    grid = Table.grid(padding=(0, GAP, 0, 0))
    for _ in range(side_by_side):
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(justify="right", no_wrap=True)
    items = list(cells.items())
    for start in range(0, len(items), side_by_side):
        grid.add_row(*(escape(text) for pair in items[start : start + side_by_side] for text in pair))
    return grid
