"""Zero-shot: predicts classes from their names or from prompts, without training on a task's labels.

The method scores each class itself (`ecgkit.methods.ZeroShot`). K-MERL (arXiv 2502.17900) queries with the class name;
MERL (arXiv 2403.06659) uses the similarity of ECG and prompt. Labels are only used to choose the thresholds of F1 on
the validation set.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgkit.errors import ConfigError, RunError
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Arrays, Head, Part
from ecgkit.evaluation.heads.layers import LogOdds
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.statements import clean
from ecgkit.methods import Batch, Encoder, Features, Method, TokenLayout, ZeroShot
from ecgkit.tasks.task import Task


@dataclass(frozen=True)
class ZeroShotConfig:
    """Settings of the head.

    Args:
        prompts: JSON file that maps labels or class names to prompts; None uses the class names.
        independent: Score each class without the other classes.
    """

    prompts: Path | None = None
    independent: bool = False


class ClassScorer(Encoder):
    """Wraps a method as an encoder whose pooled features are class scores, so that scores are averaged over crops.

    Args:
        method: A method that is a `ZeroShot`.
        vectors: ``[C, ...]``, what the method made of C class names or prompts.
        independent: Score each class on its own; see `ZeroShotConfig`.
    """

    vectors: Tensor

    def __init__(self, method: Method, vectors: Tensor, *, independent: bool = False) -> None:
        super().__init__()
        self.method = method.eval()
        self.width = len(vectors)
        self.independent = independent
        self.needs = method.encoder.needs  # type: ignore[misc]  # of the encoder at hand, not of a class
        self.fill = method.encoder.fill  # type: ignore[misc]
        self.register_buffer("vectors", vectors, persistent=False)

    def encode(self, batch: Batch) -> Features:
        """Return the scores ``[B, C]`` as pooled features."""
        method: Any = self.method
        return Features(pooled=method.class_scores(batch, self.vectors, independent=self.independent))

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        """Encode signals alone; see `Encoder.forward`."""
        rows = torch.arange(len(signal), device=signal.device)
        return self.encode(Batch(signal, lead_ids, rows, lengths))

    def token_layout(self, batch: Batch, features: Features) -> TokenLayout:
        """Return the layout of the method; see `Method.class_layout`."""
        method: Any = self.method
        layout: TokenLayout = method.class_layout(batch, features, self.vectors)
        return layout


class ZeroShotHead(Head):
    """Zero-shot classification as a head; see the module.

    Args:
        seed: Not used; nothing is random.
        device: Not used; the method computes on its own device.
        config: Settings of the head; see `ZeroShotConfig`.
    """

    config: ZeroShotConfig
    settings = ZeroShotConfig
    no_export = "the whole method scores the classes, not a head on features"
    _vectors: Tensor | None = None

    def reader(self, method: Method, task: Task | None, owner: str) -> ClassScorer:
        """Return the encoder that gives the scores of the task's classes.

        Args:
            method: The whole method, with its weights.
            task: The task; its class names are scored. None for a restored head, which asks as it was fitted.
            owner: Name of the method for error messages.

        Raises:
            RunError: The method cannot score classes by name.
            ConfigError: The prompts cannot be read or lack a class.
        """
        if not isinstance(method, ZeroShot):
            raise RunError(f"{owner} scores no classes by their names", "a method with zero-shot classification")
        if task is not None:
            names = {label: entry.name for label, entry in task.labels.items()}
            self.seen = seen_as(names, tuple(method.trained_names()))
            texts = tuple(names.values()) if self.config.prompts is None else read_prompts(self.config.prompts, names)
            self._vectors = method.class_vectors(texts).detach()
        assert self._vectors is not None, "a head without a task was restored"
        return ClassScorer(method, self._vectors, independent=self.config.independent)

    def fit(self, train: Part, val: Part) -> None:
        """Do nothing, because zero-shot classification uses no labels of the task."""

    def predict(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return scores ``[R, C]`` in [0, 1]."""
        return features["pooled"].astype(np.float64)

    def module(self) -> tuple[nn.Module, tuple[str, ...]]:
        """Return the log-odds of the scores."""
        return LogOdds(), ("pooled",)

    def state(self) -> Arrays:
        """Return what the method made of the class names or prompts."""
        assert self._vectors is not None, "the encoder that `reader` returns gave the features"
        return {"vectors": self._vectors.cpu().numpy()}

    def restore(self, state: Arrays, like: Part) -> None:
        """Become the head that a state describes. `reader` then needs no names."""
        self._vectors = torch.from_numpy(state["vectors"])

    def choices(self) -> dict[str, Any]:
        """Return how the classes were queried, for the protocol card."""
        asked = "class names" if self.config.prompts is None else f"prompts of {self.config.prompts.name}"
        return {
            "zero-shot": f"by {asked}; no label of the task was trained on",
            "queries": "each apart from the others" if self.config.independent else "together",
        }


def read_prompts(path: Path, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the prompt of every class, looked up by its label, then by its name.

    Raises:
        ConfigError: The file cannot be read, or lacks a class.
    """
    expected = "a JSON object from label or class name to prompt"
    try:
        prompts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"--prompts {path} cannot be read ({str(error)[:120]})", expected) from None
    if not isinstance(prompts, dict) or not all(isinstance(text, str) for text in prompts.values()):
        raise ConfigError(f"--prompts {path} holds something else", expected)
    missing = [label for label, name in names.items() if label not in prompts and name not in prompts]
    if missing:
        raise ConfigError(f"--prompts {path} lacks {', '.join(missing)}", "a prompt for every class of the task")
    return tuple(prompts[label if label in prompts else name] for label, name in names.items())


def seen_as(names: Mapping[str, str], trained: tuple[str, ...]) -> dict[str, str]:
    """Return, for each label, the name with which the model was trained on the class; empty for an unseen class.

    Names match regardless of case and hyphens. Otherwise the first entity that the lexicon finds in the name is used.
    """
    known = {_plain(name): name for name in trained}
    lexicon = LexiconBackend()

    def entity(name: str) -> str:
        read = (mention.name for mention in lexicon.read_text(clean(name)))
        return next((known[plain] for plain in map(_plain, (name, *read)) if plain in known), "")

    return {label: entity(name) for label, name in names.items()}


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("-", " ").split())
