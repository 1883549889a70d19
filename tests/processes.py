"""Several processes in one test, joined as a launcher would join them.

They come from a server that has imported torch and nothing else has happened in, which is quick and safe to fork.
"""

import faulthandler
import multiprocessing
import os
import socket
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from tests.conftest import PROJECT


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_in_processes(
    n: int, work: Callable[..., Any], *arguments: Any, killed: bool = False, timeout: float = 60.0
) -> list[Any]:
    """Run ``work(rank, *arguments)`` in n processes and return what each gives.

    Args:
        n: How many.
        work: A function of a module.
        arguments: For it, after the rank.
        killed: They are to die instead.
        timeout: Seconds for each.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "torch.distributed.fsdp", "ecgkit.training.loop"])
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(n)}
    pipes = [context.Pipe(duplex=False) for _ in range(n)]
    processes = [
        context.Process(target=_run, args=(rank, address, work, arguments, sender))
        for rank, (_, sender) in enumerate(pipes)
    ]
    # Children import the tests' modules by name; they stand last, so that ecgkit is the installed one.
    sys.path.append(str(PROJECT))
    try:
        for process in processes:
            process.start()
    finally:
        sys.path.remove(str(PROJECT))
    for _, sender in pipes:
        sender.close()
    results = [_received(receiver, timeout) for receiver, _ in pipes]
    for process in processes:
        process.join(5)
        process.kill()
        process.join()
    if killed:
        assert {process.exitcode for process in processes} != {0}
        return results
    for rank, result in enumerate(results):
        assert result is not None, f"process {rank} died"
        assert not isinstance(result, str), f"process {rank}:\n{result}"
    return [result[0] for result in results]


def _received(receiver: Connection, timeout: float) -> Any:
    try:
        return receiver.recv() if receiver.poll(timeout) else None
    except EOFError:
        return None


def _run(rank: int, address: dict[str, str], work: Callable[..., Any], arguments: Any, sender: Connection) -> None:
    faulthandler.dump_traceback_later(50, exit=False)
    torch.set_num_threads(1)
    os.environ.update(address, RANK=str(rank), LOCAL_RANK=str(rank))
    try:
        sender.send((work(rank, *arguments),))
    except BaseException:
        sender.send(traceback.format_exc())
        raise
