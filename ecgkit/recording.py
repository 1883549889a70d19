"""One ECG in memory, as every reader returns it and every store keeps it."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import LeadError
from ecgkit.leads import DERIVED, canonical_order, derive_limb_leads, select_leads
from ecgkit.signal.microvolts import decode, encode

Amplitudes = NDArray[np.int16] | NDArray[np.floating]


@dataclass(frozen=True)
class Recording:
    """A multi-lead recording.

    It holds its samples once: as whole microvolts where the source's samples are such (int16, exact, `stored`), else
    as floating point. `signal` is always in mV.

    Args:
        amplitudes: ``[L, T]``; either int16 in whole microvolts, `ecgkit.signal.microvolts.MISSING` where a sample is
            missing, or floating in mV, NaN where a sample is missing. Both in the source's unit instead, and its
            thousandths, if `unit` is ``NU``.
        fs: Sampling rate in Hz.
        leads: Canonical names of the L rows.
        unit: ``mV``, or ``NU`` where the source gives no physical unit (then 1.0 is one unit of the source).
        source_leads: The names that the source gave to the L rows, empty for a derived one.
        derived: Which of `leads` were computed from I and II.
        other: Names of signals of the source that are no ECG leads, and therefore are not in `amplitudes`.
        comments: Free lines of the source's header.
        rpeaks: Reference R peaks as sample indices at `fs`, or None where the source has none.
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

    @property
    def stored(self) -> NDArray[np.int16] | None:
        """``[L, T]`` in whole microvolts as a store keeps it, or None where that would not be exact."""
        return cast(NDArray[np.int16], self.amplitudes) if self.amplitudes.dtype == np.int16 else None

    @cached_property
    def signal(self) -> NDArray[np.floating]:
        """``[L, T]`` in mV (or in the source's unit), NaN where a sample is missing."""
        return cast(NDArray[np.floating], self.amplitudes) if self.stored is None else decode(self.stored, np.float64)

    @property
    def samples(self) -> int:
        """Number of samples per lead, T."""
        return self.amplitudes.shape[-1]

    @property
    def seconds(self) -> float:
        """Length in s."""
        return self.samples / self.fs

    def part(self, start: int = 0, stop: int | None = None) -> "Recording":
        """Return the samples from `start` to before `stop`, with the R peaks among them."""
        start, stop, _ = slice(start, stop).indices(self.samples)
        if (start, stop) == (0, self.samples):
            return self
        rpeaks = self.rpeaks
        if rpeaks is not None:
            rpeaks = rpeaks[(rpeaks >= start) & (rpeaks < stop)] - start
        return replace(self, amplitudes=self.amplitudes[:, start:stop], rpeaks=rpeaks)

    def with_derived_leads(self) -> "Recording":
        """Return the recording with III, aVR, aVL and aVF computed from I and II where they are missing.

        Of whole microvolts they are rounded to the nearest (half to even) as long as they are in range. Without a
        physical unit the leads may have been scaled one by one, and then the relations between them do not hold: such
        a recording is returned as it is.
        """
        if self.unit != "mV":
            return self
        if set(DERIVED) <= set(self.leads):
            return self.ordered()
        amplitudes, leads, derived = self._derive()
        names = (*self.source_leads, *[""] * len(derived)) if self.source_leads else ()
        return replace(self, amplitudes=amplitudes, leads=leads, derived=derived, source_leads=names).ordered()

    def _derive(self) -> tuple[Amplitudes, tuple[str, ...], tuple[str, ...]]:
        if self.stored is not None:
            microvolts, leads, derived = derive_limb_leads(decode(self.stored, np.float64, 1.0), self.leads)
            stored, clipped = encode(microvolts, 1.0)
            if not clipped:
                return stored, leads, derived
        return derive_limb_leads(self.signal, self.leads)

    def ordered(self) -> "Recording":
        """Return the recording with its rows in canonical order."""
        return self.only(canonical_order(self.leads))

    def only(self, leads: tuple[str, ...]) -> "Recording":
        """Return the recording reduced to `leads`.

        Raises:
            LeadError: One of them is not there.
        """
        if leads == self.leads:
            return self
        missing = [lead for lead in leads if lead not in self.leads]
        if missing:
            raise LeadError(
                f"leads {', '.join(missing)} are missing (the record has {', '.join(self.leads)})",
                ", ".join(leads),
            )
        names = dict(zip(self.leads, self.source_leads, strict=False))
        return replace(
            self,
            amplitudes=cast(Amplitudes, select_leads(self.amplitudes, self.leads, leads)),
            leads=leads,
            derived=tuple(lead for lead in self.derived if lead in leads),
            source_leads=tuple(names[lead] for lead in leads) if names else (),
        )
