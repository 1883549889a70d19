"""``ecgkit probe``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ecgkit.cli import completion
from ecgkit.cli.probe_plan import Plan, run_plan
from ecgkit.cli.probe_study import study
from ecgkit.cli.probe_suite import run_suite_command
from ecgkit.cli.render import DeviceOption, JsonOption, SeedOption, print_json
from ecgkit.cli.settings import ConfigOption, PresetOption, SetOption

if TYPE_CHECKING:
    from ecgkit.evaluation.case import ModelChoice
    from ecgkit.evaluation.draws import Amount
    from ecgkit.evaluation.options import ProbeOptions


def probe(
    data: Annotated[Path | None, typer.Option(help="A store with labels.")] = None,
    task: Annotated[
        str,
        typer.Option(
            help="Task, such as ptbxl-super or my.yaml; several joined by commas.", autocompletion=completion.tasks
        ),
    ] = "",
    run: Annotated[Path | None, typer.Argument(help="Run folder of a pretrained model.")] = None,
    eval_data: Annotated[
        Path | None, typer.Option(help="Test on this store instead, on the classes that both have.")
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="Instead of a run: a method family, with one of the next two.", autocompletion=completion.methods
        ),
    ] = "",
    random_init: Annotated[bool, typer.Option("--random-init", help="Probe the untrained encoder.")] = False,
    scratch: Annotated[bool, typer.Option("--scratch", help="Train the encoder on the task's labels.")] = False,
    preset: PresetOption = "",
    config: ConfigOption = None,
    settings: SetOption = None,
    head: Annotated[str, typer.Option(help="What is put on the features.", autocompletion=completion.heads)] = "linear",
    leads: Annotated[
        str, typer.Option(help="Lead sets, a result each: 12,6,3,2,1, limb, I+II, all-single, random:3:20.")
    ] = "",
    prompts: Annotated[Path | None, typer.Option(help="For zero-shot: JSON file, class to prompt.")] = None,
    independent_queries: Annotated[
        bool, typer.Option("--independent-queries", help="For zero-shot: no class sees the others.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of --scratch.")] = None,
    fraction: Annotated[
        str, typer.Option(help="Shares of the training records in per cent, such as 1,10,100: a result each and draw.")
    ] = "",
    label_counts: Annotated[
        str, typer.Option(help="Numbers of labelled training records, such as 50,100,500: a result each and draw.")
    ] = "",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Draws, from --seed on; default: what the protocol has.")
    ] = None,
    protocol: Annotated[
        str,
        typer.Option(help="Whose choices; 'ecgkit plugins list' lists them.", autocompletion=completion.protocols),
    ] = "default",
    splits: Annotated[
        Path | None, typer.Option(help="Published split tables: their folder, or the part that their names share.")
    ] = None,
    label_set: Annotated[
        str, typer.Option(help="With --splits: exact for the store's codes, shipped for the tables' labels.")
    ] = "",
    task_settings: Annotated[
        list[str] | None, typer.Option("--task-set", help="One setting of the task, such as icd10.count_on=train.")
    ] = None,
    allow_overlap: Annotated[
        bool, typer.Option("--allow-overlap", help="Go on where pretraining saw test records; the result says so.")
    ] = False,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder of the result; default: below the run.")] = None,
    suite: Annotated[str, typer.Option(help="Instead: a grid of probes, from a YAML file or by name: six.")] = "",
    stores: Annotated[list[str] | None, typer.Option("--store", help="Of a suite: NAME=PATH, repeatable.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Of a suite: processes.")] = 1,
    cache: Annotated[Path | None, typer.Option(help="Folder of kept features; default: below the run.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no features, and use no kept ones.")] = False,
    layers: Annotated[str, typer.Option(help="Instead: study these layers of the encoder; all, or such as 3,6.")] = "",
    perturb: Annotated[
        str,
        typer.Option(
            help="Instead: disturb the test records: lead-shift=0,10,50ms, lead-off=0,1,3, noise=em,bw,ma:24,12,0dB."
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Judge an encoder by a task: a pretrained run, or a method without pretraining as its baseline.

    With a run, --set changes the head, such as gate=frozen; else head.gate=frozen does, and other keys the model.

    The encoder's own contract builds its input from any store. Settings are chosen on validation records; the test
    records are predicted once.
    """
    kept = None if no_cache else str(cache or "")
    if suite:
        run_suite_command(suite, run, stores or [], out, jobs=jobs, device=device, cache=kept, as_json=as_json)
        return
    where = _checked(data, task, epochs, scratch=scratch, elsewhere=eval_data is not None, study=layers or perturb)
    of_model, of_head = _share_settings(settings or [], has_run=run is not None)
    of_head += _zero_shot_settings(head, prompts, independent_queries)
    options = _options(
        head=head, seed=seed, epochs=epochs, device=device, head_settings=of_head, task_settings=task_settings or [],
        allow_overlap=allow_overlap, protocol=protocol, splits=str(splits or ""), label_set=label_set,
        eval_data=str(eval_data or ""),
    )  # fmt: skip
    plan = Plan(
        data=where,
        tasks=tuple(name.strip() for name in task.split(",")),
        leads=leads,
        model=_model(run, method, random_init, scratch, preset, config, of_model),
        options=options,
        amounts=parse_amounts(fraction or "100" * (seeds is not None and not label_counts), label_counts),
        seeds=seeds,
        out=out,
        cache=kept,
    )
    found = study(plan.only_case(), layers, perturb) if layers or perturb else run_plan(plan)
    if as_json:
        print_json(found)


