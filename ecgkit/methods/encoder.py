"""The interface of encoders, which turn signals into features."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from ecgkit.errors import RunError
from ecgkit.methods.batch import Batch
from ecgkit.methods.features import Features
from ecgkit.methods.layout import TokenLayout, patch_layout


class Encoder(nn.Module, ABC):
    """An encoder of signals into features; `width` is D.

    `needs` names the supplies that the encoder reads besides the signal, such as ``beats``. Wherever the encoder is
    used, the loader puts them into every batch, and `encode` passes them to `forward` as keyword arguments. `classes`
    names the classes of an encoder that has its own classifier. `fill` says what replaces a lead that is not given,
    such as ``zeros``, if the encoder needs all leads; result rows state it. `padding` says how samples after the end of
    a record are treated, such as ``zeros``, if the encoder does not leave them out.

    `settings` holds everything besides the weights, the class and the contract that the features depend on, by name.
    Methods that share an encoder then share its features too. None stands for the whole config of the method.
    """

    width: int
    needs: ClassVar[tuple[str, ...]] = ()
    classes: tuple[str, ...] = ()
    fill: ClassVar[str] = ""
    padding: ClassVar[str] = ""
    settings: Mapping[str, Any] | None = None

    @abstractmethod
    def forward(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Features:
        """Encode records.

        Args:
            signal: ``[B, L, T]``, with any number of leads in any order.
            lead_ids: ``[L]``, index of each lead in the standard order.
            lengths: ``[B]``, number of real samples of each record. The zeros after them should change nothing. None if
                all samples are real.
            args: Not used; with `kwargs` it lets an encoder name its own needs as parameters.
            kwargs: The supplies that `needs` names, as `Batch.extra` holds them.
        """

    def encode(self, batch: "Batch") -> Features:
        """Encode a batch, with all supplies that this encoder needs."""
        extra = {need: batch.extra[need] for need in self.needs}
        features: Features = self(batch.signal, batch.lead_ids, batch.lengths, **extra)
        return features

    def block_tokens(self, x: Tensor, tokens: int) -> Tensor:
        """Pick, from the output of a block, the tokens that `Features.tokens` consists of, in that order.

        Args:
            x: ``[B, M, D]``, including tokens of other kinds such as summaries or separators.
            tokens: N, the number of tokens in `Features.tokens`.

        Returns:
            ``[B, N, D]``; by default the last N.
        """
        return x[:, x.shape[1] - tokens :]

    def stages(self) -> list[list[nn.Module]]:
        """Return the encoder's parts from the first block to the output, for learning rates that decay with depth.

        Parts that run side by side belong to one stage. Parts in no stage, such as embeddings, count as before the
        first.

        Returns:
            By default one stage per module in ``blocks`` and a last stage with ``norm``, as far as the encoder has
            them. An encoder without ``blocks`` has no stages, and all its parts get the same learning rate.
        """
        blocks, norm = getattr(self, "blocks", ()), getattr(self, "norm", None)
        return [*([block] for block in blocks), [] if norm is None else [norm]] if len(blocks) else []

    def token_layout(self, batch: "Batch", features: Features) -> TokenLayout:
        """Return which leads and samples the tokens of the attention layers hold, for a batch of one record.

        By default the layers read `Features.tokens` and nothing else, the tokens cut each lead (or all leads together,
        without `Features.token_leads`) into pieces of one length, and the record is the mean of its real tokens. An
        encoder with other tokens, such as summaries, overrides this.

        Args:
            batch: One record.
            features: The encoder's output for it.

        Raises:
            RunError: The tokens do not cut the signal evenly.
        """
        if features.tokens is None:
            raise RunError(f"encoder {type(self).__name__} does not say which samples its tokens hold (token_layout)")
        tokens, (_, L, T) = features.tokens.shape[1], batch.signal.shape
        rows = 1 if features.token_leads is None else L
        if tokens % rows or T % (tokens // rows):
            raise RunError(
                f"the {tokens} tokens of encoder {type(self).__name__} do not cut {T} samples evenly",
                remedy="The encoder must say which samples they hold, by token_layout.",
            )
        step = T * rows // tokens
        real = None if features.token_real is None else features.token_real[0]
        return patch_layout(L, tokens // rows, step, by_lead=rows == L and features.token_leads is not None, real=real)

    def lead_gate(self, batch: "Batch") -> Tensor | None:
        """Return the weight that each class gives to the channels made from each of the batch's leads, ``[B, C, L]``.

        None, as by default, if the encoder has no such gate. These channels may already mix in other leads.
        """
        return None
