"""Text encoders turn reports, entity names and class names into vectors; `ecgkit.text.encoder` has their interface."""

from collections.abc import Callable

from ecgkit.entries import TextEncoderEntry
from ecgkit.hookspecs import hookimpl

NO_MODEL = (
    "knows no language beyond the reports of the training set, unlike the pretrained language models of the papers. "
    "Choose one with --set text.encoder=medcpt"
)


@hookimpl
def register_text_encoders(register: Callable[[TextEncoderEntry], None]) -> None:
    """Register the text encoders that ecgkit ships."""
    for name, target, summary, caution in (
        ("tfidf", "tfidf:TfidfEncoder", "TF-IDF and truncated SVD, fitted on the training reports; offline", NO_MODEL),
        ("tiny", "tiny:TinyEncoder", "small transformer on WordPiece, trained from scratch; offline", NO_MODEL),
        ("medcpt", "huggingface:MedCptEncoder", "MedCPT's query encoder, ncbi/MedCPT-Query-Encoder", ""),
        (
            "huggingface",
            "huggingface:HuggingFaceEncoder",
            "the Hugging Face model in text.model, a folder or hub id",
            "",
        ),
    ):
        register(TextEncoderEntry(name=name, summary=summary, target=f"ecgkit.text.{target}", caution=caution))
