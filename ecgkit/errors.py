"""Errors that a user can act on.

Every message is one line: what was found, what was expected if that helps, and what to do next. The command line prints
the message and exits with code 2. Only ``--debug`` shows a traceback.
"""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint with the known name that is nearest to a mistyped one; empty if none is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f"Did you mean {near[0]!r}?" if near else ""


class EcgkitError(Exception):
    """A problem in the user's input, with the parts found, expected and remedy.

    Args:
        found: What was found, with the offending value or path.
        expected: What was expected, as a noun phrase; left out if `found` already says it.
        remedy: What to do next, often a command.
    """

    def __init__(self, found: str, expected: str = "", remedy: str = "") -> None:
        self.found, self.expected, self.remedy = found, expected, remedy
        text = f"{found}; expected {expected}" if expected else found
        super().__init__(" ".join((f"{text}. {remedy}" if remedy else text).split()))


class LeadError(EcgkitError):
    """A lead name is unknown, or a required lead is missing."""


class SignalError(EcgkitError):
    """A signal cannot be converted as required."""


class RecordError(EcgkitError):
    """One recording cannot be read. Ingest writes it to the ledger and continues."""


class NoLeadError(RecordError):
    """No signal of a recording is an ECG lead."""


class DatasetError(EcgkitError):
    """A folder is not the dataset that it should be, or contains no readable record."""


class DownloadError(EcgkitError):
    """An archive cannot be downloaded, or what arrived is not what its publisher lists."""


class StoreError(EcgkitError):
    """A path is not an ecgkit store, or the store lacks something that is needed."""


class ConfigError(EcgkitError):
    """A configuration holds an unknown key or an impossible value."""


class PluginError(EcgkitError):
    """A plugin, or something that a plugin registers, is unknown or broken."""


class TaskError(EcgkitError):
    """An evaluation task does not fit the store."""


class RunError(EcgkitError):
    """A run folder is missing, incomplete, or does not support a request."""


class LeakError(EcgkitError):
    """A model would be evaluated on records or patients that it was pretrained on."""


class ResultsError(EcgkitError):
    """A results file contains no result rows, or a row that cannot be read."""


class OutputError(EcgkitError):
    """An output already exists or cannot be written."""


class DiskFullError(OutputError):
    """An output does not fit on the disk."""


class SpaceError(DiskFullError):
    """An output was not begun because the disk has too little free space for it."""


class LockedError(OutputError):
    """Another process is working on the same output."""


class WorkerError(EcgkitError):
    """A worker process ended before its work was done."""


class EndpointError(EcgkitError):
    """A model server cannot be used, or its answers cannot be read."""


class BatchWaitingError(EcgkitError):
    """Questions to a model were written into files, and their answers are needed before the work goes on.

    Args:
        paths: Files of questions.
        count: Number of questions.
        stage: Stage of the questions, such as ``extract``.
    """

    def __init__(self, paths: Iterable[str], count: int, stage: str) -> None:
        self.paths, self.count, self.stage = tuple(paths), count, stage
        found = f"{count} questions of the stage {stage} wait for their answers: {', '.join(self.paths)}"
        super().__init__(found, remedy="Put the files of answers beside them, and give the same command again.")
