"""Knowledge from reports: a model or an offline lexicon turns free text into cardiac entities and a label matrix.

    reports -> unique statements -> mentions (name, polarity) -> vocabulary (synonyms, parents) -> labels [R, Q]

The design follows K-MERL (arXiv 2502.17900), whose prompts and entity list are not public. The wording, the vocabulary
and the rules here are ours. Nothing leaves the machine unless the user asks for it. No text of a report appears in a
log, an error or a file name.
"""

from collections.abc import Callable

from ecgkit.entries import KnowledgeBackendEntry
from ecgkit.hookspecs import hookimpl


@hookimpl
def register_knowledge_backends(register: Callable[[KnowledgeBackendEntry], None]) -> None:
    """Register the readers of reports that ship with ecgkit."""
    register(
        KnowledgeBackendEntry(
            name="lexicon",
            summary="terms and rules for English and German reports, offline",
            target="ecgkit.knowledge.lexicon.backend:LexiconBackend",
        )
    )
    register(
        KnowledgeBackendEntry(
            name="openai",
            summary="a language model behind OpenAI-compatible servers, or by files of a batch",
            target="ecgkit.knowledge.endpoint.backend:OpenAIBackend",
            settings="ecgkit.knowledge.endpoint.backend:OpenAISettings",
        )
    )
