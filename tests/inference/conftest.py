"""A small cohort with two results of one run, for predictions and embeddings."""

from pathlib import Path

import pytest

from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.ingestion import ingest
from ecgkit.simulate import simulate_cohort
from tests.api.runs import make_run

RECORDS = 48


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small simulated cohort."""
    folder = tmp_path_factory.mktemp("few") / "cohort"
    simulate_cohort(folder, records=RECORDS, seed=3)
    return folder


@pytest.fixture(scope="session")
def few_store(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its store."""
    path = tmp_path_factory.mktemp("stores") / "few.zarr"
    ingest(few, path)
    return path


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with random weights."""
    return make_run(tmp_path_factory.mktemp("runs") / "stmem", "stmem")


@pytest.fixture(scope="session")
def results(run: Path, few_store: Path) -> list[Path]:
    """Two results of the run: a linear probe of all leads, and k nearest neighbours of three."""
    folders = []
    for head, leads in (("linear", ""), ("knn", "I,II,V2")):
        request = ProbeRequest(
            str(few_store), "simulated", EncoderChoice(str(run)), head=head, leads=leads, cache=None, device="cpu"
        )
        folders.append(run / "probes" / head)
        Probe(request).run(folders[-1])
    return folders
