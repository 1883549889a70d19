"""What an encoder makes of records that differ from its input: fewer leads, other rates, shorter and longer records."""

from ecgkit.methods.encoder import Encoder
from ecgkit.signal.spec import SignalSpec


def habits_of(encoder: Encoder, spec: SignalSpec) -> dict[str, str]:
    """Return what an encoder makes of other records, in words by case, as cards and listings show it.

    Args:
        encoder: The encoder.
        spec: Its signal contract.
    """
    starts = [f"{start:g}" for start in spec.eval_starts]
    longer = f"its first {spec.seconds:g} s" if starts[0] == "0" else f"its {spec.seconds:g} s from {starts[0]} s on"
    if len(starts) > 1:
        longer = f"features are the mean over the crops at {', '.join(starts)} s of its first {spec.window:g} s"
    return {
        "fewer leads": f"{encoder.fill} in place of the others" if encoder.fill else "only those that are given",
        f"a record below {spec.seconds:g} s": f"ends with {encoder.padding}" if encoder.padding else "counts as it is",
        f"a record above {spec.seconds:g} s": longer,
    }
