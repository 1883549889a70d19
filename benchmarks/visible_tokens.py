"""What a training step of K-MERL costs by the number of leads that dynamic lead masking leaves.

    python benchmarks/visible_tokens.py [--records 8] [--repeats 5] [--entities 50] [--precision auto]

Each line is the median time of a step (forward and backward, ViT-tiny, 500 Hz, 25 % of the segments hidden) as a share
of the unmasked step (all leads, all segments), measured in turns in one run, on one thread. Training draws 1, 2 or 3
leads as often: "as drawn" is the mean of the three. The query network's work on its queries is the same in every line,
so the share is also shown for the encoder alone.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from ecgkit_kmerl.config import KMERL_PRESETS, KMerlConfig
from ecgkit_kmerl.kmerl import KMerl
from torch import Tensor

from ecgkit.cli.render import print_table
from ecgkit.knowledge.source import EntitySource
from ecgkit.methods import Batch, Clock
from ecgkit.training.optimization import autocast

KEPT, DRAWN = (3, 2, 1), "1 to 3 leads, as drawn"
REPORTS = tuple(f"finding {i} of the heart. abnormal ecg." for i in range(50))


def prepared(config: KMerlConfig) -> KMerl:
    """Return a model with some reports and entities."""
    torch.manual_seed(0)
    model = KMerl(config)
    model.language.encoder.fit([*REPORTS, *config.entities.names])
    model.language.reports.fill(model.language.encoder, REPORTS)
    model.language.names.fill(model.language.encoder, config.entities.names)
    return model


def seconds_of(work: Callable[[], Tensor], model: KMerl) -> float:
    """Return how long a loss and its gradients take, in s of this process's own time, whatever else runs."""
    began = time.process_time()
    with autocast(model.config.recipe, torch.device("cpu")):
        loss = work()
    loss.backward()  # type: ignore[no-untyped-call]
    took = time.process_time() - began
    model.zero_grad(set_to_none=True)
    return took


def encoder_loss(model: KMerl, batch: Batch) -> Tensor:
    """Return a loss on the encoder's tokens alone."""
    tokens = model.encoder.visible_tokens(batch.signal, batch.lead_ids, None, model.draw(batch))
    return tokens.values.float().square().mean()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--entities", type=int, default=50)
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = tuple(f"finding {i} of the heart" for i in range(options.entities))
    base = KMERL_PRESETS["vit-tiny"]
    base = replace(base, entities=EntitySource(names=names), recipe=replace(base.recipe, precision=options.precision))
    cases = {"12 leads, unmasked": replace(base, dlm_prob=0.0, lsm_ratio=0.0)}
    cases["12 leads, segments masked"] = replace(base, dlm_prob=0.0)
    for kept in KEPT:
        cases[f"{kept} of 12 leads"] = replace(base, dlm_counts=(12 - kept,))
    cases["1 to 3 leads, mask tokens"] = replace(base, mask_mode="token")
    B = options.records
    extra = {
        "reports": torch.arange(B) % len(REPORTS),
        "entities": torch.randint(0, 2, (B, len(names)), dtype=torch.uint8),
    }
    batch = Batch(torch.rand(B, 12, 5000), torch.arange(12), torch.arange(B), extra=extra)
    models = {name: prepared(config) for name, config in cases.items()}
    wholes: dict[str, list[float]] = {name: [] for name in cases}
    encoders: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(options.repeats + 1):
        for name in cases:
            model = models[name]
            wholes[name].append(seconds_of(lambda model=model: model.training_step(batch, Clock.end()).loss, model))
            encoders[name].append(seconds_of(lambda model=model: encoder_loss(model, batch), model))
    whole, encoder = (
        {name: statistics.median(found[1:]) for name, found in times.items()} for times in (wholes, encoders)
    )  # the first warms up
    for times in (whole, encoder):
        times[DRAWN] = statistics.fmean(times[f"{kept} of 12 leads"] for kept in KEPT)
    full = "12 leads, unmasked"
    rows = [
        {
            "step": name,
            "ms a record": f"{1000 * whole[name] / B:.1f}",
            "share": f"1/{whole[full] / whole[name]:.1f}",
            "encoder alone": f"1/{encoder[full] / encoder[name]:.1f}",
        }
        for name in whole
    ]
    title = f"K-MERL, ViT-tiny, batch {B}, {len(names)} entities: one training step"
    print_table(title, rows, numeric=["ms a record", "share", "encoder alone"])


if __name__ == "__main__":
    main()
