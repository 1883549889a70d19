"""A command that takes paths and has subcommands: ``ecgkit beats STORE`` and ``ecgkit beats score RECORDS``."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from typer.core import TyperGroup

from ecgkit.errors import ConfigError
from ecgkit.unfinished import SUFFIX

_NEAR = 0.7  # similarity of a mistyped subcommand, by `difflib`
_NAMED = "ecgkit.named"  # whether the first argument is a subcommand, not a path


class PathOrCommand(TyperGroup):
    """A group whose first argument is a subcommand, or a path with options before or after it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Find out whether a subcommand or a path comes first, and parse the options accordingly."""
        self._check_spelling(ctx, args)
        ctx.meta[_NAMED] = bool(args) and args[0] in self.commands
        ctx.allow_interspersed_args = not ctx.meta[_NAMED]
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters; if a subcommand is named, without the paths."""
        named = ctx.command is not self or ctx.meta.get(_NAMED)
        return [p for p in super().get_params(ctx) if not named or p.param_type_name == "option"]

    def _check_spelling(self, ctx: Any, args: list[str]) -> None:
        """Refuse a first argument that is no path and nearly the name of a subcommand.

        Raises:
            ConfigError: It is.
        """
        word = args[0] if args else ""
        if word.startswith("-") or word in self.commands or any(Path(word + end).exists() for end in ("", SUFFIX)):
            return
        near = get_close_matches(word, self.commands, n=1, cutoff=_NEAR)
        if near:
            raise ConfigError(
                f"{ctx.command_path} has no command {word!r}, and no path has this name",
                remedy=f"Did you mean {near[0]!r}?",
            )
