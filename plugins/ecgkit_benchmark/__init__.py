"""Encoders of the PTB-XL and MIMIC-IV-ECG benchmarks as an ecgkit plugin: to import, or to train on labels.

Strodthoff et al., Deep Learning for ECG Analysis: Benchmarks and Insights from PTB-XL, arXiv 2004.13701 (XResNet1d101,
Inception1d); Strodthoff et al., ECG-MIMIC, arXiv 2312.11050 (S4); Tian et al., KED, Cell Reports Medicine 2024.
"""

from collections.abc import Callable

import ecgkit

WEIGHTS = ("xresnet1d101-ptbxl", "inception1d-ptbxl", "s4-mimic", "ked")
PTBXL = "PTB-XL benchmark, arXiv 2004.13701 (IEEE JBHI 2021)"
FAMILIES = (
    ("xresnet1d101", "XResNet1d101, the convolutional baseline of PTB-XL; train it with --scratch", PTBXL, "XResNet"),
    ("inception1d", "Inception1d, the second baseline of PTB-XL; train it with --scratch", PTBXL, "Inception"),
    ("s4", "S4 state-space layers, the baseline of ECG-MIMIC; train it with --scratch", "ECG-MIMIC (2023)", "S4"),
    ("ked", "KED's XResNet1d101, trained on MIMIC-IV-ECG with its reports", "KED, Cell Reports Medicine (2024)", "Ked"),
)


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the encoders."""
    for name, summary, paper, kind in FAMILIES:
        register(
            ecgkit.MethodEntry(
                name=name,
                summary=summary,
                target=f"ecgkit_benchmark.model:{kind}",
                config=f"ecgkit_benchmark.config:{'XResNet' if kind == 'Ked' else kind}Config",
                presets=f"ecgkit_benchmark.config:{kind.upper()}_PRESETS",
                paper=paper,
                features=("tokens", "logits"),
                importer=f"ecgkit_benchmark.official:import_{kind.lower()}",
                pretrains=False,
                containers=("ecg_model",) if kind == "Ked" else ("model", "state_dict"),
            )
        )


@ecgkit.hookimpl
def register_weights(register: Callable[[ecgkit.WeightsEntry], None]) -> None:
    """Register the published weights."""
    for name in WEIGHTS:
        register(
            ecgkit.WeightsEntry(name=name, summary=f"published weights {name}", target="ecgkit_benchmark:weights.yaml")
        )
