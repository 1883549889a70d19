"""What a mention says besides its name."""

import pytest

from ecgkit.knowledge.mentions import CERTAINTIES, Mention, certainty_of, merge_mentions, polarity_of


def test_each_polarity_has_a_certainty_and_back() -> None:
    assert [polarity_of(c) for c in CERTAINTIES] == ["present", "uncertain", "uncertain", "uncertain", "absent"]
    assert all(polarity_of(certainty_of(p)) == p for p in ("present", "uncertain", "absent"))


@pytest.mark.parametrize(
    ("polarity", "given", "kept"),
    [("present", "", "certain"), ("uncertain", "unlikely", "unlikely"), ("absent", "certain", "denied")],
)
def test_a_certainty_that_contradicts_the_polarity_gives_way(polarity, given, kept) -> None:
    assert Mention("x", polarity, certainty=given).certainty == kept


def test_the_deciding_mentions_give_the_attributes() -> None:
    merged = merge_mentions(
        [
            Mention("x", "absent", ((0, 1),), severity="severe", change="resolved"),
            Mention("x", "uncertain", ((4, 5),), "unlikely"),
            Mention("x", "uncertain", ((2, 3),), "probable", "mild", "inferior", "new"),
        ]
    )
    assert merged == (Mention("x", "uncertain", ((0, 1), (2, 3), (4, 5)), "probable", "mild", "inferior", "new"),)
