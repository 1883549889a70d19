"""``ecgkit explain``."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.given import given
from ecgkit.cli.render import (
    DeviceOption,
    JsonOption,
    SeedOption,
    next_is,
    print_facts,
    print_json,
    print_table,
    progress,
    say,
    say_choices,
)
from ecgkit.errors import ConfigError

if TYPE_CHECKING:
    from ecgkit.evaluation.analyses.explanation import Explanation, ExplanationSummary

WHICH, HOW = "Records", "Explanation"
OTHERS = 3  # leads that are named beside the lead itself
ALL = 0.995  # of the attention: what rounds to 100 %


def explain(
    result: Annotated[
        Path, typer.Argument(metavar="RESULT", help="Result folder of a probe.", autocompletion=completion.results)
    ],
    record: Annotated[
        str, typer.Option(rich_help_panel=WHICH, help="Id of the record. Without it, many records are explained.")
    ] = "",
    label: Annotated[
        str,
        typer.Option(
            "--class",
            metavar="<str>",
            rich_help_panel=HOW,
            help="Class or number to explain. Default, with --record: the most probable class.",
        ),
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=WHICH,
            help="Store of the records. Default: the only store in this folder.",
            autocompletion=completion.stores,
        ),
    ] = None,
    records: Annotated[
        int, typer.Option(min=2, rich_help_panel=WHICH, help="Without --record, largest number of records, drawn.")
    ] = 20,
    where: Annotated[
        str,
        typer.Option(
            rich_help_panel=WHICH,
            help="Without --record, statement that the records fulfil, such as 'AF and age > 60'. Default: all of fold "
            "10.",
        ),
    ] = "",
    entities: Annotated[
        str, typer.Option(rich_help_panel=WHICH, help="Extraction whose entities --where means. Default: the only one.")
    ] = "",
    by: Annotated[
        str,
        typer.Option(
            rich_help_panel=HOW,
            help="How the map is made: gradients (integrated gradients), occlusion, which works for every head, "
            "attention of a transformer through all its layers, or last-attention of its last layer.",
        ),
    ] = "gradients",
    out: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=HOW,
            help="PNG file: the record with its map, or a table of leads and parts of the beat for many records.",
        ),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(rich_help_panel=HOW, help="Run folder of the encoder, if it was moved.")
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Show which leads, moments and parts of the beat make the classifier of RESULT decide as it does.

    With --record one record is explained, and drawn with --out. Without it, one class is explained over many records.
    Two checks say whether the map means anything: deleting its top parts must lower the score more than deleting random
    parts, and a model with shuffled weights must give another map.
    """
    options = locals()
    if record:
        if where or entities:
            raise ConfigError("--where together with --record", remedy="Leave one of them out.")
        with progress() as watch:
            found = ecgkit.explain(**given(ecgkit.explain, options), progress=watch)
        say_choices()
        _show(found, out, as_json)
        next_is(f"ecgkit explain {result} --class {found.output}")
        return
    if not label:
        raise ConfigError("neither --record nor --class is given", "one record, or a class to explain over many")
    with progress() as watch:
        summary = ecgkit.explain_cohort(**given(ecgkit.explain_cohort, options), progress=watch)
    say_choices()
    _show_summary(summary, out, as_json)
    next_is(f"ecgkit explain {result} --record {summary.records[0]} --class {summary.output} --out explained.png")


def _show(found: "Explanation", out: Path | None, as_json: bool) -> None:
    check = found.check
    if as_json:
        print_json(
            {
                **{name: getattr(found, name) for name in ("record", "output", "way", "probability", "score", "flat")},
                "map_sum": float(found.values.sum()),
                "leads": _rows(found.leads, found.shares.sum(axis=1), found.without_lead, "lead"),
                "parts": _rows(found.parts, found.shares.sum(axis=0), found.without_part, "part"),
                "without": [
                    {"lead": lead, **dict(zip(found.parts, map(_number, line), strict=True))}
                    for lead, line in zip(found.leads, found.without.tolist(), strict=True)
                ],
                "between_leads": _named(found.leads, found.between),
                "gate": None if found.gate is None else dict(zip(found.leads, found.gate.tolist(), strict=True)),
                "checks": {**vars(check), "passed": check.passed},
            }
        )
        return
    chance = {} if found.probability is None else {"probability": f"{found.probability:.3f}"}
    print_facts(
        f"record {found.record}, {found.output}",
        {
            **chance,
            "score": f"{found.score:z.2f}; {found.flat:z.2f} for the same record without any wave",
            "map": _map_line(found),
            "top tenth deleted": f"the score falls by {check.fall:z.2f}",
            "random tenths": f"it falls by {check.random_fall:z.2f} (sd {check.random_sd:.2f})",
            "shuffled weights": _likeness(check.likeness, " (1 would be the same map)"),
        },
    )
    _tables(found)
    if found.between is not None:
        print_table("where each lead looks", _looks(found), numeric=["itself %"])
    if found.gate is not None:
        gate = [
            {"lead": lead, "weight": f"{weight:z.3f}"} for lead, weight in zip(found.leads, found.gate, strict=True)
        ]
        print_table("gate: weight of the channels of each lead, which mix leads", gate, numeric=["weight"])
    if not found.values.any():
        say("This map is empty: nothing that was hidden in the record changes the score.")
    elif not check.passed:
        say("The top parts of this map count for no more than random parts: do not read the map.")
    if out is not None:
        say(f"drew {out}")


