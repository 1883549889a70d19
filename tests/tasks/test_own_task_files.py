"""A task's YAML file of the user's own works wherever a registered task does."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ecgkit.evaluation.results.row import load_row
from ecgkit.tasks.loading import find_task, load_task, task_reference
from tests.conftest import Outcome

LABELS = ("AF", "NSR", "LBBB")
SUPERVISED = (
    "width=24",
    "heads=2",
    "hidden=16",
    "deep=8",
    "recipe.epochs=1",
    "signal.seconds=5.0",
    "signal.window=5.0",
)
STMEM = ("width=16", "depth=1", "heads=1", "head_width=16", "decoder_width=16", "decoder_depth=1", "recipe.epochs=1")


def settings(values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in ("--set", value)]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three findings of the simulated cohort, as a Challenge's task so that it can be scored too."""
    task = load_task(find_task("simulated"))
    labels = {name: {"name": task.labels[name].name, "codes": list(task.labels[name].codes)} for name in LABELS}
    values = {
        "title": "My findings",
        "code_system": task.code_system,
        "unlabelled": "keep",
        "labels": labels,
        "challenge": {"normal": "NSR"},
    }
    path = tmp_path_factory.mktemp("tasks") / "my.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def run(own: Path, cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A supervised run on the file's labels."""
    from ecgkit.api.pretrain import pretrain

    out = tmp_path_factory.mktemp("runs") / "mine"
    pretrain(method="hierarchical", preset="tiny", data=cohort_store, out=out, task=str(own), settings=SUPERVISED)
    return out


@pytest.mark.slow
def test_training_looking_and_scoring_take_it(
    own: Path, run: Path, cohort_store: Path, tmp_path: Path, ecgkit: Callable[..., Outcome]
) -> None:
    common = ("--data", cohort_store, "--task", own)
    worth = ecgkit("inspect", run, "--lead-worth", *common, "--json")
    assert worth.code == 0, worth.err
    assert json.loads(worth.out)["classes"] == list(LABELS)
    done = ecgkit("probe", run, *common, "--head", "own", "--out", tmp_path / "r")
    assert done.code == 0, done.err
    assert load_row(tmp_path / "r" / "row.json").task == "my"
    scored = ecgkit("score", "--task", own, tmp_path / "r", "--json")
    assert scored.code == 0, scored.err
    assert json.loads(scored.out)["recordings"] > 0


def test_a_suite_takes_it(own: Path, cohort_store: Path, tmp_path: Path, ecgkit: Callable[..., Outcome]) -> None:
    encoder = {"method": "stmem", "weights": "random-init", "preset": "tiny", "settings": list(STMEM)}
    suite = {"runs": [encoder], "tasks": [{"task": str(own), "store": str(cohort_store)}]}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(suite))
    done = ecgkit("probe", "--suite", tmp_path / "s.yaml", "--out", tmp_path / "s", "--no-cache")
    assert done.code == 0, done.err
    (file,) = tmp_path.glob("s/rows/*/row.json")
    assert (load_row(file).task, [score.label for score in load_row(file).classes]) == ("my", list(LABELS))


@pytest.mark.slow
def test_a_probe_during_pretraining_takes_it(
    own: Path, cohort_store: Path, tmp_path: Path, ecgkit: Callable[..., Outcome]
) -> None:
    shown = ecgkit(
        "pretrain",
        "--method",
        "stmem",
        "--preset",
        "tiny",
        "--data",
        cohort_store,
        "--out",
        tmp_path / "run",
        "--probe-task",
        os.path.relpath(own),
        "--probe-every",
        "1",
        *settings(STMEM),
    )
    assert shown.code == 0, shown.err
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert 0 <= json.loads(line)["probe_macro_auroc"] <= 1


def test_a_file_is_found_again_from_any_folder(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = task_reference(find_task(os.path.relpath(own)))
    monkeypatch.chdir(tmp_path)
    assert load_task(find_task(reference)).title == "My findings"
    assert task_reference(find_task("simulated")) == "simulated"
