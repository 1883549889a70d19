"""A probe of an exported table by scikit-learn alone scores as ``ecgkit probe`` does."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

import ecgkit
from tests.api.runs import make_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("independent_probe", ROOT / "benchmarks" / "independent_probe.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module


def test_scikit_learn_alone_gives_the_same_areas(cohort_store: Path, tmp_path: Path, script: ModuleType) -> None:
    run = make_run(tmp_path / "stmem", "stmem")
    result = tmp_path / "result"
    ecgkit.probe(run, data=cohort_store, task="simulated", out=result, device="cpu")
    features = tmp_path / "features.parquet"
    ecgkit.embed(run, data=cohort_store, out=features, device="cpu")
    plain = script.probe(features, result, ROOT / "ecgkit" / "tasks" / "simulated.yaml")
    row = json.loads((result / "row.json").read_text(encoding="utf-8"))
    assert plain.macro == pytest.approx(row["macro_auroc"], abs=script.TOLERANCE)
    assert 0.3 < plain.macro < 1
