"""Import of published weights into a run folder: the family's importer renames them, and its model checks them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ecgkit.atomic import atomic_folder, check_output
from ecgkit.config import override
from ecgkit.entries import MethodEntry, load_target
from ecgkit.errors import RunError
from ecgkit.training.card import write_imported_card
from ecgkit.training.run import WEIGHTS, load_encoder, write_config
from ecgkit.training.weight_cards import WeightCard, cards_of_file
from ecgkit.training.weights import file_sha256, read_foreign_weights, save_tensors


@dataclass(frozen=True)
class Imported:
    """The outcome of an import.

    Args:
        values: Number of imported values.
        tensors: Number of imported tensors.
        left_out: Official names of tensors that do not belong to a run, such as those of a task's classifier.
        cards: The cards that the file may have; see `ecgkit.training.weight_cards`.
        source: Where the file was fetched from; empty for a file of the user's own.
    """

    values: int
    tensors: int
    left_out: tuple[str, ...]
    cards: tuple[WeightCard, ...] = ()
    source: str = ""

    @property
    def cautions(self) -> tuple[str, ...]:
        """Warnings about licences."""
        return tuple(dict.fromkeys(card.caution for card in self.cards if card.caution))


def import_published(
    entry: MethodEntry,
    file: Path,
    out: Path,
    *,
    settings: Sequence[str] = (),
    overwrite: bool = False,
    fetched: Mapping[str, str] | None = None,
) -> Imported:
    """Make a run folder from published weights.

    Args:
        entry: The method family; its `importer` maps the official names.
        file: File of the weights; see `read_foreign_weights`.
        out: The run folder.
        settings: Changes of the config that the importer read off the file, such as ``signal.window=30``.
        overwrite: Replace an existing run.
        fetched: Facts about where the file was fetched from, for the run; ``source`` is its address.

    Returns:
        The number of imported values, and the parameters left out.

    Raises:
        RunError: The family has no importer, or the file does not hold its weights.
    """
    if not entry.importer:
        raise RunError(
            f"method {entry.name} has no importer of published weights", remedy="Import weights of another method."
        )
    check_output(out, "run", overwrite=overwrite)
    importer = load_target(entry.importer, f"the importer of {entry.name}")
    config, state, *rest = importer(read_foreign_weights(file, entry.containers))
    left_out = tuple(rest[0]) if rest else ()
    sha256 = file_sha256(file)
    cards = tuple(cards_of_file(entry, config, file, sha256))
    config = override(config, settings)
    encoder = load_encoder(entry, config, state, source=str(file), exact=True)
    _check_sum(file, sha256, cards)
    with atomic_folder(out, "run") as folder:
        save_tensors(folder / WEIGHTS, state)
        facts = {"file": file.name, "sha256": sha256, "left_out": list(left_out), **(fetched or {}), **_stated(cards)}
        write_config(folder, entry, "", config, {"imported": facts}, torch.device("cpu"))
        write_imported_card(folder, entry, encoder, config.signal, facts)
    values = sum(value.numel() for value in state.values())
    return Imported(values, len(state), left_out, cards, (fetched or {}).get("source", ""))


def _check_sum(file: Path, sha256: str, cards: Sequence[WeightCard]) -> None:
    """Refuse a file that has the name of published weights, and another content.

    Raises:
        RunError: The checksum of the only card is another one.
    """
    if len(cards) == 1 and cards[0].sha256 and cards[0].file == file.name and cards[0].sha256 != sha256:
        raise RunError(
            f"{file} has SHA-256 {sha256}", f"{cards[0].sha256} of {cards[0].name}", "Get the file again, or rename it."
        )


def _stated(cards: Sequence[WeightCard]) -> dict[str, Any]:
    """Return what the cards of a file say, for the run. What one of several cards says counts."""
    if not cards:
        return {}
    return {
        "weights": [card.name for card in cards],
        "trained_on": "; or ".join(dict.fromkeys(card.trained_on for card in cards)),
        "archives": list(dict.fromkeys(name for card in cards for name in card.archives)),
        "all_archives_known": all(card.all_known for card in cards),
        "licence": "; or ".join(dict.fromkeys(card.licence or "unknown" for card in cards)),
    }
