"""An encoder: signals to features."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from ecgkit.errors import RunError
from ecgkit.methods.batch import Batch
from ecgkit.methods.features import AttentionMap, Features


class Encoder(nn.Module, ABC):
    """Signals to features; `width` is D.

    `needs` names what the encoder reads besides the signal (such as ``beats``), wherever it is used: the loader then
    puts it into every batch, and `encode` hands it to `forward` as a keyword argument. `classes` names the classes of
    an encoder with a classifier of its own. `fill` says what stands in for a lead that is not given, such as ``zeros``,
    where the encoder cannot do without; a result says so too. `padding` says what the samples behind the end of a
    record count as, such as ``zeros``, where the encoder does not leave them out.
    """

    width: int
    needs: ClassVar[tuple[str, ...]] = ()
    classes: tuple[str, ...] = ()
    fill: ClassVar[str] = ""
    padding: ClassVar[str] = ""

    @abstractmethod
    def forward(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Features:
        """Encode records.

        Args:
            signal: ``[B, L, T]``, any number of leads in any order.
            lead_ids: ``[L]``, which leads these are.
            lengths: ``[B]``, how many samples are real; the zeros that follow should change nothing. None if all
                are.
            args: Not used; with `kwargs` it lets an encoder spell out its own needs.
            kwargs: What `needs` names, as `Batch.extra` holds it.
        """

    def encode(self, batch: "Batch") -> Features:
        """Encode a batch with all that this encoder needs of it."""
        extra = {need: batch.extra[need] for need in self.needs}
        features: Features = self(batch.signal, batch.lead_ids, batch.lengths, **extra)
        return features

    def block_tokens(self, x: Tensor, tokens: int) -> Tensor:
        """Pick, from what a block gives, the tokens that `Features.tokens` is made of, in that order.

        Args:
            x: ``[B, M, D]``, with tokens of other kinds such as summaries or separators.
            tokens: N, how many `Features.tokens` has.

        Returns:
            ``[B, N, D]``; by default the last N.
        """
        return x[:, x.shape[1] - tokens :]

    def stages(self) -> list[list[nn.Module]]:
        """Return the encoder's parts from the first block to the output, for learning rates that decay with depth.

        Parts that stand side by side are of one stage. What is in none, such as embeddings, comes before the first.

        Returns:
            By default one stage a module in ``blocks`` and a last one of ``norm``, as far as the encoder has them;
            nothing for an encoder without ``blocks``, whose parts then all count alike.
        """
        blocks, norm = getattr(self, "blocks", ()), getattr(self, "norm", None)
        return [*([block] for block in blocks), [] if norm is None else [norm]] if len(blocks) else []

    def attention_map(self, batch: "Batch") -> AttentionMap:
        """Return where the encoder looks in a batch, for encoders that can say; others leave this out.

        Raises:
            RunError: The encoder has no such weights.
        """
        raise RunError(f"{type(self).__name__} tells no attention over time", "an encoder that does")
