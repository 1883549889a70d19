"""Published ECGFounder weights under their own names, and how those map to ours. Sizes are read off the shapes."""

from dataclasses import replace

from torch import Tensor

from ecgkit.errors import RunError
from ecgkit.training.official import count, renamed, size, sizes_of_file
from ecgkit_ecgfounder.config import CLASSES, FULL, PRESETS, EcgFounderConfig

OF = "ECGFounder"
_BLOCK = r"stage_list\.(\d+)\.block_list\.(\d+)\."
_OURS = r"encoder.trunk.stages.\1.\2."
RULES = {
    r"first_conv\.conv\.(\w+)": r"encoder.trunk.stem.\1",
    _BLOCK + r"conv1\.conv\.(\w+)": _OURS + r"convs.0.\3",
    _BLOCK + r"conv2\.conv\.(\w+)": _OURS + r"convs.1.\3",
    _BLOCK + r"conv3\.conv\.(\w+)": _OURS + r"convs.2.\3",
    _BLOCK + r"se_fc1\.(\w+)": _OURS + r"squeeze.\3",
    _BLOCK + r"se_fc2\.(\w+)": _OURS + r"excite.\3",
    r"dense\.(\w+)": r"encoder.head.\1",
}
# BatchNorm that the released configuration never applies.
UNUSED = (
    r"first_bn\.(weight|bias|running_mean|running_var|num_batches_tracked)",
    _BLOCK + r"bn[123]\.(weight|bias|running_mean|running_var|num_batches_tracked)",
)


def import_official(state: dict[str, Tensor]) -> tuple[EcgFounderConfig, dict[str, Tensor], tuple[str, ...]]:
    """Turn a published state dict into a config and a state dict of ours.

    Args:
        state: Parameters by the official names.

    Returns:
        The config whose shapes these are, parameters by our names, and the official names left out.

    Raises:
        RunError: A name is not one of ECGFounder's, or one is missing or of an impossible shape.
    """
    ours, left_out = renamed(state, RULES, UNUSED, of=OF)
    _check_unused(state, left_out)
    stages = count(ours, "encoder.trunk.stages")
    leads = size(ours, "encoder.trunk.stem.weight", 1, of=OF)
    classes = size(ours, "encoder.head.weight", of=OF)
    signal = {12: PRESETS["12-lead"].signal, 1: PRESETS["1-lead"].signal}.get(leads)
    if signal is None:
        raise RunError(f"the file's first convolution reads {leads} leads", "12 leads or 1")
    with sizes_of_file(f"an official checkpoint of {OF}"):
        config = replace(
            FULL,
            stem=size(ours, "encoder.trunk.stem.weight", of=OF),
            widths=tuple(size(ours, f"encoder.trunk.stages.{s}.0.convs.2.weight", of=OF) for s in range(stages)),
            layers=tuple(count(ours, f"encoder.trunk.stages.{s}") for s in range(stages)),
            kernel=size(ours, "encoder.trunk.stem.weight", 2, of=OF),
            group=size(ours, "encoder.trunk.stages.0.0.convs.1.weight", 1, of=OF),
            classes=CLASSES if classes == len(CLASSES) else tuple(f"class {c}" for c in range(classes)),
            signal=signal,
        )
    return config, ours, left_out


def _check_unused(state: dict[str, Tensor], left_out: tuple[str, ...]) -> None:
    """Refuse a file without the unused BatchNorm entries: the released files hold all of them."""
    norms = [name.removesuffix(".conv.bias").replace("conv", "bn") for name in state if name.endswith(".conv.bias")]
    expected = {f"{norm}.{kind}" for norm in norms for kind in ("weight", "bias", "running_mean", "running_var")}
    missing = sorted(expected - set(left_out))
    if missing:
        raise RunError(f"the file holds no {missing[0]}", f"an official checkpoint of {OF}")
