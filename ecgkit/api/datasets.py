"""``ecgkit.list_datasets``: the published archives that ecgkit knows."""

from collections.abc import Mapping
from dataclasses import dataclass

from ecgkit.archives.card import ArchiveCard, read_card
from ecgkit.archives.overlaps import overlaps_of
from ecgkit.entries import ArchiveEntry
from ecgkit.plugins import host


@dataclass(frozen=True)
class ArchiveDetails:
    """A published archive.

    Args:
        card: What is known about it.
        overlaps: Archives that hold some of the same recordings, and what they share.
        distribution: The installed package that its card comes from.
    """

    card: ArchiveCard
    overlaps: Mapping[str, str]
    distribution: str


def list_datasets(name: str = "") -> list[ArchiveDetails]:
    """Return the published archives that ecgkit knows: size, leads, rates, licence, citation and overlaps.

    Args:
        name: Archive to return alone, such as ``ptb-xl``. By default all.

    Raises:
        ConfigError: A card cannot be read.
        PluginError: There is no archive of this name.
    """
    entries = [host().get(ArchiveEntry, name)] if name else list(host().entries(ArchiveEntry).values())
    return [ArchiveDetails(read_card(e), overlaps_of(e.name), host().owner(e).distribution) for e in entries]
