"""The language of statements: names and comparisons, joined by ``and``, ``or``, ``not`` and parentheses.

    statement = all {"or" all}
    all       = one {"and" one}
    one       = "not" one | "(" statement ")" | name [compare value]
    compare   = "=" | "!=" | "<" | "<=" | ">" | ">="

A name or value is one or more words in a row, or a text in quotes; quotes keep words such as ``and`` in a name. ``not``
binds more closely than ``and``, and ``and`` more closely than ``or``. A statement is only ever read, never run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ecgkit.errors import ConfigError

LONGEST, DEEPEST = 10_000, 50  # characters of a statement, and levels of parentheses and "not"
TOKEN = re.compile(r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')|(?P<sign><=|>=|!=|==|=|<|>|\(|\))|(?P<word>[^\s"'()<>=!]+))""")
JOINS = ("and", "or", "not")
EXAMPLE = "a statement such as: atrial fibrillation and not (paced or age < 18)"


@dataclass(frozen=True)
class Term:
    """A name, or a comparison.

    Args:
        name: The name.
        sign: Sign of the comparison; empty for a name alone.
        value: Value that is compared with.
        quoted: Whether the name stood in quotes.
    """

    name: str
    sign: str = ""
    value: str = ""
    quoted: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.value}".strip()


@dataclass(frozen=True)
class Joined:
    """Parts joined by one word; ``not`` has one part."""

    join: Literal["and", "or", "not"]
    parts: tuple["Node", ...]


Node = Term | Joined


def parse(statement: str) -> Node:
    """Return the tree of a statement.

    Raises:
        ConfigError: The statement is empty, too long, or no statement; the message shows where.
    """
    if len(statement) > LONGEST:
        raise ConfigError(f"a statement of {len(statement):,} characters", f"at most {LONGEST:,}")
    return _Reader(statement).whole()


class _Reader:
    """Reads a statement from left to right."""

    def __init__(self, statement: str) -> None:
        self.statement = statement
        self.tokens = [*_tokens(statement), ("end", "", len(statement))]
        self.at = 0

    def whole(self) -> Node:
        node = self.joined("or", 0)
        if self.kind != "end":
            raise self.wrong()
        return node

    @property
    def kind(self) -> str:
        return self.tokens[self.at][0]

    def take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1][1]

    def wrong(self) -> ConfigError:
        _, text, place = self.tokens[self.at]
        found = f"{text!r} is unexpected at character {place + 1}" if text else "it ends too early"
        return ConfigError(f"--where {self.statement[:80]!r}: {found}", EXAMPLE)

    def joined(self, join: Literal["and", "or"], depth: int) -> Node:
        parts = [self.part(join, depth)]
        while self.kind == join:
            self.take()
            parts.append(self.part(join, depth))
        return parts[0] if len(parts) == 1 else Joined(join, tuple(parts))

    def part(self, join: str, depth: int) -> Node:
        return self.joined("and", depth) if join == "or" else self.one(depth)

    def one(self, depth: int) -> Node:
        if depth > DEEPEST:
            raise ConfigError(f"--where with more than {DEEPEST} levels of parentheses", "fewer")
        if self.kind == "not":
            self.take()
            return Joined("not", (self.one(depth + 1),))
        if self.kind == "(":
            self.take()
            inside = self.joined("or", depth + 1)
            if self.kind != ")":
                raise self.wrong()
            self.take()
            return inside
        return self.term()

    def term(self) -> Term:
        name, quoted = self.text()
        if self.kind != "sign":
            return Term(name, quoted=quoted)
        sign = self.take().replace("==", "=")
        return Term(name, sign, self.text()[0], quoted)

    def text(self) -> tuple[str, bool]:
        """Return the words in a row, or the quoted text, and whether it was quoted."""
        if self.kind == "quoted":
            return self.take()[1:-1], True
        words = []
        while self.kind == "word":
            words.append(self.take())
        if not words:
            raise self.wrong()
        return " ".join(words), False


def _tokens(statement: str) -> Iterator[tuple[str, str, int]]:
    """Yield kind, text and place of each token. The kind of a parenthesis or of a joining word is the word itself."""
    at, end = 0, len(statement.rstrip())
    while at < end:
        found = TOKEN.match(statement, at)
        if found is None:
            place = at + len(statement[at:]) - len(statement[at:].lstrip())
            shown = statement[place]
            why = "a quote that is not closed" if shown in "\"'" else f"the sign {shown!r}"
            raise ConfigError(f"--where {statement[:80]!r}: {why} at character {place + 1}", EXAMPLE)
        kind, text = str(found.lastgroup), str(found[str(found.lastgroup)])
        if kind == "word" and text.lower() in JOINS:
            kind = text.lower()
        elif text in ("(", ")"):
            kind = text
        yield kind, text, found.start(str(found.lastgroup))
        at = found.end()
