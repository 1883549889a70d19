"""Models on a Hugging Face hub: fetch one by its address, or send a folder there. Both happen only when asked for.

An address is ``hf://ORG/NAME`` or ``hf://ORG/NAME@REVISION``. The hub is that of the environment variable
``HF_ENDPOINT``, by default the public one. Weights, config and card are all that is fetched or sent; a pickle never is.
"""

import os
import re
from pathlib import Path
from typing import Any

from ecgkit.distribution import install_extra
from ecgkit.errors import ConfigError, DownloadError

SCHEME = "hf://"
_SCHEME = re.compile("hf:/{1,2}")  # a `Path` has only one of the slashes
_SNAPSHOT = re.compile(r"models--(?P<org>.+?)--(?P<name>.+)")  # name of the folder of a model in the hub's cache
# All files of a model; no other file of a repository is read or written.
FILES = ("config.json", "model.safetensors", "README.md")
_ADDRESS = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?", re.ASCII)


def is_address(run: object) -> bool:
    """Return whether a run is named by an address of a hub."""
    return isinstance(run, str | Path) and _SCHEME.match(str(run)) is not None


def shown(run: str | Path) -> str:
    """Return a run as it is typed: an address has two slashes, of which a `Path` keeps one."""
    return _SCHEME.sub(SCHEME, str(run), count=1) if is_address(run) else str(run)


def local_folder(run: str | Path) -> Path:
    """Return the folder of a run; a run that is named by an address is downloaded, see `fetch_model`."""
    return fetch_model(run) if is_address(run) else Path(run)


def run_name(folder: Path) -> str:
    """Return the name of a run: that of its folder, or ``ORG/NAME`` for a model that `fetch_model` downloaded."""
    folder = folder.resolve()
    found = _SNAPSHOT.fullmatch(folder.parents[1].name) if folder.parent.name == "snapshots" else None
    return f"{found['org']}/{found['name']}" if found else folder.name


def split_address(address: str | Path) -> tuple[str, str | None]:
    """Return repository and revision of an address.

    Raises:
        ConfigError: It is not an address.
    """
    found = _ADDRESS.fullmatch(_SCHEME.sub("", str(address), count=1).rstrip("/"))
    if found is None:
        raise ConfigError(f"the address {str(address)!r:.80}", "hf://ORG/NAME or hf://ORG/NAME@REVISION")
    return found["repo"], found["revision"]


def fetch_model(address: str | Path) -> Path:
    """Download a model, or take it from the cache of huggingface_hub, and return its folder.

    Raises:
        ConfigError: `address` is not an address, or huggingface_hub is not installed.
        DownloadError: The model cannot be downloaded.
    """
    repo, revision = split_address(address)
    hub = hub_library()
    try:
        folder = hub.snapshot_download(repo, revision=revision, allow_patterns=list(FILES), endpoint=hub_endpoint())
    except Exception as error:  # the library, its HTTP client and the disk have errors of their own
        raise DownloadError(
            f"{shown(address)} cannot be downloaded ({_cause(error)})",
            remedy="Check the address and, for a private model, log in.",
        ) from None
    missing = [name for name in FILES[:2] if not (Path(folder) / name).is_file()]
    if missing:
        raise DownloadError(f"{shown(address)} has no {missing[0]}", "a model that 'ecgkit export --hub' wrote")
    return Path(folder)


def push_model(folder: Path, repo: str, *, public: bool = False) -> str:
    """Send a folder of ``ecgkit export --hub`` to a repository, which is created if there is none; return its address.

    Args:
        folder: The folder.
        repo: Repository, as ``ORG/NAME``.
        public: Make a new repository public; one that exists stays as it is.

    Raises:
        ConfigError: `repo` is not the name of a repository, or huggingface_hub is not installed.
        DownloadError: The folder cannot be sent.
    """
    check_push(repo)
    name = split_address(repo)[0]
    api = hub_library().HfApi(endpoint=hub_endpoint())
    try:
        api.create_repo(name, private=not public, exist_ok=True)
        sent = api.upload_folder(
            repo_id=name, folder_path=folder, allow_patterns=list(FILES), commit_message="Upload a model of ecgkit"
        )
    except Exception as error:  # as above
        raise DownloadError(
            f"{folder} cannot be sent to {name} ({_cause(error)})",
            remedy="Log in with an account that may write there: hf auth login",
        ) from None
    return str(sent)


def check_push(repo: str) -> None:
    """Refuse early what `push_model` would refuse without the hub.

    Raises:
        ConfigError: `repo` is not the name of a repository, or huggingface_hub is not installed.
    """
    if split_address(repo)[1]:
        raise ConfigError(f"--push {repo} names a revision", "ORG/NAME")
    hub_library()


def hub_library() -> Any:
    """Return the library huggingface_hub.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import huggingface_hub
    except ImportError:
        raise ConfigError("huggingface-hub is not installed", remedy=install_extra("hub")) from None
    return huggingface_hub


def hub_endpoint() -> str | None:
    """Return the address of the hub; None for the public one."""
    return os.environ.get("HF_ENDPOINT") or None


def _cause(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__
