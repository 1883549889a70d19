"""Mean losses and speed of a training."""

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ecgkit.methods import Batch
from ecgkit.training.cost import Cost
from ecgkit.training.processes import Processes

COUNT = "records"  # under this name `Means` counts


class Means:
    """Means of named scalars over records. Sums stay on the device until they are read, and can be saved."""

    def __init__(self, sums: Mapping[str, Tensor] | None = None) -> None:
        self._sums = dict(sums or {})

    def add(self, values: Mapping[str, Tensor], records: int) -> None:
        """Add scalars that are means over a number of records."""
        for name, value in {**values, COUNT: torch.ones(())}.items():
            old = self._sums.get(name)
            new = value.detach().double() * records
            self._sums[name] = new if old is None else old.to(new.device) + new

    def sums(self) -> dict[str, Tensor]:
        """Return the sums on the CPU."""
        return {name: total.cpu() for name, total in self._sums.items()}

    def means(self, processes: Processes) -> dict[str, float]:
        """Return the means over the records of all processes."""
        totals = processes.total(self.sums())
        count = float(totals.pop(COUNT, torch.zeros(())))
        return {name: float(total) / max(1.0, count) for name, total in totals.items()}


class Stopwatch:
    """Measures the time of steps and of waiting for data, from `start` on."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start the measurement."""
        self.records, self._waited, self._began = 0, 0.0, time.perf_counter()

    def waiting(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield batches, and measure the waiting time for each."""
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            self._waited += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    @property
    def seconds(self) -> float:
        """Seconds since `start`."""
        return max(time.perf_counter() - self._began, 1e-9)

    def rates(self, cost: Cost, processes: int, peak: float) -> dict[str, Any]:
        """Return records and tokens per second, the fraction of time spent waiting for data, MFU and peak memory."""
        rate = self.records / self.seconds
        return {
            "records_per_second": round(rate, 1),
            "tokens_per_second": None if cost.tokens is None else round(rate * cost.tokens),
            "data_wait": round(self._waited / self.seconds, 4),
            "mfu": round(rate * cost.flops / (peak * processes), 4),
            "peak_memory_gib": round(peak_memory() / 2**30, 3),
        }


# What differs between two runs that are otherwise the same.
TIMING = (
    "records_per_second",
    "tokens_per_second",
    "data_wait",
    "mfu",
    "peak_memory_gib",
    "seconds",
)


def peak_memory() -> float:
    """Return the peak memory of this process in bytes: of its GPU if it uses one, otherwise of the machine."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return float(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1.0 if sys.platform == "darwin" else 1024.0)
