"""A probe while a model is being pretrained, so that a collapse shows early.

It is fitted on a task's training part and scored on its validation part; the test part is not touched. Its strength is
chosen on the same validation part, so the number is for watching alone.
"""

import numpy as np

from ecgkit.entries import HeadEntry, TaskEntry
from ecgkit.evaluation.features.extract import extract
from ecgkit.evaluation.heads.base import Head, Part
from ecgkit.evaluation.results.row import finite
from ecgkit.evaluation.scores.metrics import macro_auroc
from ecgkit.methods import Method
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.tasks.data import task_data
from ecgkit.tasks.loading import load_task
from ecgkit.training.supply import open_supplies


class OnlineProbe:
    """Gives ``probe_macro_auroc`` of a model on a task; made to be a `ecgkit.training.options.Watcher.measure`.

    Args:
        task: The task.
        head: A head on frozen features.
        store: The data, with the task's labels.
        spec: The model's input.
        seed: Of the head.

    Raises:
        TaskError: The store lacks the task's labels.
        LeadError: The store lacks the model's leads.
    """

    def __init__(self, task: TaskEntry, head: HeadEntry, store: Store, spec: SignalSpec, *, seed: int = 0) -> None:
        self.head, self.store, self.seed = head, store, seed
        self.view = open_view(store, spec)
        self.data = task_data(load_task(task), task.name, store, self.view.usable)

    def __call__(self, epoch: int, method: Method) -> dict[str, float | None]:
        """Fit the head on this epoch's features and score it."""
        encoder = method.encoder
        parts = [self.data.parts[name] for name in ("train", "val")]
        rows = self.data.rows[np.concatenate(parts)]
        supplies = open_supplies(encoder.needs, self.store, self.view)
        features = extract(encoder, self.view, rows, self.head.needs, supplies=supplies)
        n = len(parts[0])
        train, val = (
            Part(features.take(at), self.data.targets[part])
            for at, part in zip((np.arange(n), np.arange(n, len(rows))), parts, strict=True)
        )
        head: Head = self.head.load()(seed=self.seed)
        head.fit(train, val)
        return {"probe_macro_auroc": finite(macro_auroc(val.targets, head.predict(val.features)))}
