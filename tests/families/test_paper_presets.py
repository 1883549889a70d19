"""Presets that are named after a paper or its released code have its numbers, each with its source.

``docs/differences.md`` lists what no preset has.
"""

from typing import Any

import pytest

from ecgkit.entries import MethodEntry, load_target
from ecgkit.plugins import host

# Method and preset: value by setting, as the source prints it. Rates are those at the printed batch.
PRINTED: dict[tuple[str, str], dict[str, Any]] = {
    # CLEAR-HUG, released code at 3f19967.
    ("clear", "paper"): {
        "width": 768,
        "depth": 12,
        "heads": 8,
        "hidden": 1024,
        "decoder_width": 512,
        "decoder_depth": 4,
        "decoder_heads": 16,
        "dropout": 0.1,
        "mask_ratio": 0.8,
        "mask_per": "batch",
        "pad_aware": False,
        "embed": "conv",
        "signal.fs": 100,
        "signal.seconds": 10,
        "recipe.batch_size": 1792,
        "recipe.peak_lr": 5e-4,
        "recipe.final_lr": 1e-5,
        "recipe.epochs": 100,
        "recipe.warmup_epochs": 5,
        "recipe.betas": (0.9, 0.98),
        "recipe.eps": 1e-8,
        "recipe.weight_decay": 0.05,
        "recipe.clip": 3.0,
        "recipe.schedule": "cosine",
    },
    # ST-MEM, released code at 311c644; 800 epochs by a third party.
    ("stmem", "base"): {
        "patch": 75,
        "width": 768,
        "depth": 12,
        "heads": 12,
        "decoder_width": 256,
        "decoder_depth": 4,
        "decoder_heads": 4,
        "mask_ratio": 0.75,
        "norm_patches": True,
        "aggregate": "last",
        "signal.fs": 250,
        "signal.seconds": 9,
        "recipe.lr": 1.5e-4,
        "recipe.epochs": 800,
        "recipe.warmup_epochs": 40,
        "recipe.betas": (0.9, 0.95),
        "recipe.weight_decay": 0.01,
        "recipe.clip": None,
        "recipe.checkpoint": "last",
    },
    # ECG-Soup, released code at 6b33198: 1.2e-3 x 12 / 256.
    ("stmem", "soup-paper"): {
        "patch": 50,
        "aggregate": "last",
        "signal.fs": 100,
        "signal.seconds": 10,
        "signal.normalize": "lead-zscore",
        "recipe.batch_size": 12,
        "recipe.peak_lr": 5.625e-5,
        "recipe.epochs": 800,
        "recipe.warmup_epochs": 40,
        "recipe.betas": (0.9, 0.95),
        "recipe.weight_decay": 0.01,
        "recipe.checkpoint": "best",
    },
    ("stmem", "ipastmem-paper"): {
        "patch": 50,
        "aggregate": "mean",
        "recipe.batch_size": 12,
        "recipe.peak_lr": 5.625e-5,
        "recipe.epochs": 800,
    },
    # K-MERL, arXiv 2502.17900: what the paper states.
    ("kmerl", "paper"): {
        "patch": 100,
        "lsm_ratio": 0.25,
        "dlm_counts": (9, 10, 11),
        "query_layers": 4,
        "temperature": 0.07,
        "w_contrast": 1.0,
        "w_query": 1.0,
        "uncertain": "negative",
        "text.encoder": "medcpt",
        "text.width": 768,
        "text.max_tokens": 256,
        "entities.name": "model",
        "signal.fs": 500,
        "recipe.epochs": 50,
    },
    # MERL, released code at 38799b7.
    ("merl", "resnet18-released"): {
        "encoder": "resnet18",
        "text.encoder": "medcpt",
        "text.pooling": "pooler",
        "text.frozen": True,
        "temperature": 0.07,
        "uma_dropout": 0.1,
        "recipe.batch_size": 1024,
        "recipe.peak_lr": 1e-3,
        "recipe.weight_decay": 1e-8,
        "recipe.betas": (0.9, 0.999),
        "recipe.epochs": 21,
        "recipe.restart_steps": 5000,
        "recipe.final_lr": 1e-8,
        "recipe.schedule": "cosine-restarts",
    },
    # MERL, arXiv 2403.06659 (unverified).
    ("merl", "resnet18-paper"): {
        "encoder": "resnet18",
        "text.encoder": "medcpt",
        "recipe.batch_size": 4096,
        "recipe.peak_lr": 2e-4,
        "recipe.weight_decay": 1e-5,
        "recipe.epochs": 50,
        "recipe.schedule": "cosine",
    },
    ("merl", "vit-tiny-paper"): {
        "encoder": "vit",
        "width": 192,
        "depth": 12,
        "heads": 3,
        "patch": 50,
        "text.encoder": "medcpt",
        "recipe.batch_size": 4096,
        "recipe.peak_lr": 2e-4,
    },
    # 3stageFormer, released code at e7e98d1.
    ("hierarchical", "released"): {
        "width": 288,
        "heads": 8,
        "hidden": 2048,
        "conv_layers": 6,
        "attention": "differential",
        "gate": False,
        "signal.fs": 500,
        "signal.seconds": 15,
        "recipe.optimizer": "adam",
        "recipe.betas": (0.9, 0.98),
        "recipe.eps": 1e-9,
        "recipe.weight_decay": 0.0,
        "recipe.clip": None,
        "recipe.batch_size": 24,
        "recipe.epochs": 100,
        "recipe.patience": 10,
        "recipe.warmup_steps": 4000,
        "recipe.schedule": "inverse-square-root",
        "recipe.peak_lr": 288**-0.5 * 4000**-0.5,
    },
    # Its text, arXiv 2411.00755 version 2.
    ("hierarchical", "paper"): {
        "conv_layers": 4,
        "attention": "standard",
        "gate": True,
        "stages": 3,
        "stage_layers": 4,
        "recipe.optimizer": "adam",
        "recipe.eps": 1e-9,
        "recipe.clip": None,
    },
}
AFTER_A_PUBLICATION = ("paper", "released")


def presets(method: str) -> dict[str, Any]:
    return dict(load_target(host().get(MethodEntry, method).presets, method))


@pytest.mark.parametrize(("method", "preset"), PRINTED)
def test_a_preset_has_the_numbers_of_its_publication(method: str, preset: str) -> None:
    for setting, printed in PRINTED[method, preset].items():
        value = presets(method)[preset]
        for name in setting.split("."):
            value = getattr(value, name)
        if isinstance(printed, float):
            printed = pytest.approx(printed, rel=1e-9)
        assert value == printed, setting


def test_every_preset_that_is_named_after_a_publication_is_compared() -> None:
    named = {
        (entry.name, preset)
        for entry in host().entries(MethodEntry).values()
        for preset in presets(entry.name)
        if preset.split("-")[-1] in AFTER_A_PUBLICATION
    }
    assert named
    assert named <= set(PRINTED)
