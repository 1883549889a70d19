"""A command that takes paths and has subcommands: ``ecgkit beats STORE`` and ``ecgkit beats score RECORDS``."""

from typing import Any

from typer.core import TyperGroup

_NAMED = "ecgkit.named"  # whether the first argument is a subcommand, not a path


class PathOrCommand(TyperGroup):
    """A group whose first argument is a subcommand, or a path with options before or after it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Find out whether a subcommand or a path comes first, and parse the options accordingly."""
        ctx.meta[_NAMED] = bool(args) and args[0] in self.commands
        ctx.allow_interspersed_args = not ctx.meta[_NAMED]
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters; if a subcommand is named, without the paths."""
        named = ctx.command is not self or ctx.meta.get(_NAMED)
        return [p for p in super().get_params(ctx) if not named or p.param_type_name == "option"]
