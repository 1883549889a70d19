"""Where work runs: in this process, in processes on this machine, or on a Dask cluster, through one interface.

Work is a function of one argument. Function and argument can be pickled, and no call depends on another. `Executor`
wraps a `concurrent.futures` executor. It hands out only as many calls as there are workers. When it is asked to stop,
running calls finish and no new call starts. Processes that are no longer needed are ended at once.

A worker that dies is replaced, and its call is made again. A call at which `DEATHS` workers died ends the work, because
it would kill the next one too. A worker that cannot load its call says why, and the work ends at once: function and
argument travel as bytes, which the worker unpacks where an error can still be told.
"""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final, TypeVar

from ecgkit.choices import typed_command
from ecgkit.distribution import install_extra
from ecgkit.errors import ConfigError, WorkerError

CONNECT_SECONDS = 10.0
RECORDS_PER_WORKER = 4096  # with fewer, starting a process takes longer than the work that it does
DEATHS = 3  # workers that may die at one call before it is given up
LOOK_EVERY = 0.5  # s between two looks at items that come later

A = TypeVar("A")
R = TypeVar("R")


class Later:
    """An item that means: there is none now, but there may be one later."""


LATER: Final = Later()


class Executor:
    """Runs independent calls.

    Args:
        pool: The `concurrent.futures` executor.
        width: Returns the number of calls to hand out at once. It is asked each time, since a cluster may grow.
        deaths: Returns the number of workers that died, given the error of a call; 0 for an error of the call itself.
        pack: Packs function and argument for a worker; None if calls are made in this process.
        why: Returns in words how the last workers died that were not killed; empty if they were.
    """

    def __init__(
        self,
        pool: futures.Executor,
        width: Callable[[], int],
        deaths: Callable[[BaseException], int] = lambda error: isinstance(error, futures.BrokenExecutor),
        pack: Callable[[object], bytes] | None = None,
        why: Callable[[], str] = str,
    ) -> None:
        self.pool = pool
        self.width = width
        self.why = why
        self._deaths, self._pack = deaths, pack

    def submit(self, work: Callable[[A], R], item: A) -> futures.Future[R]:
        """Hand out one call. `run` does this for many, and replaces workers that die."""
        if self._pack is None:
            return self.pool.submit(work, item)
        return self.pool.submit(_unpacked, self._pack((work, item)))

    def run(
        self,
        work: Callable[[A], R],
        items: Iterable[A | Later],
        stopped: Callable[[], bool] = bool,
        give_up: Callable[[A, WorkerError], R] | None = None,
    ) -> Iterator[R]:
        """Yield the results of ``work(item)`` as they finish; in this process, in the order of `items`.

        Args:
            work: A function at module level, or a partial of one.
            items: Its arguments. `LATER` among them means that more may come; they are asked again a moment later.
            stopped: Asked before each call. When it returns True, no further call is started.
            give_up: Returns the result of a call at which `DEATHS` workers died; None to end the work with an error.

        Raises:
            WorkerError: `DEATHS` workers died at the same call; a worker cannot load a call; or a cluster disappeared.
        """
        left, again = iter(items), deque[tuple[A, int]]()
        running: dict[futures.Future[R], tuple[A, int]] = {}
        while True:
            is_waiting = False
            while len(running) < self.width() and not stopped():
                given: tuple[A | Later | None, int] = again.popleft() if again else (next(left, None), 0)
                item, deaths = given
                if item is None:
                    break
                if isinstance(item, Later):
                    is_waiting = True
                    break
                running[self.submit(work, item)] = item, deaths
            if not running and not is_waiting:
                return
            if not running:
                time.sleep(LOOK_EVERY)
                continue
            timeout = LOOK_EVERY if is_waiting else None
            for future in futures.wait(running, timeout, return_when=futures.FIRST_COMPLETED).done:
                item, deaths = running.pop(future)
                died = 0 if future.cancelled() else self._deaths(future.exception() or Exception())
                if not died:
                    yield future.result()
                    continue
                if deaths + died < DEATHS:
                    again.append((item, deaths + died))
                elif give_up is None:
                    raise killed_by(item, self.why()) from None
                else:
                    yield give_up(item, killed_by(item, self.why()))


_lost: list[int] = []  # numbers of workers that died at calls of this process


def lost_workers() -> int:
    """Return the number of workers that died at calls of this process. Their calls were made again."""
    return sum(_lost)


def _unpacked(call: bytes) -> Any:
    """Make a call in a worker.

    Raises:
        WorkerError: The worker cannot load it.
    """
    work, item = _loaded(call)
    return work(item)


def _loaded(packed: bytes) -> Any:
    try:
        return ForkingPickler.loads(packed)
    except Exception as error:
        said = f": {error}" if isinstance(error, ImportError | AttributeError) else ""  # names of code alone
        raise WorkerError(
            f"a worker cannot load its work ({type(error).__name__}{said})",
            remedy="Workers need the same packages, in the same versions, as this process. In a script, import them "
            "from files that Python finds from every folder.",
        ) from None


def _packed(value: object) -> bytes:
    return bytes(ForkingPickler.dumps(value))


def killed_by(item: object, why: str = "") -> WorkerError:
    """Return the error for a call that kills its workers.

    Args:
        item: Argument of the call.
        why: How its workers ended in words; empty if they were killed.
    """
    name = getattr(item, "name", "") or " ".join(repr(item).split())[:80]
    if why:
        return WorkerError(
            f"a worker process {why} {DEATHS} times at the same piece of the work ({name})",
            remedy="What it wrote above says why. A script that starts workers needs 'if __name__ == \"__main__\":'.",
        )
    return WorkerError(
        f"a worker process was killed {DEATHS} times at the same piece of the work ({name}), perhaps because memory "
        "ran out",
        remedy="Run the same command again, with fewer --workers.",
    )


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


