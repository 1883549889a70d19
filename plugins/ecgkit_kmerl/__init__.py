"""K-MERL and MERL as an ecgkit plugin: learning ECGs from reports, with zero-shot classification.

Liu et al., Knowledge-enhanced Multimodal ECG Representation Learning with Arbitrary-Lead Inputs, arXiv 2502.17900,
2025; Liu et al., Zero-Shot ECG Classification with Multimodal Learning and Test-time Clinical Knowledge Enhancement
(MERL), arXiv 2403.06659, ICML 2024.
"""

from collections.abc import Callable

import ecgkit

WEIGHTS = ("merl-resnet18",)


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register both families."""
    register(
        ecgkit.MethodEntry(
            name="kmerl",
            summary="ECG and report contrast, and a query a cardiac entity; any leads, zero-shot",
            target="ecgkit_kmerl.kmerl:KMerl",
            config="ecgkit_kmerl.config:KMerlConfig",
            presets="ecgkit_kmerl.config:KMERL_PRESETS",
            paper="K-MERL, arXiv 2502.17900 (2025)",
            needs=("signal", "reports", "entities"),
            features=("per_lead", "tokens", "layers", "layer_input"),
            demo={"preset": "tiny", "set": ("recipe.epochs=10",)},
        )
    )
    register(
        ecgkit.MethodEntry(
            name="merl",
            summary="ECG and report contrast, and two dropout views of the ECG; zero-shot",
            target="ecgkit_kmerl.merl:Merl",
            config="ecgkit_kmerl.config:MerlConfig",
            presets="ecgkit_kmerl.config:MERL_PRESETS",
            paper="MERL, arXiv 2403.06659 (ICML 2024)",
            needs=("signal", "reports"),
            features=("tokens", "layers", "layer_input"),
            importer="ecgkit_kmerl.official:import_official",
        )
    )


@ecgkit.hookimpl
def register_protocols(register: Callable[[ecgkit.ProtocolEntry], None]) -> None:
    """Register the choices behind the published numbers."""
    register(
        ecgkit.ProtocolEntry(name="merl", summary="MERL's draws and split tables", target="ecgkit_kmerl:protocol.yaml")
    )


@ecgkit.hookimpl
def register_weights(register: Callable[[ecgkit.WeightsEntry], None]) -> None:
    """Register the published weights."""
    for name in WEIGHTS:
        register(
            ecgkit.WeightsEntry(name=name, summary=f"published weights {name}", target="ecgkit_kmerl:weights.yaml")
        )
