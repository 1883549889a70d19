"""CRT against its reference vectors, what it hides, and what it refuses."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ecgkit_ssl.crt import Crt, spectrum_of
from ecgkit_ssl.crt_config import PRESETS, CrtConfig
from torch import Tensor

from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import Batch, Clock
from tests.reference_vectors import Reference

TINY = PRESETS["tiny"]
TOLERANCE = {"": {"atol": 1e-8, "rtol": 1e-7}, "_f32": {"atol": 1e-4, "rtol": 1e-4}}
CNN = r"encoder\.cnn(\d)\.cnn\.feature_extractor\."
BLOCK = CNN + r"(\d)\.(\d)\."
TOKEN = r"encoder.to_token.\1."
NAMES = {
    CNN + r"0\.(\w+)": TOKEN + r"conv.\2",
    CNN + r"1\.(\w+)": TOKEN + r"norm.\2",
    BLOCK + r"conv([12])\.(\w+)": TOKEN + r"blocks.\2\3.convs.\4.\5",
    BLOCK + r"bn([12])\.(\w+)": TOKEN + r"blocks.\2\3.norms.\4.\5",
    BLOCK + r"downsample\.(.+)": TOKEN + r"blocks.\2\3.shortcut.\4",
    r"(?:encoder\.transformer|(decoder))\.layers\.(\d+)\.(.+)": "",
    r"encoder\.cls_token": "encoder.summary",
    r"encoder\.pos_embedding": "encoder.positions",
    r"encoder\.modal_embedding": "encoder.domain",
    r"mask_token": "hidden",
    r"decoder_pos_emb\.weight": "places",
    r"to_pixels\.(.+)": r"to_patch.\1",
    r"projs\.0\.(\w+)": r"before.\1",
    r"projs\.1\.(\w+)": r"after.\1",
}
PARTS = {
    "0.norm": "norm1",
    "0.fn.to_qkv": "attn.qkv",
    "0.fn.to_out.0": "attn.proj",
    "1.norm": "norm2",
    "1.fn.net.0": "mlp.fc1",
    "1.fn.net.3": "mlp.fc2",
}


def renamed(name: str) -> str:
    """Return our name of a published parameter; empty for one that stands there twice."""
    for pattern, ours in NAMES.items():
        match = re.fullmatch(pattern, name)
        if match is None:
            continue
        if "layers" in name:
            part, kind = match[3].rsplit(".", 1)
            return f"{'' if match[1] else 'encoder.'}blocks.{match[2]}.{PARTS[part]}.{kind}"
        found = match.expand(ours)
        found = re.sub(r"to_token\.(\d)", lambda m: f"to_token.{int(m[1]) - 1}", found)
        found = re.sub(r"blocks\.(\d)(\d)\.", lambda m: f"blocks.{2 * (int(m[1]) - 4) + int(m[2])}.", found)
        return re.sub(r"(convs|norms)\.(\d)\.", lambda m: f"{m[1]}.{int(m[2]) - 1}.", found)
    return ""


def method_of(stored: Reference, precision: torch.dtype) -> Crt:
    c = stored.sizes
    samples = c["length"] // 2
    config = CrtConfig(
        patch=c["patch"],
        width=c["dim"],
        depth=c["depth"],
        decoder_depth=c["decoder_depth"],
        heads=c["heads"],
        head_width=c["dim_head"],
        hidden=c["mlp"],
        discrimination=c["beta"],
        signal=replace(TINY.signal, seconds=samples / TINY.signal.fs, leads=STANDARD_LEADS[: c["channels"]]),
    )
    method = Crt(config).to(precision)
    own = method.state_dict()
    filled = {renamed(name): value for name, value in stored.filled().items()}
    places = filled.pop("places")[: len(own["places"])]
    filled = {name: value.reshape(own[name].shape) for name, value in filled.items() if name} | {"places": places}
    counts = {name: value for name, value in own.items() if name.endswith("num_batches_tracked")}
    method.load_state_dict(filled | counts)
    return method.eval()


def hidden_of(method: Crt, stored: Reference) -> tuple[Tensor, Tensor, Tensor]:
    every = int(sum(method.config.patches) * stored.sizes["mask_ratio"])
    time, spectrum = stored.tensor("perm_time")[: every // 2], stored.tensor("perm_spectrum")[: every // 4]
    return time, spectrum, spectrum


@torch.no_grad()
@pytest.mark.parametrize(("precision", "suffix"), [(torch.float64, ""), (torch.float32, "_f32")])
def test_it_is_the_published_one(golden: Path, precision: torch.dtype, suffix: str) -> None:
    stored = Reference(golden / "ssl_crt.npz")
    method = method_of(stored, precision)
    patches = method.encoder.patches(stored.tensor("x").to(precision))
    errors, apart, _ = method.compare(patches, hidden_of(method, stored))
    reconstruction, discrimination = errors.mean(), apart.mean()
    found = {
        "reconstruction": reconstruction,
        "loss": reconstruction + stored.sizes["beta"] * discrimination,
        "encoded": method.encoder.run(method.encoder.tokens(patches), method.encoder.all_places(torch.device("cpu")))[
            -1
        ],
    }
    found["encoded"] = method.encoder.without_summaries(found["encoded"], method.config.patches)[1].mean(1)
    for name, value in found.items():
        np.testing.assert_allclose(value, stored[name + suffix], **TOLERANCE[suffix], err_msg=name)
    if not suffix:
        np.testing.assert_allclose(discrimination, stored["idc"], **TOLERANCE[suffix])
        np.testing.assert_allclose(spectrum_of(stored.tensor("raw")), stored["prepared"], **TOLERANCE[suffix])


def test_hidden_patches_are_not_seen() -> None:
    torch.manual_seed(0)
    method = Crt(TINY).eval()
    patches = list(method.encoder.prepared(torch.randn(2, 12, TINY.signal.samples), torch.arange(12)))
    hidden = method.draw_hidden(0.5, torch.zeros(2))
    assert [len(at) for at in hidden] == [25, 12, 12]
    assert torch.equal(hidden[1], hidden[2])
    changed = [x.clone() for x in patches]
    for x, at in zip(changed, hidden, strict=True):
        x[:, at] += 1.0
    (a, one, _), (b, two, _) = (method.compare(x, hidden) for x in (patches, changed))
    assert torch.equal(one, two)  # what the encoder makes of the visible ones
    starts = (0, *np.cumsum(TINY.patches)[:-1].tolist())
    gone = torch.zeros(sum(TINY.patches), dtype=torch.bool)
    for start, at in zip(starts, hidden, strict=True):
        gone[at + start] = True
    assert torch.equal(a[:, ~gone], b[:, ~gone])
    assert (a[:, gone] != b[:, gone]).all()


def test_more_is_hidden_as_the_training_goes_on() -> None:
    method, seen = Crt(TINY), []
    method.draw_hidden = lambda share, records: seen.append(share) or Crt.draw_hidden(method, share, records)  # type: ignore[method-assign]
    batch = Batch(torch.randn(2, 12, TINY.signal.samples), torch.arange(12), torch.arange(2))
    for step in (0, 50, 99):
        method.training_step(batch, Clock.at(step, 100, 10))
    assert seen == [0.3, 0.5, 0.8]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"width": 12}, "multiple of 8"),
        ({"patch": 30}, "patch"),
        ({"hide": (0.5, 0.2)}, "hide"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        replace(TINY, **wrong)
