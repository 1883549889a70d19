"""Renaming of published parameters: every tensor of a file must have a place, and none may be missing.

Each family lists rules from official names to its own. Tensors that a family knows and leaves out are named too, so a
file that holds anything else, or too little, is refused.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from ecgkit.errors import RunError

_PIECE = re.compile(r"(.+)#(\d+)")


@contextmanager
def sizes_of_file(expected: str) -> Iterator[None]:
    """Refuse a published file whose sizes make no config, such as a width that its heads do not divide.

    Args:
        expected: The file that was expected, in words.

    Raises:
        RunError: The block, which makes the config, raised an error.
    """
    try:
        yield
    except (ValueError, ZeroDivisionError) as error:
        raise RunError(f"the shapes in the file make no model ({error})", expected) from None


def renamed(
    state: Mapping[str, Tensor], rules: Mapping[str, str], left_out: Sequence[str] = (), *, of: str
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    r"""Rename the tensors of a published file.

    Args:
        state: Tensors by their official names.
        rules: Regular expression of a whole official name, and our name with its groups as ``\1``. Names that end in
            ``#0``, ``#1`` and so on are the pieces of one tensor, joined along the first axis. An official file may
            hold a tensor under several names: all must be equal.
        left_out: Regular expressions of official names that belong to the model but have no place in ours.
        of: Name of the model, for errors.

    Returns:
        The tensors by our names, and the official names left out.

    Raises:
        RunError: A name fits no rule, two tensors that must be equal differ, or a piece is missing.
    """
    found: dict[str, Tensor] = {}
    skipped, unknown = [], []
    for name, value in state.items():
        ours = _ours(name, rules)
        if ours is not None:
            if ours in found and not torch.equal(found[ours], value):
                raise RunError(f"{name} differs from its copy in the file", f"an official checkpoint of {of}")
            found[ours] = value
        elif any(re.fullmatch(pattern, name) for pattern in left_out):
            skipped.append(name)
        else:
            unknown.append(name)
    if unknown:
        raise RunError(
            f"{len(unknown)} of the file's {len(state)} tensors have no place in {of} (first: {unknown[0]!r:.90})",
            f"an official checkpoint of {of}",
        )
    return _joined(found, of), tuple(skipped)


def _ours(name: str, rules: Mapping[str, str]) -> str | None:
    for pattern, ours in rules.items():
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(ours)
    return None


def _joined(found: Mapping[str, Tensor], of: str) -> dict[str, Tensor]:
    pieces: dict[str, dict[int, Tensor]] = {}
    whole = {}
    for name, value in found.items():
        piece = _PIECE.fullmatch(name)
        if piece:
            pieces.setdefault(piece[1], {})[int(piece[2])] = value
        else:
            whole[name] = value
    for name in list(whole):  # no output depends on this counter of BatchNorm, and a file may lack it
        if name.endswith(".running_mean"):
            whole.setdefault(name.replace("running_mean", "num_batches_tracked"), torch.tensor(0))
    most = max((len(parts) for parts in pieces.values()), default=0)
    for name, parts in pieces.items():
        if len(parts) < most or len({part.shape[1:] for part in parts.values()}) > 1:
            raise RunError(f"the file holds {len(parts)} of {most} fitting pieces of {name}", f"a checkpoint of {of}")
        whole[name] = torch.cat([parts[i] for i in sorted(parts)])
    return whole


def size(state: Mapping[str, Tensor], name: str, axis: int = 0, *, of: str) -> int:
    """Return the size of a tensor along an axis.

    Raises:
        RunError: There is no such tensor, or it has no such axis.
    """
    if name not in state:
        raise RunError(f"the file holds nothing that becomes {name}", f"an official checkpoint of {of}")
    shape = state[name].shape
    if axis >= len(shape) or not shape[axis]:
        raise RunError(f"what becomes {name} has shape {tuple(shape)}", f"an official checkpoint of {of}")
    return shape[axis]


def count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Return the number of modules in a list of modules, such as ``encoder.blocks``: 1 + the highest index in use."""
    depth = len(prefix.split("."))
    found = [name.split(".")[depth] for name in state if name.startswith(f"{prefix}.")]
    return 1 + max((int(index) for index in found if index.isdigit()), default=-1)


def without_prefix(state: Mapping[str, Tensor], *prefixes: str) -> dict[str, Tensor]:
    """Return a state dict without a prefix that all of its names share; each prefix is tried once, in order."""
    kept = dict(state)
    for prefix in prefixes:
        if kept and all(name.startswith(prefix) for name in kept):
            kept = {name.removeprefix(prefix): value for name, value in kept.items()}
    return kept


def s4_reach(state: Mapping[str, Tensor], tables: str, depth: int, *, of: str) -> int:
    """Return the longest input of the S4 kernels of a file, which the length of their tables tells.

    Args:
        state: Tensors by their official names.
        tables: Official name of a table, with braces for the layer and for ``omega`` or ``z``.
        depth: Number of layers.
        of: Name of the model, for errors.

    Raises:
        RunError: A table is missing, or two tell different lengths.
    """
    names = [tables.format(layer, table) for layer in range(depth) for table in ("omega", "z")]
    lengths = {2 * (size(state, name, of=of) - 1) for name in names}
    if len(lengths) != 1:
        raise RunError(f"the file's kernels reach {sorted(lengths)} samples", "the same number in all layers")
    return lengths.pop()
