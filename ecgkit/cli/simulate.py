"""``ecgkit simulate``."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

import ecgkit
from ecgkit.cli.render import JsonOption, OverwriteOption, SeedOption, next_is, print_json, print_table, progress, say


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    records: Annotated[int, typer.Option(min=1, help="Number of ECGs to simulate.")] = 1000,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a synthetic 12-lead cohort in the MIMIC-IV-ECG layout.

    Waveforms come from a dipole model, so the leads obey Einthoven's law. Labels and reports describe the simulated
    findings.
    """
    with progress() as watch:
        made = ecgkit.simulate_cohort(out, records=records, seed=seed, overwrite=overwrite, progress=watch)
    say(f"{made.records} records of {made.patients} simulated patients in {out}")
    rows = [{"finding": name, "records": count} for name, count in made.labels.items()]
    print_table("Findings", rows, numeric=["records"])
    next_is(f"ecgkit ingest {shlex.quote(str(out))}")
    if as_json:
        print_json({"folder": str(out), "records": made.records, "patients": made.patients, "findings": made.labels})
