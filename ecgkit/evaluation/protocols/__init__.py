"""Protocols: the choices behind a published number, a YAML file each. Those of families come with their plugins."""

from collections.abc import Callable

from ecgkit.entries import ProtocolEntry
from ecgkit.hookspecs import hookimpl

DEFAULT = "default"


@hookimpl
def register_protocols(register: Callable[[ProtocolEntry], None]) -> None:
    """Register ecgkit's own rules."""
    register(
        ProtocolEntry(
            name=DEFAULT,
            summary="ecgkit's own rules: draws by patient, stratified and nested; everything chosen on val",
            target=f"{__name__}:default.yaml",
        )
    )
