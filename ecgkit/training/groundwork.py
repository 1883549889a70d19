"""The groundwork of a training: what it reads from a store besides the records, made before its processes meet.

It consists of the supplies of the method (`ecgkit.training.preparation`), the view of its signal contract
(`ecgkit.store.views`), and the waveform signatures by which copies of the records are recognised
(`ecgkit.signatures`). It is made once, in parallel. Meanwhile no process waits in a collective of torch, whose time
limit a large store would exceed.
"""

import os
import shlex
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from ecgkit.entries import MethodEntry
from ecgkit.errors import RunError
from ecgkit.executor import Executor, open_executor
from ecgkit.methods import Method
from ecgkit.progress import Progress, of_stage
from ecgkit.signatures.make import has_signatures, store_signatures
from ecgkit.store.reader import Store
from ecgkit.store.views import View, is_made, maker_of_view, open_view
from ecgkit.training.preparation import check_prepared, lacking
from ecgkit.training.processes import placement

PATIENCE = 1800.0  # s without anybody at work, after which a waiting process gives up
LOOK_EVERY = 1.0  # s


@dataclass(frozen=True)
class Groundwork:
    """What a training needs from a store.

    Args:
        entry: The method family.
        config: Its config.
        store: The store.
        adds: Whether supplies that are missing are added; otherwise they are refused.
    """

    entry: MethodEntry
    config: Any
    store: Store
    adds: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """What the method reads: ``signal``, and names of supplies."""
        family: type[Method] = self.entry.load()
        return (*self.entry.needs, *family.further_needs(self.config))

    def missing(self) -> tuple[str, ...]:
        """Return the supplies that the store lacks and that can be looked for before a task is opened."""
        return tuple(entry.name for entry in lacking(self.needs, self.store, self.config))

    def has_view(self) -> bool:
        """Return whether the view is there."""
        return is_made(self.store, self.config.signal)

    def is_laid(self) -> bool:
        """Return whether nothing is missing."""
        return self.has_view() and has_signatures(self.store) and not (self.adds and self.missing())

    def lay(self, progress: Progress, workers: int | None = None, dask: str = "") -> View:
        """Make what is missing, and return the view.

        Args:
            progress: Called with stage, records done and records in all.
            workers: Number of processes; None for as many as pay.
            dask: Address of a Dask scheduler to use instead.

        Raises:
            StoreError: The store lacks a supply, and it may not be added or cannot be.
            LeadError: The store has none of the contract's leads.
            OutputError: The view cannot be written.
            KeyboardInterrupt: Ctrl-C was pressed; finished parts are kept.
        """
        with open_executor(workers or 1, dask) if workers or dask else nullcontext() as executor:
            self.check(progress if self.adds else None, executor)
            # The leak guard of a later probe recognises copies of the records by them.
            store_signatures(self.store, of_stage(progress, "signatures"), executor)
            return open_view(self.store, self.config.signal, of_stage(progress, "view"), executor)

    def check(self, prepare: Progress | None, executor: Executor | None = None) -> None:
        """Refuse a store that lacks a supply, or add the supply; see `check_prepared`."""
        name = self.entry.name
        check_prepared(self.needs, self.store, owner=name, prepare=prepare, config=self.config, executor=executor)

    def wait(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wait until another process has made what is missing.

        Raises:
            StoreError: The store lacks a supply that nobody adds.
            RunError: Nobody has been at work for `PATIENCE` seconds.
        """
        if not self.adds:
            self.check(None)
        idle = 0.0
        while not self.is_laid():
            sleep(LOOK_EVERY)
            idle = 0.0 if maker_of_view(self.store, self.config.signal) else idle + LOOK_EVERY
            if idle > PATIENCE:
                raise RunError(
                    f"the first process has not prepared {self.store.path} for {self.entry.name}",
                    remedy=f"Prepare it before the training: {self.command}",
                )

    @property
    def command(self) -> str:
        """The command that does the same."""
        return f"ecgkit prepare {shlex.quote(str(self.store.path))} --for {self.entry.name}"


def lay_groundwork(groundwork: Groundwork, progress: Progress) -> None:
    """Make what is missing in the first process of a training; the other processes wait for it. None has met yet."""
    me = placement(os.environ)
    if me is None or me.first:
        groundwork.lay(progress)
    else:
        groundwork.wait()
