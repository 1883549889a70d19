"""Where work runs: in this process, in processes on this machine, or on a Dask cluster, through one interface.

Work is a function of one argument. Function and argument can be pickled, and no call depends on another. `Executor`
wraps a `concurrent.futures` executor. It hands out only as many calls as there are workers. When it is asked to stop,
running calls finish and no new call starts. Processes that are no longer needed are ended at once.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from ecgkit.choices import typed_command
from ecgkit.distribution import install_extra
from ecgkit.errors import ConfigError, WorkerError

CONNECT_SECONDS = 10.0
RECORDS_PER_WORKER = 4096  # with fewer, starting a process takes longer than the work that it does

A = TypeVar("A")
R = TypeVar("R")


class Executor:
    """Runs independent calls.

    Args:
        pool: The `concurrent.futures` executor.
        width: Returns the number of calls to hand out at once. It is asked each time, since a cluster may grow.
    """

    def __init__(self, pool: futures.Executor, width: Callable[[], int]) -> None:
        self.pool = pool
        self.width = width

    def run(self, work: Callable[[A], R], items: Iterable[A], stopped: Callable[[], bool] = bool) -> Iterator[R]:
        """Yield the results of ``work(item)`` as they finish; in this process, in the order of `items`.

        Args:
            work: A function at module level, or a partial of one.
            items: Its arguments.
            stopped: Asked before each call. When it returns True, no further call is started.

        Raises:
            WorkerError: A worker ended before its work was done.
        """
        left, running = iter(items), set[futures.Future[R]]()
        while True:
            while len(running) < self.width() and not stopped():
                try:
                    item = next(left)
                except StopIteration:
                    break
                running.add(self.pool.submit(work, item))
            if not running:
                return
            done, running = futures.wait(running, return_when=futures.FIRST_COMPLETED)
            for future in done:
                yield future.result()


class InProcess(futures.Executor):
    """Runs each call at once in the caller's thread."""

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> futures.Future[R]:
        """Call `fn` and return a finished future with its result."""
        future = futures.Future[R]()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Processes(futures.ProcessPoolExecutor):
    """Fresh processes on this machine. They are not forked, so they inherit no threads or locks.

    Args:
        workers: Number of processes.
        warm_up: See `open_executor`.
    """

    def __init__(self, workers: int, warm_up: Callable[[], object] | None) -> None:
        context = get_context("spawn")
        stop, self._stop = context.Pipe(duplex=False)
        super().__init__(workers, mp_context=context, initializer=_begin_worker, initargs=(stop, warm_up))
        for _ in range(workers if warm_up else 0):  # a pool starts its processes only when it gets calls
            self.submit(os.getpid)

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> futures.Future[R]:
        """Hand out a call. A process started for it ignores Ctrl-C; this process decides what Ctrl-C does."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def end(self) -> None:
        """End all processes at once, whatever they are doing."""
        self._stop.send_bytes(b"end")  # nobody receives it, so every process sees it
        self.shutdown(wait=True, cancel_futures=True)


@contextmanager
def open_executor(workers: int = 1, dask: str = "", warm_up: Callable[[], object] | None = None) -> Iterator[Executor]:
    """Yield an executor.

    Args:
        workers: Number of processes to start on this machine; 1 works in this process.
        dask: Address of a Dask scheduler, such as ``tcp://host:8786``, to use instead. Its workers need ecgkit and the
            same paths as this machine.
        warm_up: Function that each new process calls at once, while this process continues. It loads what the work will
            need.

    Raises:
        ConfigError: `workers` is below 1, both `workers` and `dask` are given, or the cluster cannot be reached.
        WorkerError: A worker ended before its work was done.
    """
    if workers < 1:
        raise ConfigError(f"--workers {workers} must be at least 1")
    if dask and workers > 1:
        raise ConfigError(f"--workers {workers} and --dask {dask} exclude each other", remedy="Give only one of them.")
    if dask:
        with _cluster(dask) as executor:
            yield executor
    elif workers > 1:
        with _processes(workers, warm_up) as executor:
            yield executor
    else:
        yield Executor(InProcess(), lambda: 1)


def fitting_workers(records: int) -> int:
    """Return the number of processes that pay for work on some records, where the user asked for no number.

    It is 1 in a script of the user's: every process that it starts would run the script again from its first line,
    unless it is guarded, so a script has to ask.
    """
    if not typed_command():
        return 1
    return max(1, min(len(os.sched_getaffinity(0)), records // RECORDS_PER_WORKER))


@contextmanager
def _processes(workers: int, warm_up: Callable[[], object] | None) -> Iterator[Executor]:
    pool = Processes(workers, warm_up)
    try:
        yield Executor(pool, lambda: workers)
    except futures.BrokenExecutor:
        raise WorkerError(
            "a worker process was killed, perhaps because memory ran out",
            remedy="Run the same command again, with fewer --workers.",
        ) from None
    except BaseException:
        pool.end()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise ConfigError("--dask needs the package distributed", remedy=install_extra("dask")) from None
    try:
        client: Any = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:  # a refused connection is an OSError
        raise ConfigError(f"--dask {address} cannot be reached ({error})", "the address of a scheduler") from None
    with client:
        # pure=False: a call writes files, so Dask must not reuse the result of an equal call.
        pool = client.get_executor(pure=False)
        try:
            yield Executor(pool, lambda: max(1, sum(client.nthreads().values())))
        except (KilledWorker, futures.CancelledError):
            raise WorkerError(
                f"workers or the scheduler of --dask {address} disappeared",
                remedy="Look at their logs, and run the same command again.",
            ) from None


def _begin_worker(stop: Connection, warm_up: Callable[[], object] | None) -> None:
    """Ignore Ctrl-C, and end when the parent says so or has ended. Otherwise a pool's workers would wait forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def end_with_parent() -> None:
        connection.wait([stop, *([parent.sentinel] if parent else [])])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    if warm_up:
        warm_up()
