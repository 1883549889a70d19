"""HuBERT-ECG as an ecgkit plugin: published weights to import.

Coppola et al., HuBERT-ECG as a Self-Supervised Foundation Model for Broad and Scalable Cardiac Applications, medRxiv
2024.11.14.24317328. The published weights are for non-commercial use only.
"""

from collections.abc import Callable

import ecgkit

WEIGHTS = ("hubertecg-small", "hubertecg-base", "hubertecg-large")


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the family."""
    register(
        ecgkit.MethodEntry(
            name="hubertecg",
            summary="HuBERT on the twelve leads one after the other as one series; small, base, large; import only",
            target="ecgkit_hubertecg.model:HubertEcg",
            config="ecgkit_hubertecg.config:HubertEcgConfig",
            presets="ecgkit_hubertecg.config:PRESETS",
            paper="HuBERT-ECG, medRxiv 2024.11.14.24317328 (2024)",
            features=("tokens", "layers", "layer_input", "logits"),
            importer="ecgkit_hubertecg.official:import_official",
            pretrains=False,
            containers=("model_state_dict", "state_dict"),
        )
    )


@ecgkit.hookimpl
def register_weights(register: Callable[[ecgkit.WeightsEntry], None]) -> None:
    """Register the published weights."""
    for name in WEIGHTS:
        register(
            ecgkit.WeightsEntry(name=name, summary=f"published weights {name}", target="ecgkit_hubertecg:weights.yaml")
        )
