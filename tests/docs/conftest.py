"""The sandbox of the pages, made once and copied for each page."""

import shutil
from pathlib import Path

import pytest

from tests.docs.sandbox import make_sandbox


@pytest.fixture(scope="session")
def workshop(cohort: Path, cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the pages speak of, with runs that were trained for one epoch."""
    from ecgkit.simulate import simulate_cohort
    from tests.docs.running import program

    folder = tmp_path_factory.mktemp("docs")
    more = folder / "more"
    simulate_cohort(more, records=140, seed=11)
    workshop = folder / "workshop"
    workshop.mkdir()
    make_sandbox(workshop, cohort, cohort_store, more)
    program("ecgkit pretrain --method stmem --data ptbxl.zarr --out runs/stmem", workshop)
    program("ecgkit probe runs/stmem --data ptbxl.zarr --task ptbxl-super", workshop)
    shutil.copytree(workshop / "runs" / "stmem", workshop / "runs" / "other")
    # K-MERL's entities stay out of the pages' store, which has none before a page extracts them.
    with_entities = shutil.copytree(workshop / "ptbxl.zarr", folder / "with-entities.zarr")
    program(f"ecgkit extract-knowledge {with_entities} --keep-children", workshop)
    program(f"ecgkit pretrain --method kmerl --data {with_entities} --out runs/kmerl", workshop)
    return workshop


@pytest.fixture
def sandbox(workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the workshop, which is the working folder."""
    folder = tmp_path / "sandbox"
    shutil.copytree(workshop, folder)
    monkeypatch.chdir(folder)
    return folder
