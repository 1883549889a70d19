"""The five roads of ``ecgkit probe``, and the options that each road refuses because they would have no effect.

``results`` makes one result, or a grid of results from options. ``models`` makes a table of several encoders, with
``--baselines`` if asked for. ``suite`` makes a grid of results from a file.
``layers`` and ``perturb`` are analyses.
"""

from collections.abc import Mapping

import typer

ROADS = ("results", "suite", "layers", "perturb", "models")
FILE = "the suite's file sets it"
ONE_DRAW = "an analysis uses all training records and one seed"
FROZEN = "an analysis needs a frozen encoder: a run, or --random-init"
ONE_STORE = "an analysis uses one store"
ONE_PROCESS = "an analysis runs in one process"
NO_RESULT = "an analysis writes scores and keeps no head"
ONE_ENCODER = "a table of several encoders has no analyses; analyse them one by one"
NAMED = "--models names the encoders, which are runs"
NO_MAP = "only an analysis of layers draws a similarity map; use --layers"
NOT_A_SUITE = "only a suite has named stores; use --data for a single store"

SHARED = dict.fromkeys(("slurm", "slurm_tasks", "slurm_set"), "only the probes of a suite are shared between workers")

# Road to option to the reason why the option is refused. An option that is not listed has an effect.
REFUSED: Mapping[str, Mapping[str, str]] = {
    "results": {"stores": NOT_A_SUITE, "query": NO_MAP, **SHARED},
    "suite": {
        "query": NO_MAP,
        **dict.fromkeys(
            (
                "data",
                "task",
                "eval_data",
                "method",
                "random_init",
                "scratch",
                "preset",
                "config",
                "settings",
                "head",
                "leads",
                "prompts",
                "independent_queries",
                "epochs",
                "fraction",
                "label_counts",
                "seeds",
                "protocol",
                "splits",
                "label_set",
                "task_settings",
                "allow_overlap",
                "keep_head",
                "seed",
                "models",
                "baselines",
            ),
            FILE,
        ),
        "layers": "a suite contains no analyses; analyse layers in a separate command",
        "perturb": "a suite contains no analyses; analyse perturbations in a separate command",
    },
    "models": {
        "query": NO_MAP,
        **dict.fromkeys(("method", "random_init", "scratch", "preset", "config", "epochs"), NAMED),
        "stores": NOT_A_SUITE,
        **SHARED,
    },
    "layers": {
        **dict.fromkeys(("fraction", "label_counts", "seeds"), ONE_DRAW),
        **dict.fromkeys(("scratch", "epochs"), FROZEN),
        **dict.fromkeys(("prompts", "independent_queries"), "zero-shot classification cannot be studied by layer"),
        **dict.fromkeys(("models", "baselines"), ONE_ENCODER),
        "keep_head": NO_RESULT,
        "eval_data": ONE_STORE,
        "stores": NOT_A_SUITE,
        **SHARED,
        **dict.fromkeys(("jobs", "workers", "gpus", "dask"), ONE_PROCESS),
        "perturb": "run one analysis at a time",
    },
    "perturb": {
        "query": NO_MAP,
        **dict.fromkeys(("fraction", "label_counts", "seeds"), ONE_DRAW),
        **dict.fromkeys(("scratch", "epochs"), FROZEN),
        **dict.fromkeys(("models", "baselines"), ONE_ENCODER),
        "keep_head": NO_RESULT,
        "eval_data": ONE_STORE,
        "stores": NOT_A_SUITE,
        **SHARED,
        **dict.fromkeys(("jobs", "workers", "gpus", "dask"), ONE_PROCESS),
    },
}


def refuse_unused(ctx: typer.Context) -> str:
    """Return the road that the options choose, and refuse options that have no effect on it.

    Raises:
        ConfigError: An option has no effect, or an analysis is given several tasks.
    """
    from ecgkit.errors import ConfigError

    road = next((name for name in ROADS[1:] if ctx.params[name]), "models" if ctx.params["baselines"] else "results")
    titles = {param.name: param.opts[0] for param in ctx.command.params}
    asked = f"--{road}" if road != "results" else "ecgkit probe without --suite"
    for name, why in REFUSED[road].items():
        if ctx.get_parameter_source(name).name == "COMMANDLINE":  # type: ignore[union-attr]
            raise ConfigError(f"{titles[name]} with {asked}: {why}", remedy=f"Leave {titles[name]} out.")
    if road in ("layers", "perturb") and "," in ctx.params["task"]:
        raise ConfigError(f"several tasks with {asked}: {ctx.params['task']}", remedy="Give one task.")
    return road
