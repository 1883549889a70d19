"""ECGFounder as an ecgkit plugin: published weights to import, and Net1D to train on labels.

Li et al., An Electrocardiogram Foundation Model Built on over 10 Million Recordings, NEJM AI 2025, arXiv 2410.04133.
"""

from collections.abc import Callable

import ecgkit

WEIGHTS = ("ecgfounder-12-lead", "ecgfounder-1-lead")


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the family."""
    register(
        ecgkit.MethodEntry(
            name="ecgfounder",
            summary="Net1D, supervised on 150 findings of over 10 million ECGs; 12 leads or lead I alone; import only",
            target="ecgkit_ecgfounder.model:EcgFounder",
            config="ecgkit_ecgfounder.config:EcgFounderConfig",
            presets="ecgkit_ecgfounder.config:PRESETS",
            paper="ECGFounder, arXiv 2410.04133 (NEJM AI 2025)",
            features=("tokens", "logits"),
            importer="ecgkit_ecgfounder.official:import_official",
            pretrains=False,
        )
    )


@ecgkit.hookimpl
def register_weights(register: Callable[[ecgkit.WeightsEntry], None]) -> None:
    """Register the published weights."""
    for name in WEIGHTS:
        register(
            ecgkit.WeightsEntry(name=name, summary=f"published weights {name}", target="ecgkit_ecgfounder:weights.yaml")
        )
