"""``ecgkit.export_encoder``: export a trained encoder to ONNX or to a model hub folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ecgkit.api.arguments import Leads, PathLike, chosen_leads
from ecgkit.arrays.encoder import load
from ecgkit.download.hub import check_push, local_folder, push_model
from ecgkit.errors import ConfigError
from ecgkit.evaluation.probe.classifier import open_classifier
from ecgkit.evaluation.results.row import ROW
from ecgkit.export.hub import HubModel, export_hub
from ecgkit.export.onnx import Exported, export_onnx
from ecgkit.export.onnx_classifier import export_classifier
from ecgkit.progress import Progress, silent
from ecgkit.training.run import WEIGHTS
from ecgkit.training.weights import file_sha256


@dataclass(frozen=True)
class ExportedEncoder:
    """The outputs of `export_encoder`.

    Args:
        onnx: Shapes of the ONNX model, or None if none was written.
        hub: Counts of the hub folder, or None if none was written.
        pushed: Address where the hub folder was sent; empty if it was not.
    """

    onnx: Exported | None
    hub: HubModel | None
    pushed: str = ""


def export_encoder(
    run: PathLike,
    *,
    onnx: PathLike | None = None,
    hub: PathLike | None = None,
    leads: Leads = "",
    whole: bool = False,
    results: Sequence[PathLike] = (),
    license: str = "",
    push: str = "",
    public: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> ExportedEncoder:
    """Export the encoder of a run to an ONNX model, to a folder for a model hub, or to both.

    The ONNX model takes preprocessed crops; its metadata describes the preprocessing. Its outputs are compared with
    torch before the file is written. `probe` and `load` can read the hub folder, which holds weights, config and card.

    A result of `probe` is exported with its fitted head: one ONNX model that takes mV at the model's rate, and gives
    what `predict` gives.

    Args:
        run: A finished run folder, or its address on a hub, or for ONNX the folder of a result.
        onnx: ONNX file to write.
        hub: Hub folder to write.
        leads: Leads of the ONNX model's input. By default all leads of the model.
        whole: Write the weights of the whole method into the hub folder, not only of the encoder.
        results: Result folders of probes for the card of the hub folder.
        license: Licence of the weights, such as ``cc-by-4.0``, for the card.
        push: Repository ``ORG/NAME`` of a Hugging Face hub to send the hub folder to. By default nothing is sent.
        public: With `push`, make a new repository public. By default it is private.
        overwrite: Replace an existing output.
        progress: Called with stage, units done and units in all.

    Raises:
        ConfigError: No output is named, or an option belongs to an output that is not named.
        RunError: `run` is not finished, a library is missing, or the ONNX model differs from torch.
        LeadError: The model does not have one of the leads.
        OutputError: An output exists, or cannot be written.
        DownloadError: The hub folder was written, and cannot be sent.
    """
    _check(onnx, hub, leads, of_hub=bool(whole or results or license or push))
    if public and not push:
        raise ConfigError("--public without --push", "", "Add --push ORG/NAME.")
    if push:
        check_push(push)
    written, folder = None, local_folder(run)
    if (folder / ROW).is_file():
        return ExportedEncoder(_export_result(folder, onnx, hub, leads, overwrite, progress), None)
    if onnx is not None:
        hashes = {"checkpoint_sha256": file_sha256(folder / WEIGHTS)} if (folder / WEIGHTS).is_file() else {}
        written = export_onnx(
            load(folder),
            Path(onnx),
            leads=chosen_leads(leads) or None,
            details=hashes,
            overwrite=overwrite,
            progress=progress,
        )
    if hub is None:
        return ExportedEncoder(written, None)
    rows = [Path(result) for result in results]
    model = export_hub(folder, Path(hub), whole=whole, results=rows, license=license, overwrite=overwrite)
    sent = push_model(Path(hub), push, public=public) if push else ""
    return ExportedEncoder(written, model, sent)


def _export_result(
    folder: Path, onnx: PathLike | None, hub: PathLike | None, leads: Leads, overwrite: bool, progress: Progress
) -> Exported:
    """Export a result, the encoder with its fitted head, to ONNX."""
    if hub is not None or onnx is None:
        raise ConfigError(f"--hub with the result {folder}", "a run", "A result is exported with --onnx alone.")
    if leads:
        raise ConfigError("--leads with a result", "", "Leave it out: the head was fitted with leads of its own.")
    return export_classifier(open_classifier(folder), Path(onnx), overwrite=overwrite, progress=progress)


def _check(onnx: PathLike | None, hub: PathLike | None, leads: Leads, *, of_hub: bool) -> None:
    """Refuse options that would have no effect."""
    if onnx is None and hub is None:
        raise ConfigError("no output is named", "", "Give --onnx FILE, --hub DIR or both.")
    if onnx is None and leads:
        raise ConfigError(
            "--leads without --onnx", "", "A hub folder holds a model of all its leads: leave out --leads."
        )
    if hub is None and of_hub:
        raise ConfigError("--whole, --results, --license or --push without --hub", "", "Add --hub DIR.")
