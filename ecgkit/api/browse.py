"""``ecgkit.browse``: a local page to look through the records of a store."""

import os
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ecgkit.api.arguments import PathLike
from ecgkit.browsing.catalogue import Catalogue
from ecgkit.browsing.server import PORT, Server
from ecgkit.choices import choose, notes_choices
from ecgkit.evaluation.results.row import ROW
from ecgkit.interrupt import Left, keeps
from ecgkit.workspace.defaults import the_store
from ecgkit.workspace.runs import RUNS

CLOSED = Left("the page is closed; the store was only read")


@notes_choices
def browse(
    store: PathLike | None = None,
    *,
    results: PathLike | Sequence[PathLike] = (),
    entities: str = "",
    port: int = PORT,
    browser: bool = True,
    announce: Callable[[str], None] = lambda address: None,
) -> None:
    """Show a store on a local page, until it is interrupted.

    The page lists the records, finds them by words, labels, entities, flags, folds, statements and errors of a result,
    and draws each on ECG paper with its report and its prediction. It is served on the loopback address alone, under
    an address that holds a secret. It only reads. Opening takes as long for a million records as for a thousand.

    Args:
        store: The store. By default the only store of the current folder.
        results: Folder to search for results, or several. By default ``runs`` in the current folder, if results there
            were made on this store.
        entities: Name of the extraction whose entities are shown. By default the only one.
        port: Port of the loopback address; 0 for any that is free.
        browser: Open the page in the browser of this machine, if there is a graphical session.
        announce: Called with the address of the page when it can be opened.

    Raises:
        StoreError: `store` is not a store, or has no extraction of this name.
        ResultsError: No result of `results` was made on this store with its predictions.
        ConfigError: The port is in use.
        Interrupted: Ctrl-C.
    """
    path = the_store(store, "ecgkit browse")
    several = [results] if isinstance(results, str | Path) else list(results)
    folders = [Path(folder) for folder in several]
    near = [Path(RUNS)] if not folders and next(Path(RUNS).rglob(ROW), None) else []
    server = Server(partial(Catalogue, path, folders or near, entities, required=bool(folders)))
    if near and server.catalogue.results:
        choose("--results", RUNS, "the folder of runs")

    def ready(address: str) -> None:
        announce(address)
        if browser and _has_screen():
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()

    with keeps(lambda: CLOSED):
        server.run(port, ready)


def _has_screen() -> bool:
    """Return whether a browser could be seen: on a server, one would open in the terminal."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
