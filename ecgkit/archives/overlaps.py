"""Which archives hold some of the same recordings."""

from collections.abc import Iterable

from ecgkit.archives.card import all_cards


def overlaps_of(name: str) -> dict[str, str]:
    """Return the archives that share recordings with an archive, and what they share, as either card states it."""
    cards = all_cards()
    theirs = {other: card.overlaps[name] for other, card in cards.items() if name in card.overlaps}
    own = cards[name].overlaps if name in cards else {}
    return dict(sorted({**theirs, **own}.items()))


def shared_archives(first: Iterable[str], second: Iterable[str]) -> list[tuple[str, str, str]]:
    """Return the pairs of archives, one of each group, that are one archive or share recordings.

    Args:
        first: Names of archives; a name without a card is ignored.
        second: The same.

    Returns:
        The two names, and what they share; empty for one and the same archive.
    """
    found = []
    known = all_cards().keys()
    theirs = sorted(set(second) & known)
    for own in sorted(set(first) & known):
        shared = overlaps_of(own)
        found += [
            (own, other, "" if own == other else shared[other]) for other in theirs if other == own or other in shared
        ]
    return found
