"""Options of an ingest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ecgkit.datasets.budget import MEGABYTES, SECONDS
from ecgkit.datasets.given import NOTHING_GIVEN, Given
from ecgkit.datasets.header import Header
from ecgkit.datasets.identity import ANONYMOUS, Identity, plain_id
from ecgkit.errors import ConfigError, did_you_mean
from ecgkit.signal.quality import FLAGS

Window = Literal["first", "center", "split"]
WINDOWS: tuple[Window, ...] = ("first", "center", "split")
DUPLICATES = "duplicates"


@dataclass(frozen=True)
class IngestOptions:
    """Options that, with the source, decide the content of a store.

    Args:
        dataset: Name of the dataset layout; empty to detect it.
        fs: Sampling rate in Hz. It picks among the rates that the dataset ships; any other rate is resampled to it.
        seconds: Longest duration to keep of each record, in s; None keeps all.
        window: Which part of a longer record to keep: ``first``, ``center``, or ``split``. ``split`` keeps all, as
            consecutive windows that become separate records; the last window may be shorter.
        leads: Leads to keep; a record that lacks one goes to the ledger. None keeps the leads that each record has.
        limit: Use only this many records, the first that the dataset lists.
        patients: Use only records of these patients.
        given: What the user says of the dataset that its files do not say.
        max_record_mb: Largest memory in MB that one record may need while it is read; a larger one goes to the ledger.
        max_record_seconds: Longest time in s that reading one record may take.
        drop: Quality flags. A record with one of them goes to the ledger; see `ecgkit.signal.quality.FLAGS`. Or
            ``duplicates``: records with the same waveform as an earlier record.
        identity: What of a patient is kept: names and birth dates or not, ids as they are or hashed.
        verify: Compare the files with the publisher's list of checksums first.
    """

    dataset: str = ""
    fs: float | None = None
    seconds: float | None = None
    window: Window = "first"
    leads: tuple[str, ...] | None = None
    limit: int | None = None
    patients: frozenset[str] | None = None
    given: Given = NOTHING_GIVEN
    max_record_mb: float = MEGABYTES
    max_record_seconds: float = SECONDS
    drop: tuple[str, ...] = ()
    identity: Identity = ANONYMOUS
    verify: bool = False

    def check(self) -> None:
        """Check the options.

        Raises:
            ConfigError: An option has an impossible value.
        """
        for name, value in (("--fs", self.fs), ("--seconds", self.seconds)):
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name} is {value:g}", "a finite number above 0", f"Leave {name} out to keep all.")
        if self.window not in WINDOWS:
            raise ConfigError(f"--window {self.window}", " or ".join(WINDOWS))
        if self.window != "first" and self.seconds is None:
            raise ConfigError(f"--window {self.window} needs a length", remedy="Give it with --seconds.")
        self.given.check()
        for flag in self.drop:
            known = (*FLAGS, DUPLICATES)
            if flag not in known:
                raise ConfigError(f"no flag {flag!r}", f"one of {', '.join(known)}", did_you_mean(flag, known))

    @property
    def dropped_flags(self) -> tuple[str, ...]:
        """The quality flags in `drop`."""
        return tuple(flag for flag in self.drop if flag != DUPLICATES)

    def windows(self, header: Header) -> list[tuple[int, int]]:
        """Return the parts of a record to store, as first sample and sample after the last, at the record's rate."""
        size = header.samples if self.seconds is None else round(self.seconds * header.fs)
        if size >= header.samples or size < 1 or self.window == "first":
            return [(0, min(size, header.samples))]
        if self.window == "center":
            start = (header.samples - size) // 2
            return [(start, start + size)]
        return [(start, min(start + size, header.samples)) for start in range(0, header.samples, size)]


EVERYTHING = IngestOptions()


def read_patients(path: Path) -> frozenset[str]:
    """Read a file of patient ids, one per line. Surrounding blanks and empty lines are ignored.

    Raises:
        ConfigError: The file cannot be read, or contains no id.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error})", "a text file with one patient id per line") from None
    ids = frozenset(patient for line in lines if (patient := plain_id(line)))
    if not ids:
        raise ConfigError(f"{path} contains no patient id", "one id per line")
    return ids
