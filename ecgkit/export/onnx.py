"""Export of a trained encoder to an ONNX model: ``signal [B, L, T]`` in, features out, the contract in its metadata.

The model takes preprocessed input: the output of `ecgkit.arrays.encoder.TrainedEncoder.input`, already cropped,
filtered and scaled. Leads and length are fixed, but the batch size is free. Every model is run in onnxruntime before
the file is written. If its outputs differ from torch's, no file is written.
"""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import ecgkit
from ecgkit.arrays.encoder import TrainedEncoder
from ecgkit.atomic import atomic_file, check_suffix
from ecgkit.config import to_dict
from ecgkit.distribution import install_extra
from ecgkit.errors import LeadError, OutputError, RunError
from ecgkit.evaluation.features.extract import pooled_by_lead
from ecgkit.leads import lead_ids
from ecgkit.methods import Encoder

TOLERANCE = 1e-4
LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
MARK = "ecgkit.version"  # metadata key that marks a file exported by ecgkit
BEATS_PER_SECOND = 4  # more than any heart rate gives; a record's peaks are padded with -1
STEPS = (
    "fill gaps, resample to fs, take the window, crop at each of eval_starts, filter, normalize; mean of the outputs"
)


@dataclass(frozen=True)
class Exported:
    """Shapes and accuracy of an exported model.

    Args:
        inputs: Shape of each input, ``B`` for the batch.
        outputs: Shape of each output.
        difference: The largest difference from torch over all outputs and all tested batches.
        with_head: Whether it holds a fitted head, and so takes mV.
    """

    inputs: dict[str, list[str | int]]
    outputs: dict[str, list[str | int]]
    difference: float
    with_head: bool = False


