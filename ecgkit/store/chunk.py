"""The records of one row of chunks while they are written: one chunk, or one per stretch of time."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ecgkit.signal.microvolts import MISSING
from ecgkit.store import format as fmt

Signals = NDArray[np.int16] | list[NDArray[np.int16]]


class Chunk:
    """Up to `layout.chunk` records, by their place. If the layout has tiles, each record takes its own memory only.

    Args:
        layout: Layout of the store.
    """

    def __init__(self, layout: fmt.Layout) -> None:
        self.layout = layout
        self._block = layout.empty_chunk()
        self._own: dict[int, NDArray[np.int16]] = {}  # with tiles: the records, int16 [L, T] of each record's length
        self._places: set[int] = set()

    def put(self, place: int, rows: slice | list[int], stored: NDArray[np.int16]) -> None:
        """Put a record's leads at rows of the lead axis."""
        samples = stored.shape[1]
        self._places.add(place)
        if self.layout.tiles == 1:
            self._block[place, rows, :samples] = stored
        else:
            self._own[place] = np.full((len(self.layout.leads), samples), MISSING)
            self._own[place][rows] = stored

    def drop(self, place: int) -> None:
        """Empty a place."""
        self._places.discard(place)
        if self.layout.tiles == 1:
            self._block[place] = MISSING
        else:
            del self._own[place]

    def signal(self, place: int) -> NDArray[np.int16]:
        """Return a record, int16 ``[L, T]``, T at least its length."""
        return self._block[place] if self.layout.tiles == 1 else self._own[place]

    def signals(self, places: Sequence[int]) -> Signals:
        """Return some records: a block ``[n, L, T]`` if the layout has no tiles, otherwise a list."""
        if self.layout.tiles > 1:
            return [self._own[place] for place in places]
        return self._block if len(places) == len(self._block) else self._block[list(places)]

    def packed(self) -> Iterator[bytes]:
        """Yield each chunk compressed, in the order of time; a chunk without a record is empty."""
        if self.layout.tiles == 1:
            yield fmt.pack_chunk(self._block) if self._places else b""
            return
        tile = self.layout.tile
        for start in range(0, self.layout.tiles * tile, tile):
            there = {place: part for place, own in self._own.items() if (part := own[:, start : start + tile]).size}
            for place, part in there.items():
                self._block[place, :, : part.shape[1]] = part
            yield fmt.pack_chunk(self._block) if there else b""
            self._block[list(there)] = MISSING

    def clear(self) -> None:
        """Empty all places."""
        if self.layout.tiles == 1:
            self._block[:] = MISSING
        self._own.clear()
        self._places.clear()
