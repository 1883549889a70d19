"""A detector in use: its entry and settings, the leads that it gets, and the sampling rate at which it works."""

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

Found = tuple[NDArray[np.int64], str]  # peaks, and the reason why there are none; empty if the detector worked


@dataclass(frozen=True)
class Detector:
    """Settings for finding R peaks.

    Args:
        name: Name of a registered detector.
        leads: Leads that the detector gets, in this order; empty for the detector's default.
        fs: Sampling rate in Hz to which signals are resampled first; None leaves them unchanged.
        assignments: Settings of the detector, such as ``high=0.4``.

    Raises:
        PluginError: There is no detector of this name.
        ConfigError: The rate or a setting is not valid.
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
        """The detector's settings; None if it has none."""
        if not self.entry.settings:
            if self.assignments:
                raise ConfigError(f"--set {self.assignments[0]} does not apply: detector {self.name} has no settings")
            return None
        return override(load_target(self.entry.settings, f"the settings of {self.name}")(), self.assignments)

    @cached_property
    def _function(self) -> Callable[..., Sequence[NDArray[np.integer]]]:
        return self.entry.load()

    def describe(self) -> dict[str, Any]:
        """Return everything that decides the peaks, in JSON types."""
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
        """Return the leads of a record that the detector gets: none only if the user chose other leads."""
        chosen = tuple(lead for lead in self.leads or self.entry.leads if lead in have)
        return chosen or (() if self.leads else tuple(have))

    def find(self, signal: NDArray[np.floating], fs: float, leads: Sequence[str]) -> list[Found]:
        """Find the R peaks of records of one shape.

        Args:
            signal: ``[B, L, T]`` in mV, NaN for a missing sample.
            fs: Sampling rate in Hz.
            leads: Names of the L rows, as `choose_leads` returns them.

        Returns:
            For each record ascending sample indices at `fs`, and ``failed: ...`` if the detector raised an error.
        """
        if not leads or not signal.shape[-1]:
            return [(np.empty(0, np.int64), "")] * len(signal)
        rate = self.fs or fs
        moved = signal if rate == fs else resample_with_gaps(signal, fs, rate)
        return [
            (self._back(peaks, rate, fs, signal.shape[-1]), why) for peaks, why in self._guarded(moved, rate, leads)
        ]

    def _guarded(self, signal: NDArray[np.floating], fs: float, leads: Sequence[str]) -> list[Found]:
        """Run the detector. If it raises an error, each record is tried alone, so that one cannot affect the others."""
        extra = () if self.settings is None else (self.settings,)
        try:
            found = self._function(signal, fs, leads, *extra)
        except EcgkitError:
            raise
        except Exception as error:  # a detector may be a plugin's code, and may raise anything
            if len(signal) == 1:
                return [(np.empty(0, np.int64), f"failed: {type(error).__name__}")]
            return [self._guarded(record[None], fs, leads)[0] for record in signal]
        return [(np.asarray(peaks, np.int64), "") for peaks in found]

    @staticmethod
    def _back(peaks: NDArray[np.int64], rate: float, fs: float, samples: int) -> NDArray[np.int64]:
        """Convert peaks at `rate` to peaks at `fs`, inside the record and without repeats."""
        moved = peaks if rate == fs else np.floor(peaks * fs / rate + 0.5).astype(np.int64)
        return np.unique(moved[(moved >= 0) & (moved < samples)])
