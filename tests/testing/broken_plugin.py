"""A method that is right, and one broken for every check of the kit; `tests.testing.test_checks` registers them.

It is copied into a folder on ``sys.path``, for checks load it in other processes.
"""

import random
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ecgkit.methods import Batch, Clock, Encoder, Features, Losses, Method
from ecgkit.nn.contrastive import info_nce
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec


@dataclass(frozen=True)
class Config:
    noise: float = 0.1
    signal: SignalSpec = SignalSpec(fs=50, seconds=4, window=4, normalize="lead-zscore")
    recipe: Recipe = Recipe(epochs=2, batch_size=16, lr=0.05)


@dataclass(frozen=True)
class OddConfig(Config):
    sizes: object = frozenset({1, 2})


class GoodEncoder(Encoder):
    width = 8

    def __init__(self) -> None:
        super().__init__()
        self.lead = nn.Embedding(12, 8)
        self.conv = nn.Conv1d(1, 8, 5, stride=5)

    def per_lead(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None) -> Tensor:
        B, L, T = signal.shape
        found = self.conv(signal.flatten(0, 1)[:, None]).tanh().square().view(B, L, 8, -1)
        if lengths is not None:
            real = (torch.arange(0, T, 5) < lengths[:, None]).float()
            found = found * (real / real.mean(1, keepdim=True))[:, None, None]
        return found.mean(-1) * (1 + self.lead(lead_ids))

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        per_lead = self.per_lead(signal, lead_ids, lengths)
        return Features(pooled=per_lead.mean(1), per_lead=per_lead)


class Good(Method):
    """Pairs a record with itself in noise."""

    encoder_class: type[Encoder] = GoodEncoder

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = self.encoder_class()
        self.project = nn.Linear(8, 8)

    def pair(self, batch: Batch) -> tuple[Tensor, Tensor]:
        noisy = batch.signal + self.config.noise * torch.randn_like(batch.signal)
        first, second = (self.encoder.encode(replace(batch, signal=x)).pooled for x in (noisy, batch.signal))
        return self.project(first), second

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        return Losses({"pairs": info_nce(*self.pair(batch), 0.1)})


class Infinite(Good):
    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        return Losses({"pairs": super().training_step(batch, clock).loss / 0})


class Idle(Good):
    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.forgotten = nn.Linear(8, 8)


class Rising(Good):
    """Climbs: the value of the loss with the gradient of its negative."""

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        loss = super().training_step(batch, clock).loss
        return Losses({"pairs": 2 * loss.detach() - loss})


class RandomEncoder(GoodEncoder):
    def per_lead(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None) -> Tensor:
        return nn.functional.dropout(super().per_lead(signal, lead_ids, lengths), 0.1)


class Random(Good):
    encoder_class = RandomEncoder


class CompanyEncoder(GoodEncoder):
    def per_lead(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None) -> Tensor:
        found = super().per_lead(signal, lead_ids, lengths)
        return found - found.mean(0) / 2


class Company(Good):
    encoder_class = CompanyEncoder


class PlacesEncoder(GoodEncoder):
    def per_lead(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None) -> Tensor:
        return super().per_lead(signal, torch.arange(signal.shape[1]), lengths)


class Places(Good):
    encoder_class = PlacesEncoder


class TwelveEncoder(GoodEncoder):
    def per_lead(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None) -> Tensor:
        return super().per_lead(signal.reshape(-1, 12, signal.shape[-1]), lead_ids, lengths)


class Twelve(Good):
    encoder_class = TwelveEncoder


class FullEncoder(GoodEncoder):
    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        if lengths is not None:
            raise NotImplementedError("records that end early")
        return super().forward(signal, lead_ids)


class Full(Good):
    encoder_class = FullEncoder


class PaddedEncoder(GoodEncoder):
    """Takes the zeros behind the end of a record for signal."""

    def per_lead(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None) -> Tensor:
        return super().per_lead(signal, lead_ids, None)


class Padded(Good):
    encoder_class = PaddedEncoder


class FixedEncoder(PaddedEncoder):
    """As the one before, and takes its full input only."""

    def per_lead(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None) -> Tensor:
        return super().per_lead(signal.view(len(signal), -1, 200), lead_ids, lengths)


class FixedPadded(Good):
    encoder_class = FixedEncoder


class UndeclaredEncoder(GoodEncoder):
    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        features = super().forward(signal, lead_ids)
        return replace(features, tokens=features.per_lead)


class Undeclared(Good):
    encoder_class = UndeclaredEncoder


class WideEncoder(GoodEncoder):
    width = 9


class Wide(Good):
    encoder_class = WideEncoder


class ForgetfulEncoder(GoodEncoder):
    """Computes with what is neither parameter nor buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = 1 + torch.rand(8)

    def per_lead(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None) -> Tensor:
        return super().per_lead(signal, lead_ids, lengths) * self.scale


class Forgetful(Good):
    encoder_class = ForgetfulEncoder


class Narrow(Good):
    """Takes a small difference of large numbers, for which 8 bits of mantissa are too few."""

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        first, _ = self.pair(batch)
        return Losses({"pairs": ((first + 1000) - 1000).square().mean()})


class Buffered(Good):
    """Right: its step updates a buffer that its loss depends on."""

    momentum: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.register_buffer("momentum", torch.zeros(8))

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        first, second = self.pair(batch)
        with torch.no_grad():
            self.momentum.mul_(0.5).add_(second.mean(0))
        return Losses({"pairs": info_nce(first - self.momentum, second, 0.1)})


class Uncompiled(Good):
    """Counts its steps in Python, which a compiled step does not see the same way."""

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        loss = super().training_step(batch, clock).loss
        return Losses({"pairs": loss * 2 if torch.compiler.is_compiling() else loss})


class Counting(Good):
    """Its loss depends on the steps done, which no checkpoint holds."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.steps = 0

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        self.steps += self.training
        return Losses({"pairs": super().training_step(batch, clock).loss * (1 + self.steps)})


class Alone(Good):
    """Compares the records of its own process only."""

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        first, second = (nn.functional.normalize(x, dim=-1) for x in self.pair(batch))
        logits = first @ second.T / 0.1
        return Losses({"pairs": nn.functional.cross_entropy(logits, torch.arange(len(logits)))})


class Chancy(Good):
    """Draws from Python's generator, which no checkpoint holds."""

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        return Losses({"pairs": super().training_step(batch, clock).loss * (1 + random.random())})


PRESETS = {"tiny": Config()}
ODD_PRESETS = {"tiny": OddConfig()}
CHANGED = {"tiny": Config(noise=1)}  # comes back as 1.0
