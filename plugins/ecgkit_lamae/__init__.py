"""LAMAE and its baselines as an ecgkit plugin.

From Leads to Latents: Attention-Driven Masked Autoencoder for ECG Time Series, arXiv 2603.26475 (2026).
"""

from collections.abc import Callable

import ecgkit


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the family."""
    register(
        ecgkit.MethodEntry(
            name="lamae",
            summary="masked autoencoder of single leads, joined by attention over the latent tokens of all leads",
            target="ecgkit_lamae.model:Lamae",
            config="ecgkit_lamae.config:LamaeConfig",
            presets="ecgkit_lamae.config:PRESETS",
            paper="LAMAE, arXiv 2603.26475 (2026)",
            needs=("signal",),
            features=("per_lead", "tokens", "layers", "layer_input", "token_leads"),
        )
    )


@ecgkit.hookimpl
def register_protocols(register: Callable[[ecgkit.ProtocolEntry], None]) -> None:
    """Register the choices behind the published numbers."""
    register(
        ecgkit.ProtocolEntry(
            name="lamae", summary="LAMAE's label efficiency by number of studies", target="ecgkit_lamae:protocol.yaml"
        )
    )
