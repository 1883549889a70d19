"""CLEAR as an ecgkit plugin.

*Tracing the Heart's Pathways: ECG Representation Learning from a Cardiac Conduction Perspective*, arXiv 2512.24002. Its
head, HUG, is part of ecgkit, because it works with every encoder that has features per lead.
"""

from collections.abc import Callable

import ecgkit

WEIGHTS = ("clear",)


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the family."""
    register(
        ecgkit.MethodEntry(
            name="clear",
            summary="masked autoencoder over heartbeats, each rebuilt from the same beat in the other leads",
            target="ecgkit_clear.model:Clear",
            config="ecgkit_clear.config:ClearConfig",
            presets="ecgkit_clear.config:PRESETS",
            paper="CLEAR-HUG, arXiv 2512.24002 (2025)",
            needs=("signal", "beats"),
            features=("per_lead", "tokens", "layers", "layer_input", "token_leads"),
            importer="ecgkit_clear.official:import_official",
        )
    )


@ecgkit.hookimpl
def register_protocols(register: Callable[[ecgkit.ProtocolEntry], None]) -> None:
    """Register the choices behind the published numbers."""
    register(
        ecgkit.ProtocolEntry(
            name="clear", summary="CLEAR-HUG's draws; linear or hug", target="ecgkit_clear:protocol.yaml"
        )
    )


@ecgkit.hookimpl
def register_weights(register: Callable[[ecgkit.WeightsEntry], None]) -> None:
    """Register the published weights."""
    for name in WEIGHTS:
        register(
            ecgkit.WeightsEntry(name=name, summary=f"published weights {name}", target="ecgkit_clear:weights.yaml")
        )
