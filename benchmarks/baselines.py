"""A training step of every self-supervised baseline, against the same method written in a plain torch loop.

    OMP_NUM_THREADS=1 python benchmarks/baselines.py [--only simclr dino] [--preset tiny] [--batch 32] [--repeats 7]

Plainly: as a short script of a paper has it. Each view goes through the same encoder and heads, the loss is written
out in torch, gradients are clipped by torch, AdamW takes the step, and a teacher is averaged parameter by parameter. So
losses, teachers, draws, clipping and optimiser are compared, on equal networks with equal weights and views. Both
losses of a first step are compared before, where nothing is drawn. A step's time is the process's own, both take turns,
and the ratio is the median of the ratios of neighbours.
"""

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import training as steps
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ecgkit.entries import MethodEntry
from ecgkit.methods import Batch, Method, method_config
from ecgkit.plugins import host

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Plain:
    """A method written plainly.

    Args:
        loss: Loss of a method's networks on a batch.
        teachers: Names of the averaged module and of the one it follows.
        drawn: Whether a step draws random numbers, so that two losses differ.
        after: What else a step changes.
    """

    loss: Callable[[Any, Batch], Tensor]
    teachers: tuple[tuple[str, str], ...] = ()
    drawn: bool = False
    after: Callable[[Any], None] | None = None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="some of the methods; all by default")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    title = f"Training steps, preset {options.preset}, batch {options.batch}, CPU, {torch.get_num_threads()} threads"
    table = Table("method", "plain, ms", "ecgkit, ms", "times as fast", "losses differ by", title=title)
    for name in options.only or PLAIN:
        table.add_row(name, *measured(name, options))
    Console(width=100).print(table)


def measured(name: str, options: argparse.Namespace) -> tuple[str, ...]:
    """Return the cells of a method."""
    entry, plain = host().get(MethodEntry, name), PLAIN[name]
    _, config = method_config(entry, options.preset)
    torch.manual_seed(0)
    ours: Method = entry.load()(config).train()
    other = copy.deepcopy(ours)
    batch = batch_for(config, options.batch)
    recipe = replace(config.recipe, precision="fp32")
    gap = "drawn"
    if not plain.drawn:
        a, b = losses(ours, other, batch, plain)
        gap = f"{abs(a - b) / max(abs(b), 1e-9):.0e}"
        if not abs(a - b) <= TOLERANCE * max(abs(b), 1.0):
            raise SystemExit(f"{name}: the losses of a first step are {a} and {b}")
    works = (plain_step(other, plain, recipe, batch), steps.stepper(ours, recipe, batch))
    for work in works:
        work()
    pairs = [(seconds(works[0]), seconds(works[1])) for _ in range(options.repeats)]
    slow, fast = (1000 * median(side) for side in zip(*pairs, strict=True))
    return f"{slow:.0f}", f"{fast:.0f}", f"{median(a / b for a, b in pairs):.2f}", gap


def losses(ours: Method, other: Method, batch: Batch, plain: Plain) -> tuple[float, float]:
    """Return the losses of copies of both, so that no statistics move."""
    from ecgkit.methods import Clock

    a, b = copy.deepcopy(ours), copy.deepcopy(other)
    found = a.training_step(batch, Clock.at(1, 2, 1)).loss, plain.loss(b, batch)
    return found[0].item(), found[1].item()


def seconds(work: Callable[[], None]) -> float:
    """Return the process's own time of a step."""
    began = time.process_time()
    work()
    return time.process_time() - began


def batch_for(config: Any, records: int) -> Batch:
    """Return a batch of noise, with the views and patients that a method may need."""
    draw = torch.Generator().manual_seed(0)
    samples, patients = config.signal.samples, torch.arange(records) // 2
    extra = {"patients": patients}
    if hasattr(config, "views"):
        extra["views"] = torch.randn(records, config.views.count, 12, samples, generator=draw)
    signal = torch.randn(records, 12, samples, generator=draw)
    return Batch(signal, torch.arange(12), torch.arange(records), extra=extra)


