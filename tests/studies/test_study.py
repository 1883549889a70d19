"""Studies: a file becomes cells. Finished cells are kept; a cell that fails is named and tried again later."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import ecgkit as library
from ecgkit.api import study_cells
from ecgkit.api.study_cells import OpenedStudy, places
from ecgkit.errors import ConfigError
from ecgkit.evaluation.results.row import find_rows
from ecgkit.evaluation.suites.file import SuiteTask
from ecgkit.studies.file import StudyStore, read_study
from ecgkit.studies.grid import runs_of
from ecgkit.studies.scale import tiny, tiny_preset
from ecgkit.studies.table import lines_of
from tests.conftest import Outcome
from tests.docs.running import shallow_presets

STUDY: dict[str, Any] = {
    "title": "two families",
    "stores": {"mimic": {"records": 800_000}, "ptbxl": {"records": 21_799}, "other": "nowhere.zarr"},
    "seeds": [0, 1],
    "trainings": [
        {"name": "stmem", "cell": "ST-MEM", "method": "stmem", "preset": "base", "data": "mimic"},
        {
            "name": "sizes",
            "cell": "ST-MEM, {subset} records",
            "method": "stmem",
            "preset": "base",
            "data": "mimic",
            "seeds": [5],
            "settings": ["norm_patches=false", "recipe.lr=1e-3"],
            "grid": {"subset": [1000, 100_000], "mask_ratio": [0.5]},
        },
    ],
    "probes": [
        {
            "name": "few",
            "cell": "Table 2a",
            "trainings": ["stmem"],
            "untrained": True,
            "data": "ptbxl",
            "tasks": ["ptbxl-super", "ptbxl-sub"],
            "fractions": {1: 5, 10: 3, 100: 1},
            "leads": [12, "I"],
            "printed": [{"of": "ST-MEM", "value": "61.1", "source": "somewhere", "certainty": "C", "leads": "I"}],
        },
        {"name": "sizes", "trainings": ["sizes"], "data": "ptbxl", "tasks": ["ptbxl-super"]},
        {
            "name": "noise",
            "cell": "Figure 3",
            "trainings": ["stmem"],
            "data": "ptbxl",
            "tasks": ["ptbxl-super"],
            "perturb": ["lead-shift=0,50ms"],
        },
    ],
}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**STUDY, **changes}, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths lie in the test's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ECGKIT_CACHE", raising=False)


@pytest.fixture
def small() -> Iterator[None]:
    """Tiny presets with one block."""
    with shallow_presets():
        yield


def test_every_combination_and_seed_is_a_run(tmp_path: Path) -> None:
    runs = {run.name: run for run in runs_of(read_study(write(tmp_path)))}
    assert list(runs) == ["stmem-s0", "stmem-s1", "sizes-1000-0.5-s5", "sizes-100000-0.5-s5"]
    one = runs["sizes-1000-0.5-s5"]
    assert one.cell == "ST-MEM, 1,000 records, mask_ratio 0.5"
    assert (one.training.subset, one.seed) == (1000, 5)
    _, preset, config = one.resolve()
    assert (preset, config.mask_ratio, config.norm_patches, config.recipe.lr) == ("base", 0.5, False, 1e-3)
    assert runs["stmem-s0"].fingerprint != runs["stmem-s1"].fingerprint


def test_probes_become_cells_with_the_names_of_their_tables(tmp_path: Path, cohort_store: Path) -> None:
    study = read_study(write(tmp_path))
    here = places(study, tmp_path / "out", {"mimic": cohort_store, "ptbxl": cohort_store})
    asked = OpenedStudy(study, tmp_path / "out", here).asked()
    titles = [each.title for each in asked]
    assert titles[0] == "Table 2a, ST-MEM, seed 0: ptbxl-super, linear, leads 12, 1 % / 10 % / all labels"
    assert "Table 2a, ST-MEM, random weights: ptbxl-sub, linear, leads I, 1 % / 10 % / all labels" in titles
    assert titles[-1] == "Figure 3, ST-MEM, seed 1: ptbxl-super, linear, lead-shift=0,50ms"
    assert [len(each.requests) for each in asked] == [9] * 12 + [1] * 4
    assert {each.requests[0].amount.percent for each in asked[-2:]} == {100}
    none = OpenedStudy(study, tmp_path / "out", places(study, tmp_path / "out", {"mimic": cohort_store}))
    assert none.asked() == []  # no task has a store


def test_a_printed_number_of_one_head_stands_beside_no_other(tmp_path: Path, cohort_store: Path) -> None:
    number = {"of": "ST-MEM", "value": "94", "source": "abstract", "certainty": "B", "task": "ptbxl-super"}
    probe = {
        "name": "heads",
        "trainings": ["stmem"],
        "data": "ptbxl",
        "tasks": ["ptbxl-super"],
        "heads": ["linear", "pma"],
    }
    for head, expected in (({"head": "pma"}, {"pma"}), ({}, {"linear", "pma"})):
        study = read_study(write(tmp_path, probes=[{**probe, "printed": [number | head]}]))
        here = places(study, tmp_path / "out", dict.fromkeys(study.stores, cohort_store))
        asked = OpenedStudy(study, tmp_path / "out", here).asked()
        lines = lines_of([(each, [None] * len(each.requests)) for each in asked])
        assert {line.head for line in lines if "94 (B: abstract)" in line.published} == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainigs": []}, "unknown key 'trainigs'"),
        ({"seeds": "many"}, "seeds"),
        ({"stores": {"mimic": {"path": "a", "simulate": 3}}}, "has path and simulate"),
        ({"stores": {"mimic": {"join": ["nothing"]}}}, "'nothing'"),
        ({"trainings": [STUDY["trainings"][0]] * 2}, "'stmem' stands twice"),
        ({"trainings": [{**STUDY["trainings"][0], "data": "mimc"}]}, "Did you mean 'mimic'"),
        ({"probes": [{**STUDY["probes"][0], "trainings": ["stmen"]}]}, "Did you mean 'stmem'"),
        ({"probes": [{**STUDY["probes"][0], "stores": {}}]}, "trainings and stores of the study"),
        ({"probes": [{**STUDY["probes"][0], "fractons": {}}]}, "unknown key 'fractons'"),
        ({"probes": ["few"]}, "a mapping"),
    ],
)
def test_what_a_study_refuses(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_study(write(tmp_path, **changes))


def test_the_tiny_scale_keeps_the_grid(tmp_path: Path) -> None:
    small = tiny(read_study(write(tmp_path)))
    assert small.stores == {"mimic": StudyStore(simulate=160, seed=0)}
    runs = {run.name: run for run in runs_of(small)}
    assert list(runs) == ["stmem-s0", "sizes-40-0.5-s5", "sizes-80-0.5-s5"]
    _, preset, config = runs["sizes-80-0.5-s5"].resolve()
    assert (preset, config.norm_patches, config.mask_ratio, config.recipe.epochs) == ("tiny", False, 0.5, 1)
    suite = small.probes[0].suite
    assert suite.tasks == (SuiteTask("simulated", "mimic"),)
    assert suite.fractions == {50.0: 1, 60.0: 1, 100.0: 1}
    assert small.probes[0].printed == ()
    assert [tiny_preset("lamae", name) for name in ("base", "mmvm")] == ["tiny", "mmvm-tiny"]
    assert tiny_preset("kmerl", "vit-tiny") == "tiny"


@pytest.mark.slow
def test_a_study_is_done_once_and_goes_on(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch, ecgkit: Callable[..., Outcome]
) -> None:
    file = write(tmp_path)
    said: list[str] = []
    done = library.study(file, scale="tiny", workers=0, say=said.append)
    assert (dict(done.failed), list(done.waiting)) == ({}, [])
    assert done.done == done.cells == 1 + 3 + 2 * 2 + 2 + 1
    out = tmp_path / "studies" / "study-tiny"
    assert {path.name for path in (out / "runs").iterdir()} == {"stmem-s0", "sizes-40-0.5-s5", "sizes-80-0.5-s5"}
    assert len(find_rows([out / "results"])) == 2 * 2 * 3 + 2
    assert len(list((out / "analyses" / "noise").glob("*/levels.csv"))) == 1
    with (out / "cells.csv").open(encoding="utf-8") as table:
        lines = list(csv.DictReader(table))
    assert [line["table"] for line in lines] == ["Table 2a"] * 12 + ["sizes"] * 2
    assert all(line["AUROC"] and line["results"] == "1" for line in lines)
    assert "| ST-MEM, random weights | simulated | linear | I | 50 % |" in (out / "cells.md").read_text()
    assert (out / "report.html").is_file()

    # Again: nothing is done. After a lost run, only what depends on it.
    monkeypatch.setattr(study_cells, "pretrain", lambda **_: pytest.fail("trained again"))
    again: list[str] = []
    assert library.study(file, scale="tiny", workers=0, say=again.append).done == done.done
    assert again == []
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(out / "runs" / "sizes-40-0.5-s5")
    library.study(file, scale="tiny", workers=0, say=again.append)
    assert [line.partition(":")[0] for line in again][:1] == ["training sizes-40-0.5-s5"]
    assert len(again) <= 2  # equal weights give equal results, so the probe may be there

    # Other settings for a run that is there are refused.
    changed = {**STUDY["trainings"][1], "settings": ["norm_patches=true"]}
    other = write(tmp_path, trainings=[STUDY["trainings"][0], changed])
    refused = ecgkit("study", other, "--scale", "tiny")
    assert refused.code == 2
    assert "other settings" in refused.err


@pytest.mark.slow
def test_a_failed_cell_does_not_stop_the_others(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch, ecgkit: Callable[..., Outcome]
) -> None:
    broken = {"name": "broken", "method": "kmerl", "preset": "vit-tiny", "data": "mimic", "settings": ["patch=7"]}
    probes = [{**STUDY["probes"][1], "trainings": None, "untrained": False}]
    probes[0].pop("trainings")
    file = write(tmp_path, trainings=[STUDY["trainings"][0], broken], probes=probes, seeds=[0])
    with pytest.raises(ConfigError, match="patch 7"):
        library.study(file, scale="tiny", workers=0)
    real = study_cells.pretrain

    def sometimes(**options: Any) -> Any:
        if options["method"] == "clear":
            raise RuntimeError("no luck")
        return real(**options)

    monkeypatch.setattr(study_cells, "pretrain", sometimes)
    clear = {"name": "clear", "method": "clear", "preset": "base", "data": "mimic"}
    file = write(tmp_path, trainings=[STUDY["trainings"][0], clear], probes=probes, seeds=[0])
    first = ecgkit("study", file, "--scale", "tiny", "--workers", "0")
    assert first.code == 3
    assert "training clear-s0: RuntimeError: no luck" in first.err
    assert "sizes, clear, seed 0: simulated, linear: not done, because what it needs is not there" in first.err
    assert "4 cells" not in first.out.partition("are done")[0] or "3 of 5" in first.out
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert ecgkit("study", file, "--scale", "tiny", "--workers", "0").code == 0


def test_a_study_becomes_a_slurm_array(
    tmp_path: Path, ecgkit: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no sbatch
    given = ("--scale", "tiny", "--slurm", "--slurm-tasks", "3", "--slurm-set", "gpus=1")
    done = ecgkit("study", write(tmp_path), *given, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["pieces"] == 1 + 3 + 2 * 2 + 2 + 1
    script = (tmp_path / "studies" / "study-tiny" / "slurm" / "array.sh").read_text()
    assert "#SBATCH --array=1-3" in script and "#SBATCH --gpus=1" in script
    assert "study.yaml --scale tiny --json --no-slurm" in script
    assert not (tmp_path / "studies" / "study-tiny" / "runs").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"setxings": "1"}'])
def test_a_damaged_plan_of_a_training_is_told(tmp_path: Path, text: str) -> None:
    plan = tmp_path / "run.json"
    plan.write_text(text)
    with pytest.raises(ConfigError, match=r"run\.json cannot be read"):
        study_cells._planned(plan)


def test_a_plan_counts_cells_without_doing_any(
    tmp_path: Path, ecgkit: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, trainings=STUDY["trainings"][:1], probes=STUDY["probes"][:1])
    with shallow_presets():
        plan = library.plan_study(file, scale="tiny")
    assert [cell.kind for cell in plan.cells] == ["store", "training", *["probes"] * 4]
    training = plan.cells[1]
    assert training.cost.hours is not None and training.cost.disk is not None
    assert 0 < training.cost.hours < 1e-3 and training.cost.disk > 1e4
    assert plan.views == 160 * 12 * (2 * 2500 + 8)
    assert not (tmp_path / "studies").exists()
