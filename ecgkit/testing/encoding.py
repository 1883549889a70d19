"""Checks of the encoder: it is deterministic, takes leads in any order, gives the declared features, and reloads."""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ecgkit.methods import Batch, Encoder, Features, Method
from ecgkit.testing.case import Case, pick_leads, pick_records
from ecgkit.testing.closeness import check_finite, distance, filled
from ecgkit.testing.learning import losses_of
from ecgkit.testing.result import CheckFailed
from ecgkit.training.weights import load_weights, save_weights

TOLERANCE = 1e-4  # fp32 sums in another order


def encoded(method: Method, batch: Batch) -> Features:
    """Return the features of a batch without gradients."""
    with torch.no_grad():
        features = method.encoder.encode(batch)
    if not isinstance(features, Features):
        raise CheckFailed(f"the encoder gave a {type(features).__name__}", "Features")
    return features


def check_deterministic(case: Case) -> None:
    """In evaluation mode, a record's features are the same each time and do not depend on the rest of the batch."""
    method, batch = case.evaluated(), case.batch()
    torch.manual_seed(1)
    first = filled(encoded(method, batch))
    again = filled(encoded(method, batch))
    for name, value in first.items():
        if distance(value, again[name]) > 0:
            raise CheckFailed(
                f"{name} differs from call to call by {distance(value, again[name]):.2g}",
                "the same in eval mode",
                "Draw at random only where self.training, and use F.dropout(x, p, self.training).",
            )
    alone = filled(encoded(method, pick_records(batch, 1)))
    gap = distance(first["pooled"][:1], alone["pooled"])
    if gap > TOLERANCE:
        raise CheckFailed(
            f"pooled of a record differs by {gap:.2g} when it is alone in its batch",
            "features of that record alone",
            "Take no statistics over the batch in eval mode.",
        )


def check_leads(case: Case) -> None:
    """The order of the leads does not matter, and fewer leads work too, in evaluation and in training."""
    method, batch = case.evaluated(), case.batch()
    L = len(batch.lead_ids)
    _check_order(method, batch, torch.randperm(L, generator=torch.Generator().manual_seed(0)).tolist())
    for leads in {(0,), (L - 1,), tuple(range(0, L, 2)), tuple(range(L))[-3:]}:
        part = pick_leads(batch, list(leads))
        for name, value in filled(encoded(method, part)).items():
            check_finite(value, f"{name} of {len(leads)} leads")
            if len(value) != len(part.rows):
                raise CheckFailed(f"{name} of {len(leads)} leads is {list(value.shape)}", "a row per record")
        if case.entry.pretrains:
            losses_of(method.train(), part)
            method.eval()
    if L > 1:
        gap = distance(encoded(method, batch).pooled, encoded(method, pick_leads(batch, [0])).pooled)
        if gap == 0:
            raise CheckFailed("pooled is the same with one lead as with all", "features that depend on the leads")


def _check_order(method: Method, batch: Batch, order: list[int]) -> None:
    straight, mixed = encoded(method, batch), encoded(method, pick_leads(batch, order))
    pairs = [("pooled", straight.pooled, mixed.pooled)]
    if straight.per_lead is not None and mixed.per_lead is not None:
        pairs.append(("per_lead", straight.per_lead[:, order], mixed.per_lead))
    for name, was, now in pairs:
        if distance(was, now) > TOLERANCE:
            raise CheckFailed(
                f"{name} differs by {distance(was, now):.2g} when the leads come in another order",
                "no difference",
                "Identify leads by lead_ids, never by their position in the batch.",
            )


