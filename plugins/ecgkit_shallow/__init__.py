"""Baselines without deep learning as an ecgkit plugin: class prevalence, age and sex, and plain measurements.

`ecgkit probe --baselines` adds each of them to a table, with the head that its entry names.
"""

from collections.abc import Callable

import ecgkit


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the baselines."""
    for name, summary, module, kind, config, needs, head in (
        (
            "class_prevalence",
            "nothing of the record: the share of each class in the training set",
            "nothing",
            "Nothing",
            "PlainConfig",
            ("signal",),
            "prevalence",
        ),
        (
            "age_sex",
            "age and sex alone, not the signal",
            "demographics",
            "AgeSex",
            "PlainConfig",
            ("signal", "demographics"),
            "boosting",
        ),
        (
            "measurements",
            "heart rate, intervals and plain statistics of each lead",
            "measurements",
            "Measurements",
            "MeasurementsConfig",
            ("signal", "beats"),
            "boosting",
        ),
    ):
        register(
            ecgkit.MethodEntry(
                name=name,
                summary=summary,
                target=f"ecgkit_shallow.{module}:{kind}",
                config=f"ecgkit_shallow.config:{config}",
                presets=f"ecgkit_shallow.config:{config.removesuffix('Config').upper()}",
                paper="a baseline without deep learning",
                needs=needs,
                pretrains=False,
                baseline=head,
            )
        )
