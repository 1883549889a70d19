"""What a training looks like: a live table and a bar on a terminal, one line an epoch anywhere."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table

from ecgkit.cli.render import bars, errors, on_screen, say, warn, watch_on
from ecgkit.wording import percent


@contextmanager
def training_view(config: Any) -> Iterator[Any]:
    """Yield a `ecgkit.training.options.Watcher` that shows a training.

    Args:
        config: The method's config, for the input line.
    """
    from ecgkit.training.options import Beginning, Watcher

    shown = bars(transient=True)
    bar = watch_on(shown)
    live = Live(shown, console=errors, transient=True, auto_refresh=errors.is_terminal)

    def started(beginning: Beginning) -> None:
        say(f"input: {config.signal}")
        say(str(beginning))
        lost = len(beginning.split.unusable)
        if lost:
            warn(f"{lost} records have none of the model's leads, or hardly any signal: left out")

    watcher = Watcher(
        view=lambda done, total: bar("view", done, total),
        start=started,
        resume=lambda step: say(f"going on from step {step}"),
        step=lambda done, total: bar("steps", done, total),
        epoch=lambda metrics: say(epoch_line(metrics)),
        warn=warn,
    )
    if not errors.is_terminal:
        yield watcher
        return
    watcher.live = lambda metrics: live.update(Group(live_table(metrics), shown))
    with on_screen(shown), live:
        yield watcher


def epoch_line(metrics: Mapping[str, Any]) -> str:
    """Return an epoch in one line."""
    probe = metrics.get("probe_macro_auroc")
    return (
        f"epoch {metrics['epoch']:4d}  train {metrics['train_loss']:.4f}  val {metrics['val_loss']:.4f}  "
        f"lr {metrics['lr']:.2e}  {metrics['records_per_second']:.0f} records/s  "
        f"data wait {percent(metrics['data_wait'])} %  MFU {percent(metrics['mfu'], 0)} %"
        + (f"  probe AUROC {percent(probe)}" if probe is not None else "")
    )


def live_table(metrics: Mapping[str, Any]) -> Table:
    """Return the running means and rates as a table."""
    table = Table(header_style="bold")
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
    for name in cells:
        table.add_column(name, justify="right")
    table.add_row(*cells.values())
    return table
