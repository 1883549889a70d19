"""Settings of a method's text encoder. They are apart from the encoders, so that listing methods imports no model."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TextConfig:
    """Text encoder and its settings.

    Args:
        encoder: Name of a registered text encoder.
        model: For Hugging Face models: a local folder or a hub id; empty for the encoder's default model.
        width: Width D of the vectors. An encoder with a fixed width sets its own before training.
        pooling: For Hugging Face models, what becomes the vector of a text: ``first``, the last hidden state of its
            first token; ``mean``, the mean over its tokens; or ``pooler``, the pooled output of the model. MedCPT's
            model card takes the first. MERL's published code takes the pooled output.
        frozen: Whether a Hugging Face model is frozen; False trains it with the method. Other encoders ignore it.
        vocabulary: Largest number of terms (``tfidf``) or word pieces (``tiny``).
        max_tokens: Longest text in word pieces; longer texts are cut.
        depth: Number of blocks of ``tiny``.
        corpus: CSV table whose column ``report`` holds further reports, without ECGs, for an encoder that is fitted on
            texts. It should hold no reports of test patients. Empty to use only the reports of the store.
    """

    encoder: str = "tfidf"
    model: str = ""
    width: int = 256
    pooling: Literal["first", "mean", "pooler"] = "first"
    frozen: bool = True
    vocabulary: int = 4096
    max_tokens: int = 256
    depth: int = 2
    corpus: str = ""

    def __post_init__(self) -> None:
        for name in ("width", "vocabulary", "max_tokens", "depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} {getattr(self, name)} must be at least 1")
