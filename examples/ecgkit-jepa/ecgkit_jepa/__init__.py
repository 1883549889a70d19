"""A joint-embedding predictive architecture as an ecgkit plugin.

Assran et al., Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture, arXiv 2301.08243,
2023; for ECGs Weimann and Conrad, Self-Supervised Pre-Training with Joint-Embedding Predictive Architecture Boosts ECG
Classification Performance, arXiv 2410.13867, 2024.
"""

from collections.abc import Callable

import ecgkit


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the family."""
    register(
        ecgkit.MethodEntry(
            name="jepa",
            summary="predicts what an averaged teacher makes of hidden time blocks, not the signal itself",
            target="ecgkit_jepa.model:Jepa",
            config="ecgkit_jepa.config:JepaConfig",
            presets="ecgkit_jepa.config:PRESETS",
            paper="JEPA, arXiv 2301.08243 (2023); for ECGs arXiv 2410.13867 (2024)",
            needs=("signal",),
            features=("tokens", "layers", "layer_input"),
        )
    )
