"""Published weights of the benchmarks' encoders under their own names, and how those map to ours.

Sizes are read off the shapes. Names of classes are no part of a file, so classes are numbered.
"""

from dataclasses import replace

from torch import Tensor

from ecgkit.errors import RunError
from ecgkit.training.official import count, renamed, s4_reach, size, sizes_of_file, without_prefix
from ecgkit_benchmark.config import INCEPTION, KED, S4, XRESNET, InceptionConfig, S4Config, XResNetConfig

HEAD = range(2, 20, 2)  # places of BatchNorm and linear layers behind two of pooling
XRESNET_RULES = {
    r"([012])\.([01])\.(\w+)": r"encoder.trunk.stem.\1.\2.\3",
    **{
        rf"{4 + s}\.(\d+)\.{path}(\d)\.([01])\.(\w+)": rf"encoder.trunk.stages.{s}.\1.convs.\2.\3.\4"
        for s in range(4)
        for path in (r"convs\.", r"convpath\.0\.")
    },
    **{
        rf"{4 + s}\.(\d+)\.idpath\.[01]\.([01])\.(\w+)": rf"encoder.trunk.stages.{s}.\1.project.\2.\3" for s in range(4)
    },
    **{rf"8\.{i}\.(\w+)": rf"encoder.head.{i - 2}.\1" for i in HEAD},
}
INCEPTION_RULES = {
    r"layers\.0\.im\.(\d+)\.bottleneck\.(\w+)": r"encoder.trunk.blocks.\1.bottleneck.\2",
    r"layers\.0\.im\.(\d+)\.convs\.(\d+)\.(\w+)": r"encoder.trunk.blocks.\1.convs.\2.\3",
    r"layers\.0\.im\.(\d+)\.conv_bottle\.1\.(\w+)": r"encoder.trunk.blocks.\1.pooled.\2",
    r"layers\.0\.im\.(\d+)\.bn_relu\.0\.(\w+)": r"encoder.trunk.blocks.\1.norm.\2",
    r"layers\.0\.sk\.(\d+)\.conv\.(\w+)": r"encoder.trunk.shortcuts.\1.conv.\2",
    r"layers\.0\.sk\.(\d+)\.bn\.(\w+)": r"encoder.trunk.shortcuts.\1.norm.\2",
    **{rf"layers\.1\.{i}\.(\w+)": rf"encoder.head.{i - 2}.\1" for i in HEAD},
}
S4_RULES = {
    r"encoder\.(weight|bias)": r"encoder.embed.\1",
    r"decoder\.(weight|bias)": r"encoder.head.\1",
    r"norms\.(\d+)\.(\w+)": r"encoder.trunk.norms.\1.\2",
    r"s4_layers\.(\d+)\.D": r"encoder.trunk.layers.\1.D",
    r"s4_layers\.(\d+)\.output_linear\.0\.(\w+)": r"encoder.trunk.layers.\1.output.\2",
    r"s4_layers\.(\d+)\.kernel\.kernel\.(log_dt|B|P|Q|w|C)": r"encoder.trunk.layers.\1.kernel.\2",
}
S4_TABLES = (r"s4_layers\.\d+\.kernel\.kernel\.(omega|z)",)  # computed from their length

State = dict[str, Tensor]
Left = tuple[str, ...]


def import_xresnet(state: State) -> tuple[XResNetConfig, State, Left]:
    """Turn a published XResNet1d with its classifier into a config and a state dict of ours.

    Args:
        state: Parameters by the names of the PTB-XL or of the ECG-MIMIC benchmark.

    Returns:
        The config whose shapes these are, parameters by our names, and the official names left out.

    Raises:
        RunError: A name is not one of the model's, or one is missing or of an impossible shape.
    """
    of = "XResNet1d"
    ours, left = _xresnet(state, of)
    hidden, classes = _head_sizes(ours, of)
    return _xresnet_config(XRESNET, ours, of, hidden=hidden, classes=classes), ours, left


def import_ked(state: State) -> tuple[XResNetConfig, State, Left]:
    """Turn KED's ECG encoder into a config and a state dict of ours; see `import_xresnet`."""
    of = "KED"
    held = {name: value for name, value in state.items() if name.startswith("ecg_model.")} or state
    ours, left = _xresnet(without_prefix(held, "ecg_model."), of)
    return _xresnet_config(KED, ours, of), ours, (*left, *(name for name in state if name not in held))


