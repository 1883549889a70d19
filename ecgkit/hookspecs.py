"""Every hook of ecgkit.

A plugin is a module named in the entry-point group ``ecgkit``. It implements any of these with `hookimpl`; each
hook is handed a `register` callback and calls it once per entry. The host attaches the plugin's name and refuses
a name that is taken. ecgkit registers its own datasets, tasks, heads and commands in the same way.

    import ecgkit


    @ecgkit.hookimpl
    def register_methods(register):
        register(ecgkit.TaskEntry(name="mine", summary="labels of my hospital", target="my_plugin:task.yaml"))
"""

from collections.abc import Callable

import pluggy

from ecgkit.entries import (
    AugmentationEntry,
    CommandEntry,
    DatasetEntry,
    DetectorEntry,
    HeadEntry,
    MethodEntry,
    ProtocolEntry,
    SectionEntry,
    SupplyEntry,
    TaskEntry,
    TextEncoderEntry,
)

hookspec = pluggy.HookspecMarker("ecgkit")
hookimpl = pluggy.HookimplMarker("ecgkit")


@hookspec
def register_methods(register: Callable[[MethodEntry], None]) -> None:
    """Register method families: what ``ecgkit pretrain --method NAME`` trains."""


@hookspec
def register_heads(register: Callable[[HeadEntry], None]) -> None:
    """Register heads: what ``ecgkit probe --head NAME`` puts on an encoder's features."""


@hookspec
def register_datasets(register: Callable[[DatasetEntry], None]) -> None:
    """Register dataset layouts: what ``ecgkit ingest`` recognises in a folder."""


@hookspec
def register_tasks(register: Callable[[TaskEntry], None]) -> None:
    """Register evaluation tasks: what ``ecgkit probe --task NAME`` scores."""


@hookspec
def register_protocols(register: Callable[[ProtocolEntry], None]) -> None:
    """Register probe protocols: what ``ecgkit probe --protocol NAME`` pins."""


@hookspec
def register_detectors(register: Callable[[DetectorEntry], None]) -> None:
    """Register R-peak detectors: what ``ecgkit beats STORE --detector NAME`` finds beats with."""


@hookspec
def register_text_encoders(register: Callable[[TextEncoderEntry], None]) -> None:
    """Register text encoders for families that learn from reports."""


@hookspec
def register_augmentations(register: Callable[[AugmentationEntry], None]) -> None:
    """Register augmentations: what a method's config may name to make views of a record."""


@hookspec
def register_supplies(register: Callable[[SupplyEntry], None]) -> None:
    """Register supplies: what a batch may hold besides the signal, when a method or encoder ``needs`` it."""


@hookspec
def register_report_sections(register: Callable[[SectionEntry], None]) -> None:
    """Register sections of the page that ``ecgkit report`` makes."""


@hookspec
def register_commands(register: Callable[[CommandEntry], None]) -> None:
    """Register commands of the ``ecgkit`` program, as Typer apps or plain functions."""
