"""Contrastive predictive coding as an ecgkit plugin.

van den Oord et al., Representation Learning with Contrastive Predictive Coding, arXiv 1807.03748, 2018; for ECGs Mehari
and Strodthoff, Self-supervised representation learning from 12-lead ECG data, arXiv 2103.12676, 2022.
"""

from collections.abc import Callable

import ecgkit


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the family."""
    register(
        ecgkit.MethodEntry(
            name="cpc_gru",
            summary="a GRU over strided convolutions predicts the outputs of the convolutions for later seconds",
            target="ecgkit_cpc.model:Cpc",
            config="ecgkit_cpc.config:CpcConfig",
            presets="ecgkit_cpc.config:PRESETS",
            paper="CPC, arXiv 1807.03748 (2018); for ECGs arXiv 2103.12676 (2022)",
            needs=("signal",),
            features=("tokens",),
        )
    )
