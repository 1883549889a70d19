"""Settings of both stages: sizes, codes, masks, input and recipe.

Numbers are the released code's unless marked as ours. The recipe is ours.
"""

from dataclasses import dataclass, replace

from ecgkit.beats.windows import PUBLISHED, BeatWindow
from ecgkit.recipe import Recipe
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.spec import SignalSpec

# 10 s at 100 Hz, band-pass over the whole record, no scaling: every beat is standardised in the model.
SIGNAL = SignalSpec(fs=100.0, seconds=10.0, filter=Butterworth(low=0.67, high=40.0, order=5), normalize="none")
RECIPE = Recipe(epochs=100, batch_size=256, lr=5e-4, weight_decay=0.05, betas=(0.9, 0.98), clip=3.0, checkpoint="last")
# All beats of a record: the sentence decides what is left out.
WINDOW = replace(PUBLISHED, max_beats=None)


@dataclass(frozen=True, kw_only=True)
class SentenceConfig:
    """What both stages share: sentences of heartbeats, and the transformer that reads them.

    Args:
        width: D of the transformer.
        depth: Its blocks.
        heads: Its attention heads.
        head_width: Width of a head.
        hidden: Width inside its feed-forward layers.
        length: Heartbeats per sentence, lead by lead; what goes beyond is cut.
        window: How heartbeats are cut.
        pad_aware: Never look at empty places of a sentence (ours); the released code does.
        signal: The input.
        recipe: The training.
    """

    width: int = 768
    depth: int = 12
    heads: int = 8
    head_width: int = 64
    hidden: int = 1024
    length: int = 256
    window: BeatWindow = WINDOW
    pad_aware: bool = True
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        if min(self.width, self.depth, self.heads, self.head_width, self.hidden, self.length) < 1:
            raise ValueError("width, depth, heads, head_width, hidden and length must be at least 1")


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig(SentenceConfig):
    """The first stage.

    Args:
        decoder_depth: Blocks that rebuild heartbeats from codes.
        codes: Number of codes.
        code_width: Width of a code.
        decay: Share of a code that stays when it moves to the heartbeats that chose it.
        beta: Weight of the commitment loss.
    """

    depth: int = 4
    decoder_depth: int = 2
    codes: int = 8192
    code_width: int = 128
    decay: float = 0.99
    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.codes < 2 or not 0 <= self.decay <= 1:
            raise ValueError(f"codes {self.codes} must be at least 2, and decay {self.decay:g} between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class HeartLangConfig(SentenceConfig):
    """The second stage.

    Args:
        mask_ratio: Share of the heartbeats of a sentence that is hidden.
        tokenizer: Folder of the run of the first stage. Empty takes the codes of an untrained tokenizer, for checks and
            as a control.
        codebook: Settings of the tokenizer; filled in from its run.
    """

    mask_ratio: float = 0.5
    tokenizer: str = ""
    codebook: TokenizerConfig = TokenizerConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.mask_ratio < 1:
            raise ValueError(f"mask_ratio {self.mask_ratio:g} must be between 0 and 1")


# Ours: small enough for two CPU cores.
QUICK = replace(RECIPE, epochs=10, batch_size=16, lr=1.6e-2, warmup_epochs=1)
SMALL = {"width": 32, "heads": 2, "head_width": 16, "hidden": 64, "length": 200, "recipe": QUICK}
TINY_TOKENIZER = TokenizerConfig(**SMALL, depth=1, decoder_depth=1, codes=32, code_width=8)  # type: ignore[arg-type]
TINY = HeartLangConfig(**SMALL, depth=2, codebook=TINY_TOKENIZER)  # type: ignore[arg-type]
TOKENIZER_PRESETS = {"base": TokenizerConfig(), "tiny": TINY_TOKENIZER}
PRESETS = {"base": HeartLangConfig(), "tiny": TINY}
