"""Annotation files in MIT format, such as ``.atr``: positions of beats and waves.

Format: annot(5) of the WFDB Applications Guide, https://physionet.org/physiotools/wag/annot-5.htm. The file is a
sequence of 16-bit little-endian words. The upper 6 bits are a code; the lower 10 bits are the number of samples since
the previous annotation.
"""

import re
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Annotation symbols that mark a beat (PhysioNet, "Annotations", table of beat annotations).
BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")

_SYMBOLS = dict(enumerate('NLRaVFJASEj/Q~ | sT*D"=pB^t+u?![]en@xf()r', 1))
_SKIP, _NUM, _SUB, _CHN, _AUX = 59, 60, 61, 62, 63
_NOTE = 22
_RESOLUTION = re.compile(r"## time resolution: (\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Annotations:
    """Annotations in the order of the file.

    Args:
        samples: Position of each annotation, as a sample index.
        symbols: Symbol of each annotation, one character each.
    """

    samples: NDArray[np.int64]
    symbols: tuple[str, ...]

    def only(self, symbols: frozenset[str]) -> NDArray[np.int64]:
        """Return the sample indices of the annotations whose symbol is one of `symbols`."""
        return self.samples[np.array([symbol in symbols for symbol in self.symbols], bool)]


def parse_annotations(raw: bytes, fs: float) -> Annotations:
    """Parse an annotation file.

    Args:
        raw: Content of the file.
        fs: Sampling rate of the record in Hz. If the file has its own time resolution, positions are converted to `fs`.

    Raises:
        ValueError: The file ends within an annotation, or contains a code that annot(5) does not define.
    """
    samples: list[int] = []
    symbols: list[str] = []
    resolution = fs
    at = time = 0
    while True:
        (word,) = _words(raw, at, "<H")
        code, interval = word >> 10, word & 0x3FF
        at += 2
        if not word:
            break
        if code == _SKIP:
            high, low = _words(raw, at, "<hH")  # PDP-11 byte order: the high half comes first
            time += (high << 16) + low
            at += 4
        elif code == _AUX:
            note = raw[at : at + interval]
            at += interval + interval % 2
            if samples and symbols[-1] == '"' and time == 0 and (own := _RESOLUTION.match(note.decode("latin-1"))):
                resolution = float(own[1])
                samples.pop(), symbols.pop()
        elif code not in (_NUM, _SUB, _CHN):
            time += interval
            if code:  # code 0 with an interval only moves the position
                if code not in _SYMBOLS:
                    raise ValueError(f"annotation code {code}")
                samples.append(time)
                symbols.append(_SYMBOLS[code])
    times = np.array(samples, np.int64)
    if resolution != fs:
        times = np.rint(times * fs / resolution).astype(np.int64)
    return Annotations(times, tuple(symbols))


def _words(raw: bytes, at: int, form: str) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, raw, at)
    except struct.error:
        raise ValueError("the file ends within an annotation") from None
