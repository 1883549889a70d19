"""The studies of papers: every name in them exists, every cell can be planned, and the same grid runs small."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import ecgkit as library
from ecgkit.api.study_cells import OpenedStudy, places
from ecgkit.entries import HeadEntry, TaskEntry
from ecgkit.evaluation.heads.settings import head_config
from ecgkit.plugins import host
from ecgkit.reporting.tables.published_numbers import published_numbers
from ecgkit.studies.file import read_study
from ecgkit.studies.grid import runs_of
from ecgkit.studies.scale import tiny
from ecgkit.studies.table import lines_of
from ecgkit.tasks.loading import find_task, load_task
from tests.conftest import PROJECT
from tests.docs.running import shallow_presets

FILES = sorted((PROJECT / "examples" / "studies").glob("*.yaml"))
NAMES = [file.stem for file in FILES]
# Their commands are the tests here: docs/study.md, and for each study docs/studies/clear-hug.md, ecg-soup.md,
# hierarchical.md, kmerl.md, lamae.md, merl.md.
QUICK = "hierarchical"
PAPERS = {"clear-hug", "kmerl", "lamae", "hierarchical", "ecg-soup", "merl"}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tiny presets with one block, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ECGKIT_CACHE", raising=False)
    with shallow_presets():
        yield


BENCHMARK = PROJECT / "examples" / "benchmark" / "benchmark.yaml"


def test_the_benchmark_is_a_study() -> None:
    study = read_study(BENCHMARK)
    for run in runs_of(study):
        if run.training.method != "cpc_gru":  # of the example of a plugin
            run.resolve()
    assert len(runs_of(study)) == 3 * 18
    assert len(runs_of(tiny(replace(study, trainings=study.trainings[:3])))) == 3


def test_every_paper_has_a_study() -> None:
    assert set(NAMES) >= PAPERS


@pytest.mark.parametrize("file", FILES, ids=NAMES)
@pytest.mark.parametrize("scale", ["full", "tiny"])
def test_every_name_of_a_study_exists(file: Path, scale: str) -> None:
    study = read_study(file) if scale == "full" else tiny(read_study(file))
    runs = runs_of(study)
    assert len({run.name for run in runs}) == len(runs)
    for run in runs:
        entry, _, _ = run.resolve()  # method, preset and settings
        assert entry.pretrains
        if run.training.task:
            find_task(run.training.task)
    known = {entry.method for entry in published_numbers()}
    for training in study.trainings:
        assert {training.published, training.published_untrained} <= known | {""}, training.name
    for probe in study.probes:
        assert probe.cell
        for head in probe.suite.heads:
            head_config(host().get(HeadEntry, head.head), head.settings)
        for task in probe.suite.tasks:
            load_task(host().get(TaskEntry, task.task), task.settings)


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_every_cell_has_a_name_of_its_own_and_every_printed_number_a_cell(
    file: Path, tmp_path: Path, cohort_store: Path
) -> None:
    study = read_study(file)
    opened = OpenedStudy(study, tmp_path, places(study, tmp_path, dict.fromkeys(study.stores, cohort_store)))
    asked = opened.asked()
    # Every store is the same one here, so only cells of different tests elsewhere may share a name.
    assert len({(each.probe.name, each.title) for each in asked}) == len(asked)
    lines = lines_of([(each, [None] * len(each.requests)) for each in asked])
    printed = "\n".join(line.published for line in lines)
    for probe in study.probes:
        for number in probe.printed:
            assert f"{number.value} ({number.certainty}: {number.source})" in printed, (probe.name, number)
    assert not any(line.auroc for line in lines)


@pytest.mark.parametrize("file", FILES, ids=NAMES)
@pytest.mark.slow
def test_a_study_runs_small(file: Path, small: None) -> None:
    if file.stem == QUICK:
        pytest.skip("runs in the test of quick tests")
    _runs(file)


def test_one_study_runs_small_among_the_quick_tests(small: None) -> None:
    _runs(next(file for file in FILES if file.stem == QUICK))


def _runs(file: Path) -> None:
    done = library.study(file, scale="tiny", workers=0)
    assert (dict(done.failed), list(done.waiting)) == ({}, [])
    assert done.done == done.cells
    assert all(line.results for line in done.lines)


@pytest.mark.slow
def test_a_study_is_planned_with_its_costs(small: None) -> None:
    plan = library.plan_study(next(file for file in FILES if file.stem == "clear-hug"), scale="tiny")
    assert all(cell.cost.hours for cell in plan.cells if cell.kind == "training")
