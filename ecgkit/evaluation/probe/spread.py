"""Features by several processes: each encodes pieces of the records, and writes one file per piece into the cache.

Each process opens the probe for itself, on its own device. The pieces are those of one process, so the features are the
same too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.features.cache import Missing, add_features
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.interrupt import Left, keeps, safe_points
from ecgkit.progress import Advance
from ecgkit.training.workers import Workers

if TYPE_CHECKING:
    from ecgkit.evaluation.probe.probe import Probe


@dataclass(frozen=True)
class EncodeJob:
    """What all pieces share.

    Args:
        request: The probe's request.
        folder: Folder of the cache that the features are written to.
        missing: What is to be encoded.
        devices: Devices that the pieces take in turn.
    """

    request: ProbeRequest
    folder: Path
    missing: Missing
    devices: tuple[str, ...]


@dataclass(frozen=True)
class Piece:
    """Rows of the store that are encoded together.

    Args:
        index: Number of the piece.
        rows: The rows.
    """

    index: int
    rows: NDArray[np.int64]

    @property
    def name(self) -> str:
        """Its name in errors."""
        return f"features of rows {self.rows[0]} to {self.rows[-1]}"


def spread(request: ProbeRequest, workers: Workers, progress: Advance) -> Callable[[Path, Missing], None]:
    """Return a function that encodes what is missing in a folder of the cache.

    Args:
        request: The probe's request.
        workers: The processes and their devices.
        progress: Called with records done and records in total.
    """

    def encode(folder: Path, missing: Missing) -> None:
        job = EncodeJob(_for_one_worker(request), folder.absolute(), replace(missing, pieces=()), workers.devices)
        pieces = [Piece(index, rows) for index, rows in enumerate(missing.pieces)]
        total, done = sum(map(len, missing.pieces)), 0
        left = Left("what was encoded is kept in the feature cache")
        with keeps(lambda: left), safe_points() as stop, workers.open() as executor:
            for count in executor.run(partial(encode_piece, job), pieces, stop):
                done += count
                progress(done, total)
            stop.check()

    return encode


def _for_one_worker(request: ProbeRequest) -> ProbeRequest:
    """Return the request for a worker, which may run in another folder."""

    def absolute(path: str) -> str:
        return str(Path(path).absolute()) if path and Path(path).exists() else path

    run = replace(request.encoder, run=absolute(request.encoder.run))
    data, eval_data, task = map(absolute, (request.data, request.eval_data, request.task))
    return replace(request, data=data, eval_data=eval_data, task=task, encoder=run, workers=1, gpus=0, dask="")


def encode_piece(job: EncodeJob, piece: Piece) -> int:
    """Encode one piece and write its file. Return its number of records."""
    device = job.devices[piece.index % len(job.devices)]
    probe = _opened(replace(job.request, device=device))
    opened = probe.opened
    supplies = probe.supplies(opened.store, opened.view)
    add_features(job.folder, probe.reader, opened.view, piece.rows, job.missing, supplies=supplies)
    return len(piece.rows)


@lru_cache(maxsize=1)
def _opened(request: ProbeRequest) -> "Probe":
    from ecgkit.evaluation.probe.probe import Probe  # it uses this module

    return Probe(request)
