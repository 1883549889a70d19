"""Errors that a user can act on.

Every message is one line with three parts: what was found, what was expected, and what to do about it. The
command line prints it and exits with code 2; a traceback is shown only under ``--debug``.
"""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint at the known name nearest to a mistyped one, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f"Did you mean {near[0]!r}?" if near else ""


class EcgkitError(Exception):
    """A problem in the user's input, told as found, expected and remedy.

    Args:
        found: What is there, with the offending value or path.
        expected: What should have been there, as a noun phrase; left out if `found` says it already.
        remedy: What to do, often a command.
    """

    def __init__(self, found: str, expected: str = "", remedy: str = "") -> None:
        self.found, self.expected, self.remedy = found, expected, remedy
        text = f"{found}; expected {expected}" if expected else found
        super().__init__(" ".join((f"{text}. {remedy}" if remedy else text).split()))


class LeadError(EcgkitError):
    """A lead name is unknown, or a lead that is needed is not there."""


class SignalError(EcgkitError):
    """A signal cannot be brought into the form asked for."""


class RecordError(EcgkitError):
    """One recording cannot be read; ingest writes it to the ledger and goes on."""


class DatasetError(EcgkitError):
    """A folder is not the dataset it was taken for, or holds nothing to read."""


class StoreError(EcgkitError):
    """A path is not an ecgkit store, or the store lacks what was asked of it."""


class ConfigError(EcgkitError):
    """A configuration holds an unknown key or an impossible value."""


class PluginError(EcgkitError):
    """A plugin, or something that a plugin registers, is unknown or broken."""


class TaskError(EcgkitError):
    """An evaluation task does not fit the store it is asked of."""


class RunError(EcgkitError):
    """A run folder is missing, incomplete, or does not fit what is asked of it."""


class LeakError(EcgkitError):
    """A model would be judged by records or patients that it was pretrained on."""


class ResultsError(EcgkitError):
    """No result rows where some were expected, or a row that cannot be read."""


class OutputError(EcgkitError):
    """An output exists already or cannot be written."""


class LockedError(OutputError):
    """Another process is at work on the same output."""


class WorkerError(EcgkitError):
    """A process that shared the work ended before its work was done."""


class EndpointError(EcgkitError):
    """A model server cannot be used, or gives nothing that can be read."""
