"""Default folders of results. The name states what was probed, with a fingerprint of all that a row depends on."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import ecgkit
from ecgkit.config import fingerprint, to_dict
from ecgkit.entries import HeadEntry
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.heads.settings import head_config
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.protocols.protocol import load_protocol
from ecgkit.evaluation.protocols.split_tables import read_tables
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.tasks.entity_targets import labels_hash
from ecgkit.tasks.loading import find_task, load_task
from ecgkit.tasks.task import Task
from ecgkit.training.run import WEIGHTS, config_file, open_run
from ecgkit.training.weights import file_sha256

DIGITS = 10  # hex digits of the fingerprint in a folder's name


class Places:
    """Names result folders. Inputs that several requests share are hashed once."""

    def __init__(self) -> None:
        self._encoder, self._store = cache(_hash_encoder), cache(lambda path: Store(Path(path)).content_hash)

    def name(self, request: ProbeRequest, *, with_encoder: bool = False, kind: str = "") -> str:
        """Return the name of a request's folder.

        Args:
            request: The request.
            with_encoder: Begin with the encoder's name, for folders with results of several encoders.
            kind: The kind of analysis, for the folder of an analysis.

        Raises:
            EcgkitError: Something that the request names does not exist.
        """
        stores = [Store(Path(path)).name.removesuffix(".zarr") for path in (request.data, request.eval_data) if path]
        parts = [
            *([request.encoder.name] if with_encoder else []),
            find_task(request.task).name,
            *([kind] if kind else []),
            request.head_name,
            "-to-".join(stores),
            *([f"leads-{request.leads}"] if request.leads else []),
            *([] if request.amount.all else [request.amount.name]),
            f"seed{request.seed}",
        ]
        return "-".join([*(_plain(part) for part in parts), self.fingerprint(request)])

    def fingerprint(self, request: ProbeRequest) -> str:
        """Return the fingerprint of everything that a request's row depends on; paths and the device are left out.

        Raises:
            EcgkitError: Something that the request names does not exist.
        """
        plain = {
            name: getattr(request, name) for name in ("leads", "seed", "seeds", "epochs", "label_set", "allow_overlap")
        }
        task = load_task(find_task(request.task), request.task_settings)
        head = head_config(host().get(HeadEntry, request.head), request.head_settings)
        return fingerprint(
            ecgkit.__version__,
            self._encoder(request.encoder),
            [self._store(path) for path in (request.data, request.eval_data) if path],
            find_task(request.task).name,
            [to_dict(task), _labels_hash(task, request.data)],
            {**plain, "amount": to_dict(request.amount)},
            request.head_name,
            [head, *(file_sha256(value) for value in _values(head) if isinstance(value, Path))],
            [request.protocol, to_dict(load_protocol(request.protocol))],
            read_tables(Path(request.splits)).sha256 if request.splits else "",
        )[:DIGITS]


def _labels_hash(task: Task, data: str) -> str:
    """Return a hash of labels that lie outside of a store's record table; empty for others."""
    if task.entities is not None:
        return labels_hash(Store(Path(data)), task.entities)
    return file_sha256(Path(task.table.path)) if task.table else ""


def _values(head: Any) -> list[Any]:
    return [] if head is None else list(vars(head).values())


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def _hash_encoder(encoder: EncoderChoice) -> Any:
    if encoder.run:
        run = open_run(Path(encoder.run))
        changed = [list(encoder.settings)] if encoder.settings else []
        return [file_sha256(run.path / WEIGHTS), file_sha256(config_file(run.path)), *changed]
    entry, preset, config = encoder.resolve()
    return [entry.name, preset, to_dict(config), encoder.weights]
