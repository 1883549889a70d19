"""Published weights become a run folder: renamed by the family's importer and checked against its model."""

from dataclasses import dataclass
from pathlib import Path

import torch

from ecgkit.atomic import atomic_folder, check_output
from ecgkit.entries import MethodEntry, load_target
from ecgkit.errors import RunError
from ecgkit.training.run import WEIGHTS, load_encoder, write_config
from ecgkit.training.weights import file_sha256, read_foreign_weights, save_tensors


@dataclass(frozen=True)
class Imported:
    """What an import took from a file.

    Args:
        values: How many numbers.
        left_out: Names of parameters that are no part of a run, such as those of a task's classifier.
    """

    values: int
    left_out: tuple[str, ...]


def import_published(entry: MethodEntry, file: Path, out: Path, *, overwrite: bool = False) -> Imported:
    """Make a run folder from published weights.

    Args:
        entry: The family; its `importer` knows the official names.
        file: The weights; see `read_foreign_weights`.
        out: The run folder.
        overwrite: Replace an existing run.

    Returns:
        What was taken, and what was left out.

    Raises:
        RunError: The family has no importer, or the file does not hold its weights.
    """
    if not entry.importer:
        raise RunError(f"{entry.name} has no importer", "a family whose published weights are known here")
    check_output(out, "run", overwrite=overwrite)
    importer = load_target(entry.importer, f"the importer of {entry.name}")
    config, state, *rest = importer(read_foreign_weights(file))
    left_out = tuple(rest[0]) if rest else ()
    load_encoder(entry, config, state, source=str(file))
    with atomic_folder(out, "run") as folder:
        save_tensors(folder / WEIGHTS, state)
        source = {"file": file.name, "sha256": file_sha256(file), "left_out": list(left_out)}
        write_config(folder, entry, "", config, {"imported": source}, torch.device("cpu"))
    return Imported(sum(value.numel() for value in state.values()), left_out)
