"""A check of the installation: versions, devices, memory, disk, optional parts, plugins."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import ecgkit
from ecgkit.distribution import DISTRIBUTION
from ecgkit.plugins import host

NEEDED = ("torch", "numpy", "scipy", "pandas", "pyarrow", "zarr", "wfdb", "neurokit2", "numba", "scikit-learn", "typer")
NOT_INSTALLED = "not installed"
LITTLE_DISK = 5 * 2**30  # bytes; a store of 100,000 ten-second records has about 10 GB
# Extra of the distribution, the modules that it brings, and what works only with it.
EXTRAS = (
    ("text", ("tokenizers", "transformers"), "pretrain with the text encoders tiny and huggingface"),
    ("hdf5", ("h5py",), "ingest of HDF5 and MATLAB 7.3 files"),
    ("vendor", ("ecgdatakit", "edfio", "pydicom", "defusedxml"), "ingest of XML, DICOM, SCP-ECG and EDF files"),
    ("xlsx", ("openpyxl",), "tables in Excel, extract-knowledge audit --xlsx"),
    ("remote", ("upath",), "ingest of s3://, gs:// and other addresses"),
    ("dask", ("distributed",), "ingest --dask and beats --dask"),
    ("sleepecg", ("sleepecg",), "beats --detector sleepecg"),
    ("tensorboard", ("tensorboard",), "pretrain --log tensorboard"),
    ("wandb", ("wandb",), "pretrain --log wandb"),
    ("mlflow", ("mlflow",), "pretrain --log mlflow"),
    ("hub", ("huggingface_hub",), "hf:// addresses, export --push"),
    ("onnx", ("onnx", "onnxscript", "onnxruntime"), "export --onnx"),
    ("explain", ("captum",), "explain"),
    ("umap", ("umap",), "report --projection umap"),
)


@dataclass(frozen=True)
class Extra:
    """An optional part.

    Args:
        name: Its name, as in ``pip install 'ecgkit-learn[NAME]'``.
        missing: The modules that are not installed.
        what_for: What works only with it.
    """

    name: str
    missing: tuple[str, ...]
    what_for: str


@dataclass(frozen=True)
class Checkup:
    """The state of the installation.

    Args:
        versions: Version by name of ecgkit, Python and each library; "not installed" for a missing library.
        system: Operating system and machine.
        cores: Number of CPU cores that this process may use.
        memory: Memory of the machine in bytes; None if unknown.
        gpus: Name of each GPU that torch sees.
        other_gpus: GPUs that the driver lists; more than `gpus` means that torch cannot use them.
        disk_free: Free bytes on the disk of the folder.
        writable: Whether the folder can be written to.
        extras: The optional parts.
        problems: What is wrong, each with its remedy.
    """

    versions: dict[str, str]
    system: str
    cores: int
    memory: int | None
    gpus: list[str]
    other_gpus: list[str]
    disk_free: int
    writable: bool
    extras: list[Extra]
    problems: list[str] = field(default_factory=list)


def check_up(folder: Path) -> Checkup:
    """Check the installation, and whether a folder can be worked in."""
    found = Checkup(
        versions={"ecgkit": ecgkit.__version__, "Python": platform.python_version()} | {n: _version(n) for n in NEEDED},
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        cores=len(os.sched_getaffinity(0)),
        memory=_memory(),
        gpus=_gpus(),
        other_gpus=_driver_gpus(),
        disk_free=shutil.disk_usage(folder).free,
        writable=os.access(folder, os.W_OK),
        extras=[Extra(name, tuple(m for m in needed if find_spec(m) is None), of) for name, needed, of in EXTRAS],
    )
    found.problems.extend(_problems(found))
    return found


def _problems(found: Checkup) -> list[str]:
    missing = [name for name, version_ in found.versions.items() if version_ == NOT_INSTALLED]
    problems = [f"not installed: {', '.join(missing)}. Run: pip install {DISTRIBUTION}"] if missing else []
    if found.other_gpus and not found.gpus:
        problems.append(
            f"the driver lists {len(found.other_gpus)} GPUs and torch sees none. Install a build of torch for CUDA"
        )
    if not found.writable:
        problems.append("this folder cannot be written to. Go to a folder of your own, or give --out")
    if found.disk_free < LITTLE_DISK:
        problems.append(f"only {found.disk_free / 2**30:.1f} GiB are free on this disk. Free some, or give --out")
    problems += [f"plugin {plugin.name}: {plugin.error}" for plugin in host().plugins if plugin.error]
    return problems


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return NOT_INSTALLED


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _gpus() -> list[str]:
    if find_spec("torch") is None:
        return []
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def _driver_gpus() -> list[str]:
    """Return the GPUs that the driver's own program lists; empty without such a program."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        asked = [program, "--query-gpu=name", "--format=csv,noheader"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
