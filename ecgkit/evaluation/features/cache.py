"""A cache of features on disk. Each encoder encodes each record of a store only once.

CACHE/KEY/key.json               what the features depend on, by name; KEY is its fingerprint
CACHE/KEY/HASH.safetensors       n rows of the store: ``rows`` [n], and their features ``field.NAME`` [n, ...]

The key holds hashes of the weights, of the source code that computes with them, of the store, of the given leads and
of what the encoder reads besides the signal, so stale features are never used. Features of further rows are added as
further files. A file is named by the SHA-256 of its bytes; a damaged file is deleted and its rows are encoded again.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import Tensor

from ecgkit.atomic import atomic_file
from ecgkit.config import fingerprint, source_hash, to_dict
from ecgkit.errors import RunError
from ecgkit.evaluation.features.extract import RecordFeatures, extract
from ecgkit.evaluation.features.gathered import Fields, Gathered
from ecgkit.lock import hold
from ecgkit.methods import Encoder
from ecgkit.store.reader import Store
from ecgkit.store.views import View
from ecgkit.training.data import evaluation_starts
from ecgkit.training.supply import Supply

KEY = "key.json"
ROWS = "rows"
FIELD = "field."
NAME = 32  # hex digits of a file's hash in its name
SHARE = 1024  # records per file: the most that an interruption can lose, and what one of several workers encodes
COMES_ALONG = {"tokens": "token_real"}  # always extracted together with the other field
# Modules and packages of the core whose code changes the features of a store.
CODE = (
    "ecgkit.signal",
    "ecgkit.nn",
    "ecgkit.beats",
    "ecgkit.methods",
    "ecgkit.store.views",
    "ecgkit.training.data",
    "ecgkit.training.supply",
    "ecgkit.evaluation.features.extract",
)


@dataclass(frozen=True)
class FeatureCache:
    """A folder of cached features.

    Args:
        folder: The folder; it is created when it is needed.
    """

    folder: Path

    def extract(
        self,
        encoder: Encoder,
        config: Any,
        store: Store,
        view: View,
        rows: NDArray[np.int64],
        needs: Sequence[str] = ("pooled",),
        *,
        also: Sequence[str] = (),
        supplies: Mapping[str, Supply] = MappingProxyType({}),
        progress: Callable[[int, int], None] | None = None,
        spread: "Spread | None" = None,
    ) -> RecordFeatures:
        """Return the features of `ecgkit.evaluation.features.extract.extract`, read from disk where available.

        A process that needs the same features at the same time waits for this one. If this one is stopped, at most
        `SHARE` records must be encoded again.

        Args:
            encoder: The encoder, on the device to compute on.
            config: Config of its method.
            store: The store.
            view: The store under the encoder's contract, with the leads that the encoder is given.
            rows: Rows of the store, all of them usable.
            needs: Fields of `ecgkit.methods.Features` to return.
            also: Fields that will be requested later. They are cached too when records are encoded now.
            supplies: Inputs of the encoder besides the signal.
            progress: Called with records done and records in total, while records are encoded.
            spread: Encodes in other processes what is missing, if that is more than one file; None to encode here.

        Raises:
            RunError: The encoder does not fill one of the fields.
            OutputError: The folder cannot be written.
        """
        key = key_of(encoder, config, store, view, supplies)
        folder = self.folder / fingerprint(key)
        fields = [*needs, *(COMES_ALONG[need] for need in needs if need in COMES_ALONG)]
        with hold(folder / ".lock", folder, wait=True):
            _write_key(folder, key)
            found = _gather(folder, rows, fields)
            lacking = found.lacks(np.arange(len(rows)))
            missing = Missing(tuple(needs), tuple(dict.fromkeys([*needs, *also])))
            if spread is not None and len(lacking) > SHARE:
                spread(folder, replace(missing, pieces=tuple(rows[at] for at in _in_shares(lacking))))
                found = _gather(folder, rows, fields)
                lacking = found.lacks(np.arange(len(rows)))
            done = 0
            for at in _in_shares(lacking):
                told = _within(progress, done, at, lacking)
                beside = len(rows) - len(at)
                made = add_features(
                    folder, encoder, view, rows[at], missing, supplies=supplies, beside=beside, progress=told
                )
                # What the encoder does not fill is not asked for again.
                missing = replace(missing, wanted=tuple(name for name in missing.wanted if name in made.fields))
                done += len(at)
                for field in fields:
                    found.put(field, at, made[field])
        return RecordFeatures(found.values, view.spec.leads, view.present[rows])


@dataclass(frozen=True)
class Missing:
    """Features that a folder of the cache lacks.

    Args:
        needs: Names of the fields that are needed.
        wanted: Names of these and of further fields, which are kept too if the encoder fills them.
        pieces: Rows of the store, in pieces that are encoded and written together.
    """

    needs: tuple[str, ...]
    wanted: tuple[str, ...]
    pieces: tuple[NDArray[np.int64], ...] = ()


Spread = Callable[[Path, Missing], None]
"""Called with a folder of the cache and what it lacks; writes the features of all pieces by `add_features`."""


def add_features(
    folder: Path,
    encoder: Encoder,
    view: View,
    rows: NDArray[np.int64],
    missing: Missing,
    *,
    supplies: Mapping[str, Supply],
    beside: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> RecordFeatures:
    """Encode some rows, and write their features as one file of a folder of the cache; return them."""
    encode = partial(extract, encoder, view, rows, supplies=supplies, beside=beside, progress=progress)
    made = _encode(encode, missing.wanted, missing.needs)
    _write(folder, rows, dict(made.fields))
    return made


def _in_shares(at: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [at[start : start + SHARE] for start in range(0, len(at), SHARE)]


def _write_key(folder: Path, key: dict[str, Any]) -> None:
    if not (folder / KEY).exists():
        with atomic_file(folder / KEY) as staging:
            staging.write_text(json.dumps(key, indent=1) + "\n", encoding="utf-8")


def _encode(
    encode: Callable[[tuple[str, ...]], RecordFeatures], wanted: tuple[str, ...], needs: tuple[str, ...]
) -> RecordFeatures:
    """Encode records. The fields are all that are wanted, or those needed if the encoder does not fill the others."""
    try:
        return encode(wanted)
    except RunError:
        if wanted == needs:
            raise
    return encode(needs)


def kept_features(
    folder: Path, rows: NDArray[np.int64], field: str = "pooled"
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the features of some rows that are in a folder of the cache, without encoding anything.

    Args:
        folder: The folder of one encoder and store; it need not exist.
        rows: Rows of the store.
        field: The field.

    Returns:
        Features ``[n, ...]``, zeros where there are none; and which rows have them, bool ``[n]``.
    """
    found = _gather(folder, rows, (field,))
    values = found.values.get(field)
    return (np.zeros((len(rows), 1), np.float32) if values is None else values), found.has[field]