def check_lengths(case: Case) -> None:
    """A padded record has the features of the same record without padding, and can be trained on."""
    method, batch = case.evaluated(), case.batch()
    T = batch.signal.shape[-1]
    short = _padded(batch, 3 * T // 4)
    for name, value in filled(encoded(method, short)).items():
        check_finite(value, f"{name} of records that end early")
    if case.entry.pretrains:
        losses_of(method.train(), short)
    if not method.encoder.padding:  # the family says nothing of what padding counts as: then it counts as nothing
        _check_padding(method.eval(), batch)


def _check_padding(method: Method, batch: Batch) -> None:
    """Compare padded records with unpadded ones; if no unpadded length is accepted, with other padding values.

    It is enough if one length agrees: at other lengths, a last partial step may count in only one of the two cases.
    """
    failures = []
    for length in _own_lengths(batch.signal.shape[-1]):
        own = replace(batch, signal=batch.signal[..., :length], lengths=torch.full((len(batch.rows),), length))
        try:
            alone = encoded(method, own)
        except Exception:  # such as a length that is no multiple of a patch
            continue
        found = _difference(encoded(method, _padded(batch, length)), alone, "than at its own length")
        if found is None:
            return
        failures.append(found)
    if not failures:
        found = _difference(*_with_other_padding(method, batch), "when other values stand behind its end")
        failures += [found] if found else []
    if failures:
        raise failures[0]


def _own_lengths(T: int) -> list[int]:
    """Return lengths below T, including multiples of common strides and patch lengths."""
    wanted = [T * share // 100 for share in (75, 50, 80, 60)]
    return list(dict.fromkeys([*wanted, *(wanted[0] // n * n for n in (64, 50) if wanted[0] >= n)]))


def _with_other_padding(method: Method, batch: Batch) -> tuple[Features, Features]:
    """Return the features of zero-padded records, and of the same records padded with other values."""
    short = _padded(batch, 3 * batch.signal.shape[-1] // 4)
    assert short.lengths is not None
    padding = torch.arange(short.signal.shape[-1]) >= short.lengths[:, None, None]
    other = replace(short, signal=torch.where(padding, torch.full_like(short.signal, 3.0), short.signal))
    return encoded(method, short), encoded(method, other)


def _padded(batch: Batch, length: int) -> Batch:
    """Return a batch in which every other record ends after `length` samples and is padded with zeros."""
    T = batch.signal.shape[-1]
    lengths = torch.full((len(batch.rows),), T, dtype=torch.int64)
    lengths[::2] = length
    real = torch.arange(T) < lengths[:, None]
    return replace(batch, signal=batch.signal * real[:, None], lengths=lengths)


def _difference(padded: Features, other: Features, how: str) -> CheckFailed | None:
    """Describe the difference in the padded records."""
    for name, was in _of_records(other).items():
        now = _of_records(padded)[name]
        gap = max(distance(a, b) for a, b in zip(was[::2], now[::2], strict=True))
        if gap > TOLERANCE:
            return CheckFailed(
                f"{name} of a record that ends early differs by {gap:.2g} {how}",
                "no difference",
                "Ignore the samples after lengths (in masks, means and token_real), or declare Encoder.padding.",
            )
    return None


def _of_records(features: Features) -> dict[str, list[Tensor]]:
    """Return the fields that hold values per record, split by record; of tokens, only the real ones."""
    found = {name: list(value) for name, value in filled(features).items()}
    if features.tokens is not None and features.token_real is not None:
        found["tokens"] = [x[real] for x, real in zip(features.tokens, features.token_real, strict=True)]
    return found


def check_features(case: Case) -> None:
    """The encoder fills exactly the fields that the entry declares, in the shapes of `ecgkit.methods.Features`."""
    method, batch = case.evaluated(), case.batch()
    if not isinstance(method.encoder, Encoder):
        raise CheckFailed(f"encoder is a {type(method.encoder).__name__}", "an ecgkit.methods.Encoder")
    features = encoded(method, batch)
    found = {name for name, value in vars(features).items() if value is not None} - {"pooled", "token_real"}
    declared = set(case.entry.features)
    if not method.encoder.classes:
        declared.discard("logits")  # of a family whose classifier is optional
    if found != declared:
        more, less = ", ".join(sorted(found - declared)), ", ".join(sorted(declared - found))
        what = " and ".join(t for t in (more and f"fills {more} undeclared", less and f"leaves out {less}") if t)
        raise CheckFailed(f"the encoder {what}", f"features={tuple(sorted(found))!r} in the MethodEntry, or the fields")
    for name, shape in _shapes(features, batch, method.encoder).items():
        _check_shape(name, getattr(features, name), shape)
    ids = features.token_leads
    if ids is not None and not bool(((ids >= 0) & (ids < len(batch.lead_ids))).all()):
        raise CheckFailed(
            f"token_leads reach from {int(ids.min())} to {int(ids.max())}", f"places 0 to {len(batch.lead_ids) - 1}"
        )


def _shapes(features: Features, batch: Batch, encoder: Encoder) -> dict[str, tuple[int | None, ...]]:
    """Return the required shape of every filled field; None stands for any size."""
    B, L, D = len(batch.rows), len(batch.lead_ids), encoder.width
    N = None if features.tokens is None else features.tokens.shape[1]
    shapes: dict[str, tuple[int | None, ...]] = {
        "pooled": (B, D),
        "per_lead": (B, L, None),
        "tokens": (B, None, None),
        "layers": (B, None, None),
        "layer_input": (B, None),
        "token_leads": (N,),
        "token_real": (B, N),
        "logits": (B, len(encoder.classes)),
    }
    return {name: shape for name, shape in shapes.items() if getattr(features, name) is not None}


def _check_shape(name: str, value: Tensor, shape: tuple[int | None, ...]) -> None:
    fits = value.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, value.shape, strict=True))
    if not fits:
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        raise CheckFailed(f"{name} is {list(value.shape)}", f"[{expected}]", "Encoder.width is D of pooled.")
    if value.is_floating_point():
        check_finite(value, name)


def check_weights(case: Case) -> None:
    """Weights written as safetensors and read into a new model give the same features and losses."""
    method, batch = case.evaluated(), case.batch()
    with torch.no_grad():  # so that the weights differ from those that a constructor makes
        for parameter in method.parameters():
            parameter.add_(0.01)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        save_weights(file, method)
        tensors = load_weights(file)
    torch.manual_seed(12345)
    back = _loaded(case.entry.load()(case.setup.config), tensors)
    gap = distance(encoded(method, batch).pooled, encoded(back.eval(), batch).pooled)
    # Training goes on in a model that was prepared anew.
    prepared = _loaded(case.set_up(seed=1).method, tensors).eval()
    was, now = (_watched(case, one, batch) for one in (method, prepared))
    if gap > 0 or distance(was, now) > 0:
        raise CheckFailed(
            f"after saving and loading, pooled differs by {gap:.2g} and the loss goes from {was:.6g} to {now:.6g}",
            "the same",
            "What the model computes with must be a parameter or a buffer.",
        )


def _watched(case: Case, method: Method, batch: Batch) -> Tensor:
    """Return the loss of a batch, or of a family that only encodes the mean of its features."""
    return losses_of(method, batch).loss if case.entry.pretrains else encoded(method, batch).pooled.mean()


def _loaded(method: Method, tensors: dict[str, Tensor]) -> Method:
    try:
        method.load_state_dict(tensors)
    except RuntimeError as error:
        line = str(error).strip().splitlines()[-1].strip()
        raise CheckFailed(
            f"a new model does not take the saved weights ({line})",
            "the same names and shapes",
            "Shapes must depend only on the completed config. Fill it in complete(), and compute values in prepare().",
        ) from None
    return method
