"""HeartLang as an ecgkit plugin, in two stages: a tokenizer of heartbeats, then prediction of hidden codes.

Jin et al., Reading Your Heart: Learning ECG Words and Sentences via Pre-training ECG Language Model, arXiv 2502.10707,
ICLR 2025.
"""

from collections.abc import Callable

import ecgkit

PAPER = "HeartLang, arXiv 2502.10707 (2025)"
WEIGHTS = ("heartlang", "heartlang-tokenizer")


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register both stages."""
    register(
        ecgkit.MethodEntry(
            name="heartlang_tokenizer",
            summary="first stage: heartbeats become codes, from which they are rebuilt",
            target="ecgkit_heartlang.tokenizer:Tokenizer",
            config="ecgkit_heartlang.config:TokenizerConfig",
            presets="ecgkit_heartlang.config:TOKENIZER_PRESETS",
            paper=PAPER,
            needs=("signal", "beats"),
            features=("tokens", "layers", "layer_input"),
            importer="ecgkit_heartlang.official:import_tokenizer",
        )
    )
    register(
        ecgkit.MethodEntry(
            name="heartlang",
            summary="second stage: predicts the codes of hidden heartbeats",
            target="ecgkit_heartlang.model:HeartLang",
            config="ecgkit_heartlang.config:HeartLangConfig",
            presets="ecgkit_heartlang.config:PRESETS",
            paper=PAPER,
            needs=("signal", "beats"),
            features=("tokens", "layers", "layer_input"),
            importer="ecgkit_heartlang.official:import_official",
        )
    )


@ecgkit.hookimpl
def register_weights(register: Callable[[ecgkit.WeightsEntry], None]) -> None:
    """Register the published weights."""
    for name in WEIGHTS:
        register(
            ecgkit.WeightsEntry(name=name, summary=f"published weights {name}", target="ecgkit_heartlang:weights.yaml")
        )
