"""What a user may ask of an ingest."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ecgkit.datasets.header import Header
from ecgkit.errors import ConfigError, did_you_mean
from ecgkit.signal.quality import FLAGS

Window = Literal["first", "center", "split"]
WINDOWS: tuple[Window, ...] = ("first", "center", "split")


@dataclass(frozen=True)
class IngestOptions:
    """What decides the content of a store, beside its source.

    Args:
        dataset: Name of the layout; empty to find it by looking.
        fs: Sampling rate in Hz: picks among the rates that the dataset ships, and resamples any other to it.
        seconds: Longest part of a record to keep; None keeps all.
        window: Which part of a longer record that is: its ``first``, its ``center``, or ``split`` for all of it, in
            consecutive parts that become records of their own, the last one shorter where it does not come out even.
        leads: Leads to keep; a record that lacks one goes to the ledger. None keeps what each record has.
        limit: Take only the first records that the dataset lists.
        patients: Take only records of these patients.
        drop: Quality flags for which a record goes to the ledger, see `ecgkit.signal.quality.FLAGS`.
    """

    dataset: str = ""
    fs: float | None = None
    seconds: float | None = None
    window: Window = "first"
    leads: tuple[str, ...] | None = None
    limit: int | None = None
    patients: frozenset[str] | None = None
    drop: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigError: It cannot.
        """
        for name, value in (("--fs", self.fs), ("--seconds", self.seconds)):
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name} is {value:g}", "a finite number above 0", f"Leave {name} out to keep all.")
        if self.window not in WINDOWS:
            raise ConfigError(f"--window {self.window}", " or ".join(WINDOWS))
        if self.window != "first" and self.seconds is None:
            raise ConfigError(f"--window {self.window} without --seconds", "the length of a window")
        for flag in self.drop:
            if flag not in FLAGS:
                raise ConfigError(f"no flag {flag!r}", f"one of {', '.join(FLAGS)}", did_you_mean(flag, FLAGS))

    def windows(self, header: Header) -> list[tuple[int, int]]:
        """Return the parts of a record to store, as first sample and first sample after it, at the record's rate."""
        size = header.samples if self.seconds is None else round(self.seconds * header.fs)
        if size >= header.samples or size < 1 or self.window == "first":
            return [(0, min(size, header.samples))]
        if self.window == "center":
            start = (header.samples - size) // 2
            return [(start, start + size)]
        return [(start, min(start + size, header.samples)) for start in range(0, header.samples, size)]


EVERYTHING = IngestOptions()


def read_patients(path: Path) -> frozenset[str]:
    """Read a file of patient ids, one per line; blanks around them and empty lines don't count.

    Raises:
        ConfigError: The file cannot be read, or holds no id.
    """
    try:
        ids = frozenset(line.strip() for line in path.read_text(encoding="utf-8").splitlines()) - {""}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error})", "a text file of patient ids, one per line") from None
    if not ids:
        raise ConfigError(f"{path} holds no patient id", "one per line")
    return ids
