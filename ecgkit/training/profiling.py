"""Profile of training steps: a trace for chrome://tracing or Perfetto, and a table of operations."""

from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, schedule

FOLDER = "profile"
SKIPPED, WARMUP, RECORDED = 1, 2, 5  # steps
_ROWS = 30


class StepProfiler:
    """Records a few steps after the first ones into ``FOLDER/profile/trace.json`` and ``table.txt``.

    Args:
        folder: The run folder.
        device: The device of the training.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder = folder / FOLDER
        gpu = [ProfilerActivity.CUDA] if device.type == "cuda" else []
        self._sort = "self_device_time_total" if gpu else "self_cpu_time_total"
        self._profile = profile(
            activities=[ProfilerActivity.CPU, *gpu],
            schedule=schedule(wait=SKIPPED, warmup=WARMUP, active=RECORDED, repeat=1),
            on_trace_ready=self._write,
            record_shapes=True,
        )
        self._left = SKIPPED + WARMUP + RECORDED
        self._profile.start()

    def step(self) -> None:
        """Mark the end of a step; after the last recorded step, the files are written."""
        if self._left:
            self._profile.step()
            self._left -= 1
            if not self._left:
                self._profile.stop()

    def close(self) -> None:
        """Write the steps recorded so far, if the training ended early."""
        if self._left:
            self._left = 0
            self._profile.stop()

    def _write(self, found: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        found.export_chrome_trace(str(self.folder / "trace.json"))
        table = found.key_averages().table(sort_by=self._sort, row_limit=_ROWS)
        (self.folder / "table.txt").write_text(table, encoding="utf-8")
