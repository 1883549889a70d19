"""``ecgkit demo``."""

import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

import ecgkit
from ecgkit.cli.render import SeedOption, next_is, progress, say


def demo(
    out: Annotated[Path, typer.Option(help="Folder for all output of the demo.")] = Path("ecgkit-demo"),
    records: Annotated[int, typer.Option(min=100, help="Number of simulated ECGs.")] = 2000,
    seed: SeedOption = 0,
) -> None:
    """Run every stage on a simulated cohort and write a report.

    The demo needs no network and takes less than five minutes on two CPU cores.

    If the command is stopped, the same command continues where it stopped.
    """
    began = time.perf_counter()
    with progress() as watch:
        report = ecgkit.run_demo(out, records=records, seed=seed, say=say, progress=watch)
    next_is(f"cd {shlex.quote(str(out))} && ecgkit status")
    say(f"done in {time.perf_counter() - began:.0f} s: open {report.resolve()}")
