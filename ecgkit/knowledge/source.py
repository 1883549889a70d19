"""Which extraction a method learns from: a setting of the method's config. It reads nothing."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator


@dataclass(frozen=True)
class EntitySource:
    """An extraction of ``ecgkit extract-knowledge``, as a method's config names it in its field ``entities``.

    Args:
        name: Name of the extraction; empty for the only one of the store. Training fills it in.
        names: Names of its entities, in order; filled in by training.
    """

    name: str = ""
    names: tuple[str, ...] = ()


def _from_names(value: Any) -> Any:
    """Return the fields of a config that holds the names of the entities alone, as runs of ecgkit 0.1 do."""
    return {"names": value} if isinstance(value, list | tuple) else value


EntityField = Annotated[EntitySource, BeforeValidator(_from_names)]
