"""Language models in the Hugging Face format, from a local folder or a hub id; MedCPT is one of them.

Jin et al., MedCPT, arXiv 2307.00589 (ncbi/MedCPT-Query-Encoder). `TextConfig.pooling` says what the vector of a text
is. By default it is the hidden state of the first token ([CLS]), as MedCPT was trained and as its model card uses it.
MERL's code (``ECGCLIP.get_text_emb`` in ``utils/utils_builder.py``) takes the model's ``pooler_output`` instead.
Texts stay on the machine: a hub id only downloads weights. Code in a model's folder is never run.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from ecgkit.distribution import install_extra
from ecgkit.errors import ConfigError, PluginError
from ecgkit.text.config import TextConfig
from ecgkit.text.encoder import TextEncoder


def _load(kind: str, model: str, **options: Any) -> Any:
    """Load a configuration, a tokenizer or a model with the matching auto class of transformers.

    Raises:
        PluginError: transformers is not installed.
        ConfigError: The model is found neither locally nor on the hub.
    """
    try:
        import transformers
    except ImportError:
        raise PluginError(
            "this text encoder needs the package transformers, which is not installed",
            remedy=install_extra("text"),
        ) from None
    try:
        return getattr(transformers, kind).from_pretrained(model, trust_remote_code=False, **options)
    except Exception as error:  # the hub, the file system and every model class raise their own errors
        cause = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"text.model {model!r} cannot be loaded ({cause})",
            "a folder of a Hugging Face model, or a hub id",
            "Without a network connection, download it elsewhere and give its folder with --set text.model=FOLDER.",
        ) from None


class HuggingFaceEncoder(TextEncoder):
    """A language model. By default it is frozen, and then it is not part of a run's weights.

    Args:
        config: Settings; `model`, `pooling`, `frozen` and `max_tokens` are used.
    """

    default: ClassVar[str] = ""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.name = self.name_of(config)
        self.width = config.width
        self.max_tokens = config.max_tokens
        self.pooling = config.pooling
        self.frozen = config.frozen
        # A frozen model is loaded on first use and held outside the module, so it is neither saved nor moved.
        self._held: list[nn.Module] = []
        if not config.frozen:
            self.language_model = self._language_model()

    @classmethod
    def name_of(cls, config: TextConfig) -> str:
        """Return the folder or hub id of a config's model.

        Raises:
            ConfigError: The config names no model, and the encoder has no default.
        """
        name = config.model or cls.default
        if not name:
            raise ConfigError(
                f"text encoder {config.encoder!r} has no model",
                remedy="Give a folder or a hub id with: --set text.model=FOLDER",
            )
        return name

    @classmethod
    def complete(cls, config: TextConfig) -> TextConfig:
        """Return the config with the model's hidden width."""
        return replace(config, width=int(_load("AutoConfig", cls.name_of(config)).hidden_size))

    def _language_model(self) -> nn.Module:
        """Load the model.

        Raises:
            ConfigError: Its pooled output is asked for, and it has none with trained weights.
        """
        model: nn.Module
        model, report = _load("AutoModel", self.name, output_loading_info=True)
        drawn = any("pooler" in name for name in report["missing_keys"])  # such weights are random
        if self.pooling == "pooler" and (drawn or getattr(model, "pooler", None) is None):
            raise ConfigError(
                f"text.model {self.name!r} has no weights for a pooled output",
                remedy="Choose another vector with --set text.pooling=first (or mean).",
            )
        return model

    def _model(self) -> nn.Module:
        if not self.frozen:
            return self.language_model
        if not self._held:
            self._held.append(self._language_model().eval().requires_grad_(False))
        return self._held[0]

    def identity(self) -> str:
        """Return a hash over the model's weights, the pooling, and the length to which texts are cut."""
        digest = hashlib.sha256(f"{type(self).__name__} {self.pooling} {self.max_tokens}".encode())
        for name, value in sorted(self._model().state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Return word pieces, and whether each is real, as int64 ``[U, 2, T]``."""
        if self._reader is None:
            self._reader = _load("AutoTokenizer", self.name)
        out = self._reader(list(texts), padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt")
        return torch.stack([out["input_ids"], out["attention_mask"]], dim=1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode word pieces, ``[U, 2, T] -> [U, D]``."""
        real = tokens[:, 1]
        out = self._model()(input_ids=tokens[:, 0], attention_mask=real)
        if self.pooling == "pooler":
            return cast(Tensor, out.pooler_output)
        hidden: Tensor = out.last_hidden_state  # [U, T, D]
        if self.pooling == "first":
            return hidden[:, 0]
        weights = real.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1).clamp_min(1)


class MedCptEncoder(HuggingFaceEncoder):
    """MedCPT's query encoder, 768 wide: the best text encoder in the comparisons of K-MERL and MERL."""

    default = "ncbi/MedCPT-Query-Encoder"
