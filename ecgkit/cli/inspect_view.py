"""Printed output of ``ecgkit inspect``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgkit.cli.render import plain, print_facts, print_table, say
from ecgkit.wording import percent

if TYPE_CHECKING:
    import pandas as pd

    from ecgkit.api.inspect import QualityCounts, RecordDetails
    from ecgkit.cohort.find import Cohort
    from ecgkit.evaluation.analyses.reconstruction import Rebuilt
    from ecgkit.store.summary import FlagCount, Overlap, StoreSummary

SHOWN = 20


def show_store(name: str, summary: "StoreSummary", ledger: "pd.DataFrame") -> None:
    """Print a store: counts, the most frequent labels, and the first rejected records."""
    print_facts(name, _lines(summary))
    labels = list(summary.labels.items())
    if labels:
        rows = [{"code": code, "records": n} for code, n in labels[:SHOWN]]
        rest = f", {SHOWN} most frequent" if len(labels) > SHOWN else ""
        print_table(f"{len(labels)} labels ({summary.code_system}){rest}", rows, numeric=["records"])
    if len(ledger):
        columns = [ledger[column].head(SHOWN).tolist() for column in ("record_id", "stage", "reason")]
        rejected = [
            {"record": record, "stage": stage, "reason": reason} for record, stage, reason in zip(*columns, strict=True)
        ]
        print_table(f"Ledger: {len(ledger)} rejected records", rejected)
        if len(ledger) > SHOWN:
            say(f"... and {len(ledger) - SHOWN} more in {name}/ledger.parquet")


def show_cohort(name: str, cohort: "Cohort") -> None:
    """Print what a statement means, how many records it is true of, and the first of them."""
    facts = {
        **{term: meaning for term, meaning in cohort.meanings.items() if not meaning.endswith(f" {term}")},
        **({"entities": cohort.extraction} if cohort.extraction else {}),
        "records": f"{len(cohort)} of {cohort.records}",
        "patients": f"{cohort.patients}" if cohort.patients else "ids unknown" if len(cohort) else "0",
        "records per fold": ", ".join(f"{fold}: {n}" for fold, n in cohort.folds.items()) or "none",
        "neither true nor false": f"{cohort.unknown}: the report is unsure or was not read, or a value is missing",
    }
    if not cohort.unknown:
        facts["neither true nor false"] = "0"
    print_facts(f"{name}: {cohort.statement}", facts)
    if len(cohort):
        rows = [{str(k): v for k, v in row.items()} for row in cohort.table.head(SHOWN).to_dict("records")]
        more = f", the first {SHOWN}" if len(cohort) > SHOWN else ""
        print_table(f"Records{more}", rows, numeric=["fold"])


def _lines(summary: "StoreSummary") -> dict[str, str]:
    low, high = summary.seconds
    lines = {
        "made from": summary.dataset,
        "records": f"{summary.records}",
        "patients": f"{summary.patients}" if summary.patients else "ids unknown",
        "leads": _counts(summary.leads, summary.records),
        "derived from I and II": _counts(summary.derived, summary.records) or "none",
        "rate (Hz)": _counts(summary.rates, summary.records),
        "length (s)": f"{low:g}" if low == high else f"{low:g} to {high:g}",
        "unit": _counts(summary.units, summary.records),
        "records per fold": ", ".join(f"{fold}: {n}" for fold, n in summary.folds.items()),
        "with report": f"{summary.reports}",
        "with reference R peaks": f"{summary.rpeaks}",
        "quality flags": _counts(summary.flags, -1) or "none",
        "duplicate waveforms": f"{summary.duplicates}",
        "rejected (ledger)": _counts(summary.rejected, -1) or "none",
        "content sha256": summary.sha256,
    }
    if "NU" in summary.units:
        lines["unit"] += " (NU: the source gives no unit; the amplitudes are not in mV)"
    if summary.clipped:
        lines["clipped"] = f"{summary.clipped} records with samples beyond what can be stored"
    if summary.rescaled:
        lines["rescaled"] = f"{summary.rescaled} records with a lead in steps of its own instead of 1 uV"
    if summary.offset:
        lines["offset"] = f"{summary.offset} records with a lead that has an offset of its own"
    return lines


def _counts(counts: dict[str, int], total: int) -> str:
    """Join names; a name that not every record has is followed by its count."""
    return ", ".join(name if n == total else f"{name} ({n})" for name, n in counts.items())


def show_quality(name: str, counts: "QualityCounts") -> None:
    """Print the number of records with each quality flag, then the meaning of the flags."""
    rows = [_quality_row(count, counts.records) for count in counts.flags]
    print_table(f"{name}: quality of {counts.records} records", rows, numeric=["records", "share"])
    print_facts("Meaning of the flags", {count.flag: count.meaning for count in counts.flags})


def _quality_row(count: "FlagCount", records: int) -> dict[str, Any]:
    return {
        "flag": count.flag,
        "records": count.records,
        "share": f"{percent(count.records / records)} %" if records else "",
        "leads": ", ".join(f"{lead} ({n})" for lead, n in count.leads.items()),
    }


def show_overlap(first: str, second: str, both: "Overlap") -> None:
    """Print the records and patients that two stores share."""
    ids = f"{len(both.patients)} ({both.records[0]} and {both.records[1]} records)"
    print_facts(
        f"{first} and {second}",
        {
            "same waveform": f"{len(both.waveforms)} pairs of records",
            "same patient": ids if both.comparable else "unknown: the stores come from different datasets",
        },
    )
    if both.waveforms:
        shown = [{first: a, f"{second} ": b} for a, b in both.waveforms[:SHOWN]]
        rest = f", the first {SHOWN}" if len(both.waveforms) > SHOWN else ""
        print_table(f"Same waveform{rest}", shown)
    if both.patients:
        more = f" and {len(both.patients) - SHOWN} more" if len(both.patients) > SHOWN else ""
        say(f"Patients in both: {', '.join(both.patients[:SHOWN])}{more}")


def show_record(title: str, details: "RecordDetails") -> None:
    """Print the metadata of a record."""
    values = {name: plain(value) for name, value in details.values.items()}
    print_facts(title, {name: _cell(value) for name, value in values.items() if value is not None})


def _cell(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def show_reconstruction(out: Path, rebuilt: "Rebuilt") -> None:
    """Print the reconstruction error of a record."""
    say(f"drew {out}: record {rebuilt.record}")
    say(f"{percent(rebuilt.hidden_share, 0)} % hidden, mean squared error {rebuilt.error:.3f}")
