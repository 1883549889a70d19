"""Every reader answers a damaged input with an error of ecgkit, and in bounded time. Each run tries a few new inputs.

``python -m tests.fuzz NAME --minutes 10`` tries many.
"""

import base64
import io
import random
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS

FAST = ("header", "annotations", "csv-table", "answer", "settings")
SLOW = tuple(name for name in TARGETS if name not in FAST)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_sound(name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds():
        target.read(seed)  # no error at all


@pytest.mark.parametrize("name", FAST)
@settings(max_examples=200)
@given(data=st.data())
def test_fast_readers_survive(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    drawn = data.draw(st.binary(max_size=400) | st.builds(mutated, st.sampled_from(target.seeds()), st.randoms()))
    target(drawn)


@pytest.mark.parametrize("name", SLOW)
def test_readers_of_files_survive(name: str) -> None:
    target, rng = TARGETS[name], random.Random()
    state, seeds = rng.getstate(), target.seeds()
    for turn in range(12):
        drawn = mutated(rng.choice(seeds), rng)
        try:
            target(drawn)
        except Exception as error:
            error.add_note(f"input {turn} of {name}: {drawn[:2000]!r}; the generator began as {str(state)[:60]}")
            raise


def _nameless_member() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(zipfile.ZipInfo(""), b"x")
    return buffer.getvalue()


def _odd_integers() -> bytes:
    """A Parquet file whose stored schema has integers of other than 8 to 64 bits."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"ecg_id": [1, 2]}), buffer)
    content = buffer.getvalue()
    schema = pq.ParquetFile(buffer).metadata.metadata[b"ARROW:schema"]
    raw = base64.b64decode(schema)
    at = raw.rindex(b"\x40\x00\x00\x00")  # 64 bits
    odd = raw[:at] + b"\x44\x04" + raw[at + 2 :]
    return content.replace(schema, base64.b64encode(odd))


def _matrix_without_numbers() -> bytes:
    """A MATLAB file whose matrix has no type: scipy's reader ends the process."""
    sound = TARGETS["mat"].seeds()[0]
    at = sound.index(b"val") + 5
    return sound[:at] + bytes(8) + sound[at + 8 :]


# Inputs of the kinds that long runs found.
FOUND = {
    "zip": _nameless_member,
    "mat": _matrix_without_numbers,
    "parquet-table": _odd_integers,
    "csv-samples": lambda: TARGETS["csv-samples"].seeds()[0].replace(b"V3,V4", b"V3^XV4"),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once_is_survived(name: str) -> None:
    TARGETS[name](FOUND[name]())
