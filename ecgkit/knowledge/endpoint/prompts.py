"""The prompts: one file per stage and version under ``prompts/``, shipped with the package."""

import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

VERSIONS = {"extract": 1, "verify": 1, "merge": 1, "fold": 1, "repair": 1}


@dataclass(frozen=True)
class Prompt:
    """What a model is told in one stage.

    Args:
        stage: Such as ``extract``.
        version: Stage and number, such as ``extract.v1``; kept with every result.
        text: The system message.
    """

    stage: str
    version: str
    text: str

    @cached_property
    def digest(self) -> str:
        """Hash of the text: an edited prompt never meets the answers of the old one."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@cache
def load_prompt(stage: str) -> Prompt:
    """Load the current prompt of a stage."""
    version = f"{stage}.v{VERSIONS[stage]}"
    text = resources.files("ecgkit.knowledge.endpoint").joinpath("prompts", f"{version}.md").read_text("utf-8")
    return Prompt(stage, version, text.strip())
