"""Several servers as one: each is loaded to its measured best, and one that dies leaves its work to the others.

Each server begins with a few requests in flight. While more in flight bring more answers per second, their number
grows; where they do not, it stays. A server that asks for a pause or times out gets half.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ecgkit.errors import EndpointError
from ecgkit.knowledge.endpoint.client import Endpoint, Notify, ServerGoneError

J = TypeVar("J")
FIRST = 4  # requests in flight at the start
GROWTH = 2.0
WORTH = 1.1  # a growth must bring this factor of answers per second to be kept


@dataclass
class Load:
    """How many requests a server gets at a time, found by trying.

    Args:
        most: Never more than this.
    """

    most: int
    limit: int = 0
    best: float = 0.0  # answers per second
    settled: bool = False
    _done: int = 0
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.limit = min(FIRST, self.most)

    def answered(self, *, full: bool) -> None:
        """Count an answer; after twice as many as are in flight, compare the rate with the best.

        Args:
            full: Whether as many requests as allowed were in flight. Otherwise the rate says nothing.
        """
        self._done += 1
        if self.settled or not full:
            return
        if self._done < 2 * self.limit:
            return
        now = time.monotonic()
        rate = self._done / max(now - self._began, 1e-9)
        if rate > self.best * WORTH:
            self.best = rate
            self.settled = self.limit >= self.most
            self.limit = min(self.most, int(self.limit * GROWTH))
        else:
            self.settled = True
            self.limit = max(1, int(self.limit / GROWTH))
        self._done, self._began = 0, now

    def slow_down(self) -> None:
        """Halve the load after a pause that was asked for, or a time-out."""
        self.limit, self.settled = max(1, self.limit // 2), True
        self._done, self._began = 0, time.monotonic()


class Servers:
    """Gives jobs to servers.

    Args:
        endpoints: Open servers.
        most: Most requests in flight per server.
        notify: Called with what a person should know.
    """

    def __init__(self, endpoints: Sequence[Endpoint], most: int, notify: Notify) -> None:
        self.endpoints = list(endpoints)
        self.loads = {id(endpoint): Load(most) for endpoint in endpoints}
        self.left_out: dict[str, str] = {}  # reason by URL
        self._notify = notify
        for endpoint in endpoints:
            endpoint.alone = len(endpoints) == 1

    async def work(self, jobs: Sequence[J], do: Callable[[Endpoint, J], Awaitable[None]]) -> None:
        """Do every job on some server.

        Args:
            jobs: The jobs, in the order in which they begin.
            do: Does one job on one server. A `ServerGoneError` brings the job back.

        Raises:
            EndpointError: The last server is gone, or a job failed for good.
        """
        queue = deque(jobs)
        lanes = {asyncio.create_task(self._lane(endpoint, queue, do)): endpoint for endpoint in self.endpoints}
        try:
            while lanes:
                finished, _ = await asyncio.wait(lanes, return_when=asyncio.FIRST_COMPLETED)
                for lane in finished:
                    endpoint = lanes.pop(lane)
                    self._close(endpoint, lane.exception())
                if queue and not lanes:  # what a dead server left, after the others had finished
                    lanes = {asyncio.create_task(self._lane(e, queue, do)): e for e in self.endpoints}
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)

    def _close(self, endpoint: Endpoint, error: BaseException | None) -> None:
        """Take a dead server out, if another one is left."""
        if error is None:
            return
        if not isinstance(error, ServerGoneError) or len(self.endpoints) == 1:
            raise error
        self.leave_out(endpoint, error)

    def leave_out(self, endpoint: Endpoint, error: EndpointError) -> None:
        """Go on without a server, and say so."""
        self.endpoints.remove(endpoint)
        self.left_out[endpoint.address.url] = error.found
        self.endpoints[0].alone = len(self.endpoints) == 1
        rest = ", ".join(other.address.shown for other in self.endpoints)
        self._notify(f"{error.found}. The work goes on with {rest}")

    async def _lane(self, endpoint: Endpoint, queue: deque[J], do: Callable[[Endpoint, J], Awaitable[None]]) -> None:
        """Keep one server loaded until the queue is empty."""
        load, running = self.loads[id(endpoint)], dict[asyncio.Task[None], J]()
        slowed = endpoint.slowed
        try:
            while queue or running:
                while queue and len(running) < load.limit:
                    job = queue.popleft()
                    running[asyncio.create_task(_awaited(do(endpoint, job)))] = job
                full = len(running) >= load.limit
                finished, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    if error := task.exception():
                        raise error
                    del running[task]
                    load.answered(full=full)
                if endpoint.slowed > slowed:
                    load.slow_down()
                    slowed = endpoint.slowed
        finally:
            queue.extendleft(running.values())
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def _awaited(work: Awaitable[None]) -> None:
    await work
