"""HeartLang: stored values of the published code, and two stages in a row."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ecgkit_heartlang.codebook import Codebook
from ecgkit_heartlang.config import TINY, TINY_TOKENIZER, HeartLangConfig, TokenizerConfig
from ecgkit_heartlang.model import HeartLang
from ecgkit_heartlang.official import import_official, import_tokenizer
from ecgkit_heartlang.sentence import Sentence
from ecgkit_heartlang.tokenizer import Tokenizer

from ecgkit.beats.windows import BeatWindow
from ecgkit.entries import MethodEntry
from ecgkit.errors import ConfigError
from ecgkit.methods import Batch, Clock
from ecgkit.plugins import host
from ecgkit.testing.material import store_for
from ecgkit.training.loop import PretrainOptions, Watcher, pretrain
from ecgkit.training.run import load_encoder, open_run
from tests.conftest import official_shapes
from tests.families.official import check_strict

GOLDEN = Path(os.environ.get("ECGKIT_GOLDEN", Path(__file__).parents[1] / "golden"))

# Names of the published code for ours.
PUBLISHED = {
    "hidden": "mask_token",
    "encoder.summary": "cls_token",
    "encoder.positions": "pos_embed",
    "encoder.embed": "token_embed.tokenConv",
    "encoder.lead_embedding": "spa_embed.embed",
    "encoder.second_embedding": "tem_embed.embed",
    "encoder.norm": "norm_layer",
    "to_codes": "lm_head",
    "norm1": "0.norm",
    "attn.qkv": "0.to_qkv",
    "attn.proj": "0.to_out.0",
    "norm2": "1.net.0",
    "mlp.fc1": "1.net.1",
    "mlp.fc2": "1.net.4",
}


def stored(name):
    with np.load(GOLDEN / f"{name}.npz") as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files if key != "config"}
        return json.loads(str(file["config"])), arrays


def published_name(name):
    if name.startswith("encoder.blocks."):
        _, _, number, rest = name.split(".", 3)
        part, kind = rest.rsplit(".", 1)
        return f"transformer.layers.{number}.{PUBLISHED[part]}.{kind}"
    if name in PUBLISHED:
        return PUBLISHED[name]
    part, kind = name.rsplit(".", 1)
    return f"{PUBLISHED[part]}.{kind}"


def test_the_network_is_the_published_one():
    c, arrays = stored("heartlang_tiny")
    half = c["time_window"] // 2
    config = HeartLangConfig(
        width=c["embed_dim"],
        depth=c["depth"],
        heads=c["heads"],
        head_width=c["dim_head"],
        hidden=c["mlp_dim"],
        length=c["seq_len"],
        window=BeatWindow(before=half, after=half, max_beats=None),
        pad_aware=False,
        codebook=replace(TINY_TOKENIZER, codes=c["vocab_size"]),
    )
    method = HeartLang(config).eval()
    own = {n: p for n, p in method.state_dict().items() if not n.startswith("tokenizer.")}
    assert {published_name(name) for name in own} == {key[3:] for key in arrays if key.startswith("sd/")}
    with torch.no_grad():
        for name, p in own.items():
            p.copy_(arrays[f"sd/{published_name(name)}"].view_as(p))
        line = Sentence(arrays["x"], arrays["chan"], arrays["time"])
        tokens = method.encoder.norm(method.encoder.run(method.encoder.embed_beats(line), line)[-1])
        np.testing.assert_allclose(tokens, arrays["tokens"], atol=1e-5)
        logits = method.logits(line, arrays["mask"])[arrays["mask"]]
    np.testing.assert_allclose(logits, arrays["masked_logits"], atol=1e-5)


def test_the_codebook_is_the_published_one():
    c, arrays = stored("heartlang_vq")
    codebook = Codebook(c["n_embed"], c["dim"], c["decay"]).train()
    codebook.weight.copy_(arrays["sd/embedding.weight"])
    codebook.uses.copy_(arrays["sd/cluster_size"])
    z = arrays["z"]
    quantized, chosen, commitment = codebook(z, torch.ones(z.shape[:2], dtype=torch.bool))
    np.testing.assert_allclose(quantized, arrays["zq"], atol=1e-5)
    np.testing.assert_allclose(c["beta"] * commitment.mean(), arrays["loss"], atol=1e-5)
    assert torch.equal(chosen.flatten(), arrays["idx"])
    assert torch.equal(codebook.weight, arrays["sd/embedding.weight"])  # only an update moves it
    codebook.update()
    np.testing.assert_allclose(codebook.weight, arrays["weight_after"], atol=1e-5)
    np.testing.assert_allclose(codebook.uses, arrays["cluster_after"], atol=1e-5)


def test_parts_of_a_batch_move_the_codes_as_the_whole_does():
    torch.manual_seed(0)
    whole, z, real = Codebook(5, 4, 0.9).train(), torch.randn(6, 3, 4), torch.rand(6, 3) < 0.7
    parts = Codebook(5, 4, 0.9).train()
    parts.weight.copy_(whole.weight)
    whole(z, real)
    parts(z[:2], real[:2])
    parts(z[2:], real[2:])
    before = parts.weight.clone()
    for codebook in (whole, parts):
        codebook.update()
    torch.testing.assert_close(parts.weight, whole.weight)
    assert not torch.equal(parts.weight, before)
    after = parts.weight.clone()
    parts.eval()(z, real)
    parts.update()
    assert torch.equal(parts.uses > 0, whole.uses > 0)
    torch.testing.assert_close(parts.weight, after)


def a_batch():
    torch.manual_seed(0)
    beats = torch.tensor([[100, 190, 300, 800], [50, 400, -1, -1], [-1, -1, -1, -1]])
    return Batch(torch.randn(3, 2, 1000), torch.tensor([6, 0]), torch.arange(3), extra={"beats": beats})


def test_sentences_go_lead_by_lead_in_standard_order():
    encoder, batch = HeartLang(TINY).encoder, a_batch()
    line = encoder.read(batch.signal, batch.lead_ids, batch.extra["beats"], None)
    assert line.leads[0, :9].tolist() == [1, 1, 1, 1, 7, 7, 7, 7, 0]
    assert line.seconds[1, :5].tolist() == [1, 5, 1, 5, 0]
    assert not line.real[2].any()
    assert not line.beats[2].any()


@pytest.mark.parametrize(("kind", "config"), [(Tokenizer, TINY_TOKENIZER), (HeartLang, TINY)])
def test_a_record_without_beats_gives_a_finite_loss(kind, config):
    torch.manual_seed(0)
    method = kind(config)
    loss = method.training_step(a_batch(), Clock.end()).loss
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


def train(name, config, out):
    options = PretrainOptions(device="cpu", workers=0, compile=False)
    return pretrain(host().get(MethodEntry, name), config, store_for(("signal", "beats")), out, options, Watcher())


def test_the_second_stage_builds_on_the_first(tmp_path):
    quick = replace(TINY.recipe, epochs=1, warmup_epochs=0)
    first, second = tmp_path / "tokenizer", tmp_path / "heartlang"
    wide = replace(TINY_TOKENIZER, codes=24, recipe=quick)
    train("heartlang_tokenizer", wide, first)
    config = replace(TINY, tokenizer=str(first), recipe=quick)
    train("heartlang", config, second)
    trained = open_run(first).method().state_dict()
    shutil.rmtree(first)
    run = open_run(second)
    assert run.config.codebook.codes == 24
    assert len(run.details["built_on"]) == 1
    method = run.method()
    for name, value in method.tokenizer.state_dict().items():
        assert torch.equal(value, trained[name]), name
    assert method.to_codes.out_features == 24


def test_a_tokenizer_that_does_not_fit_is_refused(tmp_path):
    quick = replace(TINY.recipe, epochs=1, warmup_epochs=0)
    train("heartlang_tokenizer", replace(TINY_TOKENIZER, length=150, recipe=quick), tmp_path / "short")
    with pytest.raises(ConfigError, match="another input"):
        train("heartlang", replace(TINY, tokenizer=str(tmp_path / "short")), tmp_path / "out")


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="mask_ratio"):
        replace(TINY, mask_ratio=1.0)
    with pytest.raises(ValueError, match="codes"):
        TokenizerConfig(codes=1)


def test_published_files_become_runs(golden):
    c, arrays = stored("heartlang_tiny")
    state = {name[3:]: value for name, value in arrays.items() if name.startswith("sd/")}
    config, ours = import_official(state, head_width=c["dim_head"])
    sizes = (config.width, config.depth, config.heads, config.hidden, config.length, config.window.width)
    names = ("embed_dim", "depth", "heads", "mlp_dim", "seq_len", "time_window")
    assert sizes == tuple(c[name] for name in names)
    encoder = load_encoder(host().get(MethodEntry, "heartlang"), config, ours, source="the file").eval()
    line = Sentence(arrays["x"], arrays["chan"], arrays["time"])
    with torch.no_grad():
        tokens = encoder.norm(encoder.run(encoder.embed_beats(line), line)[-1])
    np.testing.assert_allclose(tokens, arrays["tokens"], atol=1e-5, rtol=1e-4)


def test_the_published_names_are_consumed(golden):
    config, *_ = check_strict("heartlang", import_official, official_shapes(golden, "heartlang_base"), {})
    assert (config.depth, config.heads, config.codebook.codes) == (12, 8, 8192)
    shapes = official_shapes(golden, "heartlang_vqhbr")
    config, left = check_strict("heartlang_tokenizer", import_tokenizer, shapes, {})
    assert (config.depth, config.heads, config.decoder_depth, config.code_width) == (4, 2, 2, 128)
    assert "decoder.pos_embed" in left
