"""Programs that are broken on purpose. A tool that finds no fault in one of them could not find one in ecgkit."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgkit import atomic
from ecgkit.store.reader import Store
from tests.faults.cases import CASES
from tests.faults.trial import Bench, trials


@dataclass(frozen=True)
class Broken:
    """A program with one mistake.

    Args:
        mistake: The mistake, in words.
        case: The command that makes it.
        fault: The fault that has to show it.
        functions: Owner and name of each function of ecgkit that is replaced, and what replaces it.
    """

    mistake: str
    case: str
    fault: str
    functions: tuple[tuple[Any, str, Callable[..., Any]], ...]


@contextmanager
def _in_place(path: Path, kind: str) -> Iterator[Path]:
    path.mkdir()
    yield path
    atomic.mark(path, kind)


@contextmanager
def _forgiving(path: Path) -> Iterator[Path]:
    staging = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    with suppress(OSError):
        yield staging
        os.replace(staging, path)


@contextmanager
def _copied(path: Path) -> Iterator[Path]:
    staging = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        with atomic.telling_of_a_full_disk(path):
            yield staging
            shutil.copyfile(staging, path)
    finally:
        staging.unlink(missing_ok=True)


BROKEN = (
    Broken("a folder is made at its place", "probe", "kill", ((atomic, "atomic_folder", _in_place),)),
    Broken(
        "nothing waits for the disk",
        "report",
        "power",
        ((atomic, "sync", lambda _: None), (atomic, "sync_tree", lambda _: None)),
    ),
    Broken("a file is copied to its place", "report", "full", ((atomic, "atomic_file", _copied),)),
    Broken("an error is passed over", "report", "denied", ((atomic, "atomic_file", _forgiving),)),
    Broken("no record is compared with its hash", "ingest", "flip", ((Store, "_check", lambda *_: None),)),
)


def unnoticed(bench: Bench, broken: Broken) -> bool:
    """Return whether no trial of a broken program fails."""
    bench.truth(CASES[broken.case])
    with _standing_in(broken):
        return not any(trial.problem for trial in trials(bench.forgetful(), (broken.case,), (broken.fault,), 0, 0))


@contextmanager
def _standing_in(broken: Broken) -> Iterator[None]:
    """Replace functions of ecgkit in their owners, and in all modules that have imported them."""
    changed = []
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("ecgkit")]
    for owner, name, new in broken.functions:
        old = vars(owner)[name]
        for place in (owner, *modules):
            if vars(place).get(name) is old:
                changed.append((place, name, old))
                setattr(place, name, new)
    try:
        yield
    finally:
        for place, name, old in changed:
            setattr(place, name, old)
