"""Changes of a file that keep most of it. Hypothesis draws from them, and so does the long run without atheris."""

import random
import re

TOKENS = (
    b"\x00",
    b"\xff" * 4,
    b"-1",
    b"0",
    b"1e308",
    b"nan",
    b"inf",
    b"99999999999999999999",
    b"/../",
    b"#",
    b"\n",
    b"\r\n",
    b",",
    b'"',
    b"{",
    b"[",
    b"&a *a",
    b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>",
    b"\x1b[2J",
    "\u00e9\u202e".encode(),
    b"\xd8\x00",
)
NUMBERS = (b"0", b"-1", b"2147483648", b"1e400", b"0.0001", b"007", b"12" * 40)
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")


def mutated(seed: bytes, rng: random.Random, most: int = 4) -> bytes:
    """Return a seed after one to `most` changes."""
    data = bytearray(seed)
    for _ in range(rng.randint(1, most)):
        rng.choice((_flip, _set, _cut, _repeat, _insert, _number, _truncate))(data, rng)
    return bytes(data)


def _span(data: bytearray, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 4, 16, 64, 256)))


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _cut(data: bytearray, rng: random.Random) -> None:
    start, stop = _span(data, rng)
    del data[start:stop]


def _repeat(data: bytearray, rng: random.Random) -> None:
    start, stop = _span(data, rng)
    data[start:start] = data[start:stop] * rng.choice((1, 2, 50))


def _insert(data: bytearray, rng: random.Random) -> None:
    start, _ = _span(data, rng)
    data[start:start] = rng.choice(TOKENS)


def _number(data: bytearray, rng: random.Random) -> None:
    numbers = list(_NUMBER.finditer(data[: 1 << 16]))
    if numbers:
        one = rng.choice(numbers)
        data[one.start() : one.end()] = rng.choice(
            (b"0", b"-1", b"2147483648", b"1e400", b"0.0001", b"007", b"12" * 40)
        )


def _truncate(data: bytearray, rng: random.Random) -> None:
    if rng.random() < 0.3:
        del data[rng.randrange(len(data) + 1) :]
