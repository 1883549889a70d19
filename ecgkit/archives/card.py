"""The card of an archive: what is publicly known about it, where it comes from, and how its folder is read.

Each archive is one YAML file. Plugins register theirs with the hook `register_archives`, in the same way as ecgkit. A
figure that could not be verified is left out of the card; it is shown as unknown.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Literal

import yaml

from ecgkit.config import YAML_ERRORS, build
from ecgkit.entries import ArchiveEntry
from ecgkit.errors import ConfigError
from ecgkit.plugins import host

Access = Literal["open", "restricted", "credentialed"]


@dataclass(frozen=True, kw_only=True)
class PhysioNet:
    """Where PhysioNet keeps an archive: ``https://physionet.org/files/SLUG/VERSION/``.

    Args:
        slug: Name of the project in the address.
        version: Published version that this card describes.
        access: ``open``; ``restricted`` (an agreement must be signed); ``credentialed`` (training is asked too).
        folder: Folder below the version that holds the archive, where the project holds more than it.
    """

    slug: str
    version: str
    access: Access = "open"
    folder: str = ""


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """A table with one label per row, in the folder of the archive or below it.

    Args:
        files: Names of the table, the best first. All tables of the first name that is found are read.
        columns: Names of the columns, for a table without a line of names.
        record: Column of the record's name.
        label: Column of the label.
    """

    files: tuple[str, ...]
    columns: tuple[str, ...] = ()
    record: str = "record"
    label: str = "label"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the folder of an archive is read if every WFDB header in it is one record.

    Args:
        headers: Regular expression that the names of its headers match. A folder whose first headers all match is
            recognised.
        beside: Suffix of a file that lies beside the first header, such as ``.atr``.
        priority: Archives with a higher number are tried first.
        patient: Regular expression that finds the patient's id in a record's path; its first group is the id.
        each_record_is_a_patient: Whether no two records come from one patient, except those in `same_patient`.
        same_patient: Records that share a patient: the record, and the id of its patient.
        leads: Lead of each signal whose name does not say it.
        lead_order: Leads of all signals in order, where their names are of no use.
        code_system: Code system of the labels.
        labels: Table of the labels. None: labels are in the comments.
        comments: Regular expressions for the comments of a header, one comment per line. Their named groups are read:
            ``patient``, ``age``, ``sex``, ``label`` (each match is one label), ``labels`` (joined by commas) and
            ``report``; any other group becomes a column of the record table.
    """

    headers: str
    beside: str = ""
    priority: int = 10
    patient: str = ""
    each_record_is_a_patient: bool = False
    same_patient: Mapping[str, str] = field(default_factory=dict)
    leads: Mapping[str, str] = field(default_factory=dict)
    lead_order: tuple[str, ...] = ()
    code_system: str = ""
    labels: LabelTable | None = None
    comments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for pattern in (self.headers, self.patient, *self.comments):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression ({error})") from None


@dataclass(frozen=True, kw_only=True)
class ArchiveCard:
    """What is known about an archive.

    Args:
        name: Name that the user types.
        title: Full title.
        leads: The leads of a record, such as ``12`` or ``2 (MLII, V1)``.
        layouts: Dataset layouts that read it, for an archive without a `reading` of its own.
        reading: How its folder is read.
        recognised_by: What a folder is recognised by, in words.
        records: Number of records.
        patients: Number of patients.
        fs: Sampling rates in Hz.
        duration: Duration of a record, in words.
        licence: Licence of the data.
        citation: How its authors ask to be cited.
        doi: DOI of the data.
        physionet: Its place on PhysioNet.
        url: Address of the page from which it can be got, if it is not on PhysioNet.
        labels: What its labels are, in words.
        overlaps: Archives that hold some of the same recordings, and what they share. Each pair is stated in one card.
        notes: Anything else that a user must know.
        read_at: Addresses of the public pages where these figures were read.
    """

    name: str
    title: str
    leads: str
    layouts: tuple[str, ...] = ()
    reading: Reading | None = None
    recognised_by: str
    records: int | None = None
    patients: int | None = None
    fs: tuple[float, ...] = ()
    duration: str = ""
    licence: str = ""
    citation: str
    doi: str = ""
    physionet: PhysioNet | None = None
    url: str = ""
    labels: str = ""
    overlaps: Mapping[str, str] = field(default_factory=dict)
    notes: str = ""
    read_at: tuple[str, ...] = ()

    @property
    def page(self) -> str:
        """Address of the page from which the archive can be got."""
        at = self.physionet
        return f"https://physionet.org/content/{at.slug}/{at.version}/" if at else self.url


@lru_cache(maxsize=256)
def read_card(entry: ArchiveEntry) -> ArchiveCard:
    """Read the card of a registered archive.

    Raises:
        ConfigError: The file is missing, is not YAML, or a field is wrong.
    """
    package, _, name = entry.target.partition(":")
    try:
        values = yaml.load(files(package).joinpath(name).read_text(encoding="utf-8"), _Loader)
    except (OSError, ModuleNotFoundError, *YAML_ERRORS) as error:
        raise ConfigError(f"the card {entry.target} cannot be read ({error})", "a YAML file") from None
    if not isinstance(values, dict):
        raise ConfigError(f"the card {entry.target} holds no mapping", "the fields of a card")
    return build(ArchiveCard, {"name": entry.name, **values}, source=entry.target)


def all_cards() -> dict[str, ArchiveCard]:
    """Return the cards of all registered archives by name."""
    return {name: read_card(entry) for name, entry in host().entries(ArchiveEntry).items()}


# libyaml parses several times as fast; it reads the same safe types.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
