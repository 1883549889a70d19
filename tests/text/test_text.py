"""Text encoders and report tables: what is learnt is saved and restored, what is frozen is computed once."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ecgkit.entries import TextEncoderEntry
from ecgkit.errors import ConfigError, DatasetError, PluginError, RunError, StoreError
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.text.config import TextConfig
from ecgkit.text.encoder import TextEncoder, build_text_encoder, bytes_of, completed, text_of
from ecgkit.text.reports import NO_REPORT, clean_report, read_corpus, report_table
from ecgkit.text.table import TextTable

REPORTS = [
    "sinus rhythm. normal ecg.",
    "sinus rhythm with left bundle branch block. abnormal ecg.",
    "atrial fibrillation with rapid ventricular response. abnormal ecg.",
    "sinus bradycardia. otherwise normal ecg.",
    "left bundle branch block. atrial fibrillation.",
    "normal sinus rhythm. right bundle branch block.",
]


def test_cleaning_equals_the_reference(golden: Path) -> None:
    cases = json.loads((golden / "merl_report_cleaning.json").read_text())
    assert cases
    for case in cases:
        cleaned = clean_report(case["statements"])
        assert (cleaned.text, cleaned.words, cleaned.kept) == (case["text"], case["words"], case["kept"])


def test_a_report_table_holds_each_text_once(cohort_store: Path) -> None:
    store = Store(cohort_store)
    table = report_table(store)
    assert len(set(table.texts)) == len(table.texts) < len(store)
    for row in range(0, len(store), 17):
        cleaned = clean_report(store.table["report"][row].split("\n"))
        assert table.index[row] == (table.texts.index(cleaned.text) if cleaned.kept else NO_REPORT)
    assert set(table.of(np.arange(10))) == {table.texts[i] for i in table.index[:10] if i >= 0}


def test_a_store_without_reports_is_told_what_to_do(cohort_store: Path) -> None:
    store = Store(cohort_store)
    store.__dict__["table"] = store.table.frame().assign(report=None)
    with pytest.raises(StoreError, match="ecgkit ingest"):
        report_table(store)


def test_texts_without_ecgs_are_cleaned_and_held_once(tmp_path: Path) -> None:
    table = tmp_path / "reports.csv"
    table.write_text(
        "id,report\n1,*** Sinus rhythm with EKG artefacts\n2,too short\n3,\n4,sinus rhythm with ECG artefacts\n"
    )
    assert read_corpus(table) == ("sinus rhythm with ecg artefacts.",)
    for text, message in (("id,text\n1,a\n", "lacks column report"), ("report\nshort\n", "at least 4 words")):
        table.write_text(text)
        with pytest.raises(DatasetError, match=message):
            read_corpus(table)
    with pytest.raises(DatasetError, match="does not exist"):
        read_corpus(tmp_path / "none.csv")


def test_an_empty_table_says_that_a_run_holds_no_texts() -> None:
    with pytest.raises(RunError, match="a finished run holds none"):
        TextTable()(build_text_encoder(TextConfig(width=8)), torch.tensor([0]))


@pytest.mark.parametrize("name", ["tfidf", "tiny"])
def test_a_fitted_encoder_is_restored_from_its_weights(name: str) -> None:
    config = TextConfig(encoder=name, width=32, vocabulary=200, depth=1)
    torch.manual_seed(0)
    encoder = build_text_encoder(config)
    encoder.fit([*REPORTS, "atrial fibrillation"])
    vectors = encoder.embed(REPORTS)
    assert vectors.shape == (6, 32)
    assert not vectors.requires_grad
    other = build_text_encoder(config)
    other.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(other.embed(REPORTS), vectors)
    assert all(isinstance(value, Tensor) for value in encoder.state_dict().values())


@pytest.mark.parametrize("name", ["tfidf", "tiny"])
def test_an_unfitted_encoder_says_so(name: str) -> None:
    with pytest.raises(RunError, match="no vocabulary"):
        build_text_encoder(TextConfig(encoder=name, width=16, vocabulary=50)).embed(["sinus rhythm"])


def test_tfidf_equals_a_plain_computation() -> None:
    encoder = build_text_encoder(TextConfig(width=4))
    encoder.fit(REPORTS)
    terms = text_of(encoder.terms).split("\n")  # type: ignore[arg-type]
    text = "left bundle branch block block"
    words = text.split()
    grams = words + [" ".join(pair) for pair in pairwise(words)]
    weights = np.array([(1 + np.log(grams.count(t))) if t in grams else 0.0 for t in terms]) * encoder.idf.numpy()
    weights /= np.linalg.norm(weights)
    expected = encoder.components.numpy() @ weights
    np.testing.assert_allclose(encoder.embed([text])[0], expected / np.linalg.norm(expected), atol=1e-5)


def test_tfidf_keeps_nothing_that_one_report_alone_says() -> None:
    encoder = build_text_encoder(TextConfig(width=8))
    encoder.fit([*REPORTS, "confirmed by doctor grobschmidt. normal ecg."])
    assert "grobschmidt" not in text_of(encoder.terms)  # type: ignore[arg-type]
    assert "normal" in text_of(encoder.terms)  # type: ignore[arg-type]


def test_tfidf_with_fewer_texts_than_components() -> None:
    encoder = build_text_encoder(TextConfig(width=64))
    encoder.fit(REPORTS[:2])
    assert torch.isfinite(encoder.embed(REPORTS)).all()


@torch.no_grad()
def test_padding_of_a_tiny_encoders_batch_changes_nothing() -> None:
    encoder = build_text_encoder(TextConfig(encoder="tiny", width=32, vocabulary=200, depth=2)).eval()
    encoder.fit(REPORTS)
    together = encoder.embed(REPORTS)
    alone = torch.cat([encoder.embed([text]) for text in REPORTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert torch.isfinite(encoder.embed([""])).all()


def test_text_survives_as_bytes() -> None:
    assert text_of(bytes_of("förlopp\nST-höjning")) == "förlopp\nST-höjning"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 16 dimensions with its tokenizer, made on the spot."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("bert")
    words = sorted({word.strip(".") for text in REPORTS for word in text.split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_language_model_is_loaded_from_a_folder(bert: Path) -> None:
    import transformers

    config = completed(TextConfig(encoder="huggingface", model=str(bert), max_tokens=32))
    assert config.width == 16
    encoder = build_text_encoder(config)
    vectors = encoder.embed(REPORTS)
    model = transformers.AutoModel.from_pretrained(bert).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(bert)(REPORTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**tokens).last_hidden_state[:, 0]
    torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=1e-4)
    assert encoder.state_dict() == {}  # frozen: nothing of it is in a run


def pooled(bert: Path, pooling: str) -> Tensor:
    config = TextConfig(encoder="medcpt", model=str(bert), width=16, max_tokens=32, pooling=pooling)  # type: ignore[arg-type]
    return build_text_encoder(config).embed(REPORTS)


def test_the_pooled_output_is_that_of_the_published_code(bert: Path) -> None:
    """MERL pads every text to 256 word pieces and takes ``pooler_output``; here all texts are padded to 64."""
    import transformers

    model = transformers.AutoModel.from_pretrained(bert).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(bert)(
        REPORTS, add_special_tokens=True, truncation=True, max_length=64, padding="max_length", return_tensors="pt"
    )
    with torch.no_grad():
        out = model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask)
    close = {"atol": 1e-5, "rtol": 1e-4}
    torch.testing.assert_close(pooled(bert, "pooler"), out.pooler_output, **close)
    torch.testing.assert_close(pooled(bert, "first"), out.last_hidden_state[:, 0], **close)
    rows = zip(out.last_hidden_state, tokens.attention_mask, strict=True)
    torch.testing.assert_close(pooled(bert, "mean"), torch.stack([h[m.bool()].mean(0) for h, m in rows]), **close)
    assert not torch.allclose(pooled(bert, "pooler"), pooled(bert, "first"), atol=1e-2)


def test_each_pooling_has_vectors_of_its_own_in_the_cache(bert: Path) -> None:
    configs = [TextConfig(encoder="medcpt", model=str(bert), width=16, pooling=p) for p in ("first", "mean", "pooler")]
    assert len({build_text_encoder(config).identity() for config in configs}) == 3


def test_a_pooler_without_weights_is_refused(bert: Path, tmp_path: Path) -> None:
    import transformers

    transformers.BertModel.from_pretrained(bert, add_pooling_layer=False).save_pretrained(tmp_path / "bare")
    transformers.AutoTokenizer.from_pretrained(bert).save_pretrained(tmp_path / "bare")
    assert pooled(tmp_path / "bare", "first").shape == (len(REPORTS), 16)
    with pytest.raises(ConfigError, match=r"no weights for a pooled output.*text\.pooling=first"):
        pooled(tmp_path / "bare", "pooler")


def test_a_language_model_that_is_trained_lies_in_the_run(bert: Path) -> None:
    encoder = build_text_encoder(TextConfig(encoder="medcpt", model=str(bert), width=16, frozen=False))
    encoder(encoder.tokens(REPORTS)).sum().backward()
    assert all(p.requires_grad for p in encoder.parameters())
    assert any(name.startswith("language_model.") for name in encoder.state_dict())


class Counting(TextEncoder):
    """Counts how often it encodes."""

    width = 2

    def __init__(self, key: str = "a") -> None:
        super().__init__()
        self.calls, self.key = 0, key

    def identity(self) -> str:
        return self.key

    def tokens(self, texts: list[str]) -> Tensor:  # type: ignore[override]
        return torch.tensor([[len(text), 1.0] for text in texts])

    def forward(self, tokens: Tensor) -> Tensor:
        self.calls += 1
        return tokens


def test_frozen_vectors_are_computed_once_and_cached(tmp_path: Path) -> None:
    encoder, cache = Counting(), tmp_path / "text"
    for _ in range(2):
        table = TextTable()
        table.fill(encoder, REPORTS, cache)
        torch.testing.assert_close(table(encoder, torch.tensor([2, 2, 0])), encoder.tokens(REPORTS)[[2, 2, 0]])
    assert encoder.calls == 1
    (folder,) = cache.iterdir()
    (folder / "vectors.npy").write_bytes(b"damaged")
    TextTable().fill(encoder, REPORTS, cache)
    assert encoder.calls == 2
    TextTable().fill(Counting("b"), REPORTS, cache)
    assert len(list(cache.iterdir())) == 2


def test_a_trained_encoders_table_has_gradients_and_encodes_each_text_once() -> None:
    encoder = build_text_encoder(TextConfig(encoder="tiny", width=32, vocabulary=200, depth=1))
    encoder.fit(REPORTS)
    table = TextTable()
    table.fill(encoder, REPORTS)
    out = table(encoder, torch.tensor([4, 1, 4]))
    torch.testing.assert_close(out[0], out[2])
    out.sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())
    assert not table.state_dict()  # no report's tokens in a run


def test_errors_name_what_to_do(tmp_path: Path) -> None:
    assert {"tfidf", "tiny", "medcpt", "huggingface"} <= set(host().entries(TextEncoderEntry))
    with pytest.raises(PluginError, match="Did you mean 'tfidf'"):
        build_text_encoder(TextConfig(encoder="tfdif"))
    with pytest.raises(ConfigError, match=r"text\.model=FOLDER"):
        build_text_encoder(TextConfig(encoder="huggingface"))
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        completed(TextConfig(encoder="huggingface", model=str(tmp_path / "nothing")))
