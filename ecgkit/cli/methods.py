"""``ecgkit methods``."""

from pkgutil import resolve_name

from ecgkit.cli.render import JsonOption, print_json, print_table
from ecgkit.entries import MethodEntry
from ecgkit.plugins import host


def methods(as_json: JsonOption = False) -> None:
    """List method families: what they train on, what their features offer, their presets and papers."""
    rows = [
        {
            "method": entry.name,
            "what": entry.summary,
            "needs": ", ".join(entry.needs),
            "features": ", ".join(("pooled", *entry.features)),
            "presets": ", ".join(resolve_name(entry.presets)),
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
