"""The hooks of ecgkit.

A plugin is a module named in the entry-point group ``ecgkit``. It implements any of these hooks with `hookimpl`. Each
hook gets a `register` function and calls it once per entry. The host records which plugin an entry comes from, and
refuses a name that is already taken. ecgkit registers its own datasets, tasks, heads and commands in the same way.

    import ecgkit


    @ecgkit.hookimpl
    def register_methods(register):
        register(ecgkit.TaskEntry(name="mine", summary="labels of my hospital", target="my_plugin:task.yaml"))
"""

from collections.abc import Callable

import pluggy

from ecgkit.entries import (
    ArchiveEntry,
    AugmentationEntry,
    CommandEntry,
    DatasetEntry,
    DetectorEntry,
    HeadEntry,
    KnowledgeBackendEntry,
    LoggerEntry,
    MethodEntry,
    ProtocolEntry,
    SectionEntry,
    SupplyEntry,
    TaskEntry,
    TextEncoderEntry,
    WeightsEntry,
)

hookspec = pluggy.HookspecMarker("ecgkit")
hookimpl = pluggy.HookimplMarker("ecgkit")


@hookspec
def register_methods(register: Callable[[MethodEntry], None]) -> None:
    """Register method families, which ``ecgkit pretrain --method NAME`` trains."""


@hookspec
def register_weights(register: Callable[[WeightsEntry], None]) -> None:
    """Register published weights, which ``ecgkit encoders`` lists and ``ecgkit import-weights`` recognises."""


@hookspec
def register_heads(register: Callable[[HeadEntry], None]) -> None:
    """Register heads, which ``ecgkit probe --head NAME`` fits on an encoder's features."""


@hookspec
def register_datasets(register: Callable[[DatasetEntry], None]) -> None:
    """Register dataset layouts, which ``ecgkit ingest`` recognises in a folder."""


@hookspec
def register_archives(register: Callable[[ArchiveEntry], None]) -> None:
    """Register published archives, which ``ecgkit datasets`` lists and ``ecgkit download`` gets."""


@hookspec
def register_tasks(register: Callable[[TaskEntry], None]) -> None:
    """Register evaluation tasks, which ``ecgkit probe --task NAME`` scores."""


@hookspec
def register_protocols(register: Callable[[ProtocolEntry], None]) -> None:
    """Register evaluation protocols, which ``ecgkit probe --protocol NAME`` follows."""


@hookspec
def register_detectors(register: Callable[[DetectorEntry], None]) -> None:
    """Register R-peak detectors, which ``ecgkit beats STORE --detector NAME`` finds R peaks with."""


@hookspec
def register_text_encoders(register: Callable[[TextEncoderEntry], None]) -> None:
    """Register text encoders, for method families that learn from reports."""


@hookspec
def register_knowledge_backends(register: Callable[[KnowledgeBackendEntry], None]) -> None:
    """Register readers of reports, which ``ecgkit extract-knowledge STORE --backend NAME`` uses."""


@hookspec
def register_augmentations(register: Callable[[AugmentationEntry], None]) -> None:
    """Register augmentations, which a method's config names to make augmented views of a record."""


@hookspec
def register_supplies(register: Callable[[SupplyEntry], None]) -> None:
    """Register supplies: inputs that a batch may hold besides the signal, for methods and encoders that need them."""


@hookspec
def register_loggers(register: Callable[[LoggerEntry], None]) -> None:
    """Register loggers, which ``ecgkit pretrain --log NAME`` writes curves to."""


@hookspec
def register_report_sections(register: Callable[[SectionEntry], None]) -> None:
    """Register sections of the report page that ``ecgkit report`` writes."""


@hookspec
def register_commands(register: Callable[[CommandEntry], None]) -> None:
    """Register commands of the ``ecgkit`` program, as Typer apps or plain functions."""