def _checked(data: Path | None, task: str, epochs: int | None, *, scratch: bool, elsewhere: bool, study: str) -> Path:
    """Return the store, if options that stand together fit together.

    Raises:
        ConfigError: They do not.
    """
    from ecgkit.errors import ConfigError

    if data is None or not task:
        raise ConfigError("no --data STORE and --task TASK", "both, or --suite FILE")
    if epochs is not None and not scratch:
        raise ConfigError("--epochs without --scratch", "a training from scratch, for nothing else trains for epochs")
    if elsewhere and study:
        raise ConfigError("--eval-data with --layers or --perturb", "a study of one store")
    return data


def _options(**values: Any) -> "ProbeOptions":
    from ecgkit.config import build
    from ecgkit.evaluation.options import ProbeOptions

    return build(ProbeOptions, values, source="probe")


def _share_settings(settings: list[str], *, has_run: bool) -> tuple[list[str], list[str]]:
    """Part settings of the model from those of the head: ``head.KEY=VALUE``, and with a run, all."""
    of_head = [setting.removeprefix("head.") for setting in settings if has_run or setting.startswith("head.")]
    return ([] if has_run else [setting for setting in settings if not setting.startswith("head.")]), of_head


def _zero_shot_settings(head: str, prompts: Path | None, independent: bool) -> list[str]:
    from ecgkit.errors import ConfigError

    if (prompts or independent) and head != "zero-shot":
        raise ConfigError(f"--prompts or --independent-queries with --head {head}", "--head zero-shot")
    return [f"prompts={prompts}"] * bool(prompts) + ["independent=true"] * independent


def _model(
    run: Path | None, method: str, random_init: bool, scratch: bool, preset: str, config: Path | None, of: list[str]
) -> "ModelChoice":
    from ecgkit.errors import ConfigError
    from ecgkit.evaluation.case import ModelChoice

    if random_init and scratch:
        raise ConfigError("both --random-init and --scratch", "one of them")
    chosen: Literal["", "random-init", "scratch"] = "random-init" if random_init else "scratch" if scratch else ""
    model = ModelChoice(str(run or ""), method, chosen, preset, str(config or ""), tuple(of))
    model.check()
    return model


def parse_amounts(fractions: str, counts: str) -> "tuple[Amount, ...]":
    """Read shares in per cent and numbers of records, each joined by commas; ascending, each once.

    Raises:
        ConfigError: One is no number in its range.
    """
    from ecgkit.errors import ConfigError, TaskError
    from ecgkit.evaluation.draws import Amount

    try:
        shares = sorted({float(part) for part in fractions.split(",") if part.strip()})
        wanted = [Amount(share) for share in shares]
    except (ValueError, TaskError):
        expected = "shares in per cent above 0 and up to 100 joined by commas, such as 1,10,100"
        raise ConfigError(f"--fraction {fractions!r}", expected) from None
    parts = [part.strip() for part in counts.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"--label-counts {counts!r}", "whole numbers above 0 joined by commas, such as 50,100,500")
    return (*wanted, *(Amount(count=count) for count in sorted({int(part) for part in parts})))
