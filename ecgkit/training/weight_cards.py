"""Cards of published weights: what they were trained on, under which licence, and where the file is.

A plugin registers its weights with the hook `register_weights`. A figure that could not be verified is left out of the
card; it is shown as unknown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ecgkit.config import YAML_ERRORS, build
from ecgkit.entries import MethodEntry, WeightsEntry, load_target
from ecgkit.errors import ConfigError
from ecgkit.plugins import host


@dataclass(frozen=True, kw_only=True)
class WeightCard:
    """What is known about published weights.

    Args:
        name: Name of the weights.
        method: Method family that imports them.
        preset: Preset of the family whose sizes and input they have; empty if there is none.
        trained_on: The training data, in words.
        archives: Published archives that the training data hold, by the names of ``ecgkit datasets``.
        all_known: Whether `archives` names all public archives in the training data.
        leads: Leads of the training.
        parameters: Number of parameters of the encoder as published; None if unknown.
        licence: Licence of the weights, in words; empty if unknown.
        commercial: Whether the licence permits commercial use; None if unknown.
        file: Name of the file.
        hub: Its place on a model hub, as ``hf://ORGANISATION/NAME``; empty if it is on none.
        page: Address of the page from which it can be got.
        sha256: Checksum of the file, as others measured it or a hub states it. Empty if unknown, and if other files
            have the same name, such as ``model.safetensors``: they would be refused.
        notes: Anything else that a user must know.
    """

    name: str
    method: str
    preset: str = ""
    trained_on: str
    archives: tuple[str, ...] = ()
    all_known: bool = True
    leads: str
    parameters: int | None = None
    licence: str = ""
    commercial: bool | None = None
    file: str = ""
    hub: str = ""
    page: str = ""
    sha256: str = ""
    notes: str = ""

    @property
    def caution(self) -> str:
        """Warning about the licence; empty if the licence permits any use."""
        if self.commercial is False:
            return f"the weights {self.name} are for non-commercial use only ({self.licence})"
        return "" if self.commercial else f"the licence of the weights {self.name} does not say what use it permits"


@lru_cache(maxsize=256)
def read_weight_card(entry: WeightsEntry) -> WeightCard:
    """Read the card of registered weights.

    Raises:
        ConfigError: The file is missing, is not YAML, holds no such card, or a field is wrong.
    """
    package, _, name = entry.target.partition(":")
    try:
        cards = yaml.safe_load(files(package).joinpath(name).read_text(encoding="utf-8"))
    except (OSError, ModuleNotFoundError, *YAML_ERRORS) as error:
        raise ConfigError(f"the cards {entry.target} cannot be read ({error})", "a YAML file") from None
    if not isinstance(cards, dict) or not isinstance(cards.get(entry.name), dict):
        raise ConfigError(f"the cards {entry.target} hold no {entry.name}", "a mapping from names to cards")
    return build(WeightCard, {"name": entry.name, **cards[entry.name]}, source=f"{entry.target}: {entry.name}")


def weight_cards(method: str = "") -> list[WeightCard]:
    """Return the cards of all registered weights, or of one method family's."""
    cards = [read_weight_card(entry) for entry in host().entries(WeightsEntry).values()]
    return [card for card in cards if not method or card.method == method]


def cards_of_file(entry: MethodEntry, config: Any, file: Path, sha256: str) -> list[WeightCard]:
    """Return the cards that a file may have: each fact of the file rules out others as far as one card agrees with it.

    Args:
        entry: The method family.
        config: The config that the family's importer read off the file.
        file: The file.
        sha256: Its checksum.
    """
    presets = load_target(entry.presets, f"the presets of {entry.name}")
    agrees: Sequence[Callable[[WeightCard], bool]] = (
        lambda card: presets.get(card.preset) == config,
        lambda card: card.file == file.name,
        lambda card: bool(card.sha256) and card.sha256 == sha256,
    )
    cards = weight_cards(entry.name)
    for agree in agrees:
        cards = [card for card in cards if agree(card)] or cards
    return cards
