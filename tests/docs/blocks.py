"""The shell and Python blocks of a page, with what the page says about running them."""

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(.*)$")
MARKER = re.compile(r"^<!-- (not run|run by): ?(.*?) ?-->$")
SHELL, CONSOLE, PYTHON = "sh", "console", "python"
# What begins a line of a shell; a fence without a language must not hold one, for it would never be run.
COMMAND = re.compile(r"^(\$ )?(ecgkit|pip|python|export|sh|git|cd|sbatch|torchrun) \S")


@dataclass(frozen=True)
class Block:
    """A fenced block that could be run.

    Args:
        page: Where it stands.
        line: Line of its fence, from 1.
        language: `sh`, `console` (commands after ``$``, then what they print) or `python`.
        code: Its lines.
        not_run: Why it is not run; None if it is.
        run_by: The test that runs it instead of the one of all pages.
    """

    page: Path
    line: int
    language: str
    code: str
    not_run: str | None = None
    run_by: str | None = None

    @property
    def commands(self) -> list[str]:
        """The command lines of a shell block, continuation lines joined."""
        lines = self.code.replace("\\\n", " ").splitlines()
        if self.language == CONSOLE:
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def read_blocks(page: Path) -> list[Block]:
    """Return a page's blocks in order.

    Raises:
        ValueError: A marker gives no reason or stands before no block, or commands stand in a block without language.
    """
    lines = page.read_text(encoding="utf-8").splitlines()
    blocks, number = [], 0
    while number < len(lines):
        marker = MARKER.match(lines[number])
        if marker and not (marker[2] and lines[number + 1 : number + 2] and FENCE.match(lines[number + 1])):
            raise ValueError(f"{page.name}:{number + 1}: a marker needs a reason, and a block in the next line")
        fence = FENCE.match(lines[number])
        number += 1
        if not fence:
            continue
        start = number
        while lines[number] != "```":
            number += 1
        body, number = lines[start:number], number + 1
        if fence[1] in (SHELL, CONSOLE, PYTHON):
            before = MARKER.match(lines[start - 2]) if start > 1 else None
            said = {before[1].replace(" ", "_"): before[2]} if before else {}
            blocks.append(Block(page, start, fence[1], "\n".join(body) + "\n", **said))
        elif fence[1] in ("", "bash", "shell", "text") and any(COMMAND.match(line) for line in body):
            raise ValueError(f"{page.name}:{start}: commands in a block of {fence[1] or 'no language'}; make it ```sh")
    return blocks
