"""Published weights become a run folder: renamed by the family's importer and checked against its model."""

from pathlib import Path

import torch

from ecgkit.atomic import atomic_folder, check_output
from ecgkit.entries import MethodEntry, load_target
from ecgkit.errors import RunError
from ecgkit.training.run import WEIGHTS, load_encoder, write_config
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
    check_output(out, "run", overwrite=overwrite)
    config, state = load_target(entry.importer, f"the importer of {entry.name}")(read_foreign_weights(file))
    load_encoder(entry, config, state, source=str(file))
    with atomic_folder(out, "run") as folder:
        save_tensors(folder / WEIGHTS, state)
        source = {"file": file.name, "sha256": file_sha256(file)}
        write_config(folder, entry, "", config, {"imported": source}, torch.device("cpu"))
    return sum(value.numel() for value in state.values())