def features_of(
    encoder: Encoder,
    config: Any,
    store: Store,
    view: View,
    rows: NDArray[np.int64],
    needs: Sequence[str],
    *,
    cache: Path | None,
    also: Sequence[str] = (),
    supplies: Mapping[str, Supply] = MappingProxyType({}),
    progress: Callable[[int, int], None] | None = None,
    spread: Spread | None = None,
) -> RecordFeatures:
    """Return features from the cache in a folder, or compute them if there is no cache; see `FeatureCache.extract`."""
    if cache is None:
        return extract(encoder, view, rows, needs, supplies=supplies, progress=progress)
    return FeatureCache(cache).extract(
        encoder, config, store, view, rows, needs, also=also, supplies=supplies, progress=progress, spread=spread
    )


def cache_folder(folder: Path, asked: Path | None = None) -> Path:
    """Return the cache folder: the user's choice, ``ECGKIT_CACHE``, or a folder beside the results of the encoder.

    Args:
        folder: The run folder, or the folder of an encoder without a run.
        asked: The user's choice.
    """
    if asked is not None:
        return asked
    if os.environ.get("ECGKIT_CACHE"):
        return Path(os.environ["ECGKIT_CACHE"]).expanduser() / "features"
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    return folder / "features" if os.access(there, os.W_OK) else Path("~/.cache/ecgkit/features").expanduser()


