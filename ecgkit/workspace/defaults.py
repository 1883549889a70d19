"""The values that a command takes from the current folder where none is given. Each is noted in `ecgkit.choices`.

=================  =====================================================================
the store          the only store of the current folder
the run            the last finished run, directly in the folder or below ``runs``
the store of a run the store that it was trained on, if it is still there
the task           the only task that fits the store: `ecgkit.workspace.fitting`
a new store        ``NAME.zarr``, with the name of the source's folder
the results        ``runs``
a new run          ``runs/METHOD-PRESET``, then ``-2``, ``-3``; never one that exists
=================  =====================================================================
"""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ecgkit.atomic import kind_of
from ecgkit.choices import choose
from ecgkit.download.hub import local_folder
from ecgkit.errors import ConfigError, OutputError, ResultsError, RunError, StoreError
from ecgkit.store.remote import located
from ecgkit.training.unfinished import resume_command, unfinished
from ecgkit.workspace.names import free_run, store_name
from ecgkit.workspace.runs import RUNS, RunInfo, read_run, runs_of
from ecgkit.workspace.stores import UnfinishedWork, store_attributes, stores_of, unfinished_stores

PathLike = str | Path
HERE = Path()


def the_store(given: PathLike | None, command: str, option: str = "STORE", *, scratch: PathLike | None = None) -> Path:
    """Return the given store, or the only store of the current folder.

    Args:
        given: The store that was given, by a path or an address; see `ecgkit.store.remote`.
        command: The command that needs it, such as ``ecgkit beats``, for errors.
        option: The option or argument that names a store.
        scratch: Folder for copies of remote stores; None for the cache.

    Raises:
        StoreError: The address cannot be read.
        StoreError: The folder holds no store, or several, or one that is not finished; or it is a store itself.
    """
    if given is not None:
        return located(given, None if scratch is None else Path(scratch))
    _check_folder(command, option)
    found = stores_of(HERE)
    names = {path.name for path in found}
    begun = [work for work in unfinished_stores(HERE) if work.out.name not in names]
    if len(found) + len(begun) > 1:
        listed = ", ".join([*(path.name for path in found), *(f"{work.out.name} (unfinished)" for work in begun)])
        example = (found or [begun[0].out])[0]
        remedy = f"Name one, such as: {_with(command, option, example)}"
        raise StoreError(f"this folder holds {len(found) + len(begun)} stores: {listed}", remedy=remedy)
    if begun:
        raise _not_finished(begun[0])
    if not found:
        raise StoreError(
            "this folder holds no store", remedy=f"Make one with 'ecgkit ingest FOLDER', or name one with {option}."
        )
    choose(option, found[0].name, "the only store in this folder")
    return Path(found[0].name)


def the_run(given: PathLike | None, command: str) -> Path:
    """Return the given run, or the finished run that ended last.

    Raises:
        RunError: There is no finished run.
    """
    if given is not None:
        return local_folder(given)
    _check_folder(command, "RUN")
    runs = runs_of(HERE)
    done = [run for run in runs if run.finished]
    if done:
        choose("RUN", done[-1].path, "the run that finished last" if len(done) > 1 else "the only finished run")
        return done[-1].path
    if runs:
        raise RunError(
            f"no run in this folder is finished; {runs[-1].path} is not",
            remedy=f"Wait until it has finished: {runs[-1].holder} trains it."
            if runs[-1].holder
            else f"Continue it with: {resume_command(runs[-1].path)}",
        )
    raise RunError(
        "this folder holds no run, neither directly nor below runs",
        remedy="Make one with 'ecgkit pretrain --method METHOD', or name a run.",
    )


def the_store_of(run: Path, given: PathLike | None, command: str) -> Path:
    """Return the given store, or the store that a run was trained on.

    Raises:
        RunError: There is no such run.
        StoreError: The run names no store and the folder does not hold exactly one, or its store is not there.
    """
    if given is not None:
        return located(given)
    store = _store_noted_by(run)
    if not store:
        return the_store(None, command, "--data")
    near = [path for path in stores_of(HERE) if _is(path, store)]
    known = [Path(str(store["path"]))] if store.get("path") else []
    found = next((path for path in [*near, *known] if _is(path, store)), None)
    if found is None:
        raise StoreError(
            f"the store that {run} was trained on ({store.get('name', 'unnamed')}) is not in this folder",
            remedy=f"Name a store: {command} {shlex.quote(str(run))} --data STORE",
        )
    choose("--data", found, "the store of the run")
    return found


