"""Reference beats from WFDB annotations: which annotations count, and in which stretches."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.annotations import BEATS, parse_annotations
from ecgkit.datasets.paths import check_inside
from ecgkit.errors import ConfigError, RecordError

WAVE_ON, WAVE_OFF = "(", ")"
FLUTTER_ON, FLUTTER_OFF = "[", "]"


@dataclass(frozen=True)
class Reference:
    """The reference beats of one record.

    Args:
        beats: Ascending sample indices.
        spans: ``[n, 2]``, first and last sample of each stretch that is scored. Beats and detections elsewhere do not
            count.
    """

    beats: NDArray[np.int64]
    spans: NDArray[np.int64]

    def judged(self, peaks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the peaks that lie in the scored stretches."""
        inside = (peaks[:, None] >= self.spans[:, 0]) & (peaks[:, None] <= self.spans[:, 1])
        return peaks[inside.any(1)]


def read_reference(root: Path, path: str, annotator: str, *, samples: int, fs: float) -> Reference | None:
    """Read the reference beats of a record; None if it has no such annotation.

    Beats are the codes that PhysioNet lists as beats. Ventricular flutter (from ``[`` to ``]``) is not scored, as in
    EC57. If the annotation marks waves (``(`` and ``)``, as in LUDB), only part of the record is annotated, and it is
    scored from the first mark to the last.

    Args:
        root: The dataset's folder.
        path: The record's path relative to it, without suffix.
        annotator: Suffix of the annotation file, such as ``atr``.
        samples: Length of the record.
        fs: Its sampling rate in Hz.

    Raises:
        ConfigError: `annotator` is not a valid suffix.
        RecordError: The annotation cannot be read or leads out of `root`.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]+", annotator):
        raise ConfigError(f"annotator {annotator!r}", "the suffix of annotation files, such as atr")
    name = f"{path}.{annotator}"
    check_inside(root, name)
    if not (root / name).is_file():
        return None
    try:
        annotations = parse_annotations((root / name).read_bytes(), fs)
    except (OSError, ValueError) as error:
        raise RecordError(f"{name} is not readable ({error})", "a WFDB annotation") from None
    symbols = np.asarray(annotations.symbols, np.str_)
    beats = np.unique(annotations.only(BEATS))
    reference = Reference(beats, _spans(annotations.samples, symbols, samples))
    return Reference(reference.judged(beats), reference.spans)


def _spans(marks: NDArray[np.int64], symbols: NDArray[np.str_], samples: int) -> NDArray[np.int64]:
    """Return the stretches that the annotation covers."""
    if not len(marks):
        return np.empty((0, 2), np.int64)
    in_part = np.isin(symbols, (WAVE_ON, WAVE_OFF)).any()
    starts, stops = ([int(marks[0])], [int(marks[-1])]) if in_part else ([0], [samples - 1])
    # A flutter that began before the record, or ends after it, is open at that end.
    for mark, symbol in zip(marks.tolist(), symbols.tolist(), strict=True):
        if symbol == FLUTTER_ON:
            stops.insert(-1, mark - 1)
            starts.append(samples)
        elif symbol == FLUTTER_OFF:
            starts[-1] = mark + 1
    return np.array([span for span in zip(starts, stops, strict=True) if span[0] <= span[1]], np.int64).reshape(-1, 2)
