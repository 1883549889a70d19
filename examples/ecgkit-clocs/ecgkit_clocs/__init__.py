"""CLOCS as an ecgkit plugin: contrast over the segments, leads and recordings of a patient.

Kiyasseh, Zhu and Clifton, CLOCS: Contrastive Learning of Cardiac Signals Across Space, Time, and Patients, arXiv
2005.13249, 2021.
"""

from collections.abc import Callable

import ecgkit


@ecgkit.hookimpl
def register_methods(register: Callable[[ecgkit.MethodEntry], None]) -> None:
    """Register the family."""
    register(
        ecgkit.MethodEntry(
            name="clocs",
            summary="pulls together what is of one patient: segments, leads and recordings",
            target="ecgkit_clocs.model:Clocs",
            config="ecgkit_clocs.config:ClocsConfig",
            presets="ecgkit_clocs.config:PRESETS",
            paper="CLOCS, arXiv 2005.13249 (2021)",
            needs=("signal", "patients"),
            features=("per_lead",),
        )
    )
