"""The ``ecgkit`` program: thin commands over the library.

Importing this package imports no heavy library; a command imports what it needs when it runs. Every command does one
documented library call. Exit codes: 0 done; 1 an unexpected error; 2 bad input, told in one line; 3 done, but more
records were rejected than allowed, or a check of a plugin failed; 130 interrupted.
"""

import os
import sys
import traceback
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

import ecgkit
from ecgkit.entries import CommandEntry
from ecgkit.errors import EcgkitError, PluginError
from ecgkit.plugins import host

DEBUG_FLAG = "--debug"
INTERRUPTED = 130


def build_app() -> typer.Typer:
    """Return the program with every registered command; one that fails to load is left out and listed."""
    app = typer.Typer(
        name="ecgkit",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        help="From WFDB recordings to a results table: representation learning on the 12-lead ECG.",
        epilog="Start with: ecgkit demo",
    )
    app.callback()(_globals)
    for entry in host().entries(CommandEntry).values():
        try:
            command = entry.load()
            trial = typer.Typer()
            _attach(trial, entry, command)
            typer.main.get_command(trial)  # Typer reads signatures only now
        except Exception as error:
            _note(entry, error)
        else:
            _attach(app, entry, command)
    return app


def _attach(app: typer.Typer, entry: CommandEntry, command: Any) -> None:
    if not callable(command):
        raise PluginError(f"{entry.target} is a {type(command).__name__}", "a Typer app or a function")
    summary = escape(entry.summary)
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=entry.name, help=summary)
    else:
        app.command(entry.name, short_help=summary)(command)


def _note(entry: CommandEntry, error: Exception) -> None:
    """Write down, for ``ecgkit plugins list``, why a command is left out."""
    owner = host().owner(entry)
    line = " ".join(f"command {entry.name}: {type(error).__name__}: {error}".split())
    if line not in owner.error:
        owner.error = f"{owner.error}; {line}" if owner.error else line


def main() -> None:
    """Run the program, and turn every error into one line and an exit code."""
    debug = DEBUG_FLAG in sys.argv or bool(os.environ.get("ECGKIT_DEBUG"))
    arguments = [a for a in sys.argv[1:] if a != DEBUG_FLAG]  # it may stand anywhere
    try:
        build_app()(arguments, prog_name="ecgkit")
    except EcgkitError as error:
        _fail(str(error), debug, code=2)
    except SystemExit as stop:
        if stop.code != INTERRUPTED:  # Typer turns Ctrl-C into this code, without a word
            raise
        _fail("interrupted; nothing half-written is left behind", debug=False, code=INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", debug, code=2)
    except Exception as error:
        hint = "" if debug else " (an error of ecgkit or a plugin: please report it with what --debug shows)"
        _fail(f"{type(error).__name__}: {error}{hint}", debug, code=1)


def _fail(message: str, debug: bool, *, code: int) -> None:
    if debug:
        traceback.print_exc()
    Console(stderr=True, soft_wrap=True, highlight=False).print("[red]error:[/]", end=" ")
    print(" ".join(message.split()), file=sys.stderr)
    sys.exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ecgkit {ecgkit.__version__}")
        raise typer.Exit


def _globals(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option(DEBUG_FLAG, help="Show the traceback of an error.")] = False,
) -> None:
    """Options of every command."""
