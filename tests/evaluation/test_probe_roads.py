"""All options of ``ecgkit probe`` on all of its roads: each takes effect, or is refused with the reason."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from ecgkit.beats.find import find_beats
from ecgkit.entries import MethodEntry
from ecgkit.ingestion import ingest
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.reports import open_reports
from ecgkit.methods import chosen_config
from ecgkit.plugins import host
from ecgkit.simulate import simulate_cohort
from ecgkit.store.reader import Store
from ecgkit.tasks.loading import find_task, load_task
from ecgkit.training import run as training_run
from ecgkit.training.loop import PretrainOptions, pretrain
from tests.conftest import Outcome

pytestmark = pytest.mark.slow

SIZES = ("width=16", "depth=1", "heads=1", "head_width=16", "signal.eval_starts=[0.5]")
ENCODER = ("--method", "stmem", "--preset", "tiny", *(word for size in SIZES for word in ("--set", size)))
NOISE = ("seconds", "environment", "training")  # what differs between two runs of one command


@dataclass(frozen=True)
class Place:
    """Where the commands of this module find their inputs."""

    folder: Path

    def __truediv__(self, name: str) -> str:
        return str(self.folder / name)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("roads")
    for name, seed in (("here", 7), ("there", 8)):
        simulate_cohort(folder / f"{name}-cohort", records=60, seed=seed)
        ingest(folder / f"{name}-cohort", folder / f"{name}.zarr")
        extract_knowledge(
            open_reports(folder / f"{name}.zarr"), LexiconBackend(), ExtractOptions(min_count=2, keep_children=True)
        )
    store = Store(folder / "here.zarr")
    find_beats(store)
    small = ("recipe.epochs=1", "projection=16", "text.width=16", *SIZES[:-1])
    for run, method, settings, every in (("seeing", "kmerl", small, False), ("leaky", "stmem", SIZES, True)):
        entry = host().get(MethodEntry, method)
        _, config = chosen_config(entry, "tiny", None, [*settings, "recipe.epochs=1"])
        pretrain(entry, config, store, folder / run, PretrainOptions("tiny", device="cpu", all_folds=every))
    _write_splits(folder, store)
    task = load_task(find_task("simulated"))
    own = {"title": "two findings", "code_system": task.code_system, "unlabelled": "keep"}
    labels = {name: {"name": task.labels[name].name, "codes": list(task.labels[name].codes)} for name in ("AF", "LBBB")}
    (folder / "own.yaml").write_text(yaml.safe_dump({**own, "labels": labels}))
    (folder / "prompts.json").write_text(json.dumps({name: f"signs of {of.name}" for name, of in task.labels.items()}))
    (folder / "model.yaml").write_text("mlp_ratio: 2.0\n")
    encoder = {"method": "stmem", "weights": "random-init", "preset": "tiny", "settings": list(SIZES)}
    tasks = [{"task": "simulated", "store": "here"}]
    suite = {"runs": [encoder], "tasks": tasks, "stores": {"here": str(folder / "here.zarr")}}
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite))
    return Place(folder)


def _write_splits(folder: Path, store: Store) -> None:
    """Split tables that put every third record into each part, and give the first class to all of them."""
    labels = load_task(find_task("simulated")).labels
    has = {n: [int(bool(set(of.codes) & set(codes))) for codes in store.table["labels"]] for n, of in labels.items()}
    table = pd.DataFrame({"record_id": store.table["record_id"], **has})
    table.iloc[::5, 1] = 1
    for i, part in enumerate(("train", "val", "test")):
        table.iloc[i::3].to_csv(folder / f"s_{part}.csv", index=False)


# What each road begins with.
ROADS: dict[str, Callable[[Place], Sequence[str]]] = {
    "plain": lambda p: (*ENCODER, "--random-init"),
    "run": lambda p: (p / "leaky", "--allow-overlap"),
    "lead sets": lambda p: (*ENCODER, "--random-init", "--leads", "I", "--leads", "II"),
    "fractions": lambda p: (*ENCODER, "--random-init", "--fraction", "50", "--seeds", "1"),
    "layers": lambda p: (*ENCODER, "--random-init", "--layers", "all"),
    "perturb": lambda p: (*ENCODER, "--random-init", "--perturb", "lead-off=6"),
    "suite": lambda p: ("--suite", p / "suite.yaml"),
    "scratch": lambda p: (*ENCODER, "--scratch", "--epochs", "1"),
    "fine-tune": lambda p: (*ENCODER, "--random-init", "--head", "fine-tune", "--set", "head.recipe.epochs=1"),
    "eval-data": lambda p: (*ENCODER, "--random-init", "--eval-data", p / "there.zarr"),
    "zero-shot": lambda p: (p / "seeing", "--head", "zero-shot"),
}
# An option with a value, and what must stand beside it to show its effect.
OPTIONS: dict[str, Callable[[Place], tuple[Sequence[str], Sequence[str]]]] = {
    "--data": lambda p: (("--data", p / "there.zarr"), ()),
    "--task": lambda p: (("--task", p / "own.yaml"), ()),
    "--task-set": lambda p: (("--task-set", "split.train=[1, 2, 3, 4]"), ()),
    "--eval-data": lambda p: (("--eval-data", p / "here.zarr"), ()),
    "--models": lambda p: (("--models", p / "seeing"), ()),
    "--baselines": lambda p: (("--baselines",), ()),
    "--method": lambda p: (("--method", "lamae"), ()),
    "--random-init": lambda p: (("--random-init",), ()),
    "--scratch": lambda p: (("--scratch",), ()),
    "--preset": lambda p: (("--preset", "small"), ()),
    "--config": lambda p: (("--config", p / "model.yaml"), ()),
    "--set": lambda p: (("--set", "head.recipe.lr=1e-5"), ()),
    "--head": lambda p: (("--head", "knn"), ()),
    "--leads": lambda p: (("--leads", "limb"), ()),
    "--prompts": lambda p: (("--prompts", p / "prompts.json"), ()),
    "--independent-queries": lambda p: (("--independent-queries",), ()),
    "--epochs": lambda p: (("--epochs", "2"), ()),
    "--fraction": lambda p: (("--fraction", "40"), ()),
    "--label-counts": lambda p: (("--label-counts", "20"), ()),
    "--seeds": lambda p: (("--seeds", "2"), ()),
    "--protocol": lambda p: (("--protocol", "clear"), ()),
    "--splits": lambda p: (("--splits", p / "s"), ()),
    "--label-set": lambda p: (("--label-set", "shipped"), ("--splits", p / "s")),
    "--allow-overlap": lambda p: (("--allow-overlap",), ()),
    "--keep-head": lambda p: (("--no-keep-head",), ()),
    "--seed": lambda p: (("--seed", "3"), ()),
    "--device": lambda p: (("--device", "toaster"), ()),
    "--workers": lambda p: (("--workers", "2"), ()),
    "--gpus": lambda p: (("--gpus", "9"), ()),
    "--dask": lambda p: (("--dask", "127.0.0.1:1"), ()),
    "--jobs": lambda p: (("--jobs", "2"), ()),
    "--store": lambda p: (("--store", f"here={p / 'there.zarr'}"), ()),
    "--suite": lambda p: (("--suite", p / "suite.yaml"), ()),
    "--layers": lambda p: (("--layers", "1"), ()),
    "--query": lambda p: (("--query", "V1:2.5"), ()),
    "--perturb": lambda p: (("--perturb", "lead-shift=50ms"), ()),
    "--cache": lambda p: (("--cache", "kept"), ()),
    "--no-cache": lambda p: (("--no-cache",), ()),
    "--out": lambda p: (("--out", "elsewhere"), ()),
    "--json": lambda p: (("--json",), ()),
    "--slurm": lambda p: (("--slurm",), ()),
    "--slurm-tasks": lambda p: (("--slurm-tasks", "2"), ()),
    "--slurm-set": lambda p: (("--slurm-set", "time=1"), ()),
}
# Options that change no result: each is shown to be read in another way, or only limits how the work is done.
LIMITS = ("--jobs", "--workers", "--dask", "--no-cache", "--slurm-tasks", "--slurm-set")


def outcome(folder: Path) -> dict[str, Any]:
    """Everything that a command wrote, but for what differs between two runs of it."""
    found: dict[str, Any] = {}
    for file in sorted(folder.rglob("*")):
        name = str(file.relative_to(folder))
        if file.name == "row.json":
            row = json.loads(file.read_text())
            found[name] = {key: value for key, value in row.items() if key not in NOISE}
        elif file.name in ("layers.csv", "levels.csv", "analysis.json"):
            found[name] = file.read_text()
        elif file.name == "head.json":
            found[name] = True
        elif file.is_file() and ("kept" in name or "features" in name):
            found["features in " + name.split("/")[0]] = True
    return found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ECGKIT_CACHE", raising=False)
    monkeypatch.setattr(training_run, "_git_state", lambda: "")  # two processes per row, which nothing here reads
    return tmp_path


def run(
    ecgkit: Callable[..., Outcome], place: Place, here: Path, words: Sequence[str], road: str
) -> tuple[Any, Outcome]:
    """Run a command in an empty folder; the last of two values for one option counts."""
    for each in here.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    base = () if road == "suite" else ("--data", place / "here.zarr", "--task", "simulated")
    shown = ecgkit("probe", *base, "--device", "cpu", "--out", "r", *words)
    return outcome(here), shown


@pytest.mark.parametrize("road", ROADS)
def test_every_option_takes_effect_or_is_refused(
    road: str, place: Place, here: Path, ecgkit: Callable[..., Outcome]
) -> None:
    start = list(ROADS[road](place))
    plain, shown = run(ecgkit, place, here, start, road)
    assert shown.code == 0 and plain, shown.err
    refused = []
    for option, case in OPTIONS.items():
        words, beside = case(place)
        before = plain
        if beside:
            before, shown = run(ecgkit, place, here, [*start, *beside], road)
            if shown.code:
                refused.append(option)
                continue
        after, shown = run(ecgkit, place, here, [*start, *beside, *words], road)
        assert shown.code in (0, 2), (option, shown.err)
        if shown.code:
            refused.append(option)
            assert shown.err.startswith("error: ") and len(shown.err.strip().splitlines()) == 1, (option, shown.err)
            assert not after, (option, "something was written")
        elif option == "--json":
            assert json.loads(shown.out)
        elif option not in LIMITS and option not in start:
            assert after != before, (option, "has no effect and was not refused")
    assert "--device" in refused  # a device that there is not: the one that is named is used
