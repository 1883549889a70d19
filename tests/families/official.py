"""Checks that every importer of published weights must pass, with the official list of names and shapes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ecgkit.entries import MethodEntry
from ecgkit.errors import RunError
from ecgkit.methods import Method
from ecgkit.plugins import host
from ecgkit.training.run import load_encoder

Importer = Callable[[dict[str, Tensor]], tuple[Any, ...]]


def take(name: str, importer: Importer, state: dict[str, Tensor]) -> Method:
    """Import a state dict as ``ecgkit import-weights`` does, and return the whole method in evaluation mode."""
    config, ours, *_ = importer(state)
    method: Method = host().get(MethodEntry, name).load()(config)
    method.load_state_dict(ours)
    return method.eval()


def check_strict(name: str, importer: Importer, shapes: dict[str, list[int]], values: dict[str, Tensor]) -> Any:
    """Import zeros under the official names; then refuse a file with one tensor less, more, renamed or reshaped.

    Args:
        name: The method.
        importer: Its importer.
        shapes: The official names and shapes.
        values: Tensors that cannot be zeros, by official name.

    Returns:
        The config, and the names left out.
    """
    entry = host().get(MethodEntry, name)

    def imported(state: dict[str, Tensor]) -> tuple[Any, ...]:
        config, ours, *rest = importer(state)
        load_encoder(entry, config, ours, source="the file", exact=True)
        return config, *rest

    state = {key: torch.zeros(shape) for key, shape in shapes.items()} | values
    done = imported(state)
    left_out = done[1] if len(done) > 1 else ()
    named = [key for key in state if not key.endswith("num_batches_tracked") and key not in left_out]
    for key in (named[0], named[len(named) // 2], named[-1]):
        rest = {other: value for other, value in state.items() if other != key}
        with pytest.raises(RunError):
            imported(rest)
        with pytest.raises(RunError):
            imported({**rest, f"{key}x": state[key]})
        with pytest.raises(RunError):
            imported({**state, key: torch.zeros(1, 2, 3, 5, 7)})
    with pytest.raises(RunError, match="surplus"):
        imported({**state, "surplus": torch.zeros(1)})
    return done
