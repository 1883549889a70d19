"""``ecgkit demo``."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ecgkit.cli.render import SeedOption, progress, say


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that the demo makes.")] = Path("ecgkit-demo"),
    records: Annotated[int, typer.Option(min=50, help="Simulated ECGs.")] = 1000,
    seed: SeedOption = 0,
) -> None:
    """Run every stage on a simulated cohort and write a report. No network, a few minutes on two cores.

    Stopped half-way, the same command goes on where it was.
    """
    from ecgkit.api.demo import DemoSettings, run_demo

    began = time.perf_counter()
    with progress() as watch:
        report = run_demo(out, DemoSettings(records, seed), say, watch)
    say(f"done in {time.perf_counter() - began:.0f} s: open {report.resolve()}")
