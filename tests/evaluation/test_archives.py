"""A probe names the archives that pretraining and test share."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ecgkit.evaluation.features.encoder import _archives
from ecgkit.evaluation.probe.leaks import archive_warnings


def warnings(pretrained: tuple[str, ...], tested: tuple[str, ...], *, same: bool = False) -> tuple[str, ...]:
    encoder = SimpleNamespace(archives=pretrained, store="a")
    store = SimpleNamespace(archives=tested, hashes={"store": "a" if same else "b"})
    return archive_warnings(cast(Any, encoder), cast(Any, store))


def test_both_archives_are_named() -> None:
    (warning,) = warnings(("cinc2021",), ("ptb-xl",))
    assert "pretraining used cinc2021 and the test uses ptb-xl, which share recordings" in warning
    (warning,) = warnings(("ptb-xl",), ("ptb-xl",))
    assert "both use ptb-xl" in warning


@pytest.mark.parametrize(("pretrained", "tested"), [(("mimic-iv-ecg",), ("ptb-xl",)), (("wfdb",), ("wfdb",)), ((), ())])
def test_other_archives_are_not(pretrained: tuple[str, ...], tested: tuple[str, ...]) -> None:
    assert warnings(pretrained, tested) == ()


def test_one_store_has_folds_of_its_own() -> None:
    assert warnings(("ptb-xl",), ("ptb-xl",), same=True) == ()


def test_the_archives_of_parents_count() -> None:
    details = {
        "store": {"dataset": "mimic-iv-ecg", "archives": ["mimic-iv-ecg"]},
        "built_on": [{"run": "r", "archives": ["ptb-xl"], "built_on": [{"run": "q", "archives": ["georgia"]}]}],
    }
    assert _archives(details) == ("mimic-iv-ecg", "ptb-xl", "georgia")
    assert _archives({"store": {"dataset": "ptb-xl"}}) == ("ptb-xl",)
    assert _archives({}) == ()
