"""A classifier: the encoder and the fitted head of a result, opened from its folder.

It reads records as the probe read them: the same contract, leads, crops and features give the same numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgkit.config import build
from ecgkit.entries import HeadEntry, MethodEntry, load_target
from ecgkit.errors import ResultsError, RunError
from ecgkit.evaluation.features.cache import weights_sha256
from ecgkit.evaluation.features.encoder import untrained_encoder
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.heads.end_to_end import layer_probabilities
from ecgkit.evaluation.heads.settings import build_head
from ecgkit.evaluation.probe.kept import MAKE_AGAIN, STATE, KeptEncoder, KeptHead, part_of, read_head
from ecgkit.evaluation.scores.calibrators import Calibration
from ecgkit.methods import Encoder, Method
from ecgkit.plugins import host
from ecgkit.store.views import View
from ecgkit.training.run import WEIGHTS, open_run, pick_device
from ecgkit.training.weights import file_sha256

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Classifier:
    """An encoder with a fitted head.

    Args:
        folder: Folder of the result.
        kept: What the folder says about the head.
        reader: The encoder that gives the features, on the device.
        head: The fitted head, or the linear layer of an encoder that was trained on the task.
        calibration: Calibration of the probabilities; None for a regression.
    """

    folder: Path
    kept: KeptHead
    reader: Encoder
    head: Any
    calibration: Calibration | None

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the features that `predict` reads."""
        return self.kept.needs

    @property
    def key(self) -> tuple[str, ...]:
        """What decides the features: classifiers of one key read the same features of a record."""
        encoder = self.kept.encoder
        own = encoder.sha256 or str(self.folder.resolve())
        return own, repr(self.kept.signal), ",".join(self.kept.leads)

    def given(self, view: View) -> View:
        """Return a view reduced to the leads that the encoder was given when the head was fitted.

        Raises:
            LeadError: The view's contract has none of them.
        """
        return view.only(self.kept.leads) if self.kept.lead_set else view

    def logits(self, features: RecordFeatures) -> Tensor | None:
        """Return log-odds ``[R, C]`` with their gradient, or numbers of a regression; see `Head.logits`."""
        if isinstance(self.head, nn.Module):
            found: Tensor = self.head(torch.as_tensor(features["pooled"]).to(next(self.head.parameters()).device))
            return found
        logits: Tensor | None = self.head.logits(features)
        return logits

    def predict(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return probabilities ``[R, C]``; of a regression, numbers in the units of the targets."""
        if isinstance(self.head, nn.Module):
            return layer_probabilities(self.head, features)
        found: NDArray[np.float64] = self.head.predict(features)
        return found


def open_classifier(folder: Path, *, run: Path | None = None, device: str = "cpu") -> Classifier:
    """Open the classifier of a result.

    Args:
        folder: Folder of the result.
        run: Run folder of the encoder, if it was moved; its weights must be those that the head was fitted on.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ResultsError: The folder keeps no head, or a damaged one.
        RunError: The encoder is gone, or its weights have changed.
        PluginError: The method family or the head is not installed.
    """
    kept, arrays = read_head(folder)
    place = pick_device(device)
    calibration = part_of(arrays, "calibration")
    try:
        reader, head = (_trained if kept.encoder.inside else _frozen)(folder, kept, arrays, run, place)
        fitted = Calibration.of(calibration) if calibration else None
    except (KeyError, RuntimeError, ValueError) as error:
        cause = str(error).strip().splitlines()[-1].strip()[:160]
        raise ResultsError(f"{folder / STATE} does not fit its settings ({cause})", "", MAKE_AGAIN) from None
    return Classifier(folder, kept, reader.to(place).eval(), head, fitted)


def _trained(
    folder: Path, kept: KeptHead, arrays: Arrays, run: Path | None, device: torch.device
) -> tuple[Encoder, Any]:
    """Return an encoder whose weights the result holds, and its head."""
    encoder = _built(kept.encoder)().encoder
    encoder.load_state_dict(_tensors(part_of(arrays, "encoder")))
    if kept.shapes:
        return encoder, _restored(kept, arrays, device)
    layer = nn.Linear(encoder.width, len(kept.outputs))
    layer.load_state_dict(_tensors(part_of(arrays, "head")))
    return encoder, layer.to(device)


def _frozen(
    folder: Path, kept: KeptHead, arrays: Arrays, run: Path | None, device: torch.device
) -> tuple[Encoder, Any]:
    """Return the encoder of a run or of a seed, and the fitted head."""
    head = _restored(kept, arrays, device)
    if not kept.encoder.run:
        return _drawn(folder, kept.encoder), head
    # The kept config may change the run's, as far as the weights stay the same.
    opened = replace(open_run(_run_folder(folder, kept.encoder, run)), config=_entry(kept.encoder)[1])
    if "method" in host().get(HeadEntry, kept.head).needs:
        return head.reader(opened.method(), None, kept.encoder.method), head
    return opened.encoder(), head


def _drawn(folder: Path, kept: KeptEncoder) -> Encoder:
    """Return an encoder with the random weights of a seed.

    Raises:
        RunError: This version of torch or of the family draws other weights.
    """
    entry, config = _entry(kept)
    with torch.random.fork_rng(devices=[]):
        drawn = untrained_encoder(entry, kept.preset, config, weights=kept.weights, seed=kept.seed or 0).loaded()
    if weights_sha256(drawn) != kept.sha256:
        raise RunError(
            f"the random weights of seed {kept.seed} are not those that {folder} was made with",
            "the versions of ecgkit and torch that its row.json names",
        )
    return drawn


def _run_folder(folder: Path, kept: KeptEncoder, named: Path | None) -> Path:
    """Return the run folder of the encoder, after comparing its weights with those that the head was fitted on."""
    path = named or folder.resolve() / kept.run
    if not (path / WEIGHTS).is_file():
        where = "has no run" if path.exists() else "does not exist"
        raise RunError(
            f"the encoder of {folder} is gone: {named or path.resolve()} {where}",
            remedy="Name its run folder with --run.",
        )
    found = file_sha256(path / WEIGHTS)
    if found != kept.checkpoint:
        raise RunError(
            f"the weights of {named or path.resolve()} are not those that {folder} was made with (SHA-256 {found[:12]} "
            f"instead of {kept.checkpoint[:12]})",
            remedy="Name the right run with --run, or make the result again with: ecgkit probe",
        )
    return path


def _restored(kept: KeptHead, arrays: Arrays, device: torch.device) -> Any:
    entry = host().get(HeadEntry, kept.head)
    config = None
    if entry.config:
        kind = load_target(entry.config, f"the settings of head {entry.name!r}")
        config = build(kind, kept.settings or {}, source=f"the settings of head {entry.name}")
    head = build_head(entry, 0, config, device=device, regression=kept.kind == "numbers")
    head.restore(part_of(arrays, "head"), _like(kept))
    return head


def _like(kept: KeptHead) -> Part:
    """Return a part without records, with the shapes of the training part."""
    fields = {name: np.empty((0, *shape), kept.dtypes[name]) for name, shape in kept.shapes.items()}
    leads = kept.signal.leads
    features = RecordFeatures(fields, leads, np.empty((0, len(leads)), bool))
    return Part(features, np.empty((0, len(kept.outputs)), np.int8 if kept.kind == "classes" else np.float64))


def _entry(kept: KeptEncoder) -> tuple[MethodEntry, Any]:
    entry = host().get(MethodEntry, kept.method)
    kind = load_target(entry.config, f"the config of {entry.name}")
    return entry, build(kind, kept.config, source=f"the config of {kept.name}")


def _built(kept: KeptEncoder) -> Callable[[], Method]:
    entry, config = _entry(kept)
    return lambda: entry.load()(config)


def _tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.asarray(value)) for name, value in arrays.items()}
