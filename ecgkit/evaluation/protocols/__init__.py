"""Protocols: each is one YAML file with the choices behind a published number.

The protocols of method families come with their plugins.
"""

from collections.abc import Callable

from ecgkit.entries import ProtocolEntry
from ecgkit.hookspecs import hookimpl

DEFAULT = "default"


@hookimpl
def register_protocols(register: Callable[[ProtocolEntry], None]) -> None:
    """Register ecgkit's own protocol."""
    register(
        ProtocolEntry(
            name=DEFAULT,
            summary="ecgkit's own rules: draws by patient, stratified and nested; everything chosen on val",
            target=f"{__name__}:default.yaml",
        )
    )
