"""``ecgkit browse``."""

from pathlib import Path
from typing import Annotated

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.render import say, say_choices

PORT = 8765  # of `ecgkit.browsing.server`, which is imported only when the command runs


def browse(
    store: Annotated[
        Path | None,
        typer.Argument(help="Store to show. Default: the only store in this folder.", autocompletion=completion.stores),
    ] = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder to search for results, whose predictions are shown. Repeatable. Default: runs, if results "
            "there were made on this store.",
            autocompletion=completion.runs,
        ),
    ] = None,
    entities: Annotated[
        str, typer.Option(help="Name of the extraction whose entities are shown. Default: the only one.")
    ] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine. 0 takes any that is free.")] = PORT,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Look through the records of a store on a local page.

    The page finds records by words, labels, entities, quality flags, folds, statements and errors of a result. It draws
    each on ECG paper, with zoom, caliper, R peaks, report and prediction. Only this machine and this user can open it,
    and it only reads. Ctrl-C ends it.
    """

    def announce(address: str) -> None:
        say_choices()
        say(f"open {address}")
        say("Ctrl-C ends the page.")

    ecgkit.browse(store, results=results or (), entities=entities, port=port, browser=browser, announce=announce)
