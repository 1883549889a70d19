"""The interface of method families: what a plugin implements, and what the rest of ecgkit calls.

A family provides a `Method`: a module built from its config, with a `training_step` and an `encoder`. The core passes
it a `Batch` with the signal and the supplies that the family needs, and gets back named `Losses`. The encoder turns
signals into `Features`. A family that only encodes is an `EncoderOnly`. Shapes: B batch, L leads, T samples, N tokens,
D width.
"""

from ecgkit.entries import MethodEntry
from ecgkit.methods.batch import VIEWS, Batch, Clock
from ecgkit.methods.choice import MethodConfig, chosen_config, lightest_preset, method_config
from ecgkit.methods.encoder import Encoder
from ecgkit.methods.encoder_only import EncoderOnly, refuse_pretraining
from ecgkit.methods.features import Features, Losses, Reconstruction
from ecgkit.methods.layout import AttentionCall, TokenLayout, patch_layout, stretch_layout
from ecgkit.methods.method import Corpus, Method, Sampler, ZeroShot

__all__ = [
    "AttentionCall",
    "Batch",
    "chosen_config",
    "Clock",
    "Corpus",
    "Encoder",
    "EncoderOnly",
    "Features",
    "Losses",
    "Method",
    "lightest_preset",
    "method_config",
    "MethodConfig",
    "MethodEntry",
    "patch_layout",
    "Reconstruction",
    "refuse_pretraining",
    "Sampler",
    "stretch_layout",
    "TokenLayout",
    "VIEWS",
    "ZeroShot",
]
