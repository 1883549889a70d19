"""``ecgkit inspect RUN``: what a trained model does with a record."""

from pathlib import Path

from ecgkit.cli.render import say
from ecgkit.wording import percent


def reconstruct(run: Path, data: Path | None, record: str, out: Path | None) -> None:
    """Draw what a masked model rebuilds of a record."""
    from ecgkit.atomic import check_suffix
    from ecgkit.errors import ConfigError
    from ecgkit.evaluation.studies.reconstruction import rebuild_record
    from ecgkit.reporting.pictures.reconstruction import plot_reconstruction
    from ecgkit.store.reader import Store
    from ecgkit.training.run import open_run

    if data is None or out is None:
        raise ConfigError(f"--reconstruct without {'--data' if data is None else '--out'}", "a store and a PNG to draw")
    check_suffix(out, ".png")
    opened = open_run(run)
    rebuilt = rebuild_record(opened, Store(data), record)
    plot_reconstruction(rebuilt, out, title=f"{run.resolve().name} ({opened.entry.name}) rebuilds hidden parts")
    say(
        f"drew {out}: record {rebuilt.record}, {percent(rebuilt.hidden_share, 0)} % hidden, "
        f"mean squared error {rebuilt.error:.3f}"
    )
