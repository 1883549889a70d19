"""``ecgkit methods``."""

from ecgkit.cli.render import JsonOption, print_json, print_table
from ecgkit.entries import MethodEntry, load_target
from ecgkit.plugins import host


def methods(as_json: JsonOption = False) -> None:
    """List method families: what they train on, what their features offer, their presets and papers."""
    rows = [
        {
            "method": entry.name,
            "what": entry.summary,
            "needs": ", ".join(entry.needs),
            "features": ", ".join(("pooled", *entry.features)),
            "presets": _presets(entry),
            "paper": entry.paper,
            "from": host().owner(entry).distribution,
        }
        for entry in host().entries(MethodEntry).values()
    ]
    if as_json:
        print_json(rows)
        return
    about = "{what}\nneeds {needs}; features {features}\npresets {presets}; from {from}\n{paper}"
    print_table("Methods", [{"method": row["method"], "about": about.format(**row)} for row in rows])


def _presets(entry: MethodEntry) -> str:
    """Return the names of a family's presets, or why there are none: one broken family must not hide the others."""
    try:
        return ", ".join(load_target(entry.presets, f"presets of {entry.name!r}"))
    except Exception as error:
        return f"not loadable: {error}"
