"""ST-MEM as an ecgkit plugin.

Na et al., Guiding Masked Representation Learning to Capture Spatio-Temporal Relationship of Electrocardiogram,
arXiv 2402.09450, ICLR 2024.
"""

from collections.abc import Callable

import ecgkit

WEIGHTS = ("st-mem",)


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the family."""
    register(
        ecgkit.MethodEntry(
            name="stmem",
            summary="masked autoencoder over (lead, time patch) tokens; the decoder rebuilds each lead alone",
            target="ecgkit_stmem.model:StMem",
            config="ecgkit_stmem.config:StMemConfig",
            presets="ecgkit_stmem.config:PRESETS",
            paper="ST-MEM, arXiv 2402.09450 (ICLR 2024)",
            needs=("signal",),
            features=("per_lead", "tokens", "layers", "layer_input", "token_leads"),
            importer="ecgkit_stmem.official:import_official",
            # One crop per record: the demo shows the steps, so the small gain of more crops is not needed.
            demo={"preset": "tiny", "set": ("recipe.epochs=2", "recipe.warmup_epochs=0.5", "signal.eval_starts=[0.5]")},
        )
    )


@ecgkit.hookimpl
def register_protocols(register: Callable[[ecgkit.ProtocolEntry], None]) -> None:
    """Register the choices behind the published numbers."""
    register(ecgkit.ProtocolEntry(name="stmem", summary="ST-MEM's linear probe", target="ecgkit_stmem:protocol.yaml"))


@ecgkit.hookimpl
def register_weights(register: Callable[[ecgkit.WeightsEntry], None]) -> None:
    """Register the published weights."""
    for name in WEIGHTS:
        register(
            ecgkit.WeightsEntry(name=name, summary=f"published weights {name}", target="ecgkit_stmem:weights.yaml")
        )
