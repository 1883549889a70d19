"""ECG-CPC's encoder as an ecgkit plugin: weights to import.

Al-Masud et al., Benchmarking ECG FMs, arXiv 2509.25095, ICLR 2026.
"""

from collections.abc import Callable

import ecgkit

WEIGHTS = ("ecg-cpc",)


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the family."""
    register(
        ecgkit.MethodEntry(
            name="ecgcpc",
            summary="convolutions and causal S4 layers, trained by contrastive predictive coding; import only",
            target="ecgkit_ecgcpc.model:EcgCpc",
            config="ecgkit_ecgcpc.config:EcgCpcConfig",
            presets="ecgkit_ecgcpc.config:PRESETS",
            paper="ECG-CPC, arXiv 2509.25095 (ICLR 2026)",
            features=("tokens",),
            importer="ecgkit_ecgcpc.official:import_official",
            pretrains=False,
            containers=("state_dict",),
        )
    )


@ecgkit.hookimpl
def register_weights(register: Callable[[ecgkit.WeightsEntry], None]) -> None:
    """Register the published weights."""
    for name in WEIGHTS:
        register(
            ecgkit.WeightsEntry(name=name, summary=f"published weights {name}", target="ecgkit_ecgcpc:weights.yaml")
        )
