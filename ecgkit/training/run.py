"""The run folder: everything that a later command needs to use, evaluate or reproduce a trained model.

RUN/config.yaml          method, preset, every setting with defaults filled in, the signal contract, the data
RUN/README.md            the model card: model, data and licence
RUN/model.safetensors    weights; if these are the last, best.safetensors holds the best
RUN/metrics.jsonl        one line per epoch
RUN/records.parquet      part (train, val, held out) of each record and patient, and the records of parents
RUN/signatures.parquet   waveform signatures of the training and validation records, also of parents

Until training is complete the folder is ``RUN.partial``; see `ecgkit.training.unfinished`.
"""

import json
import platform
import re
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

import ecgkit
from ecgkit.atomic import atomic_file
from ecgkit.choices import typed_command
from ecgkit.config import build, read_yaml, to_dict, write_yaml
from ecgkit.entries import MethodEntry, load_target
from ecgkit.errors import ConfigError, RunError, StoreError
from ecgkit.methods import Encoder, Method
from ecgkit.parquet import read_frame
from ecgkit.plugins import host
from ecgkit.signatures.table import Signatures, read_signatures
from ecgkit.training.unfinished import finished, is_unfinished, resume_command, settle, unfinished
from ecgkit.training.weights import load_weights
from ecgkit.wording import plural

CONFIG = "config.yaml"
HUB_CONFIG = "config.json"  # takes its place in a folder of 'ecgkit export --hub'
WEIGHTS = "model.safetensors"
METRICS = "metrics.jsonl"
RECORDS = "records.parquet"
SIGNATURES = "signatures.parquet"
RECORD_COLUMNS = ["record_id", "patient_id", "sha256", "part", "dataset"]
SEEN = ("train", "val", "parent train", "parent val")  # parts that weights were trained on or chosen by


@dataclass(frozen=True)
class Run:
    """A finished run folder.

    Args:
        path: The folder.
        entry: The method family.
        config: The family's config.
        details: The full contents of ``config.yaml``.
    """

    path: Path
    entry: MethodEntry
    config: Any
    details: dict[str, Any]

    @property
    def preset(self) -> str:
        """The preset that the config started from."""
        return str(self.details.get("preset", ""))

    def encoder(self) -> Encoder:
        """Build the encoder and load its weights.

        Raises:
            RunError: The weights are missing or do not fit the config.
        """
        return load_encoder(self.entry, self.config, load_weights(self.path / WEIGHTS), source=str(self.path))

    def method(self) -> Method:
        """Build the whole method, including the parts that only training needs, and load its weights.

        Raises:
            RunError: The weights are missing, do not fit the config, or belong to the encoder alone.
        """
        method: Method = self.entry.load()(self.config)
        try:
            method.load_state_dict(load_weights(self.path / WEIGHTS))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise RunError(
                f"{self.path} does not hold the weights of the whole method ({reason})",
                "a run made by 'ecgkit pretrain'",
            ) from None
        return method


def open_run(path: Path) -> Run:
    """Open a run folder.

    Raises:
        RunError: `path` is not a run, or has no weights.
        ConfigError: Its config cannot be read, or does not fit the family.
        PluginError: Its method family is not installed.
    """
    expected = "a run made by 'ecgkit pretrain' or 'ecgkit import-weights'"
    out = finished(path)
    settle(out)
    path = path if path.exists() or not out.exists() else out
    if is_unfinished(path) or (not path.exists() and is_unfinished(unfinished(out))):
        raise RunError(f"the training of {out} is not finished", remedy=f"Continue it with: {resume_command(out)}")
    if not path.is_dir():
        raise RunError(f"{path} does not exist" if not path.exists() else f"{path} is a file", expected)
    if not config_file(path).is_file():
        raise RunError(f"{path} has no {CONFIG}", expected)
    if not (path / WEIGHTS).is_file():
        raise RunError(
            f"{path} has no {WEIGHTS}", remedy="Train a run with: ecgkit pretrain --method M --data S --out R"
        )
    return Run(path, *read_config(path))


def read_config(path: Path) -> tuple[MethodEntry, Any, dict[str, Any]]:
    """Read a run's method, its config, and the full contents of ``config.yaml``.

    Raises:
        RunError: The config names no method.
        ConfigError: The config cannot be read, or does not fit the family.
        PluginError: Its method family is not installed.
    """
    file = config_file(path)
    details = read_yaml(file)  # JSON is YAML too
    if "method" not in details or "config" not in details:
        raise RunError(f"{file} names no method", "a config.yaml of 'ecgkit pretrain'")
    entry = host().get(MethodEntry, str(details["method"]))
    return entry, build(_config_class(entry), details["config"], source=str(file)), details


def config_file(path: Path) -> Path:
    """Return the path of a run's config, which is a JSON file in a hub folder."""
    hub = path / HUB_CONFIG
    return hub if hub.is_file() and not (path / CONFIG).is_file() else path / CONFIG


def load_encoder(
    entry: MethodEntry, config: Any, state: dict[str, Tensor], *, source: str, exact: bool = False
) -> Encoder:
    """Build a family's encoder and give it the ``encoder.*`` entries of a state dict.

    Args:
        entry: The method family.
        config: Its config.
        state: Tensors by name.
        source: Where they come from, for errors.
        exact: Also require that all other entries have a place in the method, and its shape.

    Raises:
        RunError: An entry is missing, unknown, or of another shape.
    """
    method: Method = entry.load()(config)
    if exact:
        places = {name: value.shape for name, value in method.state_dict().items()}
        astray = [name for name, value in state.items() if places.get(name) != value.shape]
        if astray:
            shape, place = tuple(state[astray[0]].shape), places.get(astray[0])
            expected = f"shape {tuple(place)}" if place is not None else "a tensor of this method"
            raise RunError(f"{source}: what becomes {astray[0]} has shape {shape}", expected)
    part = {name.removeprefix("encoder."): value for name, value in state.items() if name.startswith("encoder.")}
    _load(method.encoder, part, source=source)
    return method.encoder


