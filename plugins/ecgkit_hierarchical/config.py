"""Configuration of the hierarchical transformer. Numbers are the released code's unless marked as ours."""

from dataclasses import dataclass, replace
from typing import Literal

from ecgkit.recipe import Recipe
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.spec import SignalSpec

LEADS = 12
# Output channels of the first two convolutions, where their output feeds no transformer stage.
NARROW = (132, 264)
KERNELS = (14, 14, 10, 10, 10, 10)
STRIDES = (3, 3, 2, 2, 1, 1)
PADDING = (2, 0, 0, 0, 0, 0)
# Which convolutions' outputs the stages read, by the number of convolutions and stages. Published: 6 and 3 (code),
# 4 and 3 (paper); the others are ours: the deepest ones, spread as the published are.
STAGE_INPUTS = {
    6: {1: (6,), 2: (4, 6), 3: (3, 4, 6), 4: (3, 4, 5, 6), 5: (2, 3, 4, 5, 6)},
    4: {1: (4,), 2: (3, 4), 3: (2, 3, 4), 4: (1, 2, 3, 4)},
}

# Ours: a Butterworth band in place of the published FIR filter of order 150 (same edges, zero phase both), and the
# first 15 s of a longer record, so that "each lead over the whole record" is the input itself.
SIGNAL = SignalSpec(
    fs=500.0,
    seconds=15.0,
    window=15.0,
    filter=Butterworth(low=3.0, high=45.0, order=3),
    filter_first=True,
    normalize="lead-symmetric",
    resample="poly",
)
# Vaswani et al., arXiv 1706.03762, section 5.3: D^-0.5 min(s^-0.5, s 4000^-1.5) in step s, so 9.3e-4 at most for D 288.
WARMUP_STEPS = 4000
RECIPE = Recipe(
    epochs=100,
    batch_size=24,
    lr=(288 * WARMUP_STEPS) ** -0.5 * 256 / 24,
    warmup_steps=WARMUP_STEPS,
    weight_decay=0.0,
    betas=(0.9, 0.98),
    clip=None,
    schedule="inverse-square-root",
    optimizer="adam",
    eps=1e-9,
    checkpoint="best",
)
# Ours: AdamW and a cosine, for hundreds of records.
SMALL_RECIPE = Recipe(
    epochs=30, batch_size=16, lr=3.2e-2, warmup_epochs=2, weight_decay=0.0, betas=(0.9, 0.98), clip=1.0
)


