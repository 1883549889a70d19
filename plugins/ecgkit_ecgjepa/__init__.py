"""ECG-JEPA as an ecgkit plugin: published weights to import.

Kim, Learning General Representation of 12-Lead Electrocardiogram With a Joint-Embedding Predictive Architecture,
arXiv 2410.08559.
"""

from collections.abc import Callable

import ecgkit

WEIGHTS = ("ecgjepa-multiblock",)


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the family."""
    register(
        ecgkit.MethodEntry(
            name="ecgjepa",
            summary="transformer over (lead, time patch) tokens that see their own lead and instant; import only",
            target="ecgkit_ecgjepa.model:EcgJepa",
            config="ecgkit_ecgjepa.config:EcgJepaConfig",
            presets="ecgkit_ecgjepa.config:PRESETS",
            paper="ECG-JEPA, arXiv 2410.08559 (2024)",
            features=("per_lead", "tokens", "layers", "layer_input", "token_leads"),
            importer="ecgkit_ecgjepa.official:import_official",
            pretrains=False,
            containers=("encoder", "model", "state_dict"),
        )
    )


@ecgkit.hookimpl
def register_weights(register: Callable[[ecgkit.WeightsEntry], None]) -> None:
    """Register the published weights."""
    for name in WEIGHTS:
        register(
            ecgkit.WeightsEntry(name=name, summary=f"published weights {name}", target="ecgkit_ecgjepa:weights.yaml")
        )
