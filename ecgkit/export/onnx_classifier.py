"""Export of an encoder with its fitted head to one ONNX model: mV in, probabilities out.

``signal [B, L, W]`` is the whole window of the signal contract in mV at the contract's rate, without missing samples;
the L leads are those that the head was fitted with, in the contract's order. The model holds all further steps: crops,
filter, scaling, encoder, mean over the crops, head. ``output [B, C]`` equals `ecgkit.predict` without calibration.

A zero-phase filter of a fixed length is a linear map, also at its edges. The model holds it as a matrix ``[T, T]``.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import ecgkit
from ecgkit.arrays.records import Records
from ecgkit.arrays.views import view_of
from ecgkit.atomic import atomic_file, check_suffix
from ecgkit.config import to_dict
from ecgkit.errors import RunError
from ecgkit.evaluation.features.extract import extract, pooled_by_lead
from ecgkit.evaluation.heads.layers import Probabilities
from ecgkit.evaluation.heads.zero_shot import ClassScorer
from ecgkit.evaluation.probe.classifier import Classifier
from ecgkit.export.onnx import (
    MARK,
    TOLERANCE,
    Exported,
    check_free,
    export_graph,
    finish_graph,
    need_libraries,
    open_session,
)
from ecgkit.leads import lead_ids
from ecgkit.methods import Encoder, Features
from ecgkit.nn.crops import Scaling, filter_matrix
from ecgkit.progress import Progress, silent
from ecgkit.signal.spec import SignalSpec

STEPS = "take the window at fs in mV, without gaps; the model crops, filters, scales, encodes, averages and predicts"
BATCHES = (3, 1, 4)  # tested batch sizes; the first is used for tracing


class WholeModel(nn.Module):
    """All steps from mV to the output of a head.

    Args:
        encoder: The encoder.
        spec: Its signal contract.
        leads: The leads of the input, in the contract's order.
        head: The head as a module.
        reads: Names of the head's inputs.
    """

    ids: Tensor
    spread: Tensor

    window_filter: Tensor | None
    crop_filter: Tensor | None

    def __init__(
        self, encoder: Encoder, spec: SignalSpec, leads: tuple[str, ...], head: nn.Module, reads: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.encoder, self.head, self.reads = encoder, head, reads
        self.samples, self.offsets = spec.samples, spec.eval_offsets
        self.scaling = Scaling(spec.normalize)
        self.register_buffer("ids", torch.tensor(lead_ids(leads)), persistent=False)
        spread = torch.tensor([[float(lead == own) for own in leads] for lead in spec.leads])
        self.register_buffer("spread", spread, persistent=False)  # (axis, L)
        self.register_buffer("window_filter", filter_matrix(spec.window_filter, spec.fs, spec.window_samples))
        self.register_buffer("crop_filter", filter_matrix(spec.crop_filter, spec.fs, spec.samples))

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        """Return ``[B, C]`` from ``signal [B, L, W]`` in mV."""
        (signal,) = inputs
        if self.window_filter is not None:
            signal = signal @ self.window_filter
        crops = [self._crop(signal[..., start : start + self.samples]) for start in self.offsets]
        features = [self._fields(self.encoder(crop, self.ids, None), crop) for crop in crops]
        return (self.head(*(self._over_crops(name, features) for name in self.reads)),)

    def _crop(self, crop: Tensor) -> Tensor:
        return self.scaling(crop if self.crop_filter is None else crop @ self.crop_filter)

    def _fields(self, features: Features, crop: Tensor) -> Mapping[str, Tensor]:
        """Return what the head reads of the features of one crop, as `ecgkit.evaluation.features.extract` does."""
        found: dict[str, Tensor] = {}
        for name in self.reads:
            if name == "present":
                found[name] = (self.spread.sum(1) > 0).expand(crop.shape[0], -1)
            elif name == "per_lead":
                own = pooled_by_lead(features) if features.per_lead is None else features.per_lead
                assert own is not None, "the probe was made with these features"
                found[name] = self.spread @ own.float()
            elif name == "tokens":
                assert features.tokens is not None, "the probe was made with these features"
                found[name] = features.tokens.half().float()  # a probe keeps tokens in half precision
            elif name == "token_real":
                real = features.token_real
                tokens = features.tokens
                assert tokens is not None, "the probe was made with these features"
                found[name] = torch.ones_like(tokens[..., 0], dtype=torch.bool) if real is None else real
            else:
                found[name] = getattr(features, name).float()
        return found

    def _over_crops(self, name: str, features: list[Mapping[str, Tensor]]) -> Tensor:
        """Average a field over the crops; the tokens of all crops follow each other."""
        values = [fields[name] for fields in features]
        if name in ("tokens", "token_real"):
            return torch.cat(values, dim=1)
        return values[0] if name == "present" else torch.stack(values).mean(0)


def export_classifier(
    classifier: Classifier, file: Path, *, overwrite: bool = False, progress: Progress = silent
) -> Exported:
    """Write an encoder with its fitted head as an ONNX model, after comparing it with `ecgkit.predict`.

    Args:
        classifier: The classifier, on the CPU.
        file: The ``.onnx`` file to write.
        overwrite: Replace an earlier exported model. No other file is ever replaced.
        progress: Called with stage, units done and units in all.

    Raises:
        RunError: A library is missing, the encoder reads more than the signal, the head is not a module, or the model
            differs from `predict`.
        OutputError: `file` cannot be written.
    """
    need_libraries()
    check_suffix(file, ".onnx")
    check_free(file, overwrite=overwrite)
    kept, name = classifier.kept, classifier.kept.encoder.name
    if set(classifier.reader.needs) - {"signal"}:
        raise RunError(
            f"{name} reads {', '.join(classifier.reader.needs)} besides the signal",
            "an encoder of signals alone, for a model of encoder and head",
            "Export the encoder by itself: ecgkit export RUN --onnx FILE",
        )
    head, reads = _head(classifier)
    leads = kept.leads if kept.lead_set else kept.signal.leads
    model = WholeModel(classifier.reader, kept.signal, leads, head, reads).eval()
    examples = [_example(len(leads), kept.signal, size) for size in BATCHES]
    with atomic_file(file) as staging:
        progress("graph", 0, 1)
        export_graph(model, [(examples[0],)], staging, kept.encoder.method, ["signal"], ["output"])
        inputs, outputs = finish_graph(staging, _metadata(classifier, leads), kept.encoder.method)
        progress("graph", 1, 1)
        session = open_session(staging)
        worst = 0.0
        for tried, signal in enumerate(examples):
            progress("batches compared", tried, len(examples))
            (found,) = session.run(None, {"signal": signal.numpy()})
            worst = max(worst, _distance(found, _predicted(classifier, leads, signal)))
        if not worst <= TOLERANCE:
            raise RunError(f"the ONNX model of {name} differs from predict by {worst:.2g}", f"at most {TOLERANCE:g}")
    return Exported(inputs, outputs, worst, with_head=True)


def _head(classifier: Classifier) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the head as a module in float32 that gives what `predict` gives, and the names of its inputs.

    Raises:
        RunError: There is no such module.
    """
    kept = classifier.kept
    found = (classifier.head, ("pooled",)) if isinstance(classifier.head, nn.Module) else classifier.head.module()
    if found is None or isinstance(classifier.reader, ClassScorer):
        raise RunError(
            f"the head {kept.head} cannot be exported: {classifier.head.no_export}",
            remedy="Export the encoder alone: ecgkit export RUN" if kept.encoder.run else "Use 'ecgkit predict'.",
        )
    module, reads = found
    single = copy.deepcopy(module).float()
    return (Probabilities(single) if kept.kind == "classes" else single), reads


