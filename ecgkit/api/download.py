"""``ecgkit.download_dataset``: get an archive from PhysioNet."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ecgkit.api.arguments import PathLike
from ecgkit.archives.card import read_card
from ecgkit.download.archive import BASE, Offer, Outcome, client_of, download_archive, look
from ecgkit.entries import ArchiveEntry
from ecgkit.errors import DownloadError
from ecgkit.plugins import host
from ecgkit.progress import Progress, silent


def download_dataset(
    name: str,
    *,
    out: PathLike | None = None,
    only: Sequence[str] = (),
    base: str = BASE,
    confirm: Callable[[Offer], bool] | None = None,
    progress: Progress = silent,
) -> Outcome:
    """Download an archive from PhysioNet, and verify every file by the publisher's list of SHA-256 checksums.

    If it is stopped, the same call goes on with what is missing. Where an archive needs a signed-in user, set
    ``PHYSIONET_USERNAME`` and ``PHYSIONET_PASSWORD``, or use a ``.netrc`` file.

    Args:
        name: Archive, such as ``ptb-xl``; `ecgkit.list_datasets` lists them.
        out: Folder to write. By default a folder of the archive's name.
        only: Patterns of paths, such as ``records100/*``. Only files that match one are downloaded. By default all.
        base: Address of PhysioNet, or of a mirror with the same paths.
        confirm: Asked before anything is downloaded, with the number and size of the files. It returns False to stop.
            By default nobody is asked.
        progress: Called with stage, files done and files in all.

    Returns:
        The folder, the number of files, and the bytes that were saved.

    Raises:
        DownloadError: The archive is not on PhysioNet, a file cannot be had, its checksum stays wrong, or `confirm`
            returned False.
        OutputError: `out` cannot be written, or another process downloads into it.
        PluginError: There is no archive of this name.
    """
    card = read_card(host().get(ArchiveEntry, name))
    client = client_of(card, base)
    offer = look(card, client, only)
    if confirm and not confirm(offer):
        raise DownloadError(f"{name} was not downloaded")
    return download_archive(offer, client, Path(name if out is None else out), progress)
