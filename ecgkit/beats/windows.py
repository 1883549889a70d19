"""How beats are cut: settings that a family may have in its config. Importing this module does not import torch."""

from dataclasses import dataclass
from typing import Literal

TooMany = Literal["first", "spread"]
Cut = Literal["midpoint", "fixed"]


@dataclass(frozen=True)
class BeatWindow:
    """The window of a beat token.

    Args:
        before: Samples before the R peak.
        after: Samples from the R peak on. A token has ``before + after`` samples, with the peak at index ``before``.
        max_beats: Slots per record; None makes as many as the record with the most beats in a batch needs.
        too_many: Which beats to keep of a record with more beats than slots: the ``first`` ones, or ones ``spread``
            evenly over it, including the first and the last.
        cut: ``midpoint``, the published rule: a beat ends half-way to its neighbours, and zeros follow. ``fixed``: the
            whole window, whatever it contains.
    """

    before: int = 48
    after: int = 48
    max_beats: int | None = 15
    too_many: TooMany = "first"
    cut: Cut = "midpoint"

    def __post_init__(self) -> None:
        if self.before < 0 or self.after < 1:
            raise ValueError(f"before {self.before} and after {self.after} must be at least 0 and 1 samples")
        if self.max_beats is not None and self.max_beats < 1:
            raise ValueError(f"max_beats {self.max_beats} must be at least 1")

    @property
    def width(self) -> int:
        """Number of samples per token."""
        return self.before + self.after


# Published beat tokens (arXiv 2512.24002 and 2502.10707, released code): 0.96 s at 100 Hz, 15 slots per lead.
PUBLISHED = BeatWindow()
EVEN_PEAKS = 15  # centres that stand in for a record without peaks, in the same code
