"""ICD-10-CM codes and what stands above them: ancestors by prefix, and the tree of chapter IX.

Codes have no dot (I2510). The cut to digits and the dropped ``X`` are those of the public benchmark on
MIMIC-IV-ECG-Ext-ICD (Strodthoff et al., arXiv 2312.11050); the tree is chapter > block > category > subcategory, as
the tables of arXiv 2603.26475 have it.
"""

from collections.abc import Collection, Iterable, Sequence

CHAPTER = "IX"
# First and last category of each block of chapter IX, compared as texts, so that I1A is after I16 and I5A after I52.
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
    """Keep the codes that start with any of `starts`; without any, all."""
    return tuple(code for code in codes if not starts or code.startswith(tuple(starts)))


def ancestors(code: str) -> tuple[str, ...]:
    """Return a code and all that stands above it: its prefixes of three characters and more; none for a shorter one."""
    return tuple(code[:n] for n in range(CATEGORY, len(code) + 1))


def with_ancestors(codes: Iterable[str], known: Collection[str] | None = None) -> set[str]:
    """Return codes with their ancestors.

    Args:
        codes: Of one record.
        known: Take only ancestors that are in it, such as the codes that occur as such; None takes all.
    """
    return {part for code in codes for part in ancestors(code) if known is None or part in known}


def block_of(code: str) -> str | None:
    """Return the block of chapter IX that a code is in, such as ``IX.I20-I25``, or None."""
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
    """Return the label above a label of the tree; None above the chapter, and for what is no label of it."""
    if label.startswith(f"{CHAPTER}."):
        return CHAPTER
    if label == CHAPTER or not label.startswith("I"):
        return None
    return label[:-1] if len(label) > CATEGORY else block_of(label)


def level(label: str) -> str:
    """Return ``chapter``, ``block``, ``category`` or ``subcategory``."""
    if label == CHAPTER:
        return "chapter"
    if label.startswith(f"{CHAPTER}."):
        return "block"
    return "category" if len(label) == CATEGORY else "subcategory"


def tree_order(labels: Iterable[str]) -> list[str]:
    """Return labels of the tree, each below its parent, in the order of their codes."""
    return sorted(labels, key=_path)


def _path(label: str) -> tuple[str, ...]:
    above = parent(label)
    return (*(_path(above) if above else ()), label)
