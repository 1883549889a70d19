"""What reports say: free text becomes cardiac entities and a label matrix, by a model or by an offline lexicon.

    reports -> unique statements -> mentions (name, polarity) -> vocabulary (synonyms, parents) -> labels [R, Q]

Design after K-MERL (arXiv 2502.17900), whose prompts and entity list are not public; the wording, the vocabulary and
the rules here are ours. Nothing leaves the machine unless it is asked for, and no text of a report enters a log, an
error or a file name.
"""
