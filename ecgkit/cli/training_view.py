"""Printed progress of a training: one line per epoch, and on a terminal running numbers and a progress bar."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from rich.columns import Columns
from rich.console import Group
from rich.live import Live

from ecgkit.cli.render import bars, errors, on_screen, say, warn, watch_on
from ecgkit.wording import percent

if TYPE_CHECKING:
    from ecgkit.training.options import Beginning, Watcher


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

        watcher = Watcher(
            view=_on(bar, "view", show),
            start=_started,
            resume=lambda step: say(f"continues from step {step}"),
            step=_on(bar, "steps", show),
            epoch=lambda metrics: say(epoch_line(metrics)),
            warn=warn,
        )
        if errors.is_terminal:
            watcher.live = lambda metrics: live.update(Group(running_numbers(metrics), shown))
        yield watcher


def _on(bar: Callable[[str, int, int], None], stage: str, show: Callable[[], None]) -> Callable[[int, int], None]:
    def move(done: int, total: int) -> None:
        show()
        bar(stage, done, total)

    return move


def _started(beginning: "Beginning") -> None:
    say(str(beginning))
    lost = len(beginning.split.unusable)
    if lost:
        warn(f"{lost} records are left out: they have none of the model's leads, or too little signal")


def epoch_line(metrics: Mapping[str, Any]) -> str:
    """Return the main metrics of an epoch as one line; ``metrics.jsonl`` holds all of them."""
    probe = metrics.get("probe_macro_auroc")
    return (
        f"epoch {metrics['epoch']:4d}  train {metrics['train_loss']:.4f}  val {metrics['val_loss']:.4f}  "
        f"{metrics['records_per_second']:.0f} records/s"
        + (f"  probe AUROC {percent(probe)}" if probe is not None else "")
    )


def running_numbers(metrics: Mapping[str, Any]) -> Columns:
    """Return the running means and rates, in as many columns as fit."""
    parts = {name.removeprefix("train_"): f"{v:.4f}" for name, v in metrics.items() if name.startswith("train_")}
    tokens = metrics["tokens_per_second"]
    cells = {
        "epoch": str(metrics["epoch"]),
        "step": f"{metrics['step']} of {metrics['steps']}",
        **parts,
        "lr": f"{metrics['lr']:.2e}",
        "records/s": f"{metrics['records_per_second']:.0f}",
        "tokens/s": "-" if tokens is None else f"{tokens:,}",
        "data wait": f"{percent(metrics['data_wait'])} %",
        "MFU": f"{percent(metrics['mfu'], 0)} %",
        "memory": f"{metrics['peak_memory_gib']:.1f} GiB",
        "time": time.strftime("%H:%M:%S"),
    }
    return Columns([f"[bold]{name}[/] {value}" for name, value in cells.items()], padding=(0, 2), expand=False)
