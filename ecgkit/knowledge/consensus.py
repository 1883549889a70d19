"""The vote of several readings of one text."""

from collections import Counter
from collections.abc import Iterable, Sequence

from ecgkit.knowledge.mentions import Mention, Polarity, merge_mentions


def consensus(readings: Sequence[Sequence[Mention]]) -> tuple[Mention, ...]:
    """Return the mentions that more than half of the readings hold.

    A mention has the polarity that most of these readings give it. Where two polarities have equally many, it is
    uncertain. Its attributes are those of the readings with that polarity.

    Args:
        readings: Mentions of one text by each reader, each name once per reader.
    """
    by_name: dict[str, list[Mention]] = {}
    for reading in readings:
        for mention in reading:
            by_name.setdefault(mention.name, []).append(mention)
    kept = {name: group for name, group in by_name.items() if 2 * len(group) > len(readings)}
    return merge_mentions(mention for group in kept.values() for mention in _agreeing(group))


def _agreeing(group: Sequence[Mention]) -> list[Mention]:
    polarity = winner(mention.polarity for mention in group)
    agreeing = [mention for mention in group if mention.polarity == polarity]
    return agreeing or [Mention(group[0].name, polarity, group[0].spans)]


def winner(votes: Iterable[Polarity]) -> Polarity:
    """Return the polarity with the most votes; uncertain where the first two have equally many."""
    (first, most), *rest = Counter(votes).most_common(2)
    return "uncertain" if rest and rest[0][1] == most else first
