"""Run folders without a training: every family's tiny preset with random weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ecgkit.entries import MethodEntry, load_target
from ecgkit.plugins import host
from ecgkit.training.run import WEIGHTS, write_config
from ecgkit.training.weights import save_weights

# Baselines that learn nothing have no encoder to export, and no features that differ between records.
FAMILIES = sorted(name for name, entry in host().entries(MethodEntry).items() if not entry.baseline)


def tiny_preset(entry: MethodEntry) -> str:
    presets = load_target(entry.presets, entry.name)
    return "tiny" if "tiny" in presets else next(iter(presets))


def shallow(config: Any) -> Any:
    """Return a config with two blocks, which show as well as many that one reads what the other gives."""
    return replace(config, depth=2) if hasattr(config, "depth") else config


def make_run(folder: Path, family: str, preset: str = "", seed: int = 0, **changes: Any) -> Path:
    """Write the run folder of a family, of few blocks and with random weights."""
    entry = host().get(MethodEntry, family)
    preset = preset or tiny_preset(entry)
    config = replace(shallow(load_target(entry.presets, family)[preset]), **changes)
    torch.manual_seed(seed)
    folder.mkdir(parents=True)
    save_weights(folder / WEIGHTS, entry.load()(config))
    write_config(
        folder, entry, preset, config, {"store": {"name": "a.zarr", "dataset": "simulated"}}, torch.device("cpu")
    )
    return folder
