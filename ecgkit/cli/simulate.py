"""``ecgkit simulate``."""

from pathlib import Path
from typing import Annotated

import typer

from ecgkit.cli.render import JsonOption, OverwriteOption, SeedOption, print_json, print_table, progress, say


def simulate(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    records: Annotated[int, typer.Option(min=1, help="How many ECGs.")] = 1000,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a synthetic 12-lead cohort in the MIMIC-IV-ECG layout.

    Waveforms come from a dipole model, so the leads obey Einthoven; labels and report lines say what was made.
    """
    from ecgkit.simulate import simulate_cohort

    with progress() as watch:
        summary = simulate_cohort(
            out, records=records, seed=seed, overwrite=overwrite,
            progress=lambda done, total: watch("records", done, total),
        )  # fmt: skip
    say(f"{summary.records} records of {summary.patients} simulated patients in {out}")
    rows = [{"finding": name, "records": count} for name, count in summary.labels.items()]
    print_table("Findings", rows, numeric=["records"])
    if as_json:
        print_json(
            {"folder": str(out), "records": summary.records, "patients": summary.patients, "findings": summary.labels}
        )
