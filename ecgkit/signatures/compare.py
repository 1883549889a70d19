"""Find records that are copies of others, by their signatures.

A word is 64 consecutive points of the thin grid, 1.28 s of one lead; one in four is used. Records that share a word
become candidates, at the shift between the two words. A candidate is a copy if the two overlap long enough and at least
`SAME` of the bits that overlap are equal, over all leads that both records have.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.signatures.bits import LEADS, THIN
from ecgkit.signatures.table import Signatures

SAME = 0.95  # share of equal bits; copies reach 0.97 and more, others of real recordings at most 0.86
EDGE = 20  # points of the thin grid (0.4 s) at each end of a record, which its filter spoils; they do not count
SHORTEST = 200  # points of the thin grid (4 s) that must overlap,
COVERED = 0.85  # and this share of the shorter record: a copy that was cut lies in the other as a whole, or nearly
WORD = 64  # points of the thin grid
CHOSEN = 4  # one word of so many is used; its content decides, so that both sides choose the same
BLOCK = 4096  # known records at a time
TESTED_BLOCK = 8192  # tested records at a time
MOST = 64  # tested places of one word; a word that more places share is of a rhythm, not of a recording
SHIFTS = 3  # shifts of a pair of records that are tried, those that most words agree on

_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: spreads words that are alike
Bits = list[NDArray[np.uint8] | None]


def find_copies(tested: Signatures, known: Signatures) -> NDArray[np.int64]:
    """Return for each tested record the row of a known record that it is a copy of; -1 if there is none.

    Args:
        tested: Signatures of R records on the full grid.
        known: Signatures of any number of records on the thin grid; see `Signatures.thin`.
    """
    found = np.full(len(tested), -1, np.int64)
    for row, other in copies(tested, known):
        if found[row] < 0:
            found[row] = other
    return found


def copies(tested: Signatures, known: Signatures) -> Iterator[tuple[int, int]]:
    """Yield each tested row with each known row that it is a copy of; see `find_copies`."""
    for first in range(0, len(tested), TESTED_BLOCK):
        some = _Tested(tested.take(slice(first, first + TESTED_BLOCK)))
        for start in range(0, len(known), BLOCK):
            pairs = dict.fromkeys(some.copies(known.take(slice(start, start + BLOCK))))
            yield from ((first + row, start + other) for row, other in pairs)


class _Tested:
    """A block of tested records, with an index of their words."""

    def __init__(self, signatures: Signatures) -> None:
        self.bits: dict[str, Bits] = {lead: signatures.bits(lead) for lead in LEADS}
        self.index = {lead: _Words.of(bits, THIN) for lead, bits in self.bits.items()}
        for words in self.index.values():
            words.sort()

    def copies(self, known: Signatures) -> Iterator[tuple[int, int]]:
        """Yield pairs of a tested and a known record that are copies."""
        bits = {lead: known.bits(lead) for lead in LEADS}
        for row, other, shift in self._candidates(bits):
            if self.agreement(row, other, shift, bits) >= SAME:
                yield row, other

    def _candidates(self, known: dict[str, Bits]) -> list[tuple[int, int, int]]:
        """Return tested row, known row and shift in points of the full grid, by falling number of shared words."""
        hits = np.concatenate([_shared(self.index[lead], _Words.of(known[lead], 1)) for lead in LEADS])
        if not len(hits):
            return []
        places, votes = np.unique(hits, axis=0, return_counts=True)
        order = np.lexsort((-votes, places[:, 1], places[:, 0]))
        places = places[order]
        is_new = np.any(places[1:, :2] != places[:-1, :2], axis=1)
        starts = np.concatenate([[0], np.flatnonzero(is_new) + 1])
        rank = np.arange(len(places)) - np.repeat(starts, np.diff([*starts, len(places)]))
        return [(int(row), int(other), int(shift)) for row, other, shift in places[rank < SHIFTS]]

    def agreement(self, row: int, other: int, shift: int, known: dict[str, Bits]) -> float:
        """Return the share of equal bits at a shift; 0 if too little overlaps."""
        equal = total = 0
        for lead in LEADS:
            ours, theirs = self.bits[lead][row], known[lead][other]
            if ours is None or theirs is None:
                continue
            count = -(-len(ours) // THIN)
            at = -(-shift // THIN)  # the point of `ours` where `theirs` begins, on the thin grid
            first = max(EDGE, EDGE - at)  # first and last point of `theirs` that count
            last = min(len(theirs), count - at) - EDGE
            if last - first < max(SHORTEST, COVERED * (min(count, len(theirs)) - 2 * EDGE)):
                return 0.0
            part = ours[shift + THIN * first : shift + THIN * last : THIN]
            equal += int(np.count_nonzero(part[: last - first] == theirs[first:last]))
            total += last - first
        return equal / total if total else 0.0


@dataclass
class _Words:
    """Words of a lead in many records.

    Args:
        words: ``[N]``, uint64.
        rows: ``[N]``, the record of each word.
        places: ``[N]``, its first point.
    """

    words: NDArray[np.uint64]
    rows: NDArray[np.int64]
    places: NDArray[np.int64]

    @classmethod
    def of(cls, records: Bits, step: int) -> "_Words":
        """Return the chosen words of records.

        Args:
            records: Bits of each record.
            step: Distance of the points of a word.
        """
        span = step * (WORD - 1) + 1
        long = [(row, bits) for row, bits in enumerate(records) if bits is not None and len(bits) >= span]
        if not long:
            return cls(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64))
        lengths = np.array([len(bits) for _, bits in long])
        words = np.concatenate([bits for _, bits in long]).astype(np.uint64)
        width = 1
        while width < WORD:  # each turn joins two neighbouring words of half the width
            words = words[: len(words) - width * step] | (words[width * step :] << np.uint64(width))
            width *= 2
        begins = np.cumsum(lengths) - lengths
        at = np.flatnonzero((words * _MIX) >> np.uint64(32) < np.uint64(2**32 // CHOSEN))
        record = np.searchsorted(begins, at, "right") - 1
        within = at - begins[record]
        inside = within <= lengths[record] - span  # a word does not reach into the next record
        rows = np.array([row for row, _ in long], np.int64)[record[inside]]
        return cls(words[at[inside]], rows, within[inside])

    def sort(self) -> None:
        """Sort the words, so that others can be looked up."""
        order = np.argsort(self.words, kind="stable")
        self.words, self.rows, self.places = self.words[order], self.rows[order], self.places[order]


def _shared(tested: _Words, known: _Words) -> NDArray[np.int64]:
    """Return the words that both have, ``[N, 3]``: tested row, known row and shift in points of the full grid."""
    first = np.searchsorted(tested.words, known.words, "left")
    count = np.searchsorted(tested.words, known.words, "right") - first
    count[count > MOST] = 0
    total = int(count.sum())
    at = np.repeat(first - (np.cumsum(count) - count), count) + np.arange(total)
    shift = tested.places[at] - THIN * np.repeat(known.places, count)
    return np.stack([tested.rows[at], np.repeat(known.rows, count), shift], axis=1)
