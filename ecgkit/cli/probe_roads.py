"""Which options of ``ecgkit probe`` have an effect on which of its roads; any other is refused with the reason.

The roads: ``results`` (one result, or a grid by options), ``suite`` (a grid from a file), ``layers`` and ``perturb``.
"""

from collections.abc import Mapping

import typer

ROADS = ("results", "suite", "layers", "perturb")
FILE = "the suite's file says it"
ONE_DRAW = "a study takes all training records and one seed"
FROZEN = "a study is of a frozen encoder: a run, or --random-init"

# Why an option is refused, by road and option. What stands nowhere has an effect.
REFUSED: Mapping[str, Mapping[str, str]] = {
    "results": {"stores": "only a suite names its stores; give the one store with --data"},
    "suite": {
        **dict.fromkeys(
            (
                "data", "task", "eval_data", "method", "random_init", "scratch", "preset", "config", "settings", "head",
                "leads", "prompts", "independent_queries", "epochs", "fraction", "label_counts", "seeds", "protocol",
                "splits", "label_set", "task_settings", "allow_overlap", "seed",
            ),
            FILE,
        ),
        "layers": "a suite is a grid of results; study layers by a command of its own",
        "perturb": "a suite is a grid of results; study perturbations by a command of its own",
    },
    "layers": {
        **dict.fromkeys(("fraction", "label_counts", "seeds"), ONE_DRAW),
        **dict.fromkeys(("scratch", "epochs"), FROZEN),
        **dict.fromkeys(("prompts", "independent_queries"), "no head of zero-shot classification reads a layer"),
        "eval_data": "a study of one store",
        "stores": "only a suite names its stores; give the one store with --data",
        "jobs": "a study runs in one process",
        "perturb": "one of them",
    },
    "perturb": {
        **dict.fromkeys(("fraction", "label_counts", "seeds"), ONE_DRAW),
        **dict.fromkeys(("scratch", "epochs"), FROZEN),
        "eval_data": "a study of one store",
        "stores": "only a suite names its stores; give the one store with --data",
        "jobs": "a study runs in one process",
    },
}  # fmt: skip


def refuse_unused(ctx: typer.Context) -> str:
    """Return the road that the options lead to.

    Raises:
        ConfigError: An option was given that has no effect there.
    """
    from ecgkit.errors import ConfigError

    road = next((name for name in ROADS[1:] if ctx.params[name]), "results")
    titles = {param.name: param.opts[0] for param in ctx.command.params}
    asked = f"--{road}" if road != "results" else "ecgkit probe without --suite"
    for name, why in REFUSED[road].items():
        if ctx.get_parameter_source(name).name == "COMMANDLINE":  # type: ignore[union-attr]
            raise ConfigError(f"{titles[name]} with {asked}: {why}", remedy=f"Leave {titles[name]} out.")
    if road != "suite" and (ctx.params["data"] is None or not ctx.params["task"]):
        raise ConfigError("no --data STORE and --task TASK", "both, or --suite FILE")
    if road in ("layers", "perturb") and "," in ctx.params["task"]:
        raise ConfigError(f"several tasks with {asked}: {ctx.params['task']}", "one task")
    return road
