"""The encoder that a probe judges: from a finished run, or with random weights as its baseline."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ecgkit.entries import MethodEntry
from ecgkit.methods import Encoder, Method
from ecgkit.signal.spec import SignalSpec
from ecgkit.training.run import WEIGHTS, open_run, read_metrics
from ecgkit.training.weights import file_sha256


@dataclass(frozen=True)
class Subject:
    """The encoder that is judged.

    Args:
        name: What the report calls it.
        entry: Its method family.
        preset: The preset its config started from.
        config: Its config.
        weights: ``pretrained``, ``random-init`` or ``scratch``.
        encoder: The encoder, on the CPU.
        checkpoint: Hash of its weights' file, or what they were drawn from.
        training: Its pretraining's metrics by epoch.
    """

    name: str
    entry: MethodEntry
    preset: str
    config: Any
    weights: str
    encoder: Encoder
    checkpoint: str
    training: tuple[dict[str, Any], ...] = ()

    @property
    def spec(self) -> SignalSpec:
        """The encoder's input."""
        spec: SignalSpec = self.config.signal
        return spec


def pretrained_subject(path: Path) -> Subject:
    """Return the encoder of a run folder.

    Raises:
        RunError: It is not a finished run.
    """
    run = open_run(path)
    checkpoint = file_sha256(path / WEIGHTS)
    training = tuple(read_metrics(path))
    name = path.resolve().name
    return Subject(name, run.entry, run.preset, run.config, "pretrained", run.encoder(), checkpoint, training)


def untrained_subject(entry: MethodEntry, preset: str, config: Any, *, weights: str, seed: int) -> Subject:
    """Return an encoder with random weights: ``random-init`` to be probed as it is, ``scratch`` to be trained."""
    torch.manual_seed(seed)
    method: Method = entry.load()(config)
    name = f"{entry.name}-{preset or 'custom'}-{weights}"
    return Subject(name, entry, preset, config, weights, method.encoder, f"random weights, seed {seed}")
