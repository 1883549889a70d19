"""What a check gives: it passed, it failed and why, or it could not be made here."""

from dataclasses import dataclass
from typing import Literal

from ecgkit.errors import EcgkitError

Outcome = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Args:
        subject: What was checked, such as ``method stmem``.
        check: Name of the check.
        outcome: ``ok``, ``failed`` or ``skipped``.
        why: What was found, what was expected and what to do; empty where it passed.
        seconds: How long it took.
    """

    subject: str
    check: str
    outcome: Outcome
    why: str = ""
    seconds: float = 0.0


class CheckFailed(EcgkitError):  # noqa: N818  (an outcome)
    """A check found something else than it expected."""


class CheckSkipped(EcgkitError):  # noqa: N818  (an outcome)
    """A check cannot be made on this machine or of this method."""