def _likeness(value: float | None, meaning: str = "") -> str:
    return "this encoder has none" if value is None else f"likeness of the maps {value:z.2f}{meaning}"


def _map_line(found: "Explanation") -> str:
    total = found.values.sum()
    if not found.attends:
        return f"adds up to {total:z.2f} of this difference of {found.score - found.flat:z.2f}"
    rest = "; the rest on tokens that hold no samples, such as summaries" if total < ALL else ""
    return f"{100 * total:z.0f} % of the attention{rest}"


def _looks(found: "Explanation") -> list[dict[str, str]]:
    """Return one row per lead: the share of its attention that stays in the lead, and the leads that get most of it."""
    assert found.between is not None
    rows = []
    for i, lead in enumerate(found.leads):
        share = 100 * found.between[i] / max(found.between[i].sum(), 1e-12)
        others = sorted((j for j in range(len(found.leads)) if j != i), key=lambda j: -share[j])[:OTHERS]
        rows.append(
            {
                "lead": lead,
                "itself %": f"{share[i]:z.1f}",
                "most in other leads, %": ", ".join(f"{found.leads[j]} {share[j]:z.1f}" for j in others),
            }
        )
    return rows


def _named(leads: tuple[str, ...], between: Any) -> list[dict[str, Any]] | None:
    """Return one row per lead that looks, with the share of each lead that is looked at."""
    if between is None:
        return None
    return [
        {"lead": lead, **dict(zip(leads, line, strict=True))}
        for lead, line in zip(leads, between.tolist(), strict=True)
    ]


def _tables(found: "Explanation | ExplanationSummary") -> None:
    leads = _rows(found.leads, found.shares.sum(axis=1), found.without_lead, "lead")
    parts = _rows(found.parts, found.shares.sum(axis=0), found.without_part, "part")
    for name, title, rows in (("lead", "leads", leads), ("part", "parts of the beat", parts)):
        shown = [{name: r[name], "share %": f"{100 * r['share']:.1f}", "fall": _shown(r["fall"])} for r in rows]
        print_table(title, shown, numeric=["share %", "fall"])


def _rows(names: tuple[str, ...], shares: Any, falls: Any, kind: str) -> list[dict[str, Any]]:
    """Return one row per name, the one with the largest share first."""
    rows = zip(names, shares.tolist(), falls.tolist(), strict=True)
    found = [{kind: name, "share": share, "fall": _number(fall)} for name, share, fall in rows]
    return sorted(found, key=lambda row: -row["share"])


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:+z.2f}"


def _show_summary(summary: "ExplanationSummary", out: Path | None, as_json: bool) -> None:
    checks = {name: getattr(summary, name) for name in ("fall", "random_fall", "passed", "likeness")}
    if as_json:
        print_json(
            {
                "output": summary.output,
                "records": list(summary.records),
                "leads": _rows(summary.leads, summary.shares.sum(axis=1), summary.without_lead, "lead"),
                "parts": _rows(summary.parts, summary.shares.sum(axis=0), summary.without_part, "part"),
                "shares": [
                    {"lead": lead, **dict(zip(summary.parts, line, strict=True))}
                    for lead, line in zip(summary.leads, summary.shares.tolist(), strict=True)
                ],
                "checks": checks,
            }
        )
        return
    print_facts(
        f"{summary.output} over {len(summary.records)} records",
        {
            "top tenth deleted": f"the score falls by {summary.fall:z.2f}",
            "random tenths": f"it falls by {summary.random_fall:z.2f}",
            "maps that pass": f"{100 * summary.passed:.0f} %",
            "shuffled weights": _likeness(summary.likeness),
        },
    )
    _tables(summary)
    if out is not None:
        say(f"drew {out}")