def _load(module: torch.nn.Module, state: dict[str, Tensor], *, source: str) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise RunError(f"the weights of {source} do not fit its config ({reason})", "weights of this method") from None


def write_config(
    folder: Path,
    entry: MethodEntry,
    preset: str,
    config: Any,
    details: dict[str, Any],
    device: torch.device,
) -> None:
    """Write ``config.yaml``: the method with every setting, further details of the run, and `environment`."""
    content = {
        "method": entry.name,
        "preset": preset,
        "paper": entry.paper,
        "config": to_dict(config),
        **details,
        "environment": environment(device),
    }
    with atomic_file(folder / CONFIG) as path:
        write_yaml(path, content)


def environment(device: torch.device) -> dict[str, Any]:
    """Return the versions, the machine and the source state, on which the numbers of this process depend.

    Args:
        device: The device of the computation.
    """
    return {
        "ecgkit": ecgkit.__version__,
        "git": _git_state(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        **{name: version(name) for name in ("numpy", "scipy", "zarr", "safetensors")},
        "device": device_name(device),
        "command": typed_command() or "a function of the library",
    }


def pick_device(name: str = "auto") -> torch.device:
    """Return the device to compute on; ``auto`` is the first GPU if there is one, otherwise the CPU.

    Raises:
        RunError: The name is none of ``auto``, ``cpu``, ``cuda`` and ``cuda:N``, or there is no such GPU.
    """
    gpus = torch.cuda.device_count()
    if name == "auto":
        name = "cuda" if gpus else "cpu"
    parts = re.fullmatch(r"cpu|cuda(?::(0|[1-9][0-9]*))?", name)
    if parts is None:
        raise RunError(f"device {name!r}", "auto, cpu, cuda or cuda:N")
    if name != "cpu" and not gpus:
        raise RunError(f"device {name!r}: no GPU is visible to torch", "cpu, or a machine with a GPU")
    if int(parts[1] or 0) >= max(gpus, 1):
        raise RunError(f"device {name!r}: torch sees no GPU of this number", f"cuda:N with N below {gpus}")
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """Return a readable name of a device."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"CPU, {plural(torch.get_num_threads(), 'thread')}"


def read_records(path: Path) -> pd.DataFrame:
    """Return the records of a run and their parts; no rows for imported weights.

    Columns: ``record_id``, ``patient_id``, ``sha256`` of the waveform, ``part``, and ``dataset``, to which the ids
    belong. The parts are ``train``, ``val``, ``held_out`` and ``unusable``, and for records of the runs that this run
    is built on ``parent train`` and ``parent val``.

    Raises:
        RunError: The table is damaged.
    """
    file = path / RECORDS
    if not file.is_file():
        return pd.DataFrame(columns=RECORD_COLUMNS)
    try:
        table = read_frame(file)
        if "dataset" not in table:  # runs of ecgkit 0.1 have one dataset
            table["dataset"] = read_yaml(config_file(path)).get("store", {}).get("dataset", "")
        return table[RECORD_COLUMNS]
    except ConfigError:
        raise
    except Exception as error:  # pyarrow has many
        raise RunError(f"{file} cannot be read ({type(error).__name__})", "the records of a run") from None


def seen_records(path: Path) -> pd.DataFrame:
    """Return the training and validation records of a run, including those of its parents.

    Raises:
        RunError: The table is damaged.
    """
    table = read_records(path)
    return table[table["part"].isin(SEEN)].reset_index(drop=True)


def seen_signatures(path: Path) -> Signatures | None:
    """Return the waveform signatures of the records in `seen_records`; None if the run has none to compare with.

    Raises:
        RunError: The file is damaged.
    """
    file = path / SIGNATURES
    try:
        return read_signatures(file) if file.is_file() else None
    except StoreError:
        raise RunError(f"{file} cannot be read", "the waveform signatures of a run") from None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's ``metrics.jsonl``; an empty list if there is no such file.

    Raises:
        RunError: A line is not a JSON object.
    """
    file = path / METRICS
    if not file.is_file():
        return []
    expected = "one JSON object per line, as 'ecgkit pretrain' writes it"
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{file} cannot be read ({str(error)[:120]})", expected) from None
    if not all(isinstance(line, dict) for line in lines):
        raise RunError(f"{file} holds a line that is not a JSON object", expected)
    return lines


def _config_class(entry: MethodEntry) -> type[Any]:
    kind: type[Any] = load_target(entry.config, f"the config of {entry.name}")
    return kind


def _git_state() -> str:
    """Return the commit of ecgkit's own checkout, with ``+`` if it was changed; empty outside a checkout.

    An installed ecgkit may lie in the repository of something else, such as a thesis with a virtual environment. Its
    commit says nothing of ecgkit.
    """
    package = Path(ecgkit.__file__).resolve().parent
    try:
        top, _, commit, changes = (
            subprocess.run(
                ["git", *command], cwd=package, capture_output=True, text=True, check=True, timeout=10
            ).stdout
            for command in (
                ("rev-parse", "--show-toplevel"),
                ("ls-files", "--error-unmatch", "__init__.py"),
                ("rev-parse", "--short", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no"),
            )
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    if Path(top.strip()).resolve() != package.parent:
        return ""
    return commit.strip() + ("+" if changes.strip() else "")
