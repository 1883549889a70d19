"""Where encoders run over many records: which processes of which machine, and on which devices."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch

from ecgkit.errors import ConfigError
from ecgkit.executor import Executor, open_executor
from ecgkit.training.run import pick_device


@dataclass(frozen=True)
class Workers:
    """Where the work runs.

    Args:
        count: Number of processes.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        gpus: Number of GPUs to share the work between, each with a process of its own; 0 for `device` alone.
        dask: Address of a Dask scheduler to use instead of processes of this machine; empty for none. `device` then
            means a device of each of its workers.
    """

    count: int = 1
    device: str = "auto"
    gpus: int = 0
    dask: str = ""

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices, which the parts take in turn; see `check` for errors."""
        if self.dask:
            return (self.device,)  # each worker looks what it has
        names = tuple(f"cuda:{n}" for n in range(self.gpus)) or (self.device,)
        return tuple(str(pick_device(name)) for name in names)

    def check(self) -> None:
        """Refuse values that contradict each other, and devices that do not exist.

        Raises:
            RunError: A device does not exist.
            ConfigError: The values contradict each other.
        """
        if self.count < 1:
            raise ConfigError(f"--workers {self.count} must be at least 1")
        for name, number in (("--workers", self.count * (self.count > 1)), ("--gpus", self.gpus)):
            if self.dask and number:
                raise ConfigError(f"{name} {number} together with --dask {self.dask}", remedy="Give only one.")
        if self.gpus and self.device != "auto":
            raise ConfigError(f"--gpus {self.gpus} together with --device {self.device}", remedy="Give only one.")
        _ = self.devices

    @property
    def several(self) -> bool:
        """Whether the work leaves this process."""
        return bool(self.dask) or max(self.count, self.gpus) > 1

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """Yield the executor. Several processes share the processor's cores between them."""
        count = max(self.count, self.gpus)
        threads = partial(torch.set_num_threads, max(1, torch.get_num_threads() // count))
        with open_executor(count, self.dask, warm_up=threads) as executor:
            yield executor
