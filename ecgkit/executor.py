"""Where work runs: in this process, in processes of this machine, or on a Dask cluster, by one interface.

Work is a function of one argument, both picklable, whose calls don't depend on each other. `Executor` wraps a
`concurrent.futures` executor, hands out no more calls than there are workers to take them, and can be asked to stop:
what runs is then finished and nothing further is started.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any, TypeVar

from ecgkit.distribution import install_extra
from ecgkit.errors import ConfigError

CONNECT_SECONDS = 10.0

A = TypeVar("A")
R = TypeVar("R")


class Executor:
    """Runs independent calls.

    Args:
        pool: What takes the calls.
        width: How many calls to hand out at once; asked anew each time, since a cluster may grow.
    """

    def __init__(self, pool: futures.Executor, width: Callable[[], int]) -> None:
        self.pool = pool
        self.width = width

    def run(self, work: Callable[[A], R], items: Iterable[A], stopped: Callable[[], bool] = bool) -> Iterator[R]:
        """Yield the results of ``work(item)`` as they come; in process, in the order of the items.

        Args:
            work: A function of a module, or a partial of one.
            items: Its arguments.
            stopped: Asked before each call; once it says yes, no further call is started.
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
    """Runs each call at once, in the caller's thread."""

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> futures.Future[R]:
        """Call `fn` and return its outcome as a future that is done."""
        future = futures.Future[R]()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def open_executor(workers: int = 1, dask: str = "", warm_up: Callable[[], object] | None = None) -> Iterator[Executor]:
    """Yield an executor.

    Args:
        workers: Processes to start on this machine; 1 works in this process.
        dask: Address of a Dask scheduler, such as ``tcp://host:8786``, instead. Its workers need ecgkit and the same
            paths as this machine.
        warm_up: Called in each process that is started, at once and while this one goes on: it loads what the work
            will need.

    Raises:
        ConfigError: Both are asked for, or the cluster cannot be reached.
    """
    if dask and workers > 1:
        raise ConfigError(f"--workers {workers} and --dask {dask}", "one of them")
    if dask:
        with _cluster(dask) as executor:
            yield executor
    elif workers > 1:
        with _processes(workers, warm_up) as executor:
            yield executor
    else:
        yield Executor(InProcess(), lambda: 1)


@contextmanager
def _processes(workers: int, warm_up: Callable[[], object] | None) -> Iterator[Executor]:
    """Yield an executor of fresh processes: nothing of this one, such as its threads, is copied half-way."""
    from multiprocessing import get_context

    pool = futures.ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_begin_worker, initargs=(warm_up,)
    )
    try:
        for _ in range(workers if warm_up else 0):  # a pool starts no process before there is a call for it
            pool.submit(os.getpid)
        yield Executor(pool, lambda: workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError("--dask needs the package distributed", remedy=install_extra("dask")) from None
    try:
        client: Any = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:  # a refused connection is an OSError
        raise ConfigError(f"--dask {address} cannot be reached ({error})", "the address of a scheduler") from None
    with client:
        # pure=False: a call writes files, so an equal call is not a known result.
        pool = client.get_executor(pure=False)
        yield Executor(pool, lambda: max(1, sum(client.nthreads().values())))


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether Ctrl-C was pressed; the first one does nothing else."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set  # only the main thread may handle signals
        return

    def note(*_: Any) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _begin_worker(warm_up: Callable[[], object] | None) -> None:
    """Leave Ctrl-C to the parent, and end when the parent does: a pool's own workers would wait for ever."""
    from multiprocessing import parent_process

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def end_with_parent() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    if warm_up:
        warm_up()
