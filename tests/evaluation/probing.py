"""One probe in one call, for tests that hand the encoder in."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit

from ecgkit.evaluation.features.encoder import ProbedEncoder
from ecgkit.evaluation.features.extract import extract
from ecgkit.evaluation.probe.classifier import Classifier, open_classifier
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.results.predictions import predictions_of
from ecgkit.evaluation.results.row import ROW, ResultRow, load_row
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.training.supply import open_supplies


def check_predicts_again(folder: Path, store: Path) -> Classifier:
    """Open the classifier of a result and compare what it predicts with what the probe wrote."""
    written, opened = predictions_of(folder / ROW, load_row(folder / ROW)), Store(store)
    classifier = open_classifier(folder)
    assert classifier.kept.names == written.names
    view = classifier.given(open_view(opened, classifier.kept.signal))
    rows = np.array([opened.row(record) for record in written.records])
    supplies = open_supplies(classifier.reader.needs, opened, view)
    features = extract(classifier.reader, view, rows, classifier.needs, supplies=supplies)
    again = classifier.predict(features)
    tensors = replace(features, fields={name: torch.from_numpy(values) for name, values in features.fields.items()})
    logits = classifier.logits(tensors)
    if logits is not None:  # what is explained is what is predicted
        known = logits.detach().double().numpy()
        same = expit(known) if classifier.kept.kind == "classes" else known
        np.testing.assert_allclose(same, again, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(again, written.predicted, rtol=0, atol=1e-6 * max(1, np.abs(written.predicted).max()))
    return classifier


def probe(
    encoder: ProbedEncoder, store: Store | Path, task: str, out: Path, head: str = "linear", **options: object
) -> ResultRow:
    data = str(store.path if isinstance(store, Store) else store)
    return Probe(ProbeRequest(data, task, head=head, **options), encoder).run(out)
