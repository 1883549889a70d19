"""``ecgkit methods``."""

from typing import TYPE_CHECKING, Any

import ecgkit
from ecgkit.cli.render import JsonOption, next_is, print_facts, print_json

if TYPE_CHECKING:
    from ecgkit.api.plugins import MethodDetails


def methods(as_json: JsonOption = False) -> None:
    """List method families: the data that they train on, their kinds of features, their presets and papers."""
    found = ecgkit.list_methods()
    next_is("ecgkit pretrain --method NAME")
    if as_json:
        print_json([{"method": method.name, "what": method.summary, **_cells(method)} for method in found])
        return
    for method in found:
        print_facts(f"{method.name}: {method.summary}", _cells(method))


def _cells(method: "MethodDetails") -> dict[str, Any]:
    return {
        "needs": ", ".join(method.needs),
        **({} if method.pretrains else {"training": "none: ecgkit import-weights, or ecgkit probe --scratch"}),
        "features": ", ".join(method.features),
        "presets": f"not loadable: {method.error}" if method.error else ", ".join(method.presets),
        "paper": method.paper,
        "from": method.distribution,
    }
