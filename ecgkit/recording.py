"""One ECG in memory, as every reader returns it and every store keeps it."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import LeadError
from ecgkit.leads import canonical_order, derive_limb_leads, select_leads


@dataclass(frozen=True)
class Recording:
    """A multi-lead recording.

    Args:
        signal: ``[L, T]``, in mV unless `unit` says otherwise; NaN where a sample is missing.
        fs: Sampling rate in Hz.
        leads: Canonical names of the L rows.
        unit: ``mV``, or ``NU`` where the source gives no physical unit (then 1.0 is one unit of the source).
        source_leads: The names that the source gave to the L rows, empty for a derived one.
        derived: Which of `leads` were computed from I and II.
        other: Names of signals of the source that are no ECG leads, and therefore are not in `signal`.
        comments: Free lines of the source's header.
        rpeaks: Reference R peaks as sample indices at `fs`, or None where the source has none.
    """

    signal: NDArray[np.floating]
    fs: float
    leads: tuple[str, ...]
    unit: str = "mV"
    source_leads: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()
    rpeaks: NDArray[np.integer] | None = field(default=None, compare=False)

    @property
    def seconds(self) -> float:
        """Length in s."""
        return self.signal.shape[-1] / self.fs

    def with_derived_leads(self) -> "Recording":
        """Return the recording with III, aVR, aVL and aVF computed from I and II where they are missing.

        Without a physical unit the leads may have been scaled one by one, and then the relations between them do
        not hold: such a recording is returned as it is.
        """
        if self.unit != "mV":
            return self
        signal, leads, derived = derive_limb_leads(self.signal, self.leads)
        names = (*self.source_leads, *[""] * len(derived)) if self.source_leads else ()
        return replace(self, signal=signal, leads=leads, derived=derived, source_leads=names).ordered()

    def ordered(self) -> "Recording":
        """Return the recording with its rows in canonical order."""
        return self.only(canonical_order(self.leads))

    def only(self, leads: tuple[str, ...]) -> "Recording":
        """Return the recording reduced to `leads`.

        Raises:
            LeadError: One of them is not there.
        """
        missing = [lead for lead in leads if lead not in self.leads]
        if missing:
            raise LeadError(
                f"leads {', '.join(missing)} are missing (the record has {', '.join(self.leads)})",
                ", ".join(leads),
            )
        names = dict(zip(self.leads, self.source_leads, strict=False))
        return replace(
            self,
            signal=select_leads(self.signal, self.leads, leads),
            leads=leads,
            derived=tuple(lead for lead in self.derived if lead in leads),
            source_leads=tuple(names[lead] for lead in leads) if names else (),
        )