def new_store(given: PathLike | None, src: Path, dataset: str = "") -> Path:
    """Return the given path of a new store, or ``NAME.zarr`` in the current folder.

    Raises:
        OutputError: The current folder is a store or a run itself.
    """
    if given is not None:
        return Path(given)
    _check_outputs("ecgkit ingest SRC", "--out STORE", HERE)
    path = Path(store_name(src, dataset))
    choose("--out", path, "named after the source")
    return path


def new_run(given: PathLike | None, method: str, preset: str) -> Path:
    """Return the given path of a new run, or a free name below ``runs``.

    Raises:
        OutputError: An unfinished run has this name and no process trains it, ``runs`` is a file, or the current folder
            is a store or a run itself.
    """
    if given is not None:
        return Path(given)
    folder, name = Path(RUNS), f"{method}-{preset}" if preset else method
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{RUNS} is a file, but new runs are made in a folder of this name", remedy="Give --out RUN.")
    _check_outputs("ecgkit pretrain", "--out RUN", folder if folder.exists() else HERE)
    path, again = free_run(folder, name)
    stopped = [run for run in runs_of(HERE) if not run.finished and not run.holder and _numbered(run, folder, name)]
    if stopped:
        run = stopped[-1]
        raise OutputError(
            f"{run.path} is an unfinished run (epoch {run.epochs} of {run.planned})",
            remedy=f"Continue it with '{resume_command(run.path)}', or begin another with: --out {path}",
        )
    choose("--out", path, f"{folder / name} exists" if again else "a new run")
    return path


def the_results(given: Sequence[PathLike]) -> list[Path]:
    """Return the given folders of results, or ``runs``.

    Raises:
        ResultsError: There is no folder ``runs``.
    """
    if given:
        return [Path(path) for path in given]
    if not Path(RUNS).is_dir():
        raise ResultsError(
            f"this folder has no folder {RUNS!r} with results",
            remedy="Make a result with 'ecgkit probe', or name a folder of results.",
        )
    choose("RESULTS", RUNS, "the folder of runs")
    return [Path(RUNS)]


def _numbered(run: RunInfo, folder: Path, name: str) -> bool:
    """Return whether a run has the name that is about to be given, with any number."""
    own = run.path.name
    numbered = own.removeprefix(f"{name}-").isdecimal() and own.startswith(f"{name}-")
    return run.path.parent == folder and (own == name or numbered)


def _store_noted_by(run: Path) -> dict[str, Any]:
    """Return the store that a run notes; empty if it cannot be read, which the command will explain.

    Raises:
        RunError: There is no such run.
    """
    folder = run if run.exists() else unfinished(run)
    if not folder.exists():
        raise RunError(f"{run} does not exist", "a run made by 'ecgkit pretrain' or 'ecgkit import-weights'")
    try:
        return read_run(folder).store
    except (ConfigError, OSError, ValueError, TypeError, AttributeError):
        return {}


def _is(path: Path, store: dict[str, Any]) -> bool:
    return bool(store.get("sha256")) and store_attributes(path).get("content_sha256") == store["sha256"]


def _not_finished(work: UnfinishedWork) -> StoreError:
    if work.holder:
        return StoreError(f"{work.out.name} is being written ({work.holder})", remedy="Wait until it has finished.")
    again = f"Continue it with: {work.command}" if work.command else "Continue it with the command that began it."
    return StoreError(f"{work.out.name} is not finished, and this folder holds no other store", remedy=again)


def _check_folder(command: str, option: str) -> None:
    """Refuse to look for stores and runs inside a store or a run.

    Raises:
        StoreError: The current folder is one itself.
    """
    kind = "store" if store_attributes(HERE) else kind_of(HERE)
    if kind:
        remedy = f"Go to the folder above it with 'cd ..', or give {option}."
        raise StoreError(f"the current folder is itself a {kind}, and {command} looks for one in it", remedy=remedy)


def _check_outputs(command: str, option: str, folder: Path) -> None:
    """Refuse to write into a store or a run, or where this user may not write.

    Raises:
        OutputError: The current folder is a store or a run, or `folder` cannot be written to.
    """
    kind = "store" if store_attributes(HERE) else kind_of(HERE)
    if kind:
        remedy = f"Go to the folder above it with 'cd ..', or give {option}."
        raise OutputError(f"the current folder is itself a {kind}, and {command} would write into it", remedy=remedy)
    if not os.access(folder, os.W_OK):
        place = "this folder" if folder == HERE else f"the folder {folder}"
        raise OutputError(f"you may not write to {place}", remedy=f"Go to a folder of your own, or give {option}.")


def _with(command: str, option: str, store: Path) -> str:
    """Return a command with a store, such as ``ecgkit beats a.zarr`` or ``ecgkit pretrain --data a.zarr``."""
    return f"{command} {f'{option} ' if option.startswith('--') else ''}{shlex.quote(store.name)}"
