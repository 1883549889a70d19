"""Reading and writing of weights. Pickles are only read with an allow-list of types."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ecgkit.errors import RunError

FORMATS = ".safetensors, .npz, .pth, .pt or .ckpt"
SUFFIXES = (".npz", ".pth", ".pt", ".ckpt", ".bin")
CONTAINERS = ("model.state_dict", "model", "state_dict")


def save_weights(path: Path, module: nn.Module) -> None:
    """Write a module's parameters and buffers as safetensors."""
    save_tensors(path, module.state_dict())


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by name as safetensors."""
    # Not `save_file`: it makes the file readable by its owner alone, regardless of the umask.
    # Copied, for safetensors refuses tensors that share memory, as tied weights do.
    copies = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()
    }
    path.write_bytes(save(copies))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise RunError(f"{path} does not exist", "the weights of a run") from None
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path} cannot be read ({error})", "a safetensors file") from None


def read_foreign_weights(path: Path, containers: Sequence[str] = CONTAINERS) -> dict[str, Tensor]:
    """Read a state dict that another program wrote.

    A ``.pth`` file goes through torch's restricted reader, which builds tensors and plain containers from an
    allow-list and refuses everything else; it never runs code from the file.

    Args:
        path: A ``.safetensors``, ``.npz`` or ``.pth`` file.
        containers: Keys under which a ``.pth`` file may hold the dict, in the order in which they are tried. A dot
            leads into a dict within a dict.

    Raises:
        RunError: The file is missing, has another format, or holds anything but tensors and plain containers.
    """
    if not path.is_file():
        raise RunError(f"{path} does not exist", f"a file of weights ({FORMATS})")
    if path.suffix == ".safetensors":
        return load_weights(path)
    if path.suffix not in SUFFIXES:
        raise RunError(f"{path} has the suffix {path.suffix or '(none)'}", FORMATS)
    try:
        tensors = _read_arrays(path) if path.suffix == ".npz" else _read_pickle(path, containers)
    except Exception as error:  # a damaged archive makes zip, zlib, numpy and torch raise nearly anything
        cause = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise RunError(f"{path} cannot be read safely ({cause})", "a file of tensors only") from None
    if not tensors:
        raise RunError(f"{path} holds no tensors by name", "a state dict")
    return tensors


def _read_arrays(path: Path) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return {name: torch.from_numpy(array) for name, array in arrays.items() if array.dtype.kind in "fiu"}


def _read_pickle(path: Path, containers: Sequence[str]) -> dict[str, Tensor]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    for keys in containers:
        inner = _inside(content, keys.split("."))
        if inner is not None:
            content = inner
            break
    named = content.items() if isinstance(content, dict) else ()
    return {name: value for name, value in named if isinstance(name, str) and isinstance(value, Tensor)}


def _inside(content: Any, keys: Sequence[str]) -> dict[Any, Any] | None:
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content if isinstance(content, dict) else None
