"""Every array of the reference vectors of encoders and baselines is read by some test, or it says here why not."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from tests.golden_keys import unread

FILES = ("ecgcpc", "ecgfm", "ecgfounder", "ecgjepa", "hubertecg", "inception1d", "s4", "ssl", "xresnet1d")
NOT_OFFERED = "another implementation's variant, which is not offered"
# By file: arrays that no test reads, as a regular expression, and why.
UNREAD: dict[str, dict[str, str]] = {
    "s4_tiny": {"long_internal_L": "the length to which the released kernel grows in place; ours does not grow"},
    "ssl_augment": {
        ".+/.+": "tests/signal/test_augment.py gives all draws of an augmentation on, whatever their names"
    },
    "ssl_barlow_vicreg": {"barlow_unbiased_.+": NOT_OFFERED},
    "ssl_clocs": {"(SimCLR|CMC).+": "CLOCS' own forms of SimCLR and CMC, which are not offered"},
    "ssl_crt": {".+_released": "the released targets are in another order than the predictions"},
    "ssl_data2vec": {"(inst_targets|group|batch)/.+": "they normalise over the batch, which is not offered"},
    "ssl_dino": {"spt_.+": NOT_OFFERED},
    "ssl_ntxent": {"mehari_.+": NOT_OFFERED},
    "ssl_vcg": {"kors.*|pinv_.+": "the way by Kors' matrix loses most of the signal and is not offered"},
}


def belongs(file: Path) -> bool:
    return file.stem.startswith(FILES)


def is_excused(name: str, excuses: Iterable[str]) -> bool:
    return any(re.fullmatch(excuse, name.removesuffix("_f32")) for excuse in excuses)


def test_every_array_is_read(golden: Path) -> None:
    files = [file for file in sorted(golden.glob("*.npz")) if belongs(file)]
    assert len(files) > 30
    for file in files:
        with np.load(file) as arrays:
            names = [name for name in arrays.files if name != "config"]
        excused = UNREAD.get(file.stem, {})
        left = [name for name in unread(file.stem, names) if not is_excused(name, excused)]
        assert not left, f"{file.name}: no test reads {', '.join(left[:5])}"


@pytest.mark.parametrize("file", UNREAD)
def test_every_excuse_is_needed(golden: Path, file: str) -> None:
    with np.load(golden / f"{file}.npz") as arrays:
        names = arrays.files
    for pattern in UNREAD[file]:
        assert any(re.fullmatch(pattern, name) for name in names), pattern
