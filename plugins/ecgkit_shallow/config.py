"""Settings of the baselines without deep learning. All are ours."""

from dataclasses import dataclass

from ecgkit.leads import STANDARD_LEADS
from ecgkit.recipe import Recipe
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.spec import SignalSpec

# In mV. One input for all baselines, so that they share a view.
SIGNAL = SignalSpec(
    fs=250.0, seconds=10.0, filter=Butterworth(low=0.5, high=40.0, order=3), normalize="none", crop="start"
)

RECIPE = Recipe()


@dataclass(frozen=True)
class PlainConfig:
    """A baseline that reads no signal.

    Args:
        signal: The input; it decides which records can be used.
        recipe: Not used: nothing is pretrained.
    """

    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE


@dataclass(frozen=True)
class MeasurementsConfig:
    """Plain measurements of a record.

    Args:
        rhythm_lead: Lead in which intervals are delineated; the first lead that is given if this one is not.
        beats: Beats per record that are delineated at most, from the first on.
        signal: The input.
        recipe: Not used: nothing is pretrained.
    """

    rhythm_lead: str = "II"
    beats: int = 12
    signal: SignalSpec = SIGNAL
    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        if self.rhythm_lead not in STANDARD_LEADS:
            raise ValueError(f"rhythm_lead {self.rhythm_lead!r} must be one of {' '.join(STANDARD_LEADS)}")
        if self.beats < 1:
            raise ValueError(f"beats {self.beats} must be at least 1")
        if self.signal.normalize != "none":
            raise ValueError(f"normalize {self.signal.normalize!r} must be none: measurements are in mV")


PLAIN = {"base": PlainConfig()}
MEASUREMENTS = {"base": MeasurementsConfig()}
