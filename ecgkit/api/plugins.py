"""``ecgkit.list_methods``, ``list_plugins``, ``check_plugin`` and ``new_plugin``: methods and plugins."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgkit import scaffold
from ecgkit.api.arguments import PathLike, path_or_none
from ecgkit.entries import MethodEntry, load_target
from ecgkit.plugins import Plugin, host
from ecgkit.progress import Progress, silent

if TYPE_CHECKING:
    from ecgkit.testing import CheckResult


@dataclass(frozen=True)
class MethodDetails:
    """A method family as it is registered.

    Args:
        name: Its name.
        summary: What it is, in one line.
        needs: What its training needs besides the signal.
        features: What its encoder gives.
        presets: Names of its presets.
        paper: Where it was published.
        distribution: The installed package that it comes from.
        error: Why its presets cannot be loaded; empty if they can.
        pretrains: Whether it has a pretraining; False for a method that only encodes.
    """

    name: str
    summary: str
    needs: tuple[str, ...]
    features: tuple[str, ...]
    presets: tuple[str, ...]
    paper: str
    distribution: str
    error: str = ""
    pretrains: bool = True


def list_methods() -> list[MethodDetails]:
    """Return all installed method families with their inputs, presets and papers."""
    return [_details(entry) for entry in host().entries(MethodEntry).values()]


def _details(entry: MethodEntry) -> MethodDetails:
    """Return a family's information; a broken family gets its error, so that the others are still listed."""
    presets, error = tuple[str, ...](), ""
    try:
        presets = tuple(load_target(entry.presets, f"presets of {entry.name!r}"))
    except Exception as problem:
        error = str(problem)
    features = ("pooled", *entry.features)
    distribution = host().owner(entry).distribution
    return MethodDetails(
        entry.name,
        entry.summary,
        tuple(entry.needs),
        features,
        presets,
        entry.paper,
        distribution,
        error,
        entry.pretrains,
    )


def list_plugins() -> list[Plugin]:
    """Return all plugins: distribution, registered entries, and the error of a plugin that cannot be loaded."""
    return list(host().plugins)


def check_plugin(
    name: str,
    *,
    preset: str = "",
    only: Sequence[str] = (),
    compiler: str = "aot_eager",
    progress: Progress = silent,
) -> "list[CheckResult]":
    """Check that a method behaves as training, probing and reports require.

    It runs on the CPU, on simulated ECGs.

    Args:
        name: Method, or plugin: then everything that it registers is checked.
        preset: Named set of sizes. By default ``tiny`` if the method has it.
        only: Names of the checks to run. By default all.
        compiler: For the check ``compile``: ``aot_eager`` traces, ``inductor`` generates code.
        progress: Called with stage, checks done and checks in all.

    Raises:
        PluginError: There is no such plugin, method or check.
    """
    from ecgkit import testing

    return testing.check_plugin(name, preset=preset, checks=only, compiler=compiler, watch=progress)


def new_plugin(name: str, *, out: PathLike | None = None) -> Path:
    """Write a package template for a new method. It can be installed and trained, and it passes its checks.

    Args:
        name: Name of the method: a Python identifier in lower case.
        out: Folder to make. By default ``ecgkit-NAME`` in the current folder.

    Returns:
        The folder.

    Raises:
        PluginError: The name is not valid, or taken.
        OutputError: The folder exists, or cannot be written.
    """
    return scaffold.new_plugin(name, path_or_none(out))
