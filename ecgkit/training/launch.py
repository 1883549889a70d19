"""Start of N processes of a command on this machine, through torch's elastic launcher.

Each process runs the same command and reads its rank from the environment (`ecgkit.training.processes`). Signals that
ask for a checkpoint are forwarded to all processes. Only the first process prints. If another process fails, its error
output is shown.
"""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from ecgkit.errors import RunError
from ecgkit.interrupt import CODE, DELEGATE, delegated
from ecgkit.training.processes import placement

SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
SECONDS_TO_SAVE = "300"  # after a signal, before the launcher kills


@dataclass(frozen=True)
class Failure:
    """The process that failed first.

    Args:
        rank: Its rank.
        code: Its exit code; the negative number of the signal that killed it.
    """

    rank: int
    code: int


class ProcessError(RunError):
    """One of several processes failed.

    Args:
        failure: The process.
        remedy: What is left on disk, and how to go on.
    """

    def __init__(self, failure: Failure, remedy: str) -> None:
        self.failure = failure
        how = f"ended with exit code {failure.code}; its output says why"
        if failure.code < 0:
            name = signal.Signals(-failure.code).name
            how = f"was killed ({name}{', perhaps because memory ran out' if name == 'SIGKILL' else ''})"
        super().__init__(f"process {failure.rank} of the training {how}", remedy=remedy)

    @property
    def has_told(self) -> bool:
        """Whether the process has printed its error itself."""
        return self.failure.code > 0


def is_started_by_a_launcher() -> bool:
    """Return whether `launch` started this process, which then starts no processes itself."""
    return "WORLD_SIZE" in os.environ and "RANK" in os.environ


def tells_the_end() -> bool:
    """Return whether this process reports the end of the training: one of its processes, or the one that started it."""
    me = placement(os.environ)
    return me is None or (me.first and DELEGATE not in os.environ)


def launch(processes: int, arguments: Sequence[str]) -> Failure | None:
    """Run ``ecgkit ARGUMENTS`` in N processes; return the process that failed first, or None.

    Raises:
        KeyboardInterrupt: A signal asked the processes to stop, and they have stopped.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // processes)))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SECONDS_TO_SAVE)
    if "cpu" in arguments or not torch.cuda.is_available():
        # Torch warns of a search for idle parameters that finds none; see `ecgkit.training.engine.keeps_order`.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ[DELEGATE] = str(os.getpid())
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        with tempfile.TemporaryDirectory(prefix="ecgkit-") as logs, delegated():
            return _run(processes, arguments, Path(logs))
    finally:
        del os.environ[DELEGATE]


def _run(processes: int, arguments: Sequence[str], logs: Path) -> Failure | None:
    quiet = DefaultLogsSpecs(str(logs), redirects=dict.fromkeys(range(1, processes), Std.ALL))
    try:
        elastic_launch(_config(processes, quiet), sys.executable)("-P", "-m", "ecgkit", *arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode == CODE:
            raise KeyboardInterrupt from None
        if rank != 0:
            _repeat(logs, rank)
        return Failure(rank, failure.exitcode)
    except SignalException as stop:
        raise KeyboardInterrupt(signal.Signals(stop.sigval).name) from None
    return None


def _config(processes: int, logs: DefaultLogsSpecs) -> LaunchConfig:
    settings: dict[str, Any] = {
        "min_nodes": 1,
        "max_nodes": 1,
        "nproc_per_node": processes,
        "run_id": f"ecgkit-{os.getpid()}",
        "rdzv_backend": "c10d",
        "rdzv_endpoint": "localhost:0",
        "local_addr": "localhost",
        "max_restarts": 0,
        "logs_specs": logs,
        "signals_to_handle": SIGNALS,
    }
    known = {f.name for f in fields(LaunchConfig)}
    return LaunchConfig(**{name: value for name, value in settings.items() if name in known})


def _repeat(logs: Path, rank: int) -> None:
    """Show what a process wrote to stderr."""
    for file in sorted(logs.glob(f"*/attempt_*/{rank}/stderr.log")):
        sys.stderr.write(file.read_text(encoding="utf-8", errors="replace"))