@dataclass(frozen=True)
class HierarchicalConfig:
    """The hierarchical transformer.

    Args:
        width: D; with grouped convolutions a multiple of 12, and of twice the heads with differential attention.
        heads: Attention heads.
        hidden: Hidden width of a block.
        conv_layers: Convolutions: 6 (code) or 4 (paper).
        grouped: Whether convolutions keep the leads apart instead of mixing them.
        stages: Transformer stages, 1 to 5.
        stage_layers: Blocks per stage.
        cls: What goes from stage to stage: one CLS (``carried``), ``several`` CLS, as many as stages, whose mean is the
            representation, or the CLS and ``all`` embeddings. ``last``: nothing; the last stage has the blocks of all.
        attention: ``differential`` (code) or ``standard`` (paper).
        dropout: Dropout in the blocks and after adding positions.
        gate: Whether to use head B, attention-gated pooling over channels, instead of head A on the CLS.
        gate_dropout: Dropout in head B.
        deep: Hidden width of head A.
        deep_dropout: Dropout in head A.
        wide: ``demographics`` gives age and sex to the head, ``none`` nothing; both in the published 22 places.
        wide_features: Places for features besides the signal.
        classes: Labels; filled in from the task before training.
        signal: The input.
        recipe: The training.
    """

    width: int = 288
    heads: int = 8
    hidden: int = 2048
    conv_layers: Literal[4, 6] = 6
    grouped: bool = True
    stages: int = 3
    stage_layers: int = 4
    cls: Literal["carried", "several", "all", "last"] = "carried"
    attention: Literal["differential", "standard"] = "differential"
    dropout: float = 0.1
    gate: bool = False
    gate_dropout: float = 0.25
    deep: int = 64
    deep_dropout: float = 0.2
    wide: Literal["demographics", "none"] = "demographics"
    wide_features: int = 22
    classes: tuple[str, ...] = ()
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        for name in ("width", "heads", "hidden", "stage_layers", "deep"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
        possible = STAGE_INPUTS[self.conv_layers]
        rules = {
            f"stages {self.stages} with {self.conv_layers} convolutions must be 1 to {max(possible)}": self.stages
            in possible,
            f"width {self.width} must be even": self.width % 2 == 0,
            f"width {self.width} must be a multiple of 12 leads": not self.grouped or self.width % LEADS == 0,
            f"width {self.width} must be a multiple of {self.heads} heads": self.width % self.heads == 0,
            f"width {self.width} must be a multiple of twice the {self.heads} heads": self.attention == "standard"
            or self.width % (2 * self.heads) == 0,
            f"wide_features {self.wide_features} must be at least 2": self.wide_features >= 2,
            f"an input of {self.signal.samples} samples must be longer": self.tokens(self.signal.samples) >= 1,
        }
        for name in ("dropout", "gate_dropout", "deep_dropout"):
            rules[f"{name} {getattr(self, name)} must be 0 or more and below 1"] = 0 <= getattr(self, name) < 1
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ValueError(broken[0])

    @property
    def stage_inputs(self) -> tuple[int, ...]:
        """The convolutions, from 1, whose outputs the stages read."""
        inputs = STAGE_INPUTS[self.conv_layers][self.stages]
        return inputs[-1:] if self.cls == "last" else inputs

    @property
    def summaries(self) -> int:
        """Number of CLS tokens."""
        return self.stages if self.cls == "several" else 1

    @property
    def stage_depths(self) -> tuple[int, ...]:
        """Blocks of each stage."""
        if self.cls == "last":
            return (self.stages * self.stage_layers,)
        return (self.stage_layers,) * self.stages

    @property
    def channels(self) -> tuple[int, ...]:
        """Output channels of each convolution: D from the first that a stage reads, and from the third on."""
        first = min(STAGE_INPUTS[self.conv_layers][self.stages])
        return tuple(self.width if i >= min(first, 3) else NARROW[i - 1] for i in range(1, self.conv_layers + 1))

    def conv_lengths(self, samples: int) -> tuple[int, ...]:
        """Return the length of each convolution's output."""
        lengths = []
        for i in range(self.conv_layers):
            samples = (samples + 2 * PADDING[i] - KERNELS[i]) // STRIDES[i] + 1
            lengths.append(samples)
        return tuple(lengths)

    def last_tokens(self, samples: int) -> int:
        """Return the tokens of the last stage, CLS included."""
        lengths = self.conv_lengths(samples)
        read = self.stage_inputs if self.cls == "all" else self.stage_inputs[-1:]
        return self.summaries + sum(lengths[conv - 1] for conv in read)

    def tokens(self, samples: int) -> int:
        """Return the length of the last convolution's output; 0 or less where the input is too short."""
        return min(self.conv_lengths(samples))


BASE = HierarchicalConfig()
# Ours: small enough for two CPU cores; 10 s at 100 Hz would be too coarse for a kernel of 14 samples, so 250 Hz.
TINY = replace(
    BASE,
    width=48,
    heads=4,
    hidden=96,
    stage_layers=1,
    deep=32,
    signal=replace(SIGNAL, fs=250.0, seconds=10.0, window=10.0),
    recipe=SMALL_RECIPE,
)
PRESETS = {
    "base": BASE,
    # The text of version 2: four convolutions, standard attention, the gate; stopped as the released code is.
    "paper": replace(BASE, conv_layers=4, attention="standard", gate=True, recipe=replace(RECIPE, patience=10)),
    "released": replace(BASE, recipe=replace(RECIPE, patience=10)),
    "gate": replace(BASE, gate=True),
    "tiny": TINY,
    "tiny-gate": replace(TINY, gate=True),
}
