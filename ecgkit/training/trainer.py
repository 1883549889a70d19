"""The steps and epochs of a training in one process.

A training can be stopped at any step, and a resumed training equals an unbroken one; see `ecgkit.training.checkpoints`.
The validation loss uses the same crops and the same random masks in every epoch, so that epochs can be compared. No
step waits for the device: on a GPU, losses are read every `LOOK` steps.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ecgkit.atomic import atomic_file
from ecgkit.config import read_yaml
from ecgkit.errors import RunError
from ecgkit.interrupt import TO_SAVE, Stop, safe_points
from ecgkit.methods import Batch, Clock, Method
from ecgkit.store.views import View
from ecgkit.training import checkpoints as ckpt
from ecgkit.training.checkpoints import Checkpoint, Progress
from ecgkit.training.cost import peak_flops
from ecgkit.training.data import AsCounts, Epochs, Windows, evaluation_starts, loader
from ecgkit.training.engine import Engine
from ecgkit.training.journal import Journal
from ecgkit.training.loggers.base import LoggedRun
from ecgkit.training.meters import Means, Stopwatch
from ecgkit.training.options import Watcher
from ecgkit.training.placing import Placed, Placing, held_rows
from ecgkit.training.plan import Piece, Rows, deal
from ecgkit.training.processes import Processes
from ecgkit.training.profiling import StepProfiler
from ecgkit.training.read_ahead import ReadAhead
from ecgkit.training.run import CONFIG, WEIGHTS
from ecgkit.training.selection import best_epoch, is_flat
from ecgkit.training.setup import Setup
from ecgkit.training.unfinished import BEST, DIVERGED, finished
from ecgkit.training.weights import save_tensors

LOOK = 50  # number of steps on a GPU between reads of the losses
MEASURED_STEPS = 2  # at least, before the expected time is announced
LIVE = 1.0  # seconds between calls of `Watcher.live`
GPU_WORKERS = 8  # at most
REMEDY = "Lower the learning rate with --set recipe.lr=..., or set recipe.clip."


class Trainer:
    """See the module.

    Args:
        setup: Data and model of the training.
        processes: The processes that train together.
        folder: The unfinished run.
        watcher: Functions to call during the training.
    """

    def __init__(self, setup: Setup, processes: Processes, folder: Path, watcher: Watcher) -> None:
        self.setup, self.processes, self.folder, self.watcher = setup, processes, folder, watcher
        self.recipe, self.options, self.device = setup.recipe, setup.options, setup.device
        self.cost = setup.cost()
        self.peak = peak_flops(self.recipe, self.device)
        self.engine = Engine(
            setup.method,
            self.recipe,
            processes,
            shard=self.options.shard,
            recompute=self.options.recompute,
            bucket_mb=self.options.bucket_mb,
            compile=self.options.compiles(self.device),
            idle=self.cost.idle,
        )
        self.plan = setup.plan(processes)
        self.stopwatch = Stopwatch()
        self.steps = self.plan.steps * self.recipe.epochs
        self.means = Means()
        self.progress = Progress()
        self._unseen: list[tuple[int, Piece, dict[str, Tensor]]] = []  # losses that have not been read yet
        self._saved = self._shown = time.monotonic()
        self._measured_from: tuple[int, float] | None = None  # step and time
        self._announced = False

    def train(self) -> list[dict[str, Any]]:
        """Train to the end and return the metrics of every epoch; the folder then holds the final weights.

        Raises:
            RunError: A loss is NaN or infinite.
            KeyboardInterrupt: A signal asked to stop, and a checkpoint is saved.
        """
        torch.manual_seed(_seed(self.options.seed, self.processes.rank))
        self._go_on()
        beginning = self.setup.beginning(self.processes.size, self.cost, self.peak)
        self.watcher.start(beginning)
        for line in beginning.warnings():
            self.watcher.warn(line)
        self.journal = (
            Journal(self._logged_run(), self.progress.metrics, self.options.log, self.watcher.warn)
            if self.processes.first
            else None
        )
        try:
            self._train_epochs()
        except BaseException:
            self._end_log(finished=False)
            raise
        self._end_log(finished=True)
        return self.progress.metrics

    def _train_epochs(self) -> None:
        profiler = StepProfiler(self.folder, self.device) if self.options.profile and self.processes.first else None
        batches = self._batches()
        with safe_points(*TO_SAVE) as stop:
            for epoch in range(self.progress.epoch, self.recipe.epochs):
                if is_flat(self.progress.metrics, self.recipe):
                    break
                self._train_epoch(epoch, batches, stop, profiler)
                self._end_epoch(epoch)
                if epoch + 1 < self.recipe.epochs and self.processes.agree([stop()])[0]:
                    stop.reached = True
                    self._save(and_stop=True)
            self._keep_weights()
        if profiler:
            profiler.close()

    def _end_log(self, *, finished: bool) -> None:
        if self.journal is not None:
            self.journal.close(finished=finished)

    def _logged_run(self) -> LoggedRun:
        return LoggedRun(self.folder, finished(self.folder), read_yaml(self.folder / CONFIG), self.progress.epoch)

    def _batches(self) -> Iterator[Batch]:
        """Yield this process's batches from here to the end of the training."""
        orders = self.plan.orders(self.progress.epoch, self.progress.index)
        if self.setup.stream is None or self._placing.held is not None:
            return self.stopwatch.waiting(iter(self._loader(self._epochs(self.setup.view), orders)))
        ahead = ReadAhead(self.setup.view, self.setup.stream, orders, self._workers)
        return self.stopwatch.waiting(ahead.over(self._loader(self._epochs(ahead.view), ahead.orders())))

    def _epochs(self, view: View) -> Epochs:
        return Epochs(view, self.options.seed, self.setup.supplies)

    @property
    def _workers(self) -> int:
        """Number of loading processes."""
        gpu, wanted = self.device.type == "cuda", self.options.workers
        return default_workers(gpu, self.processes.size) if wanted is None else wanted

    def _loader(self, windows: Windows | Epochs, batches: Iterable[Any]) -> Placed:
        gpu, wanted = self.device.type == "cuda", self.options.view_on_device
        source = AsCounts(windows, held=self._placing.held is not None) if gpu or wanted else windows
        return Placed(loader(source, batches, self._workers, pin=gpu), self._placing)

    @cached_property
    def _placing(self) -> Placing:
        held = held_rows(self.setup.view, self.device, self.options.view_on_device)
        return Placing(self.setup.view, self.device, held)

    @cached_property
    def _validation(self) -> tuple[list[tuple[int, Rows, bool]], Iterable[Batch]]:
        """This process's validation batches from `deal`, and their loader."""
        view = self.setup.view
        batches = self.setup.validation_batches(self.processes.size)
        dealt = deal(batches, processes=self.processes.size, rank=self.processes.rank)
        windows = Windows(view, evaluation_starts(view, view.spec.eval_offsets[0]), self.setup.supplies)
        return dealt, self._loader(windows, [rows for _, rows, _ in dealt])

    def _train_epoch(self, epoch: int, batches: Iterator[Batch], stop: Stop, profiler: StepProfiler | None) -> None:
        self.setup.method.train()
        steps = self.plan.epoch(epoch)
        self.stopwatch.start()
        for pieces in steps[self.progress.index :]:
            done = self.engine.step(pieces, batches, Clock.at(self.progress.step, self.steps, self.recipe.epochs))
            self.progress.index += 1
            self.progress.step += 1
            for piece, scalars in zip(pieces, done, strict=True):
                self.means.add(scalars, piece.counted)
                self.stopwatch.records += sum(piece.sizes)
                self._unseen.append((self.progress.step, piece, scalars))
            self._between_steps(stop)
            self._show()
            if profiler:
                profiler.step()

    def _between_steps(self, stop: Stop) -> None:
        """Do what all processes must do together: end on a loss that is NaN or infinite, save, and stop."""
        due = self.processes.first and time.monotonic() - self._saved > 60 * self.options.save_minutes
        look = self.device.type == "cpu" or len(self._unseen) >= LOOK
        stops, saves, bad = self.processes.agree([stop(), due, look and self._diverged()])
        if (stops or saves) and not bad:
            bad = self.processes.agree([self._diverged()])[0]
        if bad:
            raise self._divergence()
        if stops or saves:
            stop.reached = stops
            self._save(and_stop=stops)

    def _diverged(self) -> bool:
        """Read the unread losses; if one is NaN or infinite, write its records to a file and return True."""
        unseen, self._unseen = self._unseen, []
        if not unseen:
            return False
        finite = torch.stack([scalars["loss"] for _, _, scalars in unseen]).isfinite().cpu()
        if finite.all():
            return False
        step, piece, scalars = unseen[int((~finite).nonzero()[0])]
        records = self.setup.store.table["record_id"].iloc[piece.rows].tolist()
        losses = {name: str(float(value)) for name, value in scalars.items()}
        file = self.folder / f"{DIVERGED}-process{self.processes.rank}.json"
        file.write_text(json.dumps({"step": step, "losses": losses, "record_ids": records}, indent=1))
        return True

    def _divergence(self) -> RunError:
        files = f"{self.folder / DIVERGED}-process*.json"
        return RunError(
            f"the loss is NaN or infinite at step {self.progress.step}; its records are in {files}", remedy=REMEDY
        )

    def _expect(self) -> None:
        """Announce the expected time once, from steps after the first, which warms up."""
        now = time.monotonic()
        if self._measured_from is None:
            self._measured_from = self.progress.step, now
        first, began = self._measured_from
        done = self.progress.step - first
        if not self._announced and done >= MEASURED_STEPS and now - began >= LIVE:
            self._announced = True
            self.watcher.expect((self.steps - self.progress.step) * (now - began) / done)

    def _show(self) -> None:
        self._expect()
        self.watcher.step(self.progress.step, self.steps)
        if self.watcher.live is not None and time.monotonic() - self._shown > LIVE:
            self._shown = time.monotonic()
            self.watcher.live(
                {
                    "epoch": self.progress.epoch + 1,
                    "step": self.progress.step,
                    "steps": self.steps,
                    "lr": self.engine.optimization.lr,
                    **{f"train_{name}": value for name, value in self.means.means(Processes()).items()},
                    **self._rates(),
                }
            )

    def _rates(self) -> dict[str, Any]:
        return self.stopwatch.rates(self.cost, self.processes.size, self.peak)

    def _end_epoch(self, epoch: int) -> None:
        """Validate, write the metrics, and keep the weights if they are the best so far."""
        rates, seconds = self._rates(), self.stopwatch.seconds
        began = time.perf_counter()
        metrics = {
            "epoch": epoch + 1,
            "step": self.progress.step,
            "lr": self.engine.optimization.lr,
            **{f"train_{name}": value for name, value in self.means.means(self.processes).items()},
            **{f"val_{name}": value for name, value in self.validate().items()},
            **self._measured(epoch + 1),
            **rates,
            "seconds": round(seconds + time.perf_counter() - began, 3),
        }
        if not np.isfinite(metrics["val_loss"]):
            raise RunError(f"the validation loss is {metrics['val_loss']} in epoch {epoch + 1}", remedy=REMEDY)
        known = [*self.progress.metrics, metrics]
        best = best_epoch(known, self.recipe.monitor)
        if best is metrics or not self.progress.metrics:
            self._write_weights(BEST)
        self.progress = Progress(epoch + 1, 0, self.progress.step, known)
        self.means = Means()
        if self.journal is not None:
            self.journal.write(metrics)
        self.watcher.epoch(metrics)

    def validate(self) -> dict[str, float]:
        """Return the mean losses on the validation set, with the same crops and the same random masks each time."""
        dealt, batches = self._validation
        means, clock = Means(), Clock.end(self.steps, self.recipe.epochs)
        self.setup.method.eval()
        with self._random_state_kept():
            for (number, rows, counts), batch in zip(dealt, batches, strict=True):
                torch.manual_seed(_seed(self.options.seed, number))
                means.add(self.engine.evaluate(batch, clock), len(rows) if counts else 0)
        return means.means(self.processes)

    def _measured(self, epoch: int) -> Mapping[str, float | None]:
        """Return the numbers of `Watcher.measure` at the end of an epoch."""
        every = self.options.measure_every
        if epoch % every and epoch != self.recipe.epochs:
            return {}
        whole = self._whole_method()
        if self.watcher.measure is None or whole is None:
            return {}
        with self._random_state_kept():
            return self.watcher.measure(epoch, whole)

    def _whole_method(self) -> Method | None:
        """Return the unsharded method; if it is sharded, a copy, and only in the first process."""
        if not self.engine.sharded:
            return self.setup.method.eval()
        tensors = ckpt.model_tensors(self.setup.method)
        if not self.processes.first:
            return None
        with self._random_state_kept():
            copy: Method = self.setup.entry.load()(self.setup.config)
        copy.load_state_dict(tensors)
        return copy.to(self.device).eval()

    def _random_state_kept(self) -> Any:
        return torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else [])

    def _write_weights(self, name: str) -> None:
        if self.processes.first or self.engine.sharded:
            tensors = ckpt.model_tensors(self.setup.method)
            if self.processes.first:
                with atomic_file(self.folder / name) as file:
                    save_tensors(file, tensors)

    def _keep_weights(self) -> None:
        """Write the final weights of the run: the best, or the last with the best beside them."""
        if self.recipe.checkpoint == "last":
            self._write_weights(WEIGHTS)
        elif self.processes.first:
            os.replace(self.folder / BEST, self.folder / WEIGHTS)

    def _save(self, *, and_stop: bool) -> None:
        """Write a checkpoint; all processes take part.

        Raises:
            KeyboardInterrupt: `and_stop` is set.
        """
        rng = _of_all(self.processes, ckpt.rng_tensors(self.device))
        sums = _of_all(self.processes, self.means.sums())
        if self.processes.first or self.engine.sharded:
            tensors = {
                "model": ckpt.model_tensors(self.setup.method),
                "optimizer": ckpt.optimizer_tensors(self.setup.method, self.engine.optimization.optimizers),
                "rng": rng,
                "sums": sums,
            }
            if self.processes.first:
                checkpoint = Checkpoint(self.progress, self.processes.size, tensors)
                ckpt.save_checkpoint(self.folder, checkpoint, keep=self.options.keep)
        self.processes.wait()
        self._saved = time.monotonic()
        if and_stop:
            raise KeyboardInterrupt

    def _go_on(self) -> None:
        """Continue from the last checkpoint, if the folder holds one."""
        found = ckpt.latest_checkpoint(self.folder, self.watcher.warn)
        self.processes.wait()
        if found is None:
            if self.options.resume:
                self.watcher.warn("no checkpoint was written yet: the training begins at its first step")
            return
        rank = self.processes.rank
        ckpt.load_model(self.setup.method, found.tensors["model"])
        ckpt.load_optimizers(self.setup.method, self.engine.optimization.optimizers, found.tensors["optimizer"])
        self.progress = found.progress
        if found.progress.step:  # an epoch that ends here tells the rate of its last step
            last = Clock.at(found.progress.step - 1, self.steps, self.recipe.epochs)
            self.engine.optimization.set_rates(last)
        self.means = Means(ckpt.sums_of(found, rank, self.processes.size))
        if found.processes == self.processes.size:
            ckpt.load_rng(found.tensors["rng"], rank, self.device)
        else:
            self.watcher.warn(
                f"the checkpoint was written by {found.processes} processes, but this training has "
                f"{self.processes.size}: the batches are the same, the random masks differ"
            )
        if self.processes.first:
            ckpt.restore_best(self.folder, found.progress.step)
        self.watcher.resume(found.progress.step)


def default_workers(gpu: bool, processes: int) -> int:
    """Return the number of loading processes per training process: on a CPU one, if there is a core for it."""
    cores = len(os.sched_getaffinity(0)) // processes
    return max(1, min(GPU_WORKERS, cores)) if gpu else int(len(os.sched_getaffinity(0)) > 1)


def _of_all(processes: Processes, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the CPU tensors of all processes by ``RANK/NAME``; names and shapes are equal in all processes."""
    return {
        f"{rank}/{name}": part
        for name, tensor in tensors.items()
        for rank, part in enumerate(processes.collect(tensor))
    }


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
