"""The encoder that a probe judges: from a finished run, or with random weights as its baseline."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from ecgkit.entries import MethodEntry
from ecgkit.errors import RunError
from ecgkit.methods import Encoder, Method
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.identity import qualified
from ecgkit.training.run import WEIGHTS, open_run, read_metrics, seen_records
from ecgkit.training.selection import describe_selection
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
        selection: How its weights were chosen from its pretraining, in words; empty where there was none.
        training: Its pretraining's metrics by epoch.
        seen: Hashes of the waveforms that its pretraining trained or chose on.
        seen_patients: Patients of those records, as ``DATASET:ID``.
        method: Loads the whole method, for a head that needs more than the encoder; None without a run.
    """

    name: str
    entry: MethodEntry
    preset: str
    config: Any
    weights: str
    encoder: Encoder
    checkpoint: str
    selection: str = ""
    training: tuple[dict[str, Any], ...] = ()
    seen: frozenset[str] = frozenset()
    seen_patients: frozenset[str] = frozenset()
    method: Callable[[], Method] | None = None

    @property
    def spec(self) -> SignalSpec:
        """The encoder's input."""
        spec: SignalSpec = self.config.signal
        return spec

    def load_method(self) -> Method:
        """Return the whole method, for a head that needs more than the encoder.

        Raises:
            RunError: There is only an encoder.
        """
        if self.method is None:
            raise RunError(
                f"{self.name} is an encoder alone", "a pretrained run, for this head needs the whole method",
                "Name a run folder: ecgkit probe RUN --data STORE --task TASK",
            )  # fmt: skip
        return self.method()


def pretrained_subject(path: Path) -> Subject:
    """Return the encoder of a run folder.

    Raises:
        RunError: It is not a finished run.
    """
    run = open_run(path)
    checkpoint = file_sha256(path / WEIGHTS)
    metrics, seen = read_metrics(path), seen_records(path)
    patients = [
        qualified(str(dataset), of_one["patient_id"].dropna())
        for dataset, of_one in seen.groupby("dataset", sort=False)
    ]
    return Subject(
        name=path.resolve().name,
        entry=run.entry,
        preset=run.preset,
        config=run.config,
        weights="pretrained",
        encoder=run.encoder(),
        checkpoint=checkpoint,
        selection=describe_selection(metrics, run.config.recipe),
        training=tuple(metrics),
        seen=frozenset(seen["sha256"]),
        seen_patients=frozenset(chain.from_iterable(patients)),
        method=run.method,
    )


def untrained_subject(entry: MethodEntry, preset: str, config: Any, *, weights: str, seed: int) -> Subject:
    """Return an encoder with random weights: ``random-init`` to be probed as it is, ``scratch`` to be trained."""
    torch.manual_seed(seed)
    method: Method = entry.load()(config)
    name = f"{entry.name}-{preset}-{weights}"
    return Subject(name, entry, preset, config, weights, method.encoder, f"random weights, seed {seed}")
