"""The ``ecgkit`` program: thin commands over the library.

Importing this package imports no heavy library; a command imports what it needs when it runs. Every command does one
documented library call. `ecgkit.cli.exit_codes` says how it may end. Every option can come from the environment or the
project file too: `ecgkit.cli.project`.
"""

import os
import re
import sys
import traceback
from functools import partial
from typing import Annotated, Any

import typer
from rich.markup import escape

import ecgkit
from ecgkit.choices import command_typed
from ecgkit.cli import stopping
from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.mistyped import in_own_words
from ecgkit.cli.project import name_variables, note_origins, read_project
from ecgkit.cli.render import begin, next_is, say_choices, say_losses, say_next, tell_error
from ecgkit.entries import CommandEntry
from ecgkit.errors import EcgkitError, PluginError
from ecgkit.interrupt import DELEGATE, answered, end_at_once, end_with_parent
from ecgkit.plugins import host

DEBUG_FLAG = "--debug"
ENVIRONMENT = "ECGKIT"  # prefix of the variables that stand for options
HELP = ("-h", "--help")


def build_app() -> typer.Typer:
    """Return the program with every registered command; ``ecgkit plugins list`` shows commands that fail to load."""
    app = typer.Typer(
        name="ecgkit",
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich" if _on_terminal() else None,
        context_settings={"auto_envvar_prefix": ENVIRONMENT, "help_option_names": list(HELP)},
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


def _on_terminal() -> bool:
    """Return whether help may have boxes and colour: stdout is a terminal and ``NO_COLOR`` is not set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _program() -> Any:
    """Return the program as a command that takes options from the environment and says which it took."""
    command = typer.main.get_command(build_app())
    name_variables(command)
    _finish(command)
    return command


def _finish(command: Any) -> None:
    """Shorten the help of each command, and let each say where its options came from."""
    if command.help:
        command.help = re.sub(r"(?<!\n)\n(?!\n)", " ", command.help)  # a line of the source is not a line of the help
    in_own_words(command)
    list_params, invoke = command.get_params, command.invoke

    def short_params(context: Any) -> list[Any]:
        return [_shortened(parameter) for parameter in list_params(context)]

    def invoke_telling(context: Any) -> Any:
        note_origins(context)
        say_choices()
        return invoke(context)

    command.get_params, command.invoke = short_params, invoke_telling
    for below in getattr(command, "commands", {}).values():
        _finish(below)


def _shortened(parameter: Any) -> Any:
    """Return a parameter whose help shows no variable, no type for a flag, and no word for the range beside it."""
    parameter.show_envvar = False
    if getattr(parameter, "is_flag", False):
        parameter.metavar = ""  # for older releases of Typer
        parameter.display_type_rich = lambda ctx: None
    elif hasattr(parameter, "display_type"):
        parameter.display_type_rich = lambda ctx: _plain_type(str(parameter.display_type(ctx)))
    return parameter


def _plain_type(text: str) -> str:
    """Return the type of one value, also of an option that may be repeated, such as ``<str>`` for ``<list[str]>``."""
    return re.sub(r"<list\[(.+)\]>", r"<\1>", text).replace(" range>", ">")


def _attach(app: typer.Typer, entry: CommandEntry, command: Any) -> None:
    if not callable(command):
        raise PluginError(f"{entry.target} is a {type(command).__name__}", "a Typer app or a function")
    summary = escape(entry.summary)
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=entry.name, help=summary)
    else:
        app.command(entry.name, short_help=summary)(command)


def _note(entry: CommandEntry, error: Exception) -> None:
    """Record the reason why a command is left out, for ``ecgkit plugins list``."""
    owner = host().owner(entry)
    line = " ".join(f"command {entry.name}: {type(error).__name__}: {error}".split())
    if line not in owner.error:
        owner.error = f"{owner.error}; {line}" if owner.error else line


def program() -> None:
    """Run the program as a process of its own, which ends at once when it has stopped on Ctrl-C."""
    # Python's tracker frees the semaphores of workers that ended at once, and need not warn of them.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
    try:
        main()
    except SystemExit as stop:
        if stop.code == Exit.INTERRUPTED:
            end_at_once()
        raise
    finally:
        _leave_closed_pipes()


def main() -> None:
    """Run the program; print any error as one line and exit with its code."""
    debug = DEBUG_FLAG in sys.argv or bool(os.environ.get("ECGKIT_DEBUG"))
    arguments = [a for a in sys.argv[1:] if a != DEBUG_FLAG]  # it may stand anywhere on the command line
    begin()
    if DELEGATE in os.environ:
        end_with_parent()
    try:
        with answered(stopping.answer, partial(stopping.at_once, arguments)), command_typed(arguments):
            program = _program()
            defaults = {} if {*HELP, "--version"} & set(arguments) else read_project(program)
            program(arguments, prog_name="ecgkit", default_map=defaults)
    except EcgkitError as error:
        _fail(str(error), debug, code=Exit.BAD_INPUT)
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # the libraries that print end with 1 then
            sys.exit(Exit.DONE)
        if stop.code in (None, Exit.DONE, Exit.INCOMPLETE):
            say_losses()
            say_next()
        if stop.code == Exit.INTERRUPTED:  # Typer turns Ctrl-C into this code, without a word
            stopping.stopped(stop, arguments)
        raise
    except BrokenPipeError:  # such as ecgkit runs | head -1
        sys.exit(Exit.DONE)
    except OSError as error:
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", debug, code=Exit.BAD_INPUT)
    except Exception as error:
        hint = "" if debug else " (a bug in ecgkit or a plugin: please report it with the output of --debug)"
        _fail(f"{type(error).__name__}: {error}{hint}", debug, code=Exit.UNEXPECTED)


def _leave_closed_pipes() -> None:
    """Write what is still to be written; where nobody reads any more, drop it without a word."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fail(message: str, debug: bool, *, code: int) -> None:
    if debug:
        traceback.print_exc()
    tell_error(" ".join(message.split()))
    sys.exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ecgkit {ecgkit.__version__}")
        raise typer.Exit


def _globals(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, allow_from_autoenv=False, help="Print the version and stop."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option(DEBUG_FLAG, allow_from_autoenv=False, help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Options of every command."""
    if context.invoked_subcommand is None:
        _greet(context)


def _greet(context: typer.Context) -> None:
    """Show what the current folder holds; the help if it holds nothing."""
    from ecgkit.cli.project import origins
    from ecgkit.cli.status import show_status

    found = ecgkit.status()
    if found.empty:
        print(context.get_help())
        return
    show_status(found, origins(context))
    next_is(found.next)
