"""Fetch one named file of weights from a model hub, on request, and verify it.

The address is ``hf://ORGANISATION/NAME``, with ``@REVISION`` behind it for a fixed version. The file is only data here:
its checksum is compared with the hub's, and the reader of foreign weights is the only one that opens it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgkit.download.hub import hub_endpoint, hub_library, is_address, split_address
from ecgkit.errors import ConfigError, DownloadError
from ecgkit.training.weights import file_sha256

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Fetched:
    """A file from a hub.

    Args:
        file: The file, in the hub library's own cache.
        source: Address of the repository with the commit.
        licence: Licence that the repository states; empty if it states none.
        verified: Whether its checksum is the one that the hub states; False if the hub states none.
    """

    file: Path
    source: str
    licence: str
    verified: bool

    @property
    def facts(self) -> dict[str, str]:
        """What the run records of it."""
        return {"source": self.source, **({"source_licence": self.licence} if self.licence else {})}


def fetch_weights(address: str, name: str) -> Fetched:
    """Fetch one file of a repository.

    Args:
        address: ``hf://ORGANISATION/NAME``, optionally with ``@REVISION``.
        name: Path of the file in the repository.

    Raises:
        ConfigError: The address has another form, or the hub's library is not installed.
        DownloadError: The hub has no such file or cannot be reached, or the file is damaged.
    """
    if not is_address(address):
        raise ConfigError(f"the address {address!r:.80}", "hf://ORG/NAME, such as hf://wanglab/ecg-fm")
    repo, revision = split_address(address)
    hub = hub_library()
    place: Mapping[str, Any] = {"revision": revision, "endpoint": hub_endpoint()}
    try:
        facts = hub.get_hf_file_metadata(hub.hf_hub_url(repo, name, **place), endpoint=place["endpoint"])
        file = Path(hub.hf_hub_download(repo, name, **place))
        info = hub.HfApi(endpoint=place["endpoint"]).model_info(repo, revision=revision)
    except Exception as error:  # of the library, of its HTTP client, and of the system
        why = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise DownloadError(
            f"{name} of {address} cannot be fetched ({why[:160]})",
            remedy=f"Look whether it is there, or get it by hand and give the file without --from: {name}",
        ) from None
    stated = (facts.etag or "").strip('"')
    known = bool(_SHA256.fullmatch(stated))
    if known and file_sha256(file) != stated:
        raise DownloadError(
            f"{file} differs from the file of {address}", f"SHA-256 {stated}", "Delete it, and try again."
        )
    card = info.card_data
    licence = str(getattr(card, "license", "") or "")
    return Fetched(file, f"{address.partition('@')[0]}@{facts.commit_hash or 'unknown'}", licence, known)
