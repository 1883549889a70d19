"""``ecgkit plugins``."""

import typer

from ecgkit.cli.render import JsonOption, print_json, print_table
from ecgkit.plugins import host

app = typer.Typer(no_args_is_help=True)


@app.callback()
def plugins() -> None:
    """See which plugins are installed."""


@app.command("list")
def list_plugins(as_json: JsonOption = False) -> None:
    """List every plugin with its distribution, what it registers, and its error if it was left out."""
    rows = [
        {
            "plugin": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "registers": "; ".join(f"{kind} {', '.join(names)}" for kind, names in plugin.registers.items()),
            "error": plugin.error,
        }
        for plugin in host().plugins
    ]
    if as_json:
        print_json(rows)
    else:
        print_table("Plugins", rows)
