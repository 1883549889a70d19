"""Import of published weights into a run folder: the family's importer renames them, and its model checks them."""

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
    """The outcome of an import.

    Args:
        values: Number of imported values.
        left_out: Names of parameters that do not belong to a run, such as those of a task's classifier.
    """

    values: int
    left_out: tuple[str, ...]


def import_published(entry: MethodEntry, file: Path, out: Path, *, overwrite: bool = False) -> Imported:
    """Make a run folder from published weights.

    Args:
        entry: The method family; its `importer` maps the official names.
        file: File of the weights; see `read_foreign_weights`.
        out: The run folder.
        overwrite: Replace an existing run.

    Returns:
        The number of imported values, and the parameters left out.

    Raises:
        RunError: The family has no importer, or the file does not hold its weights.
    """
    if not entry.importer:
        raise RunError(
            f"method {entry.name} has no importer of published weights", remedy="Import weights of another method."
        )
    check_output(out, "run", overwrite=overwrite)
    importer = load_target(entry.importer, f"the importer of {entry.name}")
    config, state, *rest = importer(read_foreign_weights(file, entry.containers))
    left_out = tuple(rest[0]) if rest else ()
    load_encoder(entry, config, state, source=str(file))
    with atomic_folder(out, "run") as folder:
        save_tensors(folder / WEIGHTS, state)
        source = {"file": file.name, "sha256": file_sha256(file), "left_out": list(left_out)}
        write_config(folder, entry, "", config, {"imported": source}, torch.device("cpu"))
    return Imported(sum(value.numel() for value in state.values()), left_out)
