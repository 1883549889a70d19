"""Which text encoder a method uses; apart from the encoders, so that listing methods imports no model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TextConfig:
    """Which text encoder, and its settings.

    Args:
        encoder: Name of a registered text encoder.
        model: For Hugging Face models: a local folder or a hub id; empty for the encoder's own.
        width: D; an encoder of a fixed width puts its own here before training.
        frozen: False trains a Hugging Face model along; encoders that have only one way ignore it.
        vocabulary: Most terms (``tfidf``) or word pieces (``tiny``).
        max_tokens: Longest text in word pieces; what is longer is cut.
        depth: Blocks of ``tiny``.
        corpus: CSV table whose column ``report`` holds further reports, without ECGs, for an encoder that is fitted on
            texts; those of patients that are tested on should not be in it. Empty for the store's alone.
    """

    encoder: str = "tfidf"
    model: str = ""
    width: int = 256
    frozen: bool = True
    vocabulary: int = 4096
    max_tokens: int = 256
    depth: int = 2
    corpus: str = ""

    def __post_init__(self) -> None:
        for name in ("width", "vocabulary", "max_tokens", "depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
