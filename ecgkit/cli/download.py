"""``ecgkit download``."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.given import given
from ecgkit.cli.render import JsonOption, next_is, print_facts, print_json, progress, say
from ecgkit.errors import ConfigError

if TYPE_CHECKING:
    from ecgkit.download.archive import Offer


def download(
    name: Annotated[
        str,
        typer.Argument(
            help="Archive, such as ptb-xl. List them with: ecgkit datasets", autocompletion=completion.archives
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to write. Default: a folder of the archive's name.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Pattern of paths, such as 'records100/*'. Only files that match are downloaded. Repeatable. "
            "Default: all files."
        ),
    ] = None,
    base: Annotated[
        str, typer.Option(help="Address of PhysioNet, or of a mirror with the same paths.")
    ] = "https://physionet.org",
    yes: Annotated[bool, typer.Option("--yes", help="Download without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Download an archive from PhysioNet, and verify every file by its checksum.

    Size and licence are shown first. If the command is stopped, the same command goes on with what is missing. For an
    archive that needs a signed-in user, set PHYSIONET_USERNAME and PHYSIONET_PASSWORD, or use a .netrc file.
    """
    arguments = given(ecgkit.download_dataset, locals())
    with progress() as watch:
        outcome = ecgkit.download_dataset(**arguments, confirm=lambda offer: _agreed(offer, yes), progress=watch)
    say(
        f"{name}: {outcome.files} files in {outcome.folder}, all verified; "
        f"{outcome.files - outcome.kept} downloaded ({outcome.bytes / 1e6:,.1f} MB in {outcome.seconds:.1f} s)"
    )
    if as_json:
        print_json({"name": name, **vars(outcome)})
    next_is(f"ecgkit ingest {shlex.quote(str(outcome.folder))}")


def _agreed(offer: "Offer", yes: bool) -> bool:
    card = offer.card
    size = "unknown" if offer.gigabytes is None else f"{'about ' if offer.estimated else ''}{offer.gigabytes:,.3g} GB"
    facts = {
        "files": f"{len(offer.files):,}",
        "size": size,
        "licence": card.licence or "unknown; see the page of the archive",
        "page": card.page,
        "cite": card.citation,
        "notes": card.notes,
    }
    print_facts(f"{card.name}: {card.title}", {key: value for key, value in facts.items() if value})
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError("a download asks before it begins, and nobody can answer", remedy="Give --yes.")
    return typer.confirm("Download it under this licence?")
