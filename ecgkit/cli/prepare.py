"""``ecgkit prepare STORE --for METHOD``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.given import given
from ecgkit.cli.render import (
    DaskOption,
    FittingWorkersOption,
    JsonOption,
    next_is,
    print_facts,
    print_json,
    progress,
    say_choices,
)
from ecgkit.cli.settings import ConfigOption, SetOption

if TYPE_CHECKING:
    from ecgkit.api.prepare import Prepared


def prepare(
    store: Annotated[
        Path | None,
        typer.Argument(
            help="Store to prepare. Default: the only store in this folder.",
            metavar="STORE",
            autocompletion=completion.stores,
        ),
    ] = None,
    for_: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="METHOD[:PRESET]",
            help="Method family, if wanted with a preset, such as kmerl or kmerl:base; or a run folder.",
            autocompletion=completion.methods,
        ),
    ] = "",
    config: ConfigOption = None,
    settings: SetOption = None,
    workers: FittingWorkersOption = None,
    dask: DaskOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make what a method reads from a store: R peaks, entities read by the lexicon, and the view.

    The view is the store at the method's rate, filtered and cut to its window. pretrain, probe and embed make what is
    missing in the same way; prepare first where many processes or machines will wait for it. If the command is
    stopped, the same command continues where it stopped.
    """
    options = locals()
    from ecgkit.workspace.defaults import the_store
    from ecgkit.workspace.next_step import quoted

    options["store"] = path = the_store(store, f"ecgkit prepare --for {for_ or 'METHOD'}")
    say_choices()
    with progress() as watch:
        made = ecgkit.prepare(**given(ecgkit.prepare, options), progress=watch)
    if as_json:
        print_json(vars(made))
    else:
        _show(made)
    next_is(f"ecgkit pretrain --method {made.method} --data {quoted(path)}")


def _show(made: "Prepared") -> None:
    print_facts(
        f"{made.store} for {made.method}",
        {
            "input": made.signal,
            "added": ", ".join(made.added) or "nothing was missing",
            "view": f"{decimal(made.size)} in {made.view}" + (", was there already" if made.was_there else ""),
            "records": f"{made.records:,}, of which the model can read {made.usable:,}",
        },
    )
