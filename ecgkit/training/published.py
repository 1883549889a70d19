"""Published weights become a run folder: renamed by the family's importer and checked against its model."""

from pathlib import Path
from pkgutil import resolve_name

from ecgkit.atomic import atomic_folder, check_output
from ecgkit.entries import MethodEntry
from ecgkit.errors import RunError
from ecgkit.training.run import CONFIG, WEIGHTS, load_encoder, write_config
from ecgkit.training.weights import file_sha256, read_foreign_weights, save_tensors


def import_published(entry: MethodEntry, file: Path, out: Path, *, overwrite: bool = False) -> int:
    """Make a run folder from published weights.

    Args:
        entry: The family; its `importer` knows the official names.
        file: The weights; see `read_foreign_weights`.
        out: The run folder.
        overwrite: Replace an existing run.

    Returns:
        The number of values imported.

    Raises:
        RunError: The family has no importer, or the file does not hold its weights.
    """
    if not entry.importer:
        raise RunError(f"{entry.name} has no importer", "a family whose published weights are known here")
    check_output(out, overwrite=overwrite, is_ours=CONFIG)
    config, state = resolve_name(entry.importer)(read_foreign_weights(file))
    load_encoder(entry, config, state, source=str(file))
    with atomic_folder(out) as folder:
        save_tensors(folder / WEIGHTS, state)
        source = {"file": file.name, "sha256": file_sha256(file)}
        write_config(folder, entry, "", config, {"imported": source})
    return sum(value.numel() for value in state.values())
