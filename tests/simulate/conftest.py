from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgkit.simulate import SimulatedECG, draw_body, simulate_cohort, simulate_ecg
from ecgkit.simulate.patient import Body

RECORDS = 160


def make_body(seed: int) -> Body:
    return draw_body(np.random.default_rng([1, seed]))


def make_ecg(seed: int, *findings: str, **kwargs: float) -> SimulatedECG:
    return simulate_ecg(frozenset(findings), make_body(seed), np.random.default_rng([2, seed]), **kwargs)


@pytest.fixture(scope="session")
def ecg() -> Callable[..., SimulatedECG]:
    return make_ecg


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "cohort"
    simulate_cohort(out, records=RECORDS, seed=7)
    return out


@pytest.fixture(scope="session")
def record_list(cohort: Path) -> pd.DataFrame:
    return pd.read_csv(cohort / "record_list.csv")


@pytest.fixture(scope="session")
def measurements(cohort: Path) -> pd.DataFrame:
    return pd.read_csv(cohort / "machine_measurements.csv")
