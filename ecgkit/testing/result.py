"""The result of a check: passed, failed with a reason, or skipped."""

from dataclasses import dataclass
from typing import Literal

from ecgkit.errors import EcgkitError

Outcome = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Args:
        subject: The checked entry, such as ``method stmem``.
        check: Name of the check.
        outcome: ``ok``, ``failed`` or ``skipped``.
        why: The finding, the expectation and a remedy; empty if the check passed.
        seconds: Duration in s.
    """

    subject: str
    check: str
    outcome: Outcome
    why: str = ""
    seconds: float = 0.0


class CheckFailed(EcgkitError):  # noqa: N818  (an outcome)
    """A check failed."""


class CheckSkipped(EcgkitError):  # noqa: N818  (an outcome)
    """A check does not apply to this method, or cannot run on this machine."""
