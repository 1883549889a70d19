"""``ecgkit.probe_suite``: run a grid of probes from a YAML file."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ecgkit.api.arguments import PathLike
from ecgkit.api.models import encoders_of, with_local_runs
from ecgkit.api.probe import cache_choice, where_to_encode
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.suites.file import Suite, read_suite, requests_of
from ecgkit.evaluation.suites.run import SuiteResult, cells_left, run_suite
from ecgkit.progress import Progress, silent


@dataclass(frozen=True)
class OpenedSuite:
    """A suite with its encoders and stores, ready to run.

    Args:
        title: Its title.
        suite: The suite.
        out: Folder of its results.
    """

    title: str
    suite: Suite
    out: Path


def open_suite(
    suite: PathLike,
    run: PathLike | None = None,
    *,
    stores: Mapping[str, PathLike] | None = None,
    out: PathLike | None = None,
) -> OpenedSuite:
    """Read a suite, and add the given encoder and stores to those in its file; see `probe_suite`."""
    name = str(suite)
    read = read_suite(name)
    runs = (EncoderChoice(run=str(run)), *read.runs) if run is not None else read.runs
    paths = {key: str(path) for key, path in (stores or {}).items()}
    runs = (*with_local_runs(runs), *encoders_of(read.models))
    whole = replace(read, runs=tuple(dict.fromkeys(runs)), models=(), stores=read.stores | paths)
    return OpenedSuite(read.title or name, whole, Path(out) if out else Path("suites") / Path(name).stem)


def probe_suite(
    suite: PathLike,
    run: PathLike | None = None,
    *,
    stores: Mapping[str, PathLike] | None = None,
    out: PathLike | None = None,
    jobs: int = 1,
    device: str = "auto",
    workers: int = 1,
    gpus: int = 0,
    dask: str = "",
    cache: PathLike | None = None,
    no_cache: bool = False,
    progress: Progress = silent,
) -> SuiteResult:
    """Run the probes of a suite that have no result yet.

    Args:
        suite: YAML file, or the name of a suite that ecgkit ships, such as ``six``.
        run: Run folder of an encoder to add to those in the file.
        stores: Paths of stores by name, to add to those in the file.
        out: Folder of the results. By default ``suites/NAME``.
        jobs: Number of processes.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        workers: Number of processes that encode records.
        gpus: Number of GPUs to encode records on, each with a process of its own, instead of `device`.
        dask: Address of a Dask scheduler whose workers encode records, instead of `workers`.
        cache: Folder of the feature cache. By default below each run.
        no_cache: Neither read nor write the feature cache.
        progress: Called with the stage, units done and units in all.

    Returns:
        The result rows, the path of their table, and the reasons of failed probes.

    Raises:
        ConfigError: The suite cannot be read, or it has no probe that can be run.
    """
    opened = open_suite(suite, run, stores=stores, out=out)
    return run_opened(
        opened,
        jobs=jobs,
        device=device,
        workers=workers,
        gpus=gpus,
        dask=dask,
        cache=cache,
        no_cache=no_cache,
        progress=progress,
    )


def run_opened(
    opened: OpenedSuite,
    *,
    jobs: int = 1,
    device: str = "auto",
    workers: int = 1,
    gpus: int = 0,
    dask: str = "",
    cache: PathLike | None = None,
    no_cache: bool = False,
    progress: Progress = silent,
) -> SuiteResult:
    """Run an opened suite; see `probe_suite`."""
    at = where_to_encode(device, workers, gpus, dask, no_cache)  # refused at once, not by each probe
    requests = requests_of(opened.suite, **at, cache=cache_choice(cache, no_cache))
    return run_suite(requests, opened.out, jobs=jobs, progress=progress)


def work_left(opened: OpenedSuite) -> int:
    """Return the number of pieces of an opened suite that are not done; workers that share it take them one by one.

    Raises:
        ConfigError: The suite has no probe that can be run.
    """
    return cells_left(requests_of(opened.suite), opened.out)
