"""A detector as it is used: an entry with its settings, the leads that it is given, and the rate at which it works."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.beats import DEFAULT_DETECTOR
from ecgkit.config import override, to_dict
from ecgkit.entries import DetectorEntry, load_target
from ecgkit.errors import ConfigError, EcgkitError
from ecgkit.plugins import host
from ecgkit.signal.resample import resample_with_gaps

Found = tuple[NDArray[np.int64], str]  # peaks, and why there are none: empty if the detector worked


@dataclass(frozen=True)
class Detector:
    """How R peaks are found.

    Args:
        name: A registered detector.
        leads: The leads that it is given, in this order; empty for its own choice.
        fs: Rate in Hz to which signals are brought first; None leaves them as they are.
        assignments: Settings of its own, such as ``high=0.4``.

    Raises:
        PluginError: No detector has this name.
        ConfigError: The rate or a setting cannot be.
    """

    name: str = DEFAULT_DETECTOR
    leads: tuple[str, ...] = ()
    fs: float | None = None
    assignments: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.fs is not None and not 50 <= self.fs <= 10_000:
            raise ConfigError(f"detection at {self.fs:g} Hz", "50 to 10000 Hz")
        self.describe()

    @cached_property
    def entry(self) -> DetectorEntry:
        """The registered entry."""
        return host().get(DetectorEntry, self.name)

    @cached_property
    def settings(self) -> Any:
        """The detector's settings, or None where it has none."""
        if not self.entry.settings:
            if self.assignments:
                raise ConfigError(f"--set {self.assignments[0]}", f"no setting, for {self.name} has none")
            return None
        return override(load_target(self.entry.settings, f"the settings of {self.name}")(), self.assignments)

    @cached_property
    def _function(self) -> Callable[..., Sequence[NDArray[np.integer]]]:
        return self.entry.load()

    def describe(self) -> dict[str, Any]:
        """Return all that decides the peaks, as JSON knows it."""
        library = self.entry.distribution
        try:
            installed = version(library) if library else ""
        except PackageNotFoundError:
            installed = "not installed"
        return {
            "detector": self.name,
            "detector_version": self.entry.version,
            "library": f"{library} {installed}".strip(),
            "settings": {} if self.settings is None else to_dict(self.settings),
            "leads": list(self.leads or self.entry.leads),
            "leads_chosen_by": "user" if self.leads else "detector",
            "fs": self.fs,
        }

    def choose_leads(self, have: Sequence[str]) -> tuple[str, ...]:
        """Return which of a record's leads the detector is given: none only where the user's choice is not there."""
        chosen = tuple(lead for lead in self.leads or self.entry.leads if lead in have)
        return chosen or (() if self.leads else tuple(have))

    def find(self, signal: NDArray[np.floating], fs: float, leads: Sequence[str]) -> list[Found]:
        """Find the R peaks of records of one shape.

        Args:
            signal: ``[B, L, T]`` in mV, NaN where a sample is missing.
            fs: Sampling rate in Hz.
            leads: Names of the L rows: those of `choose_leads`.

        Returns:
            For each record ascending sample indices at `fs`, and ``failed: ...`` where the detector raised an error.
        """
        if not leads or not signal.shape[-1]:
            return [(np.empty(0, np.int64), "")] * len(signal)
        rate = self.fs or fs
        moved = signal if rate == fs else resample_with_gaps(signal, fs, rate)
        return [
            (self._back(peaks, rate, fs, signal.shape[-1]), why) for peaks, why in self._guarded(moved, rate, leads)
        ]

    def _guarded(self, signal: NDArray[np.floating], fs: float, leads: Sequence[str]) -> list[Found]:
        """Detect; where a detector raises, each record is tried alone, so that one cannot cost the others."""
        extra = () if self.settings is None else (self.settings,)
        try:
            found = self._function(signal, fs, leads, *extra)
        except EcgkitError:
            raise
        except Exception as error:  # anybody's code on anybody's signal
            if len(signal) == 1:
                return [(np.empty(0, np.int64), f"failed: {type(error).__name__}")]
            return [self._guarded(record[None], fs, leads)[0] for record in signal]
        return [(np.asarray(peaks, np.int64), "") for peaks in found]

    @staticmethod
    def _back(peaks: NDArray[np.int64], rate: float, fs: float, samples: int) -> NDArray[np.int64]:
        """Return peaks at `rate` as peaks at `fs`, inside the record and each once."""
        moved = peaks if rate == fs else np.floor(peaks * fs / rate + 0.5).astype(np.int64)
        return np.unique(moved[(moved >= 0) & (moved < samples)])
