"""One ECG in memory, as every reader returns it and every store keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import LeadError
from ecgkit.leads import DERIVED, canonical_order, derive_limb_leads, select_leads
from ecgkit.signal.microvolts import UNITS_PER_MV, Scaling, decode, encode, quantise

Amplitudes = NDArray[np.int16] | NDArray[np.floating]


@dataclass(frozen=True)
class Recording:
    """A multi-lead recording.

    The samples are held once: as int16 counts (`stored`) if that is exact, else as floating point. `signal` is always
    in mV.

    Args:
        amplitudes: ``[L, T]``; either int16 counts, with `ecgkit.signal.microvolts.MISSING` for a missing sample, or
            floating point in mV, with NaN for a missing sample. If `unit` is ``NU``, the source's unit replaces mV, and
            its thousandths replace microvolts.
        fs: Sampling rate in Hz.
        leads: Canonical names of the L rows.
        unit: ``mV``, or ``NU`` if the source gives no physical unit (then 1.0 is one unit of the source).
        source_leads: Names that the source gives to the L rows; empty for a derived row.
        derived: The leads that were computed from I and II.
        other: Names of the source's signals that are not ECG leads and therefore not in `amplitudes`.
        comments: Comment lines of the source's header.
        rpeaks: Reference R peaks as sample indices at `fs`; None if the source has none.
        facts: What else the source's file says of the record, such as ``age``, ``sex``, ``report``, ``pr_interval`` in
            ms, or the device. Each becomes a column of the record table.
        scaling: What int16 counts stand for; None if they are whole microvolts.
    """

    amplitudes: Amplitudes
    fs: float
    leads: tuple[str, ...]
    unit: str = "mV"
    source_leads: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()
    rpeaks: NDArray[np.integer] | None = field(default=None, compare=False)
    scaling: Scaling | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def stored(self) -> NDArray[np.int16] | None:
        """``[L, T]``, the counts as a store keeps them; None if the samples are floating point."""
        return cast(NDArray[np.int16], self.amplitudes) if self.amplitudes.dtype == np.int16 else None

    @cached_property
    def signal(self) -> NDArray[np.floating]:
        """``[L, T]`` in mV (or in the source's unit), NaN for a missing sample."""
        if self.stored is None:
            return cast(NDArray[np.floating], self.amplitudes)
        return decode(self.stored, np.float64, scaling=self.scaling)

    @property
    def samples(self) -> int:
        """Number of samples per lead, T."""
        return self.amplitudes.shape[-1]

    @property
    def seconds(self) -> float:
        """Length in s."""
        return self.samples / self.fs

    def part(self, start: int = 0, stop: int | None = None) -> "Recording":
        """Return the samples from `start` up to, but not including, `stop`, with the R peaks among them."""
        start, stop, _ = slice(start, stop).indices(self.samples)
        if (start, stop) == (0, self.samples):
            return self
        rpeaks = self.rpeaks
        if rpeaks is not None:
            rpeaks = rpeaks[(rpeaks >= start) & (rpeaks < stop)] - start
        return replace(self, amplitudes=self.amplitudes[:, start:stop], rpeaks=rpeaks)

    def quantised(self) -> tuple["Recording", int]:
        """Return the recording in counts, and the number of infinite samples, which are clipped."""
        if self.stored is not None:
            return self, 0
        stored, scaling, clipped = quantise(self.signal)
        return replace(self, amplitudes=stored, scaling=None if scaling.is_plain else scaling), clipped

    def with_derived_leads(self) -> "Recording":
        """Return the recording with missing ones of III, aVR, aVL and aVF computed from I and II.

        Whole microvolts are rounded to the nearest (half to even) as long as they are in range. The counts of recorded
        leads stay as they are. A recording without a
        physical unit is returned unchanged: its leads may have been scaled one by one, so the relations between them
        may not hold.
        """
        if self.unit != "mV":
            return self
        if set(DERIVED) <= set(self.leads) or not {"I", "II"} <= set(self.leads):
            return self.ordered()
        if self.stored is None:
            amplitudes, leads, derived = derive_limb_leads(self.signal, self.leads)
            return self._extended(amplitudes, leads, derived, None).ordered()
        microvolts, leads, derived = derive_limb_leads(decode(self.stored, np.float64, 1.0, self.scaling), self.leads)
        if self.scaling is None:
            stored, clipped = encode(microvolts, 1.0)
            if not clipped:
                return self._extended(stored, leads, derived, None).ordered()
        own = self.scaling or Scaling.plain(len(self.leads))
        added, scaling, _ = quantise(microvolts[len(self.leads) :] / UNITS_PER_MV)
        return self._extended(np.concatenate([self.stored, added]), leads, derived, own + scaling).ordered()

    def _extended(
        self, amplitudes: Amplitudes, leads: tuple[str, ...], derived: tuple[str, ...], scaling: Scaling | None
    ) -> "Recording":
        names = (*self.source_leads, *[""] * len(derived)) if self.source_leads else ()
        return replace(self, amplitudes=amplitudes, leads=leads, derived=derived, source_leads=names, scaling=scaling)

    def ordered(self) -> "Recording":
        """Return the recording with its rows in canonical order."""
        return self.only(canonical_order(self.leads))

    def only(self, leads: tuple[str, ...]) -> "Recording":
        """Return the recording reduced to `leads`.

        Raises:
            LeadError: One of `leads` is missing.
        """
        if leads == self.leads:
            return self
        missing = [lead for lead in leads if lead not in self.leads]
        if missing:
            raise LeadError(
                f"leads {', '.join(missing)} are missing (the record has {', '.join(self.leads)})",
            )
        names = dict(zip(self.leads, self.source_leads, strict=False))
        return replace(
            self,
            amplitudes=cast(Amplitudes, select_leads(self.amplitudes, self.leads, leads)),
            leads=leads,
            derived=tuple(lead for lead in self.derived if lead in leads),
            source_leads=tuple(names[lead] for lead in leads) if names else (),
            scaling=self.scaling and self.scaling.of([self.leads.index(lead) for lead in leads]),
        )
