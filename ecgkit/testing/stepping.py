"""Checks around the training step: gradient accumulation, the clock, and the hook after the step.

The steps are taken by the real training engine, with two accumulated parts per batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ecgkit.methods import Clock, Method
from ecgkit.testing.case import Case
from ecgkit.testing.closeness import distance
from ecgkit.testing.gradients import RECIPE, check_same_gradients, one_thread, taken_step
from ecgkit.testing.learning import losses_of
from ecgkit.testing.result import CheckFailed, CheckSkipped
from ecgkit.training.data import Windows, evaluation_starts
from ecgkit.training.engine import Engine
from ecgkit.training.processes import Processes

STEPS, PARTS = 3, 2
EQUAL = 1e-6  # sums of several threads


@dataclass(frozen=True)
class Seen:
    """The calls of one optimiser step.

    Args:
        clock: The clock of the step.
        parts: Clocks passed to `training_step`.
        after: Clocks passed to `after_step`.
    """

    clock: Clock
    parts: list[Clock]
    after: list[Clock]


def check_accumulation(case: Case) -> None:
    """A batch in two accumulated parts gives the same gradients and buffers as the whole batch.

    A loss that compares the records of a batch sees fewer records in a part. Such a method declares `fewest_records`.
    """
    if case.setup.fewest > 1:
        raise CheckSkipped("its loss compares the records of a part (fewest_records)")
    with one_thread():
        whole, parts = (taken_step(case.variant(accumulate=n, **RECIPE), Processes()) for n in (1, PARTS))
    remedy = "Average by record, and change state in after_step alone."
    check_same_gradients(whole.gradients, parts.gradients, f"a batch in one part and in {PARTS}", remedy)
    for name, value in whole.buffers.items():
        if distance(value.float(), parts.buffers[name].float()) > EQUAL:
            raise CheckFailed(
                f"the buffer {name} differs after a batch in one part and in {PARTS}", "no difference", remedy
            )


def check_clock(case: Case) -> None:
    """All parts of a batch get the clock of their optimiser step, and a step's position comes only from the clock."""
    for step in _steps(case, case.method()):
        if any(clock != step.clock for clock in step.parts):
            raise CheckFailed(f"in step {step.clock.step} the parts see {step.parts}", f"each of them {step.clock}")
    method, batch, clock = case.method(), case.batch(), Clock.at(1, 4, 2)
    first, second = (losses_of(method, batch, clock=clock).loss for _ in range(2))
    if distance(first, second) > EQUAL:
        raise CheckFailed(
            f"the loss is {first.item():.6g} in one call and {second.item():.6g} in the next, at the same clock",
            "the same loss",
            "Count no calls: use the clock, and change state in after_step alone.",
        )


def check_after_step(case: Case) -> None:
    """`after_step` runs once after each optimiser step; validation changes no state."""
    method = case.method()
    for step in _steps(case, method):
        if step.after != [step.clock]:
            raise CheckFailed(
                f"after_step ran {len(step.after)} times in optimiser step {step.clock.step}",
                "one call by the engine",
                "Do not call it in the method.",
            )
    before = {name: value.clone() for name, value in method.state_dict().items()}
    with torch.no_grad():
        losses_of(method.eval(), case.batch())
    changed = [name for name, value in method.state_dict().items() if not torch.equal(value, before[name])]
    if changed:
        raise CheckFailed(f"{changed[0]} changes in validation", "no change", "Change state in after_step alone.")


def _steps(case: Case, method: Method) -> Iterator[Seen]:
    """Train a method for a few steps, and yield the calls of each step."""
    setup = case.variant(accumulate=PARTS)
    parts, after = _watched(method)
    engine = Engine(method, setup.recipe, Processes(), compile=False, idle=True)
    plan = setup.plan(Processes())
    windows = Windows(setup.view, evaluation_starts(setup.view, 0), setup.supplies)
    for step, pieces in enumerate(plan.epoch(0)[:STEPS]):
        clock = Clock.at(step, plan.steps * setup.recipe.epochs, setup.recipe.epochs)
        engine.step(pieces, (windows[piece.rows] for piece in pieces), clock)
        yield Seen(clock, parts[:], after[:])
        parts.clear()
        after.clear()


def _watched(method: Method) -> tuple[list[Clock], list[Clock]]:
    """Record the clocks passed to a method's step and hook from now on."""
    parts: list[Clock] = []
    after: list[Clock] = []
    step, hook = method.training_step, method.after_step

    def training_step(batch, clock):  # type: ignore[no-untyped-def]
        parts.append(clock)
        return step(batch, clock)

    def after_step(clock: Clock) -> None:
        after.append(clock)
        hook(clock)

    method.training_step, method.after_step = training_step, after_step  # type: ignore[method-assign]
    return parts, after
