"""``ecgkit simulate``."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

import ecgkit
from ecgkit.cli.render import JsonOption, OverwriteOption, SeedOption, next_is, print_json, print_table, progress, say

Difficulty = Literal["standard", "hard"]


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    records: Annotated[int, typer.Option(min=1, help="Number of ECGs to simulate.")] = 1000,
    seed: SeedOption = 0,
    difficulty: Annotated[
        Difficulty,
        typer.Option(
            help="How hard the ECGs are: standard, or hard with differing patients, noise, rare findings and wrong "
            "labels."
        ),
    ] = "standard",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a synthetic 12-lead cohort in the MIMIC-IV-ECG layout.

    Waveforms come from a dipole model, so the leads obey Einthoven's law. Labels and reports describe the simulated
    findings. With --difficulty hard some of them are wrong, and truth.csv holds the true findings.
    """
    with progress() as watch:
        made = ecgkit.simulate_cohort(
            out, records=records, seed=seed, difficulty=difficulty, overwrite=overwrite, progress=watch
        )
    say(f"{made.records} records of {made.patients} simulated patients in {out}")
    rows = [{"finding": name, "records": count} for name, count in made.labels.items()]
    print_table("Findings", rows, numeric=["records"])
    next_is(f"ecgkit ingest {shlex.quote(str(out))}")
    if as_json:
        print_json({"folder": str(out), "records": made.records, "patients": made.patients, "findings": made.labels})
