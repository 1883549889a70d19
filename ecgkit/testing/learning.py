"""Checks of the training step: gradients, a falling loss, bf16 and torch.compile."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ecgkit.methods import Batch, Clock, Losses, Method
from ecgkit.testing.case import Case
from ecgkit.testing.closeness import check_finite
from ecgkit.testing.result import CheckFailed, CheckSkipped
from ecgkit.training.optimization import method_optimization

STEPS = 20
END = Clock.end()
LONG = 10_000  # steps of a training at whose start these are, so that the learning rate does not fall
BF16_TOLERANCE = 0.1  # bf16 has 8 bits of mantissa
COMPILED_TOLERANCE = 1e-3


def losses_of(method: Method, batch: Batch, seed: int = 0, clock: Clock = END) -> Losses:
    """Return the losses of a step for a seed, at the end of a training or at another time.

    Raises:
        CheckFailed: The step returns something other than `Losses` of finite scalars.
    """
    torch.manual_seed(seed)
    losses = method.training_step(batch, clock)
    if not isinstance(losses, Losses) or not losses.parts:
        raise CheckFailed(f"training_step gave a {type(losses).__name__}", "Losses with at least one part")
    for name, value in losses.parts.items():
        if not isinstance(value, Tensor) or value.ndim:
            raise CheckFailed(f"the loss {name} is {value!r:.60}", "a scalar tensor", "Reduce it, as by .mean().")
        check_finite(value, f"the loss {name}")
    return losses


def check_step(case: Case) -> None:
    """A training step on a batch of the simulated store gives finite losses and gradients."""
    method = case.method()
    loss = losses_of(method, case.batch()).loss
    if not loss.requires_grad:
        raise CheckFailed("the loss does not depend on any trained parameter", "a loss with a gradient")
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in method.named_parameters():
        if parameter.grad is not None:
            check_finite(parameter.grad, f"the gradient of {name}")


def check_learns(case: Case) -> None:
    """The loss stays finite and falls over 20 steps on one batch, with the same random numbers in each step."""
    method, batch, recipe = case.method(), case.batch(), case.config.recipe
    optimization = method_optimization(method, recipe, torch.device("cpu"))
    losses = []
    for _ in range(STEPS):
        loss = losses_of(method, batch).loss
        losses.append(loss.item())
        optimization.step([loss], Clock.at(0, LONG, 1))
    if sum(losses[-5:]) / 5 >= losses[0]:
        raise CheckFailed(
            f"the loss goes from {losses[0]:.4g} to {losses[-1]:.4g} in {STEPS} steps on one batch",
            "a lower loss",
            f"Look at the sign of the loss, at detached tensors, and at the learning rate ({recipe.peak_lr:.3g}).",
        )


def check_gradients(case: Case) -> None:
    """Every parameter gets a gradient in at least one of 8 steps, or has requires_grad False."""
    method, batch = case.method(), case.batch()
    idle = {name for name, p in method.named_parameters() if p.requires_grad}
    for seed in range(8):
        method.zero_grad(set_to_none=True)
        losses_of(method, batch, seed).loss.backward()  # type: ignore[no-untyped-call]
        idle -= {name for name, p in method.named_parameters() if p.grad is not None and bool(p.grad.any())}
        if not idle:
            return
    names = sorted(idle)
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    raise CheckFailed(
        f"no gradient reaches {shown}",
        "a gradient for every parameter",
        "Use it in the loss, or declare it frozen: parameter.requires_grad_(False).",
    )


def check_bf16(case: Case) -> None:
    """Under bf16 autocast, losses and gradients are finite, and the loss differs from fp32 by less than a tenth."""
    method, batch = case.method(), case.batch()
    exact = losses_of(case.method(), batch).loss.item()
    with torch.autocast("cpu", torch.bfloat16):
        loss = losses_of(method, batch).loss
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in method.named_parameters():
        if parameter.grad is not None:
            check_finite(parameter.grad, f"the gradient of {name} in bf16")
    if abs(loss.item() - exact) > BF16_TOLERANCE * max(abs(exact), 1e-3):
        raise CheckFailed(
            f"the loss is {loss.item():.5g} in bf16 and {exact:.5g} in fp32",
            "a tenth of a difference at most",
            "Compute what needs precision (logits, sums of exponentials, variances) on x.float().",
        )


def check_compile(case: Case) -> None:
    """torch.compile compiles the training step, forward and backward, and the loss does not change."""
    if case.compiler == "inductor" and not (shutil.which("g++") or shutil.which("clang++")):
        raise CheckSkipped("no C++ compiler on this machine", "g++ or clang++, for the backend inductor")
    plain, method, batch = case.method(), case.method(), case.batch()
    eager = losses_of(plain, batch).loss.item()  # of a method of its own: a step may update buffers
    with _compiling():
        torch.manual_seed(0)
        try:
            loss = torch.compile(lambda b: method.training_step(b, Clock.end()).loss, backend=case.compiler)(batch)
            loss.backward()  # type: ignore[no-untyped-call]
        except Exception as error:
            line = " ".join(str(error).split())[:200]
            raise CheckFailed(
                f"torch.compile fails: {type(error).__name__}: {line}",
                "a step that compiles",
                "Put torch.compiler.disable on the code that cannot be compiled.",
            ) from None
    if abs(loss.item() - eager) > COMPILED_TOLERANCE * max(abs(eager), 1e-3):
        raise CheckFailed(
            f"the loss is {loss.item():.6g} when compiled and {eager:.6g} when not",
            "the same",
            "A step must not depend on Python state that changes, nor on numbers from outside torch.",
        )


@contextmanager
def _compiling() -> Iterator[None]:
    """Compile without cached code, with the random numbers of eager mode and no messages about graph breaks."""
    from torch._inductor import config as inductor

    quieted = [logging.getLogger(name) for name in ("torch._dynamo", "torch._functorch", "torch._inductor")]
    levels = [logger.level for logger in quieted]
    torch._dynamo.reset()
    for logger in quieted:
        logger.setLevel(logging.CRITICAL)
    try:
        with inductor.patch(fallback_random=True):
            yield
    finally:
        for logger, level in zip(quieted, levels, strict=True):
            logger.setLevel(level)
        torch._dynamo.reset()
