"""The label matrix: which entities each record's report mentions. It is stored beside the records and bound to them.

    FOLDER/NAME/                  a Zarr v3 array, uint8 [R, Q]; names, parents and provenance are its attributes
    FOLDER/NAME/mentions.parquet  one row per unique text and name: hash of the text, name, entity, polarity, spans,
                                  certainty, severity, location, change
    FOLDER/NAME/unread.parquet    one row per unique text that could not be read: hash and reason
    FOLDER/NAME/records.parquet   one row per record: its id, and whether its whole report was read
    FOLDER/NAME/entities.csv      one row per entity: number of records by value, parent
    FOLDER/NAME/vocabulary.yaml   the vocabulary, which can be edited and applied again

FOLDER is ``STORE/knowledge``, or the folder for a table's reports. NAME is ``labels`` by default. These files contain
no text of a report.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.config import write_yaml
from ecgkit.errors import ConfigError, StoreError
from ecgkit.knowledge.codes import Codes, codes_from
from ecgkit.knowledge.reports import FOLDER
from ecgkit.knowledge.vocabulary import Vocabulary, as_yaml, read_vocabulary
from ecgkit.parquet import read_frame, write_frame
from ecgkit.store.format import file_hash
from ecgkit.store.products import StoreFolder, found_folder, store_around
from ecgkit.store.reader import Store, open_array

KIND = "entity labels"
DEFAULT_NAME = "labels"
MENTIONS, UNREAD, RECORDS = "mentions.parquet", "unread.parquet", "records.parquet"
ENTITIES, VOCABULARY = "entities.csv", "vocabulary.yaml"
VALUES_HASH = "values_sha256"  # attribute: the label matrix as it was written
VOCABULARY_HASH = "vocabulary_sha256"  # attribute: the vocabulary as it was written
FORMAT, VERSION = "ecgkit-entities", 1
ABSENT: Final = 0  # denied, or not mentioned
PRESENT: Final = 1
UNCERTAIN: Final = 2
REMAKE = "Make them with: ecgkit extract-knowledge"


@dataclass(frozen=True)
class Entities:
    """Entity labels of records.

    Args:
        names: Entities, ``[Q]``, the most frequent first.
        values: Label matrix, uint8 ``[R, Q]``: `ABSENT` (denied, or not mentioned), `PRESENT`, `UNCERTAIN`.
        complete: bool ``[R]``: whether a record has a report that was read completely. If not, zeros mean nothing.
        record_ids: Record ids ``[R]``, in the order of the store.
        parents: Parent by entity, including all ancestors, whether or not they are in `names`.
        provenance: How the labels were made: backend, model, prompts, host, date, options.
        content_hash: Hash of the reports that the labels belong to.
        codes: Codes by entity, where the vocabulary gave an entity codes of its own.
    """

    names: tuple[str, ...]
    values: NDArray[np.uint8]
    complete: NDArray[np.bool_]
    record_ids: tuple[str, ...]
    parents: Mapping[str, str]
    provenance: Mapping[str, Any]
    content_hash: str
    codes: Mapping[str, Codes] = field(default_factory=dict)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of records in which each entity is present, ``[Q]``."""
        return np.count_nonzero(self.values == PRESENT, axis=0)

    @property
    def uncertain(self) -> NDArray[np.int64]:
        """Number of records in which each entity is uncertain, ``[Q]``."""
        return np.count_nonzero(self.values == UNCERTAIN, axis=0)


def read_labels(store: StoreFolder | Path, name: str = DEFAULT_NAME) -> Entities:
    """Read the labels of a store, or of a table's reports.

    Args:
        store: An open store, or a path: of a store, of its ``knowledge`` folder, of a table's folder, or of labels.
        name: Name of the extraction.

    Raises:
        StoreError: The labels do not exist, are damaged, or were made from reports of another store.
    """
    path, owner = label_folder(store, name)
    entities = _read(path)
    if owner is not None and entities.content_hash != owner.content_hash:
        raise StoreError(f"{path} belongs to other records than those of {owner.path}", remedy=REMAKE)
    return entities


def label_folder(store: StoreFolder | Path, name: str = DEFAULT_NAME) -> tuple[Path, StoreFolder | None]:
    """Return the folder of labels, and the store that they must fit, if there is one; see `read_labels`."""
    if not isinstance(store, Path):
        return found_folder(store.path, store.content_hash, FOLDER, name), store
    if (store / MENTIONS).is_file():
        return store, None
    if (store / "signal").is_dir():
        return label_folder(Store(store), name)
    within = store_around(store, FOLDER)
    if within is not None:  # may lie in the cache of a user who may not write to the store
        return label_folder(Store(within), store.name)
    return store / name, None