def key_of(encoder: Encoder, config: Any, store: Store, view: View, supplies: Mapping[str, Supply]) -> dict[str, Any]:
    """Return everything that features depend on, as JSON text."""
    package = type(encoder).__module__.split(".")[0]
    return {
        "encoder": f"{type(encoder).__module__}.{type(encoder).__qualname__}",
        "config": to_dict(config) if encoder.settings is None else dict(encoder.settings),
        "weights": weights_sha256(encoder),
        "code": source_hash(CODE if package == "ecgkit" else (*CODE, package)),
        "torch": str(torch.__version__),
        "device": next(encoder.parameters()).device.type,
        "store": store.content_hash,
        "contract": to_dict(view.spec),
        "leads": _sha256(np.packbits(view.present), view.lengths),
        "supplies": {need: _supply_sha256(supply, view) for need, supply in sorted(supplies.items())},
    }


def weights_sha256(encoder: Encoder) -> str:
    """Return a hash of all parameters and buffers, saved with a run or not, by name."""
    digest = hashlib.sha256()
    for name, value in sorted([*encoder.named_parameters(), *encoder.named_buffers()], key=lambda item: item[0]):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def _supply_sha256(supply: Supply, view: View) -> str:
    """Return a hash of everything that a supply gives to the encoder."""
    rows = np.arange(len(view.signal))
    given = [supply.at(rows, evaluation_starts(view, offset)) for offset in view.spec.eval_offsets]
    return _sha256(*(value.numpy() if isinstance(value, Tensor) else np.asarray(value) for value in given))


def _bytes(value: Tensor) -> bytes:
    return value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes() if value.numel() else b""


def _sha256(*arrays: NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape};".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _gather(folder: Path, rows: NDArray[np.int64], fields: Sequence[str]) -> Gathered:
    """Read the features of some rows that a folder holds."""
    found = Gathered(len(rows), fields)
    order = np.argsort(rows, kind="stable")
    for file in sorted(folder.glob("[!.]*.safetensors")):
        held = _read(file)
        if held is None:
            continue
        there = held[ROWS]
        place = np.searchsorted(rows, there, sorter=order).clip(max=max(len(rows) - 1, 0))
        known = np.flatnonzero(rows[order[place]] == there) if len(rows) else np.empty(0, np.int64)
        for field in fields:
            if f"{FIELD}{field}" in held and len(known):
                found.put(field, order[place[known]], held[f"{FIELD}{field}"][known])
    return found


def _read(file: Path) -> Fields | None:
    """Return the content of a file. A damaged file is deleted, and None is returned."""
    with suppress(OSError, SafetensorError, KeyError, ValueError):
        content = file.read_bytes()
        if hashlib.sha256(content).hexdigest()[:NAME] == file.stem:
            held = load(content)
            if ROWS in held:
                return held
    with suppress(OSError):
        file.unlink()
    return None


def _write(folder: Path, rows: NDArray[np.int64], fields: Mapping[str, NDArray[Any]]) -> None:
    tensors = {f"{FIELD}{name}": np.ascontiguousarray(values) for name, values in fields.items()}
    content = save({ROWS: np.ascontiguousarray(rows), **tensors})
    with atomic_file(folder / f"{hashlib.sha256(content).hexdigest()[:NAME]}.safetensors") as staging:
        staging.write_bytes(content)


def _within(
    progress: Callable[[int, int], None] | None, start: int, at: NDArray[np.int64], missing: NDArray[np.int64]
) -> Callable[[int, int], None] | None:
    """Return a progress callback that counts the records of one part within the whole."""
    return progress and (lambda done, total: progress(start + round(done / total * len(at)), len(missing)))
