"""A table of texts, which can be written as Markdown or LaTeX."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A cell of a table, which may be bold."""

    text: str
    bold: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Grid:
    """A table of texts.

    Args:
        head: Headings of the columns.
        body: Cells by line.
        texts: Number of text columns at the left; the other columns hold numbers.
    """

    head: tuple[str, ...]
    body: tuple[tuple[Text, ...], ...]
    texts: int

    def markdown(self) -> str:
        """Return the table as Markdown."""
        rule = ["---"] * self.texts + ["---:"] * (len(self.head) - self.texts)
        body = [[_styled(cell, safe_markdown, "**{}**") for cell in line] for line in self.body]
        return "\n".join("| " + " | ".join(line) + " |" for line in (map(safe_markdown, self.head), rule, *body))

    def latex(self) -> str:
        """Return the table as a LaTeX ``tabular`` for booktabs."""
        body = [[_styled(cell, safe_latex, r"\textbf{{{}}}") for cell in line] for line in self.body]
        head, *lines = (" & ".join(line) + r" \\" for line in (map(safe_latex, self.head), *body))
        columns = "l" * self.texts + "r" * (len(self.head) - self.texts)
        start = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule"]
        return "\n".join([*start, *lines, r"\bottomrule", r"\end{tabular}"])


def _styled(cell: Text, safe: Callable[[str], str], bold: str) -> str:
    return (bold.format(safe(cell.text)) if cell.bold else safe(cell.text)) + safe(cell.mark)


def safe_markdown(text: str) -> str:
    """Escape a text for a Markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


LATEX = {**{c: "\\" + c for c in "&%$#_{}"}, "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {"\\": r"\textbackslash{}", "–": "--", "±": r"$\pm$", "†": r"$^\dagger$"}


def safe_latex(text: str) -> str:
    """Escape a text for LaTeX."""
    return "".join(LATEX.get(c, c) for c in text)
