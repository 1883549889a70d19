"""``ecgkit.import_weights``: make a run from published weights."""

from pathlib import Path

from ecgkit.api.arguments import PathLike, Settings, assignments
from ecgkit.atomic import check_output
from ecgkit.entries import MethodEntry
from ecgkit.plugins import host
from ecgkit.training.hub import fetch_weights
from ecgkit.training.published import Imported, import_published


def import_weights(
    file: PathLike,
    *,
    method: str,
    out: PathLike,
    source: str = "",
    settings: Settings = (),
    overwrite: bool = False,
) -> Imported:
    """Make a run folder from published weights with their official parameter names.

    Args:
        file: File of published weights: ``.pth``, ``.safetensors`` or ``.npz``.
        method: Method family that the weights belong to.
        out: Run folder to write.
        source: Place on a model hub from which to fetch the file, as ``hf://ORGANISATION/NAME``; `file` is then its
            name there. Empty for a local file.
        settings: Changes of the settings that no weight depends on, such as ``signal.window=30``.
        overwrite: Replace an existing run.

    Returns:
        The number of values and tensors taken, the names of tensors left out, and the cards of the weights.

    Raises:
        PluginError: There is no such method.
        RunError: The method has no importer, or the file does not hold its weights.
        ConfigError: `source` has another form, a setting is wrong, or the library of the hub is not installed.
        DownloadError: The file cannot be fetched, or is damaged.
        OutputError: `out` exists, or cannot be written.
    """
    entry, folder, changes = host().get(MethodEntry, method), Path(out), assignments(settings)
    if not source:
        return import_published(entry, Path(file), folder, settings=changes, overwrite=overwrite)
    check_output(folder, "run", overwrite=overwrite)
    fetched = fetch_weights(source, str(file))
    return import_published(entry, fetched.file, folder, settings=changes, overwrite=overwrite, fetched=fetched.facts)
