"""What ``ecgkit extract-knowledge audit --score`` prints."""

from typing import TYPE_CHECKING

from ecgkit.cli.render import print_table, say, warn

if TYPE_CHECKING:
    from ecgkit.knowledge.scoring import EntityScore, Scores


def show_scores(scores: "Scores", with_errors: bool) -> None:
    """Print the scores of each entity and of all together, and the errors if wanted."""
    if scores.open_rows:
        warn(f"{scores.open_rows} rows have no verdict and are left out")
    rows = [_row(row) for row in (scores.total, *scores.rows)]
    print_table(f"{scores.texts} texts", rows, numeric=["stated", "found", "precision", "recall"])
    counted = f"{scores.counted} entities that {scores.least} texts or more state"
    if scores.macro_f1 is None or scores.macro_interval is None:
        say(f"no macro F1: no entity is stated in {scores.least} texts")
    else:
        low, high = scores.macro_interval
        say(f"macro F1 {scores.macro_f1:.3f} (95 % interval {low:.3f} to {high:.3f}) over the {counted}")
    if with_errors:
        print_table("Errors", [_error(j.record, j.entity, j.found, j.stated, j.error) for j in scores.errors])


def _row(row: "EntityScore") -> dict[str, object]:
    low, high = row.f1_interval
    kinds = {"missed": row.missed, "not stated": row.not_stated, "wrong polarity": row.wrong_polarity}
    return {
        "entity": row.entity,
        "stated": row.stated,
        "found": row.found,
        "precision": _share(row.precision),
        "recall": _share(row.recall),
        "F1 (95 % interval)": f"{row.f1:.2f} ({low:.2f} to {high:.2f})",
        "errors": ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count),
    }


def _error(record: str, entity: str, found: str | None, stated: str | None, kind: str | None) -> dict[str, object]:
    return {"record": record, "entity": entity, "found": found or "-", "stated": stated or "-", "error": kind}


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
