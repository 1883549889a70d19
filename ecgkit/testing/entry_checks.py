"""Checks of a family's entry: it can be listed without importing torch, and its configs survive YAML."""

import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ecgkit.config import build, read_yaml, to_dict, write_yaml
from ecgkit.entries import load_target
from ecgkit.errors import ConfigError
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec
from ecgkit.testing.case import Case
from ecgkit.testing.result import CheckFailed
from ecgkit.training.supply import supply_entries

HEAVY = ("torch", "zarr", "sklearn", "pandas", "numba")
LISTING = """
import json, sys
from ecgkit.entries import MethodEntry, load_target
from ecgkit.plugins import host

name, *targets = json.loads(sys.argv[1])
host()
for target in targets:
    load_target(target, name)
print("HEAVY", json.dumps([module for module in {heavy} if module in sys.modules]))
"""


def check_loads(case: Case) -> None:
    """The plugin, its config and its presets can be listed without importing torch, and the model loads."""
    entry = case.entry
    known = ("signal", *supply_entries())
    unknown = [need for need in entry.needs if need not in known]
    if unknown:
        raise CheckFailed(f"needs {', '.join(unknown)}", f"some of {', '.join(known)}", "Mend the MethodEntry.")
    asked = json.dumps([f"method {entry.name!r}", entry.config, entry.presets])
    # The parent's path, for a plugin may lie in the current folder.
    code = f"import sys; sys.path[:] = {sys.path!r}\n" + LISTING.format(heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code, asked], capture_output=True, text=True, check=False)
    if done.returncode:
        line = (done.stderr.strip().splitlines() or [""])[-1]
        raise CheckFailed(f"listing {entry.name} fails: {line}", "an entry, a config and presets that load")
    heavy = json.loads(done.stdout.rpartition("HEAVY")[2])
    if heavy:
        raise CheckFailed(
            f"listing {entry.name} imports {', '.join(heavy)}",
            "no heavy library",
            f"Keep it out of the modules of the plugin and of {entry.config}, or import it inside a function.",
        )
    entry.load()


def check_config(case: Case) -> None:
    """Every preset is a frozen dataclass with an input and a recipe, and is unchanged by a round trip through YAML."""
    kind: Any = load_target(case.entry.config, f"the config of {case.entry.name}")
    if not (dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen):  # type: ignore[union-attr]
        raise CheckFailed(f"{case.entry.config} is no frozen dataclass", "@dataclass(frozen=True)")
    _check_presets(case, kind)


def _check_presets(case: Case, kind: Any) -> None:
    if not case.presets:
        raise CheckFailed(f"{case.entry.presets} is empty", "at least one preset; the first is the default")
    for name, config in case.presets.items():
        if not isinstance(config, kind):
            raise CheckFailed(f"preset {name} is a {type(config).__name__}", f"a {kind.__name__}")
        for part, expected in (("signal", SignalSpec), ("recipe", Recipe)):
            if not isinstance(getattr(config, part, None), expected):
                raise CheckFailed(f"preset {name} has no {part}", f"a field {part}: {expected.__name__}")
        _check_round_trip(name, config)


def _check_round_trip(name: str, config: object) -> None:
    remedy = "Use fields of plain types: numbers, texts, tuples, None, dataclasses of these."
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        try:
            write_yaml(file, to_dict(config))
            back = build(type(config), read_yaml(file), source=f"preset {name}")
        except ConfigError:
            raise
        except Exception as error:  # pydantic and PyYAML have many
            raise CheckFailed(f"preset {name} cannot be written ({error})", "a config for YAML", remedy) from None
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        was, now = getattr(config, field.name), getattr(back, field.name)
        if was != now or type(was) is not type(now):
            raise CheckFailed(
                f"preset {name}: {field.name} {was!r} comes back from YAML as {now!r}", "the same", remedy
            )
