"""Families that only encode: published weights are imported, or the encoder is trained on labels from the start."""

from typing import Any, NoReturn

from ecgkit.entries import MethodEntry
from ecgkit.errors import RunError
from ecgkit.methods.batch import Batch, Clock
from ecgkit.methods.encoder import Encoder
from ecgkit.methods.features import Losses
from ecgkit.methods.method import Method


class EncoderOnly(Method):
    """A method that is an encoder alone, without a pretraining. Its entry says ``pretrains=False``.

    A family makes it by a subclass whose constructor passes the encoder on.

    Args:
        config: The family's config.
        encoder: The encoder.
    """

    def __init__(self, config: Any, encoder: Encoder) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder

    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Refuse: there is no loss.

        Raises:
            RunError: Always.
        """
        raise RunError(f"{type(self).__name__} only encodes: it has no training step")


def refuse_pretraining(entry: MethodEntry) -> NoReturn:
    """Raise the error for the pretraining of a family that only encodes.

    Raises:
        RunError: Always; its text names the commands that do work.
    """
    own = f"Import its published weights: ecgkit import-weights FILE --method {entry.name} --out RUN, or train it"
    raise RunError(
        f"method {entry.name} only encodes: it has no pretraining here",
        remedy=f"{own if entry.importer else 'Train it'} on labels: "
        f"ecgkit probe --method {entry.name} --scratch --data STORE --task TASK",
    )
