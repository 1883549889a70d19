"""ECG-CPC weights under their own names, and how those map to ours. Sizes are read off the shapes.

The names are those of the released classes; no weights file was seen.
"""

from dataclasses import replace

from torch import Tensor

from ecgkit.training.official import count, renamed, s4_reach, size, sizes_of_file
from ecgkit_ecgcpc.config import BASE, EcgCpcConfig

OF = "ECG-CPC"
_S4 = r"ts_encoder\.predictor\.predictor\."
RULES = {
    r"ts_encoder\.encoder\.layers\.(\d+)\.([01])\.(\w+)": r"encoder.convs.\1.\2.\3",
    _S4 + r"norms\.(\d+)\.(\w+)": r"encoder.trunk.norms.\1.\2",
    _S4 + r"s4_layers\.(\d+)\.D": r"encoder.trunk.layers.\1.D",
    _S4 + r"s4_layers\.(\d+)\.output_linear\.0\.(\w+)": r"encoder.trunk.layers.\1.output.\2",
    _S4 + r"s4_layers\.(\d+)\.kernel\.kernel\.(log_dt|B|P|Q|w|C)": r"encoder.trunk.layers.\1.kernel.\2",
}
# Tables that are computed from their length, and the predictions of the pretraining.
LEFT_OUT = (_S4 + r"s4_layers\.\d+\.kernel\.kernel\.(omega|z)", r"ts_encoder\.head_ssl\.proj\.0\.weight")


def import_official(state: dict[str, Tensor]) -> tuple[EcgCpcConfig, dict[str, Tensor], tuple[str, ...]]:
    """Turn a published state dict into a config and a state dict of ours.

    Args:
        state: Parameters by the official names.

    Returns:
        The config whose shapes these are, parameters by our names, and the official names left out.

    Raises:
        RunError: A name is not one of ECG-CPC's, or one is missing or of an impossible shape.
    """
    ours, left_out = renamed(state, RULES, LEFT_OUT, of=OF)
    for name in list(ours):
        if name.endswith((".D", "output.bias")):
            ours[name] = ours[name].flatten()
    convs = range(count(ours, "encoder.convs"))
    depth = count(ours, "encoder.trunk.layers")
    kernels = tuple(size(ours, f"encoder.convs.{i}.0.weight", 2, of=OF) for i in convs)
    with sizes_of_file(f"an official checkpoint of {OF}"):
        config = replace(
            BASE,
            channels=tuple(size(ours, f"encoder.convs.{i}.0.weight", of=OF) for i in convs),
            kernels=kernels,
            strides=BASE.strides[:1] + (1,) * (len(kernels) - 1),
            depth=depth,
            states=2 * size(ours, "encoder.trunk.layers.0.kernel.C", 2, of=OF),
            reach=s4_reach(state, "ts_encoder.predictor.predictor.s4_layers.{}.kernel.kernel.{}", depth, of=OF),
        )
    return config, ours, left_out
