"""A method that is right, and one broken for every check of the kit; `tests.testing.test_checks` registers them.

It is copied into a folder on ``sys.path``, for checks load it in other processes.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ecgkit.methods import Batch, Clock, Corpus, Encoder, Features, Losses, Method
from ecgkit.nn.contrastive import info_nce
from ecgkit.recipe import Recipe
from ecgkit.signal.augment.views import Augment, Views
from ecgkit.signal.spec import SignalSpec


@dataclass(frozen=True)
class Config:
    noise: float = 0.1
    signal: SignalSpec = SignalSpec(fs=50, seconds=4, window=4, normalize="lead-zscore")
    recipe: Recipe = Recipe(epochs=2, batch_size=16, lr=0.05)


@dataclass(frozen=True)
class ViewedConfig(Config):
    views: Views = Views(augmentations=(Augment("scale"),))


@dataclass(frozen=True)
class BuiltConfig(Config):
    parent: str = ""


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

    @classmethod
    def fewest_records(cls, config: Config) -> int:
        return 2


class Alike(Good):
    """Right: each record has a loss of its own."""

    @classmethod
    def fewest_records(cls, config: Config) -> int:
        return 1

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        first, second = self.pair(batch)
        return Losses({"apart": (first - second - 0.1).square().mean()})


class Teacher(Alike):
    """Right: a slow copy of the encoder is the target, and it moves once per optimiser step."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.teacher = self.encoder_class().requires_grad_(False)
        self.teacher.load_state_dict(self.encoder.state_dict())

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        first, _ = self.pair(batch)
        target = self.teacher.encode(batch).pooled
        return Losses({"apart": (2 - clock.progress) * (first - target - 0.1).square().mean()})

    def after_step(self, clock: Clock) -> None:
        for slow, p in zip(self.teacher.parameters(), self.encoder.parameters(), strict=True):
            slow.lerp_(p, 0.1 * (1 + clock.progress))


class TwoOptimizers(Alike):
    """Right: the encoder and the projection have an optimiser each."""

    def optimizer(self, recipe: Recipe, parameters: Mapping[str, nn.Parameter]) -> list[torch.optim.Optimizer]:
        own = [p for name, p in parameters.items() if name.startswith("encoder.")]
        rest = [p for name, p in parameters.items() if not name.startswith("encoder.")]
        return [torch.optim.Adam(own, lr=recipe.peak_lr), torch.optim.SGD(rest, lr=recipe.peak_lr, momentum=0.9)]


class Tiring(torch.optim.SGD):
    """Counts its steps where no checkpoint looks."""

    done = 0

    def step(self, closure: object = None) -> None:
        self.done += 1
        for group in self.param_groups:
            group["lr"] = group["lr"] / self.done
        super().step()


class OwnOptimizer(Alike):
    def optimizer(self, recipe: Recipe, parameters: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
        return Tiring(list(parameters.values()), lr=recipe.peak_lr)


class Summed(Alike):
    """Adds up the records in place of their mean."""

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        first, second = self.pair(batch)
        return Losses({"apart": (first - second - 0.1).square().sum()})


class Calls(Alike):
    """Counts its calls in a buffer, and weighs its loss by them."""

    calls: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.register_buffer("calls", torch.zeros(()))

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        if self.training:
            self.calls += 1
        return Losses({"apart": super().training_step(batch, clock).loss * (1 + 0 * self.calls)})


class Hasty(Alike):
    """Calls its own hook, part by part."""

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        self.after_step(clock)
        return super().training_step(batch, clock)


class Restless(Calls):
    """Changes a buffer in validation too."""

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        self.calls += 1
        return super().training_step(batch, clock)


class Nosy(Good):
    """Looks for a supply that it does not declare."""

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        assert batch.extra.get("beats") is None
        return super().training_step(batch, clock)


class NosyEncoder(GoodEncoder):
    def encode(self, batch: Batch) -> Features:
        return self(batch.signal + 0 * batch.extra["demographics"][:, :1, None].nan_to_num(), batch.lead_ids)


class NosyToo(Good):
    encoder_class = NosyEncoder


class InPairs:
    """Right: neighbours in the shuffled order."""

    group = 2

    def __call__(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(rows)[: len(rows) // 2 * 2].reshape(-1, 2)


class Pairs(Good):
    sampler_class = InPairs

    @classmethod
    def sampler(cls, config: Config, corpus: Corpus) -> InPairs:
        return cls.sampler_class()


class Whim(InPairs):
    def __call__(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return super().__call__(rows, np.random.default_rng())


class Whimsical(Pairs):
    sampler_class = Whim


class Stranger(InPairs):
    def __call__(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return super().__call__(rows, rng) + 1


class Strangers(Pairs):
    sampler_class = Stranger


class Built(Good):
    """Right: says which run it is built on."""

    @classmethod
    def built_on(cls, config: "BuiltConfig") -> tuple[Path, ...]:
        return (Path(config.parent),)


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
VIEWED = {"tiny": ViewedConfig()}
CHANGED = {"tiny": Config(noise=1)}  # comes back as 1.0
