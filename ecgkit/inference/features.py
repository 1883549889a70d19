"""Features of a block of records: the one way from recordings to the input of a head."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.evaluation.features.extract import RecordFeatures, extract
from ecgkit.evaluation.features.gathered import Gathered
from ecgkit.inference.notes import Shape, notes, problem
from ecgkit.inference.records import Block
from ecgkit.methods import Encoder
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.writer import LedgerRow


@dataclass(frozen=True)
class Reader:
    """An encoder, and what it is given.

    Args:
        name: Name of the model, for errors.
        encoder: The encoder, on its device.
        spec: Its signal contract.
        leads: The leads that it is given, of those of the contract; all if they are the contract's.
        needs: Names of the features that are read.
    """

    name: str
    encoder: Encoder
    spec: SignalSpec
    leads: tuple[str, ...]
    needs: tuple[str, ...]


def readable(block: Block, readers: Sequence[Reader]) -> tuple[NDArray[np.int64], list[str], list[LedgerRow]]:
    """Return the places of the records that all readers can read, the notes of each, and the others' ledger rows."""
    at, texts, rejected = [], [], list(block.rejected)
    table, known = block.table, dict[Shape, tuple[str, list[str]]]()
    for place, shape in enumerate(_shapes(table)):
        if shape not in known:
            known[shape] = _judged(shape, readers)
        reason, said = known[shape]
        if reason:
            record, path = (
                str(table[name].iloc[place] or "") if name in table else "" for name in ("record_id", "path")
            )
            rejected.append(LedgerRow(record, path, "leads" if "leads" in reason else "signal", reason))
            continue
        at.append(place)
        texts.append("; ".join([*said, *filter(None, [block.remarks[place]])]))
    return np.array(at, np.int64), texts, rejected


def _shapes(table: pd.DataFrame) -> list[Shape]:
    if table.empty:
        return []
    columns = (table[name].tolist() for name in ("fs", "samples", "leads", "unit"))
    return [Shape(fs, samples, tuple(leads), unit) for fs, samples, leads, unit in zip(*columns, strict=True)]


def _judged(shape: Shape, readers: Sequence[Reader]) -> tuple[str, list[str]]:
    """Return why a reader cannot read a record of this shape, empty if all can; and what the record lacks."""
    reasons = [reason for reader in readers if (reason := problem(shape, reader.spec, reader.leads))]
    if reasons:
        return reasons[0], []
    return "", list(dict.fromkeys(note for reader in readers for note in notes(shape, reader.spec, reader.leads)))


def features_of_block(block: Block, at: NDArray[np.int64], reader: Reader) -> RecordFeatures:
    """Return the features of the records at some places of a block, in this order.

    Raises:
        StoreError: The store lacks what the encoder needs.
        RunError: The encoder does not fill a field, or gives NaN.
    """
    fields = [*reader.needs, *(["token_real"] if "tokens" in reader.needs else [])]
    found = Gathered(len(at), fields)
    present = np.zeros((len(at), len(reader.spec.leads)), bool)
    place = {int(n): i for i, n in enumerate(at)}
    for group in block.groups(at, reader.spec, reader.encoder.needs, reader.name):
        view = group.view if reader.leads == reader.spec.leads else group.view.only(reader.leads)
        made = extract(reader.encoder, view, group.rows, reader.needs, supplies=group.supplies)
        rows = np.array([place[int(n)] for n in group.at])
        present[rows] = made.present
        for name in fields:
            found.put(name, rows, made[name])
    return RecordFeatures(found.values, reader.spec.leads, present)