def _example(L: int, spec: SignalSpec, B: int) -> Tensor:
    """Return random walks of the size of an ECG, ``[B, L, W]`` in mV, from a fixed seed.

    They are whole microvolts, as a recording is: anything finer would be rounded on the way of `ecgkit.predict`.
    """
    rng = np.random.default_rng(B)
    walk = np.cumsum(rng.normal(0, 0.03, (B, L, spec.window_samples)), axis=-1)
    return torch.from_numpy((walk - walk.mean(-1, keepdims=True)).round(3).astype(np.float32))


def _predicted(classifier: Classifier, leads: tuple[str, ...], signal: Tensor) -> NDArray[np.float64]:
    """Return what `ecgkit.predict` gives for signals ``[B, L, W]`` at the contract's rate."""
    records = Records(signal.numpy(), classifier.kept.signal.fs, leads, single=False)
    view = classifier.given(view_of(records, classifier.kept.signal))
    return classifier.predict(extract(classifier.reader, view, np.arange(len(signal)), classifier.needs))


def _distance(found: NDArray[np.float32], expected: NDArray[np.float64]) -> float:
    """Return the largest difference; of numbers above 1 relative to them. Infinite if an output is not finite."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float((np.abs(found - expected) / np.maximum(1, np.abs(expected))).max())


def _metadata(classifier: Classifier, leads: tuple[str, ...]) -> dict[str, str]:
    kept = classifier.kept
    return {
        MARK: ecgkit.__version__,
        "name": kept.encoder.name,
        "method": kept.encoder.method,
        "task": kept.task,
        "head": kept.title,
        "fs": f"{kept.signal.fs:g}",
        "samples": str(kept.signal.window_samples),
        "unit": kept.unit,
        "leads": json.dumps(list(leads)),
        "steps": STEPS,
        "contract": json.dumps(to_dict(kept.signal)),
        "classes": json.dumps(list(kept.names)),
        "thresholds": json.dumps([output.threshold for output in kept.outputs]),
        "checkpoint_sha256": kept.encoder.checkpoint,
    }
