"""Every family in one harness, from recordings to a table: ``python benchmark.py DATA OUT [--jobs 2]``.

DATA holds the datasets that ``benchmark.yaml`` names, as downloaded. The script calls the same
commands as a user. It skips finished work and resumes stopped work, so you can call it again at any time.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import tables
import yaml

HERE = Path(__file__).parent


def ecgkit(*arguments: object, log: Path) -> None:
    """Run one command, its output in a log file.

    Raises:
        SystemExit: It failed; the message names the log.
    """
    command = [sys.executable, "-m", "ecgkit", *map(str, arguments)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ ecgkit {' '.join(map(str, arguments))}\n")
        file.flush()
        # One thread a command: several run side by side.
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment, check=False).returncode
    if code:
        raise SystemExit(f"ecgkit {' '.join(map(str, arguments))} ended with code {code}; see {log}")


def make_stores(plan: dict[str, Any], data: Path, out: Path) -> None:
    """Ingest every dataset, join them, find R peaks and read the reports."""
    for name, store in plan["stores"].items():
        path, log = out / "stores" / f"{name}.zarr", out / "logs" / f"store-{name}.txt"
        if not path.exists():
            source = chosen(data / store["source"], out / "sources" / name, store.get("without"))
            ecgkit("ingest", source, "--out", path, *store.get("ingest", ()), log=log)
    simulated, log = joined(out, "simulated"), out / "logs" / "store-simulated.txt"
    if not (simulated / "knowledge").exists():
        cohort, of = out / "sources" / "simulated", plan["simulated"]
        if not cohort.exists():
            ecgkit("simulate", cohort, "--records", of["records"], "--seed", of["seed"], log=log)
        if not simulated.exists():
            ecgkit("ingest", cohort, "--out", simulated, log=log)
        ecgkit("extract-knowledge", simulated, "--keep-children", log=log)
    for name, parts in plan["joined"].items():
        path, log = joined(out, name), out / "logs" / f"store-{name}.txt"
        if not (path / "knowledge").exists():
            folder = out / "joined" / name
            folder.mkdir(parents=True, exist_ok=True)
            for part in parts:
                if not (folder / f"{part}.zarr").exists():
                    shutil.copytree(out / "stores" / f"{part}.zarr", folder / f"{part}.zarr")
            if not path.exists():
                ecgkit("ingest", folder, "--out", path, log=log)
            ecgkit("beats", path, log=log)
            ecgkit("extract-knowledge", path, "--keep-children", log=log)


def chosen(source: Path, copy: Path, without: str | None) -> Path:
    """Return a dataset's folder, or a copy of it without the files whose names begin with the given text."""
    if without is None:
        return source
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns(f"{without}*"), dirs_exist_ok=True)
    return copy


def joined(out: Path, name: str) -> Path:
    """Return the path of a store that is trained on."""
    return out / f"{name}.zarr"


def trainings(plan: dict[str, Any], out: Path) -> Iterator[tuple[Path, list[object]]]:
    """Yield each run folder with the options that make it."""
    wanted = [
        (seed, name, run, "pretrain", plan["epochs"]) for seed in plan["seeds"] for name, run in plan["runs"].items()
    ]
    wanted += [
        (seed, name, run, "simulated", plan["simulated_epochs"])
        for seed in plan["simulated_seeds"]
        for name, run in plan["simulated_runs"].items()
    ]
    for seed, name, run, data, epochs in wanted:
        folder = out / "runs" / f"{name}-s{seed}"
        options = [
            "--method",
            run["method"],
            "--preset",
            run["preset"],
            "--data",
            joined(out, run.get("data", data)),
            "--seed",
            seed,
            "--epochs",
            epochs,
            "--set",
            f"recipe.warmup_epochs={epochs / 10}",
            "--workers",
            0,
            "--out",
            folder,
        ]
        for setting in run.get("set", ()):
            options += ["--set", setting]
        if "task" in run:
            options += ["--task", run["task"]]
        yield folder, options


def pretrain(folder: Path, options: Sequence[object], logs: Path) -> None:
    """Train one run, or go on with it."""
    if folder.exists():
        return
    began = time.perf_counter()
    unfinished = folder.with_name(f"{folder.name}.partial")
    asked = ["--resume", folder] if unfinished.exists() else options
    ecgkit("pretrain", *asked, log=logs / f"{folder.name}.txt")
    print(f"{folder.name}: {time.perf_counter() - began:.0f} s", flush=True)


def suites(plan: dict[str, Any], out: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each suite of probes with its name."""
    for name, asked in plan["probes"].items():
        of = asked.get("of", "runs")
        wanted = {run: plan[of][run] for run in asked.get("runs", plan[of])}
        seeds = plan["seeds" if of == "runs" else "simulated_seeds"]
        folders = [str(out / "runs" / f"{run}-s{seed}") for run in wanted for seed in seeds]
        store = str(joined(out, asked["data"]))
        shared = {
            "stores": {"data": store},
            "tasks": [{"task": task, "store": "data"} for task in asked["tasks"]],
            "heads": asked["heads"],
            **{key: asked[key] for key in ("leads",) if key in asked},
        }
        if folders:
            yield name, {"runs": folders, **{k: asked[k] for k in ("fractions",) if k in asked}, **shared}
        draws = {share: len(plan["seeds"]) for share in asked.get("fractions", {100: 1})}
        if asked.get("untrained"):
            models = [model(run, "random-init") for run in wanted.values() if "set" not in run]
            yield f"{name}-untrained", {"runs": models, "fractions": draws, **shared}
        if asked.get("scratch"):
            models = [model(plan["runs"][run], "scratch") for run in asked["scratch"]]
            yield name, {"runs": models, "fractions": {100: len(plan["seeds"])}, "epochs": asked["epochs"], **shared}


def model(run: dict[str, Any], weights: str) -> dict[str, Any]:
    """Return the encoder of a run as it is before training."""
    return {"method": run["method"], "weights": weights, "preset": run["preset"]}


def probe(plan: dict[str, Any], out: Path, jobs: int) -> None:
    """Run every suite; existing rows are kept."""
    for name, suite in suites(plan, out):
        file = out / "suites" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(suite), encoding="utf-8")
        began = time.perf_counter()
        results = out / "results" / name
        ecgkit("probe", "--suite", file, "--out", results, "--jobs", jobs, log=out / "logs" / f"suite-{name}.txt")
        print(f"suite {name}: {time.perf_counter() - began:.0f} s", flush=True)


def main() -> None:
    """Do all steps that are not done yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the datasets")
    parser.add_argument("out", type=Path, help="folder of stores, runs and results")
    parser.add_argument("--plan", type=Path, default=HERE / "benchmark.yaml")
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side")
    given = parser.parse_args()
    plan = yaml.safe_load(given.plan.read_text(encoding="utf-8"))
    make_stores(plan, given.data.resolve(), given.out.resolve())
    with ThreadPoolExecutor(given.jobs) as pool:
        jobs = [pool.submit(pretrain, *training, given.out / "logs") for training in trainings(plan, given.out)]
        for job in jobs:
            job.result()
    probe(plan, given.out, given.jobs)
    ecgkit(
        "report",
        given.out / "results" / "fractions",
        given.out / "results" / "fractions-untrained",
        "--out",
        given.out / "report.html",
        "--no-tests",
        log=given.out / "logs" / "report.txt",
    )
    tables.write(plan, given.out)


if __name__ == "__main__":
    main()