def plain_step(method: Any, plain: Plain, recipe: Any, batch: Batch) -> Callable[[], None]:
    """Return a training step as a script has it."""
    trained = [p for p in method.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay)

    def work() -> None:
        optimizer.zero_grad()
        plain.loss(method, batch).backward()
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(trained, recipe.clip)
        optimizer.step()
        with torch.no_grad():
            for teacher, student in plain.teachers:
                pairs = zip(getattr(method, teacher).parameters(), getattr(method, student).parameters(), strict=True)
                for t, s in pairs:
                    t.data = 0.99 * t.data + 0.01 * s.data
        if plain.after is not None:
            plain.after(method)

    return work


# Losses as a script has them: `m` is the method, of which only the networks are used.


def encoded(encoder: nn.Module, views: Tensor, i: int) -> Tensor:
    """Return the features of a view of all records."""
    ids = torch.arange(12)
    found: Tensor = encoder(views[:, i], ids).pooled
    return found


def projected(m: Any, batch: Batch) -> list[Tensor]:
    """Return the projections of both views."""
    views = batch.extra["views"]
    return [m.projector(encoded(m.encoder, views, i)) for i in range(2)]


def simclr(m: Any, batch: Batch) -> Tensor:
    """NT-Xent over all views."""
    z = F.normalize(torch.cat(projected(m, batch)), dim=1)
    n = len(z) // 2
    scores = (z @ z.T / m.config.temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
    return F.cross_entropy(scores, torch.arange(2 * n).roll(n))


def barlow_twins(m: Any, batch: Batch) -> Tensor:
    """The cross-correlation of standardised projections."""
    a, b = ((z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt() for z in projected(m, batch))
    c = a.T @ b / len(a)
    on = torch.diagonal(c)
    return (on - 1).pow(2).sum() + m.config.off_diagonal * (c.pow(2).sum() - on.pow(2).sum())


def vicreg(m: Any, batch: Batch) -> Tensor:
    """Invariance, variance and covariance."""
    a, b = projected(m, batch)
    found = m.config.weights[0] * F.mse_loss(a, b)
    for z in (a, b):
        centred = z - z.mean(0)
        c = centred.T @ centred / (len(z) - 1)
        hinge = F.relu(1 - (z.var(0) + 1e-4).sqrt()).mean()
        off = (c.pow(2).sum() - torch.diagonal(c).pow(2).sum()) / z.shape[1]
        found = found + m.config.weights[1] * hinge / 2 + m.config.weights[2] * off
    return found


def simsiam(m: Any, batch: Batch) -> Tensor:
    """Negative cosine with stopped gradients."""
    z = projected(m, batch)
    p = [m.predictor(x) for x in z]
    return -sum(F.cosine_similarity(p[i], z[1 - i].detach(), dim=1).mean() for i in range(2)) / 2


def taught(m: Any, batch: Batch) -> list[Tensor]:
    """Return the teacher's projections of both views."""
    with torch.no_grad():
        return [m.teacher_projector(encoded(m.teacher, batch.extra["views"], i)) for i in range(2)]


def byol(m: Any, batch: Batch) -> Tensor:
    """The distance of predictions to the teacher's projections."""
    p, t = [m.predictor(z) for z in projected(m, batch)], taught(m, batch)
    return sum((2 - 2 * F.cosine_similarity(p[i], t[1 - i], dim=1)).mean() for i in range(2))


def moco_v3(m: Any, batch: Batch) -> Tensor:
    """Contrast with the teacher's keys of the batch."""
    q, k = [m.predictor(z) for z in projected(m, batch)], taught(m, batch)
    T, total = m.config.temperature, torch.zeros(())
    for i in range(2):
        scores = F.normalize(q[i], dim=1) @ F.normalize(k[1 - i], dim=1).T / T
        total = total + 2 * T * F.cross_entropy(scores, torch.arange(len(scores)))
    return total


def moco(m: Any, batch: Batch) -> Tensor:
    """Contrast with a queue of keys; the keys of the batch enter it after the loss."""
    views = batch.extra["views"]
    q = F.normalize(m.projector(encoded(m.encoder, views, 0)), dim=1)
    with torch.no_grad():
        k = F.normalize(m.teacher_projector(encoded(m.teacher, views, 1)), dim=1)
    scores = torch.cat([(q * k).sum(1, keepdim=True), q @ m.queue.keys.clone().T], 1) / m.config.temperature
    place = int(m.queue.pointer)
    m.queue.keys[place : place + len(k)] = k[: len(m.queue.keys) - place]
    m.queue.pointer.fill_((place + len(k)) % len(m.queue.keys))
    return F.cross_entropy(scores, torch.zeros(len(q), dtype=torch.long))


def dino(m: Any, batch: Batch) -> Tensor:
    """Cross-entropy of every pair of a teacher's and a student's view."""
    views, config = batch.extra["views"], m.config
    student = [m.head(encoded(m.student, views, i)) for i in range(views.shape[1])]
    with torch.no_grad():
        teacher = [m.teacher_head(encoded(m.encoder, views, i)) for i in range(2)]
        warm = config.teacher_temperature[0] if config.temperature_epochs > 1 else config.teacher_temperature[1]
        p = [((t - m.centre.value) / warm).softmax(-1) for t in teacher]
    log_q = [(s / config.student_temperature).log_softmax(-1) for s in student]
    pairs = [(p[t], log_q[s]) for t in range(2) for s in range(len(log_q)) if s != t]
    m.plain_centre = torch.cat(teacher).mean(0)
    return sum(-(a * b).sum(-1).mean() for a, b in pairs) / len(pairs)


def move_centre(m: Any) -> None:
    """Move DINO's centre."""
    m.centre.value.mul_(0.9).add_(m.plain_centre, alpha=0.1)


def threekg(m: Any, batch: Batch) -> Tensor:
    """Every pair of rows of one patient against the rows of all others."""
    z, patients = F.normalize(torch.cat(projected(m, batch)), dim=1), batch.extra["patients"].repeat(2)
    s, total, count = z @ z.T / m.config.temperature, torch.zeros(()), 0
    same = patients[:, None] == patients
    for i in range(len(z)):
        others = s[i, ~same[i]]
        for j in torch.nonzero(same[i])[:, 0].tolist():
            if j != i:
                total = total + torch.cat([s[i, j : j + 1], others]).logsumexp(0) - s[i, j]
                count += 1
    return total / count


def cmsc(m: Any, batch: Batch) -> Tensor:
    """The halves of one patient's recordings find each other."""
    views, patients = batch.extra["views"], batch.extra["patients"]
    half, ids = views.shape[-1] // 2, torch.arange(12)
    parts = (views[:, 0, :, :half].contiguous(), views[:, 1, :, half:].contiguous())
    a, b = (F.normalize(m.projector(m.encoder(part, ids).pooled), dim=1) for part in parts)
    s, same = a @ b.T / m.config.temperature, patients[:, None] == patients
    return (-s.log_softmax(1)[same].mean() - s.log_softmax(0)[same].mean()) / 2


def clocs(m: Any, batch: Batch) -> Tensor:
    """CLOCS over all pairs of views, one pair after the other."""
    embeddings, patients = m.views(batch), batch.extra["patients"]
    z, V = F.normalize(embeddings, dim=1), embeddings.shape[-1]
    same = patients[:, None] == patients
    above, below = same.triu(1), same.tril(-1)
    total = torch.zeros(())
    for a in range(V):
        for b in range(a + 1, V):
            s = z[..., a] @ z[..., b].T / m.config.temperature
            rows, columns = -s.log_softmax(1), -s.log_softmax(0)
            terms = [torch.diagonal(rows).mean(), torch.diagonal(columns).mean()]
            terms += [rows[above].mean()] if above.any() else []
            terms += [columns[below].mean()] if below.any() else []
            total = total + torch.stack(terms).mean()
    return total / (V * (V - 1) / 2)


def ts_tcc(m: Any, batch: Batch) -> Tensor:
    """Temporal and contextual contrast, one distance after the other."""
    views, config, context, ids = batch.extra["views"], m.config, m.context, torch.arange(12)
    maps = [F.normalize(m.encoder(views[:, i], ids).tokens, dim=2) for i in range(2)]
    total, contexts = torch.zeros(()), []
    for own, other in (maps, maps[::-1]):
        t = int(torch.randint(own.shape[1] - config.ahead, ()))
        x = context.enter(own[:, : t + 1])
        x = torch.cat([context.token.expand(len(x), 1, -1), x], 1)
        for block in context.blocks:
            x = block(x)
        for k, ahead in enumerate(context.ahead, 1):
            scores = other[:, t + k] @ ahead(x[:, 0]).T
            total = total - torch.diagonal(scores.log_softmax(1)).mean() / config.ahead
        contexts.append(context.project(x[:, 0]))
    z, n = F.normalize(torch.cat(contexts), dim=1), len(contexts[0])
    scores = (z @ z.T / config.temperature).masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
    return config.w_temporal * total + config.w_contextual * F.cross_entropy(scores, torch.arange(2 * n).roll(n))


def cpc(m: Any, batch: Batch) -> Tensor:
    """Each later latent among others of its record, all at once."""
    config, encoder, ids = m.config, m.encoder, torch.arange(12)
    z = encoder.latents(batch.signal, ids)
    c = encoder.contexts(z)
    k, (B, S, _) = config.ahead, z.shape
    p = m.foretell(c[:, : S - k])
    draws = torch.randint(S - 1, (B, S - k, config.negatives))
    draws = draws + (draws >= torch.arange(k, S)[:, None])
    negatives = torch.stack([z[b][draws[b]] for b in range(B)])  # (B, S - k, M, D)
    scores = torch.cat([(p * z[:, k:]).sum(-1, keepdim=True), (negatives @ p[..., None])[..., 0]], -1)
    return F.cross_entropy(scores.flatten(0, 1), torch.zeros(B * (S - k), dtype=torch.long))


def jepa(m: Any, batch: Batch) -> Tensor:
    """Predictions of hidden tokens, with as many visible ones in every record."""
    from ecgkit_ssl.masking import hide_blocks

    config, ids, rng = m.config, torch.arange(12), np.random.default_rng(0)
    B, N = len(batch.signal), config.tokens
    kept = max(1, int(np.ceil(N * np.mean(config.keep))))
    hidden = torch.from_numpy(np.stack([hide_blocks(N, N - kept, config.shortest, rng) for _ in range(B)]))
    places = torch.stack([torch.nonzero(~row)[:, 0] for row in hidden])  # (B, kept)
    x = m.student.tokens(batch.signal, ids)
    x = torch.stack([x[b, places[b]] for b in range(B)])
    for block in m.student.blocks:
        x = block(x)
    x, net = m.predictor.enter(m.student.norm(x)), m.predictor
    blank = net.hidden.expand(B, N, -1).clone()
    for b in range(B):
        blank[b, places[b]] = x[b]
    x = blank + net.positions[:N]
    for block in net.blocks:
        x = block(x)
    predicted = net.leave(net.norm(x))
    with torch.no_grad():
        target = m.encoder(batch.signal, ids).tokens
    return F.l1_loss(predicted[hidden], target[hidden])


def masked_student(m: Any, batch: Batch) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return the student's tokens, what was masked, and the teacher's last blocks."""
    ids, N = torch.arange(12), m.config.tokens
    masked = torch.zeros(len(batch.signal), N, dtype=torch.bool)
    for row in masked:
        starts = torch.nonzero(torch.rand(N) < m.config.start)[:, 0].tolist() or [int(torch.randint(N, ()))]
        for start in starts:
            row[start : start + m.config.span] = True
    x = m.encoder.patches(batch.signal, ids)
    x = torch.where(masked[..., None], m.masked, x) + m.encoder.positions[:N]
    for block in m.encoder.blocks:
        x = block(x)
    with torch.no_grad():
        y, layers = m.teacher.tokens(batch.signal, ids), []
        for block in m.teacher.blocks:
            y = block(y)
            layers.append(y)
    return m.encoder.norm(x), masked, layers[-m.config.layers :]


def data2vec(m: Any, batch: Batch) -> Tensor:
    """The mean of the teacher's standardised blocks."""
    x, masked, layers = masked_student(m, batch)
    y = torch.stack([F.instance_norm(layer.mT).mT for layer in layers]).mean(0)
    return (m.to_target(x)[masked] - y[masked]).pow(2).sum(-1).mean() / x.shape[-1] ** 0.5


def dinosr(m: Any, batch: Batch) -> Tensor:
    """The codes of the teacher's blocks; codes move with every batch."""
    x, masked, layers = masked_student(m, batch)
    books, total = m.codebooks, torch.zeros(())
    for i, layer in enumerate(layers):
        with torch.no_grad():
            y = F.layer_norm(F.layer_norm(layer, layer.shape[-1:]), layer.shape[-1:])
            codes = torch.cdist(y.flatten(0, 1), books.codes[i]).argmin(-1)
            chosen = F.one_hot(codes, m.config.codes).float()
            books.sums[i] = 0.9 * books.sums[i] + 0.1 * chosen.T @ y.flatten(0, 1)
            books.counts[i] = 0.9 * books.counts[i] + 0.1 * chosen.sum(0)
        total = total + F.cross_entropy(m.to_code[i](x)[masked], codes.view(masked.shape)[masked])
    return total / len(layers)


def crt(m: Any, batch: Batch) -> Tensor:
    """Hidden patches of the record and its spectrum, as the method itself hides them."""
    patches = m.encoder.prepared(batch.signal, torch.arange(12))
    hidden = m.draw_hidden(0.5, batch.signal)
    seen = [[i for i in range(n) if i not in set(at.tolist())] for n, at in zip(m.config.patches, hidden, strict=True)]
    tokens = m.encoder.tokens([x[:, at] for x, at in zip(patches, seen, strict=True)])
    last = m.encoder.run(tokens, [torch.tensor(at) for at in seen])[-1]
    visible, _ = m.encoder.without_summaries(last, [len(at) for at in seen])
    a, b = (F.normalize(net(torch.cat(x, 1)), dim=-1) for net, x in ((m.before, tokens), (m.after, visible)))
    scores = (a @ b.mT).masked_fill(torch.eye(a.shape[1], dtype=torch.bool), -torch.inf)
    places = [torch.tensor(at) for at in seen]
    errors = [
        (made.view(x.shape) - x).pow(2).mean((0, 2, 3)).sum()
        for made, x in zip(m.rebuild(last, visible, places, hidden), patches, strict=True)
    ]
    return sum(errors) / sum(m.config.patches) + m.config.discrimination * scores.flatten(1).logsumexp(1).mean()


OF_TEACHER = (("teacher", "encoder"), ("teacher_projector", "projector"))
PLAIN: dict[str, Plain] = {
    "simclr": Plain(simclr),
    "byol": Plain(byol, OF_TEACHER),
    "barlow_twins": Plain(barlow_twins),
    "vicreg": Plain(vicreg),
    "simsiam": Plain(simsiam),
    "moco_v3": Plain(moco_v3, OF_TEACHER),
    "moco": Plain(moco, OF_TEACHER),
    "dino": Plain(dino, (("encoder", "student"), ("teacher_head", "head")), after=move_centre),
    "ts_tcc": Plain(ts_tcc, drawn=True),
    "3kg": Plain(threekg),
    "cmsc": Plain(cmsc),
    "clocs": Plain(clocs),
    "cpc": Plain(cpc, drawn=True),
    "jepa": Plain(jepa, (("encoder", "student"),), drawn=True),
    "data2vec": Plain(data2vec, (("teacher", "encoder"),), drawn=True),
    "dinosr": Plain(dinosr, (("teacher", "encoder"),), drawn=True),
    "crt": Plain(crt, drawn=True),
}

if __name__ == "__main__":
    main()