def export_onnx(
    encoder: TrainedEncoder,
    file: Path,
    *,
    leads: Sequence[str] | None = None,
    details: Mapping[str, str] = {},
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Exported:
    """Write an encoder as an ONNX model.

    Args:
        encoder: An encoder from `ecgkit.load`, on the CPU.
        file: The ``.onnx`` file to write.
        leads: Leads of the model's input, a subset of the contract's leads; None for all.
        details: Further metadata.
        overwrite: Replace an earlier exported model. No other file is ever replaced.
        progress: Called with stage, units done and units in all.

    Raises:
        RunError: A library is missing, the encoder cannot be exported, or the outputs differ from torch's.
        LeadError: A lead is not in the contract.
        OutputError: `file` cannot be written.
    """
    need_libraries()
    check_suffix(file, ".onnx")
    check_free(file, overwrite=overwrite)
    spec = encoder.spec
    chosen = spec.leads if leads is None else tuple(lead for lead in spec.leads if lead in leads)
    if leads is not None and len(chosen) < len(leads):
        raise LeadError(f"leads {', '.join(leads)}", f"some of the model's {', '.join(spec.leads)}")
    model = _Traceable(encoder.encoder, chosen, list(encoder.features))
    examples = _examples(encoder, len(chosen))
    watch = progress or (lambda stage, done, total: None)
    with atomic_file(file) as staging:
        watch("graph", 0, 1)
        named = ["signal", *encoder.encoder.needs]
        export_graph(model, examples, staging, encoder.entry.name, named, model.fields)
        inputs, outputs = finish_graph(
            staging, {**_metadata(encoder, chosen, model.fields), **details}, encoder.entry.name
        )
        watch("graph", 1, 1)
        difference = _compare(model, examples, staging, watch)
        if not difference <= TOLERANCE:
            raise RunError(
                f"the ONNX model of {encoder.name} differs from torch by {difference:.2g}", f"at most {TOLERANCE:g}"
            )
    return Exported(inputs, outputs, difference)


class _Traceable(nn.Module):
    """An encoder with its leads fixed and its features as a tuple."""

    def __init__(self, encoder: Encoder, leads: Sequence[str], fields: list[str]) -> None:
        super().__init__()
        self.encoder = encoder
        self.fields = fields
        self.register_buffer("ids", torch.tensor(lead_ids(leads)), persistent=False)

    ids: Tensor

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the features for the signal and the encoder's other inputs, in the order of its `needs`."""
        signal, *rest = inputs
        features = self.encoder(signal, self.ids, None, **dict(zip(self.encoder.needs, rest, strict=True)))
        values = [getattr(features, name) for name in self.fields]
        if "per_lead" in self.fields and features.per_lead is None:
            values[self.fields.index("per_lead")] = pooled_by_lead(features)
        return tuple(values)


def _examples(encoder: TrainedEncoder, L: int) -> list[tuple[Tensor, ...]]:
    """Return noise inputs of three batch sizes from a fixed seed; the first is used for tracing."""
    generator = torch.Generator().manual_seed(0)
    return [_example(encoder, B, L, generator) for B in (3, 1, 4)]


def _example(encoder: TrainedEncoder, B: int, L: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    spec = encoder.spec
    inputs = [torch.randn(B, L, spec.samples, generator=generator)]
    for need in encoder.encoder.needs:
        if need == "beats":
            width = BEATS_PER_SECOND * round(np.ceil(spec.seconds))
            beats = torch.full((B, width), -1)
            for b in range(B):  # a beat every 0.6 to 1 s, none at all in the last record
                every = round(spec.fs * (0.6 + 0.1 * (b % 5)))
                peaks = torch.arange(every // 2, spec.samples, every)[: width if b < max(1, B - 1) else 0]
                beats[b, : len(peaks)] = peaks
            inputs.append(beats)
        elif need == "demographics":
            inputs.append(torch.stack([torch.linspace(30, 70, B), torch.arange(B) % 2], dim=1).float())
        else:
            raise RunError(
                f"the encoder reads {need}, which ONNX export does not support", remedy="Export to a hub folder: --hub."
            )
    return tuple(inputs)


def export_graph(
    model: nn.Module,
    examples: list[tuple[Tensor, ...]],
    file: Path,
    name: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> None:
    """Write a module, whose `forward` takes all inputs in one tuple, as an ONNX graph of any batch size.

    Raises:
        RunError: The module cannot be exported.
    """
    batch = torch.export.Dim("batch")
    # One description per input; forward takes all inputs in one tuple.
    shapes = (tuple({0: batch} for _ in examples[0]),)
    try:
        with _quiet():
            torch.onnx.export(
                model.eval(),
                examples[0],
                str(file),
                dynamo=True,
                dynamic_shapes=shapes,
                external_data=False,
                input_names=list(inputs),
                output_names=list(outputs),
                verbose=False,
            )
    except Exception as error:  # whatever a family's code does in a graph
        cause = (str(error.__cause__ or error).strip() or type(error).__name__).splitlines()[0][:160]
        is_complex = "complex" in str(error).lower()
        reason = "it computes with complex numbers, which the exporter does not know" if is_complex else cause
        raise RunError(
            f"{name} under this config cannot be exported to ONNX ({reason})",
            remedy="" if is_complex else "The encoder's graph must not depend on the values of tensors.",
        ) from error


def finish_graph(file: Path, metadata: dict[str, str], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the metadata into the model, and return the shapes of its inputs and outputs."""
    import onnx

    model = onnx.load(file)
    # The exporter stores the source location of every node, which contains paths of this machine.
    for part in (model.graph, *model.functions):
        for node in part.node:
            del node.metadata_props[:]
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, file)
    inputs, outputs = _shapes(model.graph.input), _shapes(model.graph.output)
    if any(shape[0] != "B" for shape in (*inputs.values(), *outputs.values())):
        raise RunError(
            f"the exported graph of {name} works for one batch size only",
            remedy="The encoder's code must not fix the batch size.",
        )
    return inputs, outputs


def _shapes(values: Any) -> dict[str, list[str | int]]:
    return {
        value.name: ["B" if axis.dim_param else axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in values
    }


def open_session(file: Path) -> Any:
    """Return an onnxruntime session of a model on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _compare(
    model: _Traceable, examples: list[tuple[Tensor, ...]], file: Path, watch: Callable[[str, int, int], None]
) -> float:
    """Return the largest difference between onnxruntime and torch; NaN or infinite if an output is."""
    session = open_session(file)
    names = [value.name for value in session.get_inputs()]
    worst = 0.0
    for tried, inputs in enumerate(examples):
        watch("batches compared", tried, len(examples))
        with torch.no_grad():
            expected = [value.numpy() for value in model(*inputs)]
        found = session.run(None, dict(zip(names, (value.numpy() for value in inputs), strict=True)))
        worst = max(worst, *(_distance(a, b) for a, b in zip(found, expected, strict=True)))
    return worst


def _distance(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max())


def _metadata(encoder: TrainedEncoder, leads: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    """Return the contract and the origin of the model as texts."""
    spec = encoder.spec
    return {
        MARK: ecgkit.__version__,
        "name": encoder.name,
        "method": encoder.entry.name,
        "paper": encoder.entry.paper,
        "fs": f"{spec.fs:g}",
        "samples": str(spec.samples),
        "unit": "mV",
        "leads": json.dumps(list(leads)),
        "normalize": spec.normalize,
        "filter": json.dumps(to_dict(spec)["filter"]),
        "eval_starts": json.dumps(list(spec.eval_starts)),
        "steps": STEPS,
        "contract": json.dumps(to_dict(spec)),
        "inputs": json.dumps(["signal", *encoder.encoder.needs]),
        "outputs": json.dumps(list(outputs)),
        "classes": json.dumps(list(encoder.classes)),
    }


def check_free(file: Path, *, overwrite: bool) -> None:
    """Refuse to replace any file but an earlier exported model, and that only if it may be replaced.

    Raises:
        OutputError: The file exists.
    """
    if not file.exists():
        return
    if not overwrite:
        raise OutputError(f"{file} exists", "", "Use another path, or replace it with --overwrite.")
    if not _is_ours(file):
        raise OutputError(
            f"{file} was not exported by ecgkit, so --overwrite does not replace it", remedy="Use another path."
        )


def _is_ours(file: Path) -> bool:
    import onnx

    try:
        model = onnx.load(file, load_external_data=False)
    except Exception:  # protobuf has errors of its own
        return False
    return any(entry.key == MARK for entry in model.metadata_props)


def need_libraries() -> None:
    """Refuse to go on without the libraries of ONNX.

    Raises:
        RunError: One is missing.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise RunError(f"ONNX export needs {', '.join(missing)}", remedy=install_extra("onnx"))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the log messages of the exporter."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
