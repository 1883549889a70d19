"""Checkpoints: the complete state of a training, in open formats, so that a resumed training equals an unbroken one.

checkpoints/step-00001200/model.safetensors      weights and buffers by name
checkpoints/step-00001200/optimizer.safetensors  state of the optimisers by parameter, such as ``NAME/exp_avg``
checkpoints/step-00001200/rng.safetensors        torch's random state of every process, ``0/cpu``, ``0/cuda``
checkpoints/step-00001200/sums.safetensors       sums of the running epoch's losses, of every process
checkpoints/step-00001200/best.safetensors       the best weights so far, a copy of its own
checkpoints/step-00001200/state.json             position, metrics, lowest loss, and the hash of every file above

The state of the schedule and the order of the records follow from the position. bf16 needs no gradient scaler. A
checkpoint is written atomically. If one was damaged later, the checkpoint before it is used.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from ecgkit.atomic import atomic_file, atomic_folder
from ecgkit.errors import RunError
from ecgkit.training.unfinished import BEST, CHECKPOINTS
from ecgkit.training.weights import file_sha256, load_weights, save_tensors

STATE = "state.json"
TENSORS = ("model", "optimizer", "rng", "sums")


@dataclass
class Progress:
    """The position of a training.

    Args:
        epoch: The current epoch, counted from 0.
        index: Number of finished steps in this epoch.
        step: Number of finished steps in all epochs.
        metrics: The metrics of the finished epochs.
    """

    epoch: int = 0
    index: int = 0
    step: int = 0
    metrics: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read.

    Args:
        progress: The position of the training.
        processes: Number of processes that trained.
        tensors: Tensors by file and name; see the module.
    """

    progress: Progress
    processes: int
    tensors: Mapping[str, dict[str, Tensor]]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int) -> Path:
    """Write a checkpoint, and remove all but the last `keep` checkpoints.

    Args:
        folder: The unfinished run.
        checkpoint: The checkpoint.
        keep: Number of checkpoints to keep.
    """
    path = folder / CHECKPOINTS / f"step-{checkpoint.progress.step:08d}"
    for left in (folder / CHECKPOINTS).glob(".step-*"):
        shutil.rmtree(left)  # of a process that was killed
    with atomic_folder(path, "checkpoint") as staging:
        for name in TENSORS:
            save_tensors(staging / f"{name}.safetensors", checkpoint.tensors[name])
        if (folder / BEST).exists():
            shutil.copyfile(folder / BEST, staging / BEST)  # a link would share the damage of one with all
        files = {file.name: file_sha256(file) for file in sorted(staging.iterdir())}
        state = {"progress": asdict(checkpoint.progress), "processes": checkpoint.processes, "files": files}
        (staging / STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")
    for old in _paths(folder)[:-keep]:
        shutil.rmtree(old)
    return path


def latest_checkpoint(folder: Path, warn: Callable[[str], None]) -> Checkpoint | None:
    """Return the last undamaged checkpoint of an unfinished run, or None if none was written.

    Args:
        folder: The unfinished run.
        warn: Called with one line per damaged checkpoint that is skipped.

    Raises:
        RunError: All checkpoints are damaged.
    """
    paths = _paths(folder)
    damage = ""
    for path in reversed(paths):
        try:
            found = _read(path)
        except Exception as error:  # whatever a cut or flipped file makes the readers say
            damage = _line(error)
            warn(f"{path.name} is damaged ({damage}); the checkpoint before it is used")
        else:
            return found
    if paths:
        raise RunError(
            f"every checkpoint of {folder} is damaged ({damage})",
            remedy="Restore one from a backup, or start again with --overwrite.",
        )
    return None


def restore_best(folder: Path, step: int) -> None:
    """Restore the best weights of a checkpoint in the run, which may hold later ones."""
    kept = folder / CHECKPOINTS / f"step-{step:08d}" / BEST
    if not kept.exists():
        (folder / BEST).unlink(missing_ok=True)
    if kept.exists():
        with atomic_file(folder / BEST) as staging:
            shutil.copyfile(kept, staging)


def _read(path: Path) -> Checkpoint:
    state = json.loads((path / STATE).read_text(encoding="utf-8"))
    for name, expected in state["files"].items():
        if file_sha256(path / Path(name).name) != expected:
            raise ValueError(f"{name} is not what was written")
    tensors = {name: load_weights(path / f"{name}.safetensors") for name in TENSORS}
    state["progress"].pop("best", None)  # earlier checkpoints hold what the metrics tell
    return Checkpoint(Progress(**state["progress"]), int(state["processes"]), tensors)


def _paths(folder: Path) -> list[Path]:
    return sorted((folder / CHECKPOINTS).glob("step-*"))


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor on the CPU, gathered if it is sharded; all processes must call this."""
    tensor = tensor.detach()
    if isinstance(tensor, DTensor):
        tensor = tensor.full_tensor()
    return tensor.cpu()


def model_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return a module's weights and buffers by name, on the CPU and unsharded."""
    return {name: whole(value) for name, value in module.state_dict().items()}


def optimizer_tensors(module: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """Return the optimiser state of every parameter as ``NAME/KEY``, on the CPU and unsharded.

    Each parameter belongs to exactly one optimiser, so its name identifies its state for any number of optimisers.
    """
    return {
        f"{name}/{key}": whole(value)
        for name, parameter in module.named_parameters()
        for optimizer in optimizers
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)  # SGD keeps None where it has no momentum
    }


@torch.no_grad()
def load_model(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load weights and buffers into a module, sharded or not."""
    for name, value in module.state_dict().items():
        value.copy_(_like(tensors[name], value))


def load_optimizers(
    module: nn.Module, optimizers: Sequence[torch.optim.Optimizer], tensors: Mapping[str, Tensor]
) -> None:
    """Load the state of each parameter into its optimiser."""
    owner = {p: optimizer for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in module.named_parameters():
        keys = [key.rpartition("/")[2] for key in tensors if key.rpartition("/")[0] == name]
        if keys:
            state = {key: tensors[f"{name}/{key}"] for key in keys}
            owner[parameter].state[parameter] = {
                # Moments have the parameter's shape and are cut as it is; a count of steps is a scalar.
                key: _like(value, parameter) if value.shape == parameter.shape else value.to(parameter.device)
                for key, value in state.items()
            }


def _like(value: Tensor, target: Tensor) -> Tensor:
    value = value.to(target.device)
    if isinstance(target, DTensor):
        return distribute_tensor(value, target.device_mesh, target.placements)
    return value


def rng_tensors(device: torch.device) -> dict[str, Tensor]:
    """Return torch's random state in this process."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def load_rng(tensors: Mapping[str, Tensor], rank: int, device: torch.device) -> None:
    """Set torch's random state in this process."""
    torch.set_rng_state(tensors[f"{rank}/cpu"])
    if device.type == "cuda" and f"{rank}/cuda" in tensors:
        torch.cuda.set_rng_state(tensors[f"{rank}/cuda"], device)


def sums_of(checkpoint: Checkpoint, rank: int, processes: int) -> dict[str, Tensor]:
    """Return the loss sums of a process; if the number of processes changed, the first gets all, the others zeros."""
    sums = checkpoint.tensors["sums"]
    if checkpoint.processes == processes:
        return {name.partition("/")[2]: value for name, value in sums.items() if name.startswith(f"{rank}/")}
    total: dict[str, Tensor] = {}
    for key, value in sums.items():
        name = key.partition("/")[2]
        total[name] = total.get(name, torch.zeros_like(value)) + value * (rank == 0)
    return total
