"""``ecgkit.simulate_cohort``: write a synthetic cohort."""

from pathlib import Path

from ecgkit.api.arguments import PathLike
from ecgkit.progress import Progress, of_stage, silent
from ecgkit.simulate import cohort


def simulate_cohort(
    out: PathLike,
    *,
    records: int = 1000,
    seed: int = 0,
    difficulty: str = "standard",
    overwrite: bool = False,
    progress: Progress = silent,
) -> cohort.CohortSummary:
    """Write a synthetic 12-lead cohort in the MIMIC-IV-ECG layout.

    Waveforms come from a dipole model, so the leads obey Einthoven's law. Labels and reports describe the simulated
    findings, with errors if the cohort is hard.

    Args:
        out: Folder to write.
        records: Number of ECGs to simulate.
        seed: Seed of all random numbers. The same seed gives the same bytes.
        difficulty: ``standard`` for clear findings and true labels. ``hard`` adds variation between patients, strong
            noise, rare findings and wrong labels; ``truth.csv`` then holds the true findings.
        overwrite: Replace an existing cohort.
        progress: Called with stage, records done and records in all.

    Returns:
        Number of records, patients, and records with each finding.

    Raises:
        ConfigError: There is no difficulty of that name.
        OutputError: `out` exists, or cannot be written.
    """
    advance = of_stage(progress, "records")
    return cohort.simulate_cohort(
        Path(out), records=records, seed=seed, difficulty=difficulty, overwrite=overwrite, progress=advance
    )
