"""Compare a downloaded dataset with its publisher's lists: ``SHA256SUMS.txt``, and ``RECORDS`` where there is no other.

A file that differs costs its own records: they go to the ledger. One that belongs to no record, such as a table,
describes all of them, so nothing is ingested. Files that are not there are counted, since many download only a part.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.header_folder import HEADER
from ecgkit.download.checksums import LIST, parse_checksums, wrong_files
from ecgkit.errors import DatasetError
from ecgkit.executor import Executor
from ecgkit.interrupt import Stop
from ecgkit.progress import Progress, silent
from ecgkit.store.writer import LedgerRow

RECORDS = "RECORDS"
STAGE = "verify"
FILES_A_CALL = 64
SHOWN = 5


@dataclass(frozen=True)
class Verified:
    """A dataset that was compared with its publisher's list.

    Args:
        sources: The records of which no file differs.
        rejected: Ledger rows of the others.
    """

    sources: Sequence[Source]
    rejected: list[LedgerRow]


def verify(
    dataset: Dataset,
    listed: Sequence[Source],
    chosen: Sequence[Source],
    executor: Executor,
    stop: Stop,
    progress: Progress = silent,
) -> Verified:
    """Compare the files of a dataset with its list, and note in its findings what was compared.

    Args:
        dataset: The dataset.
        listed: All its records.
        chosen: Those that are wanted. Files of the other records are not read.
        executor: Runs the work.
        stop: Asked between the files.
        progress: Called with the stage, files done and files in total.

    Raises:
        DatasetError: There is no list, it is malformed, or a file differs that belongs to no single record.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    if not (dataset.root / LIST).is_file():
        _check_records(dataset)
        return Verified(chosen, [])
    text = (dataset.root / LIST).read_text(encoding="utf-8")
    owners = _Owners(listed, chosen)
    wanted = [(path, own) for path, own in parse_checksums(text, LIST).items() if owners.wants(path)]
    wrong, missing, done = list[str](), list[str](), 0
    for bad, lost, count in executor.run(partial(wrong_files, dataset.root), _calls(wanted), stop):
        wrong, missing, done = wrong + bad, missing + lost, done + count
        progress("checksums", done, len(wanted))
    stop.check()
    damaged = {owner: path for path in sorted(wrong, reverse=True) if (owner := owners.of(path))}
    if general := sorted(path for path in wrong if not owners.of(path)):
        raise DatasetError(
            f"{len(general)} of the files that describe the records of {dataset.root} differ from {LIST}: "
            f"{_some(general)}",
            remedy="Download them again, or leave --verify out.",
        )
    dataset.findings.append(_said(len(wanted), len(wrong), sorted(missing)))
    rejected = [_row(source, damaged[source.path]) for source in chosen if source.path in damaged]
    return Verified([source for source in chosen if source.path not in damaged], rejected)


class _Owners:
    """Which record a file belongs to: its path is that of the record, or that and a suffix."""

    def __init__(self, listed: Sequence[Source], chosen: Sequence[Source]) -> None:
        self.listed = {source.path for source in listed}
        self.chosen = {source.path for source in chosen}

    def of(self, path: str) -> str:
        """Return the path of the record that a file belongs to; empty if there is none."""
        return next((name for name in (path, path.rpartition(".")[0]) if name in self.listed), "")

    def wants(self, path: str) -> bool:
        """Return whether a file belongs to a record that is wanted, or to none."""
        owner = self.of(path)
        return not owner or owner in self.chosen


def _calls(wanted: list[tuple[str, str]]) -> Iterator[Mapping[str, str]]:
    left = iter(wanted)
    while some := dict(islice(left, FILES_A_CALL)):
        yield some


def _row(source: Source, path: str) -> LedgerRow:
    return LedgerRow(source.record_id, source.path, STAGE, f"{path} differs from {LIST}: its SHA-256 is another")


def _said(files: int, wrong: int, missing: list[str]) -> str:
    right = f"{files - wrong - len(missing):,} of {files:,} files are as {LIST} says"
    differ = f", {wrong:,} differ" if wrong else ""
    return right + differ + (f", {len(missing):,} are not there ({_some(missing)})" if missing else "")


def _some(paths: Sequence[str]) -> str:
    return ", ".join(paths[:SHOWN]) + (f" and {len(paths) - SHOWN:,} more" if len(paths) > SHOWN else "")


def _check_records(dataset: Dataset) -> None:
    """Note how many of the records in ``RECORDS`` are there."""
    if not (dataset.root / RECORDS).is_file():
        raise DatasetError(
            f"{dataset.root} has no {LIST} to verify it with",
            "the list that its publisher put beside the files",
            "Download the list into the folder, or leave --verify out.",
        )
    lines = (dataset.root / RECORDS).read_text(encoding="utf-8").split()
    names = [name for name in lines if not name.endswith("/") and ".." not in name.split("/")]
    missing = [name for name in names if not (dataset.root / f"{name}{HEADER}").is_file()]
    there = f"{len(names) - len(missing):,} of {len(names):,} records of {RECORDS} are there"
    dataset.findings.append(there + (f"; not {_some(missing)}" if missing else "") + f"; there is no {LIST}")
