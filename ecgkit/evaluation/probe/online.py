"""A probe that runs during pretraining, so that a collapse of the features shows early.

The head is fitted on a task's training part and scored on its validation part; the test part is not touched. Its
settings are chosen on the same validation part, so the number is only for monitoring.
"""

from typing import Any

import numpy as np

from ecgkit.entries import MethodEntry
from ecgkit.evaluation.features.encoder import ProbedEncoder
from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.probe.probe import Probe, refuse_regression
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.results.row import finite
from ecgkit.evaluation.scores.metrics import macro_auroc
from ecgkit.methods import Method


class OnlineProbe:
    """Measures ``probe_macro_auroc`` of a method on a task; serves as `ecgkit.training.options.Watcher.measure`.

    Args:
        request: The store with the task's labels, the task, the head and the seed; the request's encoder is not used.
        entry: The method family that is trained.
        config: Its config.

    Raises:
        TaskError: The store lacks the task's labels.
        LeadError: The store lacks the method's leads.
        RunError: The task is a regression, or the head does not fit.
    """

    def __init__(self, request: ProbeRequest, entry: MethodEntry, config: Any) -> None:
        training = ProbedEncoder(entry.name, entry, "", config, "in training", None, "")
        self.probe = Probe(request, training)
        refuse_regression(self.probe, "a probe during pretraining")

    def __call__(self, epoch: int, method: Method) -> dict[str, float | None]:
        """Fit the head on this epoch's features and score it."""
        probe = self.probe.with_encoder(method.encoder)
        data, opened = probe.data, probe.opened
        parts = [data.parts[name] for name in ("train", "val")]
        features = probe.extract(opened.store, opened.view, data.rows[np.concatenate(parts)])
        places = np.split(np.arange(len(features)), [len(parts[0])])
        train, val = (Part(features.take(at), data.targets[part]) for at, part in zip(places, parts, strict=True))
        head = probe.build_head(probe.request.seed)
        head.fit(train, val)
        return {"probe_macro_auroc": finite(macro_auroc(val.targets, head.predict(val.features)))}
