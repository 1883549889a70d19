"""``ecgkit.probe_table``: several encoders and the baselines on several tasks, in one table with one report."""

from dataclasses import dataclass
from pathlib import Path

from ecgkit.api.arguments import PathLike, Settings, assignments
from ecgkit.api.grid import Amounts, grid_of
from ecgkit.api.models import encoders_of
from ecgkit.api.probe import (
    Names,
    Numbers,
    cache_choice,
    joined,
    numbers_of_records,
    percentages,
    where_to_encode,
    zero_shot_settings,
)
from ecgkit.api.report import report
from ecgkit.choices import notes_choices
from ecgkit.evaluation.suites.file import SuiteHead, requests_of
from ecgkit.evaluation.suites.run import SuiteResult, run_suite
from ecgkit.progress import Progress, silent
from ecgkit.workspace.defaults import the_store
from ecgkit.workspace.fitting import the_task

TABLES = Path("tables")  # the folder of tables, in the current folder
PAGE = "report.html"


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        result: Its rows.
        out: Folder of the rows.
        page: The report.
    """

    result: SuiteResult
    out: Path
    page: Path | None


@notes_choices
def probe_table(
    models: Names = (),
    *,
    baselines: bool = False,
    data: PathLike | None = None,
    task: Names | Path = "",
    eval_data: PathLike | None = None,
    head: str = "linear",
    settings: Settings = (),
    prompts: PathLike | None = None,
    independent_queries: bool = False,
    leads: Names = "",
    fraction: Numbers = "",
    label_counts: Numbers = "",
    seeds: int | None = None,
    protocol: str = "default",
    splits: PathLike | None = None,
    label_set: str = "",
    task_settings: Settings = (),
    allow_overlap: bool = False,
    keep_head: bool = True,
    seed: int = 0,
    device: str = "auto",
    workers: int = 1,
    gpus: int = 0,
    dask: str = "",
    out: PathLike | None = None,
    jobs: int = 1,
    cache: PathLike | None = None,
    no_cache: bool = False,
    progress: Progress = silent,
) -> Table:
    """Evaluate several encoders on several tasks, with the baselines beside them, and write one report.

    Results that exist are kept, so a table that was stopped continues, and a further model adds its rows. Encoders with
    the same input share a view of the store, and all heads share an encoder's features.

    Args:
        models: Run folders, patterns such as ``runs/*``, ``all`` for every finished run of the current folder, and
            ``random`` for the encoders of these runs with random weights. As a list, or joined by commas.
        baselines: Add the installed baselines without weights: class prevalence, age and sex, measurements.
        data: Store with the tasks' labels. By default the only store of the current folder.
        task: Names or YAML files of tasks. By default the only task that fits the store.
        eval_data: Other store to test on.
        head: Head to fit on the encoders' features; a baseline has a head of its own.
        settings: Settings of the head.
        prompts: See `probe`.
        independent_queries: See `probe`.
        leads: Lead sets to test; see `probe`.
        fraction: Percentages of the training records to use.
        label_counts: Numbers of labelled training records to use.
        seeds: Number of random draws per amount of labels, and of random weights. By default set by the protocol, and
            one if all training records are used.
        protocol: Evaluation protocol to follow.
        splits: Published split tables to follow.
        label_set: See `probe`.
        task_settings: Settings of the tasks.
        allow_overlap: See `probe`.
        keep_head: See `probe`.
        seed: First seed.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        workers: Number of processes that encode records.
        gpus: Number of GPUs to encode records on, each with a process of its own, instead of `device`.
        dask: Address of a Dask scheduler whose workers encode records, instead of `workers`.
        out: Folder of the table. By default ``tables/STORE``.
        jobs: Number of processes.
        cache: Folder of the feature cache. By default below each run.
        no_cache: Neither read nor write the feature cache.
        progress: Called with the stage, units done and units in all.

    Raises:
        ConfigError: A model names no finished run, or options contradict each other.
        StoreError: There is no store.
        TaskError: The store lacks a task's labels.
    """
    at = where_to_encode(device, workers, gpus, dask, no_cache)  # refused at once, not by each probe
    store = the_store(data, "ecgkit probe", "--data")
    tasks = the_task(joined(task), store, "ecgkit probe").split(",")
    named = joined(models).split(",") if models else []
    suite = grid_of(
        store,
        tasks,
        SuiteHead(head, (*assignments(settings), *zero_shot_settings(head, prompts, independent_queries))),
        runs=encoders_of([name.strip() for name in named if name.strip()]),
        baselines=baselines,
        leads=leads,
        amounts=Amounts(percentages(fraction), numbers_of_records(label_counts), seeds),
        splits=splits,
        task_settings=task_settings,
        eval_data=eval_data,
        seed=seed,
        protocol=protocol,
        label_set=label_set,
        allow_overlap=allow_overlap,
        keep_head=keep_head,
    )
    requests = requests_of(suite, **at, cache=cache_choice(cache, no_cache))
    folder = Path(out) if out is not None else TABLES / store.name.removesuffix(".zarr")
    result = run_suite(requests, folder, jobs=jobs, progress=progress)
    return Table(result, folder, with_page(result, folder, progress))


def with_page(result: SuiteResult, folder: Path, progress: Progress) -> Path | None:
    """Write the report of a table; return its file, or None if there is no row."""
    if not result.rows:
        return None
    page = folder / PAGE
    report([folder], out=page, title=f"Results in {folder}", progress=progress)
    return page
