"""``ecgkit inspect RUN --attention``: where a model looks in a record, and which leads matter to which class."""

from pathlib import Path

from ecgkit.cli.render import plain, print_json, print_table, progress, say
from ecgkit.wording import percent


def show_attention(run: Path, data: Path | None, record: str, task: str, out: Path | None, as_json: bool) -> None:
    """Draw one record with --record, or measure what leads are worth over a task's test records with --task."""
    from ecgkit.errors import ConfigError

    if data is None or bool(record) == bool(task):
        raise ConfigError("--attention", "--data STORE, with --record ID for a picture or --task NAME for a table")
    if record:
        _draw(run, data, record, out, as_json)
    else:
        _measure(run, data, task, as_json)


def _draw(run: Path, data: Path, record: str, out: Path | None, as_json: bool) -> None:
    from ecgkit.atomic import check_suffix
    from ecgkit.errors import ConfigError
    from ecgkit.evaluation.features.encoder import pretrained_encoder
    from ecgkit.evaluation.studies.attention import record_attention
    from ecgkit.reporting.pictures.attention import plot_attention
    from ecgkit.store.reader import Store

    if out is None and not as_json:
        raise ConfigError("--attention --record without --out", "the picture to write, such as attention.png")
    if out is not None:
        check_suffix(out, ".png")
    store = Store(data)
    encoder = pretrained_encoder(run)
    found = record_attention(encoder, store, record)
    if out is not None:
        plot_attention(found, out, title=f"{encoder.name} on {store.name}, record {record}")
    rows = [
        {"lead": lead, **{name: float(values[i]) for name, values in (("without", found.without), ("gate", found.gate))
                          if values is not None}}
        for i, lead in enumerate(found.leads)
    ]  # fmt: skip
    if as_json:
        print_json({"record": record, "class": found.label, "probability": found.probability, "leads": rows,
                    "attention": plain(found.over_time)})  # fmt: skip
    else:
        say(f"drew {out}; most likely class: {found.label or 'the model has none'}")


def _measure(run: Path, data: Path, task: str, as_json: bool) -> None:
    from ecgkit.evaluation.features.encoder import EncoderChoice
    from ecgkit.evaluation.probe.probe import Probe
    from ecgkit.evaluation.probe.request import ProbeRequest
    from ecgkit.evaluation.studies.attention import lead_worth

    with progress() as watch:
        probe = Probe(ProbeRequest(str(data), task, EncoderChoice(run=str(run)), head="own"), progress=watch)
        worth = lead_worth(probe)
    if as_json:
        print_json({"classes": worth.classes, "leads": worth.leads, "auroc": worth.auroc, "drop": worth.drop})
        return
    rows = []
    for label, auroc, drop in zip(worth.classes, worth.auroc, worth.drop, strict=True):
        if auroc == auroc:
            order = (-drop).argsort(kind="stable")
            falls = ", ".join(f"{worth.leads[i]} {100 * drop[i]:+.1f}" for i in order)
            rows.append({"class": label, "AUROC": percent(auroc), "fall without": falls})
    title = f"{probe.data.task.title}: fall of AUROC x 100 without a lead, {worth.records} test records"
    print_table(title, rows, numeric=["AUROC"])
    if len(rows) < len(worth.classes):
        say(f"{len(worth.classes) - len(rows)} classes lack positives or negatives")
