"""Fixtures of the whole suite: where real recordings and golden vectors lie, and small stores and runs made once."""

import importlib
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from ecgkit.leads import STANDARD_LEADS

PROJECT = Path(__file__).parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# How long an example takes depends on what else the machine does; no test fails for it.
settings.register_profile("ecgkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ecgkit")


def pytest_configure(config: pytest.Config) -> None:
    """Give each process of ``pytest -n`` one thread, and each run the usual Ctrl-C, which some tests send."""
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job that a shell started in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file in one process under ``pytest -n``: they share stores and runs that are made once."""
    from xdist.scheduler import LoadFileScheduling

    if config.getoption("dist") != "load":
        return None
    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take longest under ``pytest -n``, so that the processes end together."""
    if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings; a test that needs it is skipped where it is absent."""
    path = Path(os.environ.get("ECGKIT_SHARED", PROJECT.parent / "shared"))
    if not (path / "data").is_dir():
        pytest.skip(f"no real recordings: {path}/data does not exist (set ECGKIT_SHARED)")
    return path


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of reference vectors; ECGKIT_GOLDEN points at others of the same form."""
    return Path(os.environ.get("ECGKIT_GOLDEN", Path(__file__).parent / "golden"))


def official_shapes(golden: Path, name: str) -> dict[str, list[int]]:
    """The parameters of a published model by name, without values."""
    listed = [json.loads(file.read_text()) for file in sorted(golden.glob("official_*.json"))]
    return next(models[name]["keys"] for models in listed if name in models)


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def ecgkit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run the program in this process: ``ecgkit("probe", run, "--data", store)``."""
    from ecgkit.cli import main

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["ecgkit", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated cohort."""
    from ecgkit.simulate import simulate_cohort

    folder = tmp_path_factory.mktemp("cohort") / "cohort"
    simulate_cohort(folder, records=120, seed=7)
    return folder


@pytest.fixture(scope="session")
def cohort_store(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the simulated cohort."""
    from ecgkit.ingestion import ingest

    path = tmp_path_factory.mktemp("stores") / "cohort.zarr"
    ingest(cohort, path)
    return path


@pytest.fixture(scope="session")
def ptbxl_store(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the 500 real PTB-XL records at 500 Hz."""
    from ecgkit.ingestion import ingest

    path = tmp_path_factory.mktemp("stores") / "ptbxl.zarr"
    report = ingest(shared / "data" / "ptb-xl", path)
    assert (report.found, report.taken) == (500, 500)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; ECGKIT_BROWSER names another, and turns a skip into a failure."""
    named = os.environ.get("ECGKIT_BROWSER")
    path = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH, and ECGKIT_BROWSER is not set")
    sync_api = importlib.import_module("playwright.sync_api") if named else pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        # Root, as in a container, gets no sandbox; the page is our own.
        found = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


def synthetic_signal(samples: int = 1000, leads: int = 12, seed: int = 0) -> NDArray[np.float64]:
    """Smooth noise ``[L, T]`` in mV that obeys Einthoven and Goldberger where there are six leads or more."""
    rng = np.random.default_rng(seed)
    signal = np.cumsum(rng.normal(0, 0.02, (leads, samples)), axis=1)
    signal -= signal.mean(1, keepdims=True)
    if leads >= 6:
        one, two = signal[0], signal[1]
        signal[2:6] = two - one, -(one + two) / 2, one - two / 2, two - one / 2
    return signal


def write_wfdb(
    folder: Path,
    name: str,
    signal: NDArray[np.float64],
    leads: tuple[str, ...] = STANDARD_LEADS,
    *,
    fs: float = 500,
    unit: str = "mV",
    comments: tuple[str, ...] = (),
) -> None:
    """Write a WFDB record of format 16 with 1000 counts a unit."""
    folder.mkdir(parents=True, exist_ok=True)
    n = len(leads)
    wfdb.wrsamp(
        name,
        fs=fs,
        units=[unit] * n,
        sig_name=list(leads),
        p_signal=signal.T,
        fmt=["16"] * n,
        adc_gain=[1000.0] * n,
        baseline=[0] * n,
        comments=list(comments),
        write_dir=str(folder),
    )
