"""The hierarchical transformer (3stageFormer) as an ecgkit plugin.

Hierarchical Transformer for Electrocardiogram Diagnosis, arXiv 2411.00755 (MIDL 2025 short paper).
"""

from collections.abc import Callable

import ecgkit


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the family."""
    register(
        ecgkit.MethodEntry(
            name="hierarchical",
            summary="supervised: convolutions by lead at several depths, a transformer stage each, one CLS through all",
            target="ecgkit_hierarchical.model:Hierarchical",
            config="ecgkit_hierarchical.config:HierarchicalConfig",
            presets="ecgkit_hierarchical.config:PRESETS",
            paper="Hierarchical Transformer (3stageFormer), arXiv 2411.00755 (2024)",
            needs=("signal", "labels", "demographics"),
            features=("tokens", "layers", "layer_input", "logits"),
            importer="ecgkit_hierarchical.official:import_official",
        )
    )
