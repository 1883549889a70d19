"""The plugin host: it finds plugins, isolates broken ones, and answers which entries are registered.

Plugins are modules named in the entry-point group ``ecgkit``. Each plugin is loaded on its own. A plugin that fails to
import, implements a hook wrongly, or repeats a name is left out completely and listed with its error; all others still
work. ``ECGKIT_PLUGINS=a,b`` loads only these entry points; if it is set but empty, no plugin is loaded.
"""

import functools
import importlib
import os
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, TypeVar, get_type_hints

import pluggy

from ecgkit import __version__, hookspecs
from ecgkit.distribution import DISTRIBUTION
from ecgkit.entries import Entry, loading
from ecgkit.errors import PluginError, did_you_mean

GROUP = "ecgkit"
RESTRICT = "ECGKIT_PLUGINS"
# Modules of ecgkit that register its own entries, through the same hooks as plugins.
BUILTIN = {
    "core-augmentations": "ecgkit.signal.augment",
    "core-archives": "ecgkit.archives",
    "core-datasets": "ecgkit.datasets",
    "core-text": "ecgkit.text",
    "core-tasks": "ecgkit.tasks",
    "core-detectors": "ecgkit.beats",
    "core-knowledge": "ecgkit.knowledge",
    "core-supplies": "ecgkit.training",
    "core-loggers": "ecgkit.training.loggers",
    "core-heads": "ecgkit.evaluation.heads",
    "core-protocols": "ecgkit.evaluation.protocols",
    "core-report": "ecgkit.reporting.sections",
    "core-commands": "ecgkit.cli.commands",
}

E = TypeVar("E", bound=Entry)


def _entry_types() -> dict[str, type[Entry]]:
    """Return the entry class of each hook, read from the hook's annotation."""
    specs = {name: f for name, f in vars(hookspecs).items() if name.startswith("register_")}
    return {name: get_type_hints(f)["register"].__args__[0] for name, f in specs.items()}


@dataclass
class Plugin:
    """One plugin: where it comes from, what it registers, and the error if it was left out."""

    name: str
    distribution: str = ""
    version: str = ""
    registers: dict[str, list[str]] = field(default_factory=dict)
    error: str = ""


class Host:
    """The loaded plugins and the entries that they registered.

    Args:
        restrict: Names of the entry points to load; None loads all.
    """

    def __init__(self, restrict: set[str] | None = None) -> None:
        self.plugins: list[Plugin] = []
        self._entries: dict[str, dict[str, Entry]] = {}  # kind -> name -> entry
        self._owner: dict[tuple[str, str], Plugin] = {}
        self._types = _entry_types()
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(hookspecs)
        for name, module in BUILTIN.items():
            self._add(Plugin(name, DISTRIBUTION, __version__), functools.partial(importlib.import_module, module))
        self._discover(restrict)

    def _discover(self, restrict: set[str] | None) -> None:
        # Plugins that ecgkit ships come first, so that no other plugin can take the name of their families.
        found = sorted(entry_points(group=GROUP), key=lambda e: (e.dist is None or e.dist.name != DISTRIBUTION, e.name))
        for point in found:
            if restrict is None or point.name in restrict:
                dist = point.dist
                self._add(Plugin(point.name, dist.name if dist else "", dist.version if dist else ""), point.load)
        for name in sorted((restrict or set()) - {e.name for e in found} - BUILTIN.keys()):
            self.plugins.append(Plugin(name, error=f"named in {RESTRICT} but not installed"))

    def _add(self, plugin: Plugin, load: Any) -> None:
        """Load one plugin. Any failure affects only that plugin."""
        self.plugins.append(plugin)
        module = None
        try:
            with loading():
                module = load()
                self._manager.register(module, name=plugin.name)
                staged = self._collect(module)
        except PluginError as error:
            plugin.error = str(error)
            if module is not None and self._manager.is_registered(module):
                self._manager.unregister(module)
            return
        for entry in staged:
            self._entries.setdefault(entry.kind, {})[entry.name] = entry
            self._owner[entry.kind, entry.name] = plugin
            plugin.registers.setdefault(entry.kind, []).append(entry.name)

    def _collect(self, module: ModuleType) -> list[Entry]:
        """Call the plugin's own hooks, and return its entries if none of them clashes with another."""
        callers = self._manager.get_hookcallers(module) or []
        unknown = [c.name for c in callers if c.name not in self._types]
        if unknown:
            raise PluginError(f"unknown hook {unknown[0]}", "one of " + ", ".join(self._types))
        others = [p for p in self._manager.get_plugins() if p is not module]
        staged: list[Entry] = []
        for caller in callers:
            only_this = self._manager.subset_hook_caller(caller.name, remove_plugins=others)
            only_this(register=functools.partial(self._stage, staged, caller.name, self._types[caller.name]))
        return staged

    def _stage(self, staged: list[Entry], hook: str, expected: type[Entry], entry: Entry) -> None:
        if not isinstance(entry, expected):
            raise PluginError(f"{hook} was given a {type(entry).__name__}", f"a {expected.__name__}")
        entry.check()
        owner = self._owner.get((entry.kind, entry.name))
        if owner or entry.name in [s.name for s in staged if s.kind == entry.kind]:
            raise PluginError(f"{entry.kind} {entry.name!r} is registered already, by {owner.name if owner else hook}")
        staged.append(entry)

    def entries(self, kind: type[E]) -> dict[str, E]:
        """Return all entries of a kind by name, in the order in which they were registered."""
        return dict(self._entries.get(kind.kind, {}))  # type: ignore[arg-type]

    def get(self, kind: type[E], name: str) -> E:
        """Return one entry.

        Raises:
            PluginError: No entry has this name. The message gives the nearest name, and the plugins that were left out.
        """
        entries = self.entries(kind)
        if name in entries:
            return entries[name]
        hint = did_you_mean(name, entries)
        broken = [p.name for p in self.plugins if p.error]
        if broken:
            hint += f" Not loaded: {', '.join(broken)}; see 'ecgkit plugins list'."
        known = ", ".join(sorted(entries)) or "none, for none is installed"
        raise PluginError(f"no {kind.kind} {name!r}", f"one of {known}", hint)

    def owner(self, entry: Entry) -> Plugin:
        """Return the plugin that registered `entry`."""
        return self._owner[entry.kind, entry.name]


@functools.cache
def host() -> Host:
    """Return the plugin host of this process, which is made from the installed entry points on first use."""
    names = os.environ.get(RESTRICT)
    return Host(None if names is None else {n.strip() for n in names.split(",") if n.strip()})