class Processes(futures.Executor):
    """Fresh processes on this machine. They are not forked, so they inherit no threads or locks.

    Each process is a pool of its own. When a process dies, only its own call fails, and the next call gets a new one.

    Args:
        workers: Number of processes.
        warm_up: See `open_executor`.
    """

    def __init__(self, workers: int, warm_up: Callable[[], object] | None) -> None:
        self._context = get_context("spawn")
        self._stop, self._send = self._context.Pipe(duplex=False)
        self._warm_up = _packed(warm_up) if warm_up else b""
        self._started: list[BaseProcess] = []
        self._last: dict[futures.ProcessPoolExecutor, futures.Future[Any] | None] = {}  # the last call of each pool
        for _ in range(workers):
            self._last[self._pool()] = None
        for pool in self._last if warm_up else ():  # a pool starts its process only when it gets a call
            _blocking_ctrl_c(pool.submit, os.getpid)

    def _pool(self) -> futures.ProcessPoolExecutor:
        given = self._stop, self._warm_up
        return futures.ProcessPoolExecutor(1, mp_context=self._context, initializer=_begin_worker, initargs=given)

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> futures.Future[R]:
        """Hand out a call to a free process. There is one if no more calls are handed out than there are processes."""
        pool = next((pool for pool, last in self._last.items() if last is None or last.done()), next(iter(self._last)))
        try:
            future = _blocking_ctrl_c(pool.submit, fn, *args, **kwargs)
        except futures.BrokenExecutor:  # its process died, at its last call or after it
            pool = self._replaced(pool)
            future = _blocking_ctrl_c(pool.submit, fn, *args, **kwargs)
        self._last[pool] = future
        self._started += [process for process in pool._processes.values() if process not in self._started]
        return future

    def why(self) -> str:
        """Return in words how the last processes died, if none of them was killed; otherwise nothing."""
        codes = [process.exitcode for process in self._started if process.exitcode][-DEATHS:]
        return f"ended by itself (exit code {codes[-1]})" if codes and min(codes) > 0 else ""

    @staticmethod
    def deaths(error: BaseException | None) -> int:
        """Return how many processes died at a call, given its error, and count them."""
        died = isinstance(error, futures.BrokenExecutor)
        _lost.append(died)
        return died

    def _replaced(self, pool: futures.ProcessPoolExecutor) -> futures.ProcessPoolExecutor:
        last = self._last.pop(pool)
        if last is None or last.cancelled() or not isinstance(last.exception(), futures.BrokenExecutor):
            _lost.append(1)  # it died between two calls; one that died at a call is counted already
        pool.shutdown(wait=False)
        new = self._pool()
        self._last[new] = None
        return new

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when their calls have finished."""
        for pool in tuple(self._last):
            pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def end(self) -> None:
        """End all processes at once, whatever they are doing."""
        self._send.send_bytes(b"end")  # nobody receives it, so every process sees it
        self.shutdown(wait=True, cancel_futures=True)


def _blocking_ctrl_c(submit: Callable[..., futures.Future[R]], *args: Any, **kwargs: Any) -> futures.Future[R]:
    """Hand out a call. A process started for it ignores Ctrl-C; this process decides what Ctrl-C does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return submit(*args, **kwargs)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
        WorkerError: `DEATHS` workers died at the same call; or the cluster disappeared.
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
        yield Executor(pool, lambda: workers, pool.deaths, pack=_packed, why=pool.why)
    except BaseException:
        pool.end()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
        from distributed.protocol.pickle import dumps
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise ConfigError("--dask needs the package distributed", remedy=install_extra("dask")) from None
    try:
        client: Any = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:  # a refused connection is an OSError
        raise ConfigError(f"--dask {address} cannot be reached ({error})", "the address of a scheduler") from None
    with client:
        _check_cluster(client, address)
        # pure=False: a call writes files, so Dask must not reuse the result of an equal call.
        pool = client.get_executor(pure=False)
        try:
            yield Executor(pool, _Threads(client), lambda error: DEATHS * isinstance(error, KilledWorker), pack=dumps)
        except futures.CancelledError:
            raise WorkerError(
                f"workers or the scheduler of --dask {address} disappeared",
                remedy="Look at their logs, and run the same command again.",
            ) from None


def _check_cluster(client: Any, address: str) -> None:
    """Refuse a cluster whose workers lack ecgkit: they fail at each call without a word, and it waits forever.

    Raises:
        ConfigError: A worker lacks it.
    """
    found: dict[str, object] = client.run(find_spec, "ecgkit")
    without = [worker for worker, there in found.items() if there is None]
    if without:
        raise ConfigError(
            f"{len(without)} of {len(found)} workers of --dask {address} lack ecgkit",
            remedy=f"Install ecgkit where they run, such as on {without[0]}.",
        )


class _Threads:
    """Counts the threads of a cluster, and notes the workers that have left it.

    Dask itself replaces a worker that dies, and makes its call again, until too many have died at the same call.
    """

    def __init__(self, client: Any) -> None:
        self._client, self._known = client, set[str]()

    def __call__(self) -> int:
        threads: dict[str, int] = self._client.nthreads()
        _lost.append(len(self._known - threads.keys()))
        self._known = set(threads)
        return max(1, sum(threads.values()))


def _begin_worker(stop: Connection, warm_up: bytes) -> None:
    """Ignore Ctrl-C, and end when the parent says so or has ended. Otherwise a pool's workers would wait forever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def end_with_parent() -> None:
        connection.wait([stop, *([parent.sentinel] if parent else [])])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    if warm_up:
        with suppress(Exception):  # the calls meet the same error, and tell it
            _loaded(warm_up)()