def import_inception(state: State) -> tuple[InceptionConfig, State, Left]:
    """Turn a published Inception1d into a config and a state dict of ours; see `import_xresnet`."""
    of = "Inception1d"
    ours, left = renamed(without_prefix(state, "module.", "model."), INCEPTION_RULES, of=of)
    hidden, classes = _head_sizes(ours, of)
    block = "encoder.trunk.blocks.0"
    with sizes_of_file(f"an official checkpoint of {of}"):
        config = replace(
            INCEPTION,
            depth=count(ours, "encoder.trunk.blocks"),
            filters=size(ours, f"{block}.pooled.weight", of=of),
            bottleneck=size(ours, f"{block}.bottleneck.weight", of=of),
            kernels=tuple(
                size(ours, f"{block}.convs.{i}.weight", 2, of=of) for i in range(count(ours, f"{block}.convs"))
            ),
            hidden=hidden,
            classes=classes,
        )
    return config, ours, left


def import_s4(state: State) -> tuple[S4Config, State, Left]:
    """Turn a published S4 classifier of ECG-MIMIC into a config and a state dict of ours; see `import_xresnet`."""
    of = "S4 of ECG-MIMIC"
    state = without_prefix(state, "model.")
    ours, left = renamed(state, S4_RULES, S4_TABLES, of=of)
    for name in list(ours):
        if name.endswith((".D", "output.bias")):
            ours[name] = ours[name].flatten()
        elif name == "encoder.embed.weight" and ours[name].ndim == 2:
            ours[name] = ours[name][..., None]
    depth = count(ours, "encoder.trunk.layers")
    C = "encoder.trunk.layers.0.kernel.C"
    batch = "encoder.trunk.norms.0.running_mean" in ours
    with sizes_of_file(f"an official checkpoint of {of}"):
        config = replace(
            S4,
            width=size(ours, C, 1, of=of),
            depth=depth,
            states=2 * size(ours, C, 2, of=of),
            reach=s4_reach(state, "s4_layers.{}.kernel.kernel.{}", depth, of=of),
            bidirectional=size(ours, C, of=of) == 2,
            norm="batch-alone" if batch else "layer",
            classes=_numbered(size(ours, "encoder.head.weight", of=of)),
        )
    return config, ours, left


def _xresnet(state: State, of: str) -> tuple[State, Left]:
    state = without_prefix(state, "module.", "model.")
    for name in state:
        for one, copy in ((".convs.", ".convpath.0."), (".convpath.0.", ".convs.")):
            if one in name and name.replace(one, copy) not in state:
                raise RunError(f"the file holds {name} without its copy", f"an official checkpoint of {of}")
    return renamed(state, XRESNET_RULES, of=of)


def _xresnet_config(base: XResNetConfig, ours: State, of: str, **head: tuple) -> XResNetConfig:
    stages = range(count(ours, "encoder.trunk.stages"))
    stem = range(count(ours, "encoder.trunk.stem"))
    first = "encoder.trunk.stages.0.0.convs.1.0.weight"
    with sizes_of_file(f"an official checkpoint of {of}"):
        return replace(
            base,
            layers=tuple(count(ours, f"encoder.trunk.stages.{s}") for s in stages),
            widths=tuple(size(ours, f"encoder.trunk.stages.{s}.0.convs.0.0.weight", of=of) for s in stages),
            stem=tuple(size(ours, f"encoder.trunk.stem.{i}.0.weight", of=of) for i in stem),
            kernel=size(ours, first, 2, of=of),
            stem_kernel=size(ours, "encoder.trunk.stem.0.0.weight", 2, of=of),
            **head,  # type: ignore[arg-type]
        )


def _head_sizes(ours: State, of: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the widths of the hidden layers and the names of the classes: every fourth place is a linear layer."""
    places = range(2, count(ours, "encoder.head"), 4)
    sizes = [size(ours, f"encoder.head.{i}.weight", of=of) for i in places]
    if not sizes:
        raise RunError("the file holds no classifier", f"an official checkpoint of {of}")
    return tuple(sizes[:-1]), _numbered(sizes[-1])


def _numbered(classes: int) -> tuple[str, ...]:
    return tuple(f"class {c}" for c in range(classes))
