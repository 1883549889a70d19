"""The AUROC of a probe on each layer of an encoder, from the analyses beside a run's results.

RUN/probes/RESULT/row.json
RUN/analyses/TASK-layers-.../layers.csv    layer, val_auroc, test_auroc, and other columns
"""

from pathlib import Path

import pandas as pd

from ecgkit.errors import ResultsError
from ecgkit.reporting.elements.section import Figure, Plot, Point, Rows, Section, Series, Table

LAYERS = "layers.csv"
NEEDED = ("layer", "val_auroc", "test_auroc")
NOTE = "Choose the layer by the validation curve. The test curve is only for comparison."


def layers_section(rows: Rows) -> Section | None:
    """Return one figure for each analysis of layers found beside the runs of the rows, or None."""
    runs: dict[Path, str] = {}
    for path, row in rows:
        if len(path.parents) > 2:
            runs.setdefault(path.parents[2], row.run)
    files = [
        (run, file) for folder, run in runs.items() for file in sorted(folder.glob(f"analyses/*-layers-*/{LAYERS}"))
    ]
    figures = tuple(_figure(run, file) for run, file in files)
    return Section("Layers", figures, NOTE) if figures else None


def _figure(run: str, file: Path) -> Figure:
    table = _read(file)
    title = f"{run}: macro AUROC × 100 of a linear probe by layer ({file.parent.name})"
    series = []
    for name, column in (("val", "val_auroc"), ("test", "test_auroc")):
        pairs = zip(table["layer"].tolist(), table[column].tolist(), strict=True)
        points = tuple(Point(float(x), 100 * y if y == y else None) for x, y in pairs)
        series.append(Series(name, points, "solid" if name == "val" else "dashed"))
    best = table["val_auroc"].max()
    chosen = "" if best != best else f"; highest on val in layer {table['layer'][table['val_auroc'].argmax()]:g}"
    lines = tuple(tuple(None if cell != cell else cell for cell in line) for line in table.itertuples(index=False))
    return Figure(
        title,
        f"{title}{chosen}",
        Plot("layer", "macro AUROC × 100", tuple(series), whole_x=True),
        Table(tuple(map(str, table.columns)), lines),
    )


def _read(file: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(file)
        return table.astype(dict.fromkeys(NEEDED, float))
    except (OSError, ValueError, KeyError) as error:
        cause = str(error).splitlines()[0][:120]
        raise ResultsError(f"{file} cannot be read ({cause})", f"a CSV table with {', '.join(NEEDED)}") from None
