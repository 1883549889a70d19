"""ECG-FM as an ecgkit plugin: published weights to import.

McKeen et al., ECG-FM: An Open Electrocardiogram Foundation Model, arXiv 2408.05178.
"""

from collections.abc import Callable

import ecgkit

WEIGHTS = ("ecgfm-pretrained", "ecgfm-finetuned")


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the family."""
    register(
        ecgkit.MethodEntry(
            name="ecgfm",
            summary="wav2vec 2.0 over twelve leads at once, with contrast between segments of a patient; import only",
            target="ecgkit_ecgfm.model:EcgFm",
            config="ecgkit_ecgfm.config:EcgFmConfig",
            presets="ecgkit_ecgfm.config:PRESETS",
            paper="ECG-FM, arXiv 2408.05178 (2024)",
            features=("tokens", "layers", "layer_input", "logits"),
            importer="ecgkit_ecgfm.official:import_official",
            pretrains=False,
        )
    )


@ecgkit.hookimpl
def register_weights(register: Callable[[ecgkit.WeightsEntry], None]) -> None:
    """Register the published weights."""
    for name in WEIGHTS:
        register(
            ecgkit.WeightsEntry(name=name, summary=f"published weights {name}", target="ecgkit_ecgfm:weights.yaml")
        )
