"""One record and a fitted classifier as a function of the signal: what attribution methods explain.

The input is ``[B, K, L, T]``: for each of B variants of the record the K evaluation crops of L leads, as the encoder
gets them, filtered and scaled. The output ``[B]`` is the log-odds of one class, or one predicted number. Crops are
averaged before the head reads them, as in a probe.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ecgkit.evaluation.features.extract import RecordFeatures, field_of
from ecgkit.evaluation.probe.classifier import Classifier
from ecgkit.methods import Batch, Encoder
from ecgkit.store.views import View
from ecgkit.training.data import Windows, evaluation_starts
from ecgkit.training.supply import Supply

SMALLEST = 1e-6  # probability that still has log-odds


@dataclass(frozen=True)
class RecordInput:
    """A record as the encoder gets it.

    Args:
        signal: ``[K, L, T]``, the evaluation crops.
        starts: First sample of each crop in the view, ``[K]``.
        real: bool ``[K, T]``, False for padding behind the record's end.
        lead_ids: ``[L]``, index of each lead in the standard order.
        leads: Names of the L leads.
        present: bool ``[C]``, which leads of the contract the record has.
        fs: Rate in Hz.
        lengths: Real samples of each crop, ``[K]``; None if all samples are real.
        extra: The supplies of each crop.
    """

    signal: Tensor
    starts: tuple[int, ...]
    real: Tensor
    lead_ids: Tensor
    leads: tuple[str, ...]
    present: Tensor
    fs: float
    lengths: Tensor | None
    extra: tuple[Mapping[str, Any], ...]

    @cached_property
    def flat(self) -> Tensor:
        """The signal with each lead at its median, ``[K, L, T]``: a record without any wave."""
        kept = torch.where(self.real[:, None], self.signal, torch.nan)
        middle = kept.nanmedian(dim=-1, keepdim=True).values
        return torch.where(self.real[:, None], middle.expand_as(self.signal), self.signal)


def record_input(view: View, row: int, supplies: Mapping[str, Supply]) -> RecordInput:
    """Return a record as an encoder gets it in a probe."""
    rows = np.array([row])
    starts = [evaluation_starts(view, offset) for offset in view.spec.eval_offsets]
    crops = [Windows(view, start, supplies)[rows] for start in starts]
    signal = torch.cat([crop.signal for crop in crops])
    T = signal.shape[-1]
    lengths = torch.tensor([T if crop.lengths is None else int(crop.lengths[0]) for crop in crops])
    return RecordInput(
        signal,
        tuple(int(start[row]) for start in starts),
        torch.arange(T) < lengths[:, None],
        crops[0].lead_ids,
        tuple(view.spec.leads[i] for i in np.flatnonzero(view.present[row])),
        torch.from_numpy(np.array(view.present[row])),
        view.spec.fs,
        None if bool((lengths == T).all()) else lengths,
        tuple(crop.extra for crop in crops),
    )


class Scorer:
    """The score of one class as a function of a record's signal; see the module.

    Args:
        classifier: The fitted classifier.
        record: The record.
        output: Index of the class or number.
        encoder: Another encoder of the same kind, such as one with shuffled weights.
    """

    def __init__(
        self, classifier: Classifier, record: RecordInput, output: int, encoder: Encoder | None = None
    ) -> None:
        self.classifier, self.record, self.output = classifier, record, output
        self.encoder = (encoder or classifier.reader).eval()
        self.device = next(self.encoder.parameters()).device

    @cached_property
    def has_gradient(self) -> bool:
        """Whether the score has a gradient: not if the head compares records with others, or reads no signal."""
        signal = self.record.signal[None].clone().requires_grad_()
        logits = self.classifier.logits(self._features(signal))
        if logits is None or not logits.requires_grad:
            return False
        return torch.autograd.grad(logits[:, self.output].sum(), signal, allow_unused=True)[0] is not None

    def __call__(self, signal: Tensor) -> Tensor:
        """Return the score ``[B]`` of signals ``[B, K, L, T]``."""
        features = self._features(signal)
        logits = self.classifier.logits(features)
        return self._by_probability(features) if logits is None else logits[:, self.output]

    @torch.no_grad()
    def score(self, signal: Tensor, piece: int = 16) -> Tensor:
        """Return the score ``[B]`` of many signals, some at a time, without gradients."""
        return torch.cat([self(part).double().cpu() for part in torch.split(signal, piece)])

    def crops(self, signal: Tensor | None = None) -> Iterator[Batch]:
        """Yield each crop of signals ``[B, K, L, T]`` as the encoder gets it; by default those of the record, B = 1."""
        signal, record = self.record.signal[None] if signal is None else signal, self.record
        B = len(signal)
        for k, extra in enumerate(record.extra):
            lengths = None if record.lengths is None else record.lengths[k].repeat(B)
            own = {need: _repeated(value, B) for need, value in extra.items()}
            batch = Batch(signal[:, k], record.lead_ids, torch.zeros(B, dtype=torch.int64), lengths, own)
            yield batch.to(self.device)

    def _by_probability(self, features: RecordFeatures) -> Tensor:
        def array(value: Any) -> Any:
            return value.detach().cpu().numpy()

        arrays = {name: array(value) for name, value in features.fields.items()}
        own = RecordFeatures(arrays, features.leads, array(features.present))
        found = self.classifier.predict(own)[:, self.output]
        if self.classifier.kept.kind == "numbers":
            return torch.from_numpy(found)
        return torch.from_numpy(found).clamp(SMALLEST, 1 - SMALLEST).logit()

    def _features(self, signal: Tensor) -> RecordFeatures:
        """Return the features of signals ``[B, K, L, T]``, as tensors that keep their gradient."""
        record, B = self.record, len(signal)
        crops = [self.encoder.encode(batch) for batch in self.crops(signal)]
        present = record.present.repeat(B, 1)
        fields = {need: self._joined([field_of(crop, need) for crop in crops], need) for need in self.classifier.needs}
        if "tokens" in fields:
            real = [crop.token_real for crop in crops]
            n, device = fields["tokens"].shape[1], fields["tokens"].device
            every = torch.ones(B, n, dtype=torch.bool, device=device)
            fields["token_real"] = every if real[0] is None else torch.cat([r for r in real if r is not None], dim=1)
        fields = {need: value.cpu() for need, value in fields.items()}
        return RecordFeatures(fields, self.classifier.kept.signal.leads, present)  # type: ignore[arg-type]  # tensors

    def _joined(self, crops: Sequence[Tensor], need: str) -> Tensor:
        """Average a feature over the crops; tokens follow each other."""
        if need == "tokens":
            return torch.cat(list(crops), dim=1).float()
        mean = torch.stack([crop.float() for crop in crops]).mean(dim=0)
        if need != "per_lead":
            return mean
        spread = mean.new_zeros(len(mean), len(self.record.present), mean.shape[-1])
        spread[:, self.record.present.to(mean.device)] = mean
        return spread


def _repeated(value: Any, times: int) -> Any:
    return value.repeat_interleave(times, dim=0) if isinstance(value, Tensor) else value
