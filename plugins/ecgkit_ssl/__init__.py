"""The self-supervised baselines of ECG papers as an ecgkit plugin, on shared encoders.

Contrast of two views (SimCLR, Barlow Twins, VICReg), teachers (BYOL, SimSiam, MoCo-v3, MoCo, DINO), what is of one
patient (CLOCS, CMSC, 3KG), time (TS-TCC, CPC), and hidden tokens (JEPA, data2vec, DinoSR, CRT). Each module names its
papers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import ecgkit


@dataclass(frozen=True)
class Listed:
    """What a listing shows of a method, and where its parts are.

    Args:
        summary: What it does, in one line.
        method: Module and class.
        config: Module and class of the config.
        presets: Name of the presets in the config's module.
        paper: Title and identifier.
        needs: Contents of a batch.
        features: What the encoder fills besides ``pooled``.
    """

    summary: str
    method: str
    config: str
    presets: str
    paper: str
    needs: tuple[str, ...] = ("signal",)
    features: tuple[str, ...] = ("tokens", "layers", "layer_input")


OF_PATIENTS = ("signal", "patients")
METHODS = {
    "simclr": Listed(
        "each view must find the other view of its record among all others",
        "two_views:SimClr",
        "presets:SimClrConfig",
        "SIMCLR",
        "SimCLR, arXiv 2002.05709 (2020)",
    ),
    "byol": Listed(
        "a prediction from one view must equal an averaged teacher's projection of the other",
        "distillation:Byol",
        "presets:ByolConfig",
        "BYOL",
        "BYOL, arXiv 2006.07733 (2020)",
    ),
    "barlow_twins": Listed(
        "each dimension agrees between two views, and with no other dimension",
        "two_views:BarlowTwins",
        "presets:BarlowTwinsConfig",
        "BARLOW_TWINS",
        "Barlow Twins, arXiv 2103.03230 (2021)",
    ),
    "vicreg": Listed(
        "two views agree, every dimension varies, and dimensions do not covary",
        "two_views:VicReg",
        "presets:VicRegConfig",
        "VICREG",
        "VICReg, arXiv 2105.04906 (2021)",
    ),
    "simsiam": Listed(
        "a prediction from one view must point where the other view's projection points; no teacher",
        "distillation:SimSiam",
        "presets:SimSiamConfig",
        "SIMSIAM",
        "SimSiam, arXiv 2011.10566 (2020)",
    ),
    "moco_v3": Listed(
        "each query must find the teacher's key of the other view among the keys of the batch",
        "distillation:MocoV3",
        "presets:MocoV3Config",
        "MOCO_V3",
        "MoCo-v3, arXiv 2104.02057 (2021)",
    ),
    "moco": Listed(
        "each query must find the teacher's key of the other view among a queue of earlier keys",
        "distillation:Moco",
        "presets:MocoConfig",
        "MOCO",
        "MoCo, arXiv 1911.05722 (2019)",
    ),
    "dino": Listed(
        "global and local views give the teacher's distribution over prototypes",
        "distillation:Dino",
        "presets:DinoConfig",
        "DINO",
        "DINO, arXiv 2104.14294 (2021)",
    ),
    "ts_tcc": Listed(
        "the context of a weak and of a strong view predict each other's later steps",
        "temporal:TsTcc",
        "presets:TsTccConfig",
        "TS_TCC",
        "TS-TCC, arXiv 2106.14112 (2021)",
    ),
    "3kg": Listed(
        "views with the heart turned and grown; those of one patient are alike",
        "patients:ThreeKg",
        "presets:PatientConfig",
        "THREE_KG",
        "3KG, arXiv 2106.04452 (2021)",
        needs=OF_PATIENTS,
    ),
    "cmsc": Listed(
        "the halves of a recording, each with random leads hidden, are alike",
        "patients:Cmsc",
        "presets:PatientConfig",
        "CMSC",
        "CMSC with random lead masking, arXiv 2203.06889 (2022)",
        needs=OF_PATIENTS,
    ),
    "clocs": Listed(
        "segments, leads or both, and the recordings of one patient, are alike",
        "clocs:Clocs",
        "clocs_config:ClocsConfig",
        "PRESETS",
        "CLOCS, arXiv 2005.13249 (2021)",
        needs=OF_PATIENTS,
        features=("per_lead",),
    ),
    "cpc": Listed(
        "causal S4 layers over convolutions predict the latents of later steps of the record",
        "cpc:Cpc",
        "cpc_config:CpcConfig",
        "PRESETS",
        "CPC, arXiv 1807.03748 (2018); with S4 for ECGs arXiv 2509.25095 (2026)",
        features=("tokens",),
    ),
    "jepa": Listed(
        "predicts what an averaged teacher makes of hidden time blocks, not the signal itself",
        "jepa:Jepa",
        "masked_config:JepaConfig",
        "JEPA_PRESETS",
        "JEPA, arXiv 2301.08243 (2023); for ECGs arXiv 2410.13867 (2024)",
    ),
    "data2vec": Listed(
        "predicts for masked tokens the mean of an averaged teacher's last blocks",
        "data2vec:Data2Vec",
        "masked_config:Data2VecConfig",
        "DATA2VEC_PRESETS",
        "data2vec, arXiv 2202.03555 (2022)",
    ),
    "dinosr": Listed(
        "predicts for masked tokens the codes of an averaged teacher's last blocks",
        "data2vec:DinoSr",
        "masked_config:DinoSrConfig",
        "DINOSR_PRESETS",
        "DinoSR, arXiv 2305.10005 (2023); for ECGs arXiv 2605.12241 (2026)",
    ),
    "crt": Listed(
        "rebuilds hidden patches of a record, and of its magnitude and phase spectrum",
        "crt:Crt",
        "crt_config:CrtConfig",
        "PRESETS",
        "CRT, arXiv 2205.09928 (2022)",
    ),
}


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the methods."""
    for name, listed in METHODS.items():
        register(
            ecgkit.MethodEntry(
                name=name,
                summary=listed.summary,
                target=f"ecgkit_ssl.{listed.method}",
                config=f"ecgkit_ssl.{listed.config}",
                presets=f"ecgkit_ssl.{listed.config.split(':')[0]}:{listed.presets}",
                paper=listed.paper,
                needs=listed.needs,
                features=listed.features,
            )
        )
