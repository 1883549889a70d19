"""Augmentations: pure functions of a signal and explicit draws, by name.

Each name stands for a frozen dataclass of settings, an `ecgkit.signal.augment.base.Augmentation`, that makes the draws
and holds the pure function. A method asks for augmented views in its config, see `ecgkit.signal.augment.views`.
"""

from collections.abc import Callable

from ecgkit.entries import AugmentationEntry
from ecgkit.hookspecs import hookimpl

# By module: each name with its class and one line about it.
_SHIPPED = {
    "noise": {
        "gauss": ("Gauss", "white noise"),
        "jitter_tstcc": ("Jitter", "white noise for signals of unit variance"),
        "emg": ("Emg", "muscle noise; limb leads stay related"),
        "emg_independent": ("EmgIndependent", "muscle noise, each lead on its own"),
        "emg_mehari": ("EmgMehari", "white noise of a random amplitude"),
        "noise_relative": ("NoiseRelative", "white noise in proportion to the signal"),
        "noise_snr": ("NoiseSnr", "white noise at a signal-to-noise ratio in dB"),
    },
    "mains": {
        "powerline": ("Powerline", "hum of 50 or 60 Hz; limb leads stay related"),
        "powerline_mehari": ("PowerlineMehari", "hum with harmonics and a gain per lead"),
    },
    "baseline": {
        "wander": ("Wander", "slow waves; limb leads stay related"),
        "wander_mehari": ("WanderMehari", "slow waves at all multiples of a frequency"),
        "wander_torch_ecg": ("WanderTorchEcg", "slow waves of four given frequencies"),
        "steps_mehari": ("StepsMehari", "sudden steps of the baseline"),
        "shift_baseline": ("ShiftBaseline", "one shift of the baseline"),
    },
    "amplitude": {
        "scale": ("Scale", "a factor per lead, or one for all"),
        "scaling_tstcc": ("ScalingTsTcc", "a normal factor per lead"),
        "timeout": ("Timeout", "a part of the signal at zero"),
        "blur": ("Blur", "a smoothing filter of five samples"),
    },
    "lead_masks": {
        "lead_mask": ("LeadMask", "random leads at zero"),
        "lead_dropout": ("LeadDropout", "random leads at zero, one at least stays"),
        "lead_mask_conditional": ("LeadMaskConditional", "a number of limb and chest leads at zero"),
        "lead_timeout": ("LeadTimeout", "a part of each lead at zero"),
    },
    "warps": {
        "crop_resize": ("CropResize", "a part of the signal, stretched to all of it"),
        "resized_crop": ("ResizedCrop", "a part of the signal, spread at random"),
        "time_shift": ("TimeShift", "earlier or later"),
        "time_warp": ("TimeWarp", "time at a speed that wanders"),
        "dtw": ("Dtw", "time squeezed around some samples"),
        "stretch": ("Stretch", "a slower or a faster signal"),
        "permutation": ("Permutation", "pieces in a random order"),
    },
    "vcg": {
        "vcg": ("Vcg", "the heart's dipole rotated and scaled (3KG)"),
    },
}


@hookimpl
def register_augmentations(register: Callable[[AugmentationEntry], None]) -> None:
    """Register the shipped augmentations."""
    for module, names in _SHIPPED.items():
        for name, (attribute, summary) in names.items():
            target = f"ecgkit.signal.augment.{module}:{attribute}"
            register(AugmentationEntry(name=name, summary=summary, target=target))
