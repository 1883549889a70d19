"""ICD-10-CM codes and their ancestors: by prefix, and in the tree of chapter IX (circulatory diseases).

Codes have no dot (I2510). Cutting codes to a number of characters and dropping a trailing ``X`` follow the public
benchmark on MIMIC-IV-ECG-Ext-ICD (Strodthoff et al., arXiv 2312.11050). The tree is chapter > block > category >
subcategory, as in the tables of arXiv 2603.26475.
"""

from collections.abc import Collection, Iterable, Sequence

CHAPTER = "IX"
# First and last category of each block of chapter IX. They are compared as texts, so I1A follows I16 and I5A I52.
BLOCKS = (
    ("I00", "I02"),
    ("I05", "I09"),
    ("I10", "I1A"),
    ("I20", "I25"),
    ("I26", "I28"),
    ("I30", "I5A"),
    ("I60", "I69"),
    ("I70", "I79"),
    ("I80", "I89"),
    ("I95", "I99"),
)
CATEGORY = 3  # characters


def clean_codes(codes: Iterable[str], digits: int | None = None) -> tuple[str, ...]:
    """Strip blanks, cut to `digits` characters, drop a trailing ``X`` (a placeholder), and keep each code once."""
    cut = (code.strip()[:digits].rstrip("X") for code in codes)
    return tuple(dict.fromkeys(code for code in cut if code))


def starting_with(codes: Iterable[str], starts: Sequence[str]) -> tuple[str, ...]:
    """Return the codes that start with any of `starts`; all codes if `starts` is empty."""
    return tuple(code for code in codes if not starts or code.startswith(tuple(starts)))


def ancestors(code: str) -> tuple[str, ...]:
    """Return a code and its ancestors: its prefixes of three or more characters; nothing for a shorter code."""
    return tuple(code[:n] for n in range(CATEGORY, len(code) + 1))


def with_ancestors(codes: Iterable[str], known: Collection[str] | None = None) -> set[str]:
    """Return codes together with their ancestors.

    Args:
        codes: Codes of one record.
        known: Add only ancestors in this collection, such as codes that occur on their own; None adds all.
    """
    return {part for code in codes for part in ancestors(code) if known is None or part in known}


def block_of(code: str) -> str | None:
    """Return the block of chapter IX that a code belongs to, such as ``IX.I20-I25``; None outside the chapter."""
    category = code[:CATEGORY]
    for first, last in BLOCKS:
        if first <= category <= last:
            return f"{CHAPTER}.{first}-{last}"
    return None


def chapter_ix(codes: Iterable[str]) -> set[str]:
    """Return the labels of a record's codes in the tree of chapter IX: chapter, blocks, codes of 3 and 4 characters."""
    own = [code for code in codes if code.startswith("I") and len(code) >= CATEGORY]
    labels = with_ancestors(code[: CATEGORY + 1] for code in own)
    blocks = {block for code in own if (block := block_of(code))}
    return labels | blocks | ({CHAPTER} if own else set())


def parent(label: str) -> str | None:
    """Return the parent of a label of the tree; None for the chapter, and for texts that are not labels of the tree."""
    if label.startswith(f"{CHAPTER}."):
        return CHAPTER
    if label == CHAPTER or not label.startswith("I"):
        return None
    return label[:-1] if len(label) > CATEGORY else block_of(label)


def level(label: str) -> str:
    """Return the level of a label: ``chapter``, ``block``, ``category`` or ``subcategory``."""
    if label == CHAPTER:
        return "chapter"
    if label.startswith(f"{CHAPTER}."):
        return "block"
    return "category" if len(label) == CATEGORY else "subcategory"


def tree_order(labels: Iterable[str]) -> list[str]:
    """Return labels of the tree in the order of their codes, each after its parent."""
    return sorted(labels, key=_path)


def _path(label: str) -> tuple[str, ...]:
    above = parent(label)
    return (*(_path(above) if above else ()), label)
