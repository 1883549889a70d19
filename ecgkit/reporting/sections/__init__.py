"""The built-in sections of the page. Each module has one function that makes a section from rows, or returns None.

They are registered by the hook `register_report_sections`, like those of a plugin. The page shows a section only if
rows hold its data.
"""

from collections.abc import Callable

from ecgkit.entries import SectionEntry
from ecgkit.hookspecs import hookimpl

SECTIONS = {
    "across-tasks": ("mean macro AUROC and mean ranks over tasks", "across_tasks:across_tasks_section"),
    "label-efficiency": ("AUROC by number of training records", "efficiency:efficiency_section"),
    "leads": ("AUROC by lead set", "leads:leads_section"),
    "label-tree": ("AUROC of ICD-10 labels as a tree, with published numbers", "label_tree:label_tree_section"),
    "layers": ("AUROC of a linear probe on each layer", "layers:layers_section"),
    "calibration": ("reliability curves", "calibration:calibration_section"),
    "confusion": ("predicted classes of the records of each class", "confusion:confusion_section"),
    "training": ("losses by epoch", "training:training_section"),
    "cost": ("time, throughput and device", "cost:cost_section"),
    "published": (
        "published numbers on the same tasks, and why they do not compare",
        "published_numbers:published_numbers_section",
    ),
}


@hookimpl
def register_report_sections(register: Callable[[SectionEntry], None]) -> None:
    """Register the sections, in the order of the page."""
    for name, (summary, target) in SECTIONS.items():
        register(SectionEntry(name=name, summary=summary, target=f"ecgkit.reporting.sections.{target}"))
