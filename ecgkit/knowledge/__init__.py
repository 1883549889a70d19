"""Knowledge from reports: a model or an offline lexicon turns free text into cardiac entities and a label matrix.

    reports -> unique statements -> mentions (name, polarity) -> vocabulary (synonyms, parents) -> labels [R, Q]

The design follows K-MERL (arXiv 2502.17900), whose prompts and entity list are not public. The wording, the vocabulary
and the rules here are ours. Nothing leaves the machine unless the user asks for it. No text of a report appears in a
log, an error or a file name.
"""