def _read(path: Path) -> Entities:
    if not (path / MENTIONS).is_file():
        raise StoreError(f"{path} contains no entity labels", remedy=f"{REMAKE} {_owner(path)}")
    try:
        array = open_array(path)
        about: dict[str, Any] = dict(array.attrs)
        values = np.asarray(array[:], np.uint8)
        records = read_frame(path / RECORDS)
        if about["format"] != FORMAT or about["version"] != VERSION:
            raise StoreError(f"{path} has format {about['format']} {about['version']}", f"{FORMAT} {VERSION}", REMAKE)
        if values.shape != (len(records), len(about["names"])):
            raise ValueError(f"{values.shape} values for {len(records)} records")
        if about.get(VALUES_HASH, _hash(values)) != _hash(values):  # labels of earlier releases have none
            raise ValueError("values differ from what was written")
        return Entities(
            names=tuple(about["names"]),
            values=values,
            complete=records["complete"].to_numpy(bool),
            record_ids=tuple(records["record_id"]),
            parents=dict(about["parents"]),
            provenance=dict(about["provenance"]),
            content_hash=str(about["content_sha256"]),
            codes={entity: codes_from(codes) for entity, codes in about.get("codes", {}).items()},
        )
    except StoreError:
        raise
    except Exception as error:  # each library raises its own errors
        raise StoreError(f"labels {path} cannot be read ({type(error).__name__})", remedy=REMAKE) from None


def _hash(values: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def _owner(path: Path) -> Path:
    """Return the path to name in a command: the store if the path lies in one."""
    if path.parent.parent.name == FOLDER:  # in the cache of a store that this user may not write to
        return Path("STORE")
    return path.parent.parent if path.parent.name == FOLDER else path.parent


def write_labels(
    folder: Path, entities: Entities, mentions: pd.DataFrame, unread: pd.DataFrame, vocabulary: Vocabulary
) -> None:
    """Write labels, and everything that they were made from, into an empty folder.

    Args:
        folder: The folder.
        entities: The labels.
        mentions: Table of mentions; the module's docstring lists its columns.
        unread: Table of texts that could not be read; the module's docstring lists its columns.
        vocabulary: The vocabulary that was applied.
    """
    counts = {name: int(count) for name, count in zip(entities.names, entities.counts, strict=True)}
    write_yaml(folder / VOCABULARY, as_yaml(vocabulary, counts))
    _write_matrix(folder, entities, file_hash(folder / VOCABULARY))
    write_frame(folder / MENTIONS, mentions)
    write_frame(folder / UNREAD, unread)
    records = pd.DataFrame({"record_id": entities.record_ids, "complete": entities.complete})
    write_frame(folder / RECORDS, records)
    _table(entities).to_csv(folder / ENTITIES, index=False)


def keep_edited_vocabulary(old: Path, new: Path) -> Path | None:
    """Keep the vocabulary of labels that are replaced, if it was edited by hand, beside the new labels.

    Args:
        old: Folder of the labels that are replaced.
        new: Folder of the labels in their place.

    Returns:
        Where it is kept; None if it was not edited, or the new labels were made with it.
    """
    edited = old / VOCABULARY
    try:
        attributes = json.loads((old / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        written = str(attributes[VOCABULARY_HASH])
    except (OSError, ValueError, LookupError, TypeError):
        return None  # labels of an earlier release, or damaged ones
    if not edited.is_file() or file_hash(edited) == written:
        return None
    with suppress(ConfigError):
        if read_vocabulary(edited) == read_vocabulary(new / VOCABULARY):
            return None
    kept = next(
        path for n in count(1) if not (path := new.with_name(f"{new.name}-{edited.stem}-kept-{n}.yaml")).exists()
    )
    os.replace(edited, kept)
    return kept


def _write_matrix(folder: Path, entities: Entities, vocabulary_hash: str) -> None:
    import zarr  # slow to import

    rows, columns = entities.values.shape
    array = zarr.create_array(
        folder,
        shape=entities.values.shape,
        chunks=(max(1, min(rows, 2**20 // max(1, columns))), max(1, columns)),
        dtype="uint8",
        dimension_names=("record", "entity"),
        overwrite=False,
    )
    array[:] = entities.values
    array.attrs.update(
        {
            "format": FORMAT,
            "version": VERSION,
            "values": {"absent": ABSENT, "present": PRESENT, "uncertain": UNCERTAIN},
            "names": list(entities.names),
            "counts": entities.counts.tolist(),
            "parents": dict(entities.parents),
            **({"codes": {e: c.to_dict() for e, c in entities.codes.items()}} if entities.codes else {}),
            "provenance": dict(entities.provenance),
            "content_sha256": entities.content_hash,
            VOCABULARY_HASH: vocabulary_hash,
            VALUES_HASH: _hash(entities.values),
        }
    )


def _table(entities: Entities) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "entity": entities.names,
            "present": entities.counts,
            "uncertain": entities.uncertain,
            "parent": [entities.parents.get(name, "") for name in entities.names],
        }
    )
