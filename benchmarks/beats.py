"""R peaks: the default detector in batches against the libraries lead by lead, on the same leads, in turn.

    OMP_NUM_THREADS=1 python benchmarks/beats.py [--records 64] [--rounds 7]
    OMP_NUM_THREADS=1 python benchmarks/beats.py --annotated MIT-BIH-FOLDER

Prints medians over rounds of leads a second on one core (processor time, ten seconds of one lead at 500 Hz), and how
many times faster the default is. The bars: at least 20 times `neurokit2.ecg_clean` and `ecg_peaks`, and at least
10,000 leads a second. With --annotated, prints each detector's F1 on a folder of annotated records instead.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.beats import MEASURED
from ecgkit.beats.detector import Detector
from ecgkit.beats.score import score_folder
from ecgkit.entries import DetectorEntry
from ecgkit.plugins import host
from ecgkit.simulate.ecg import simulate_ecg
from ecgkit.simulate.findings import draw_findings
from ecgkit.simulate.patient import draw_patient


def recordings(count: int) -> NDArray[np.float32]:
    """Return simulated ECGs ``[count, 8, 5000]`` in mV, gaps filled with 0 so that every library takes them."""
    signals = []
    for i in range(count):
        rng = np.random.default_rng(i)
        patient = draw_patient(rng)
        signals.append(simulate_ecg(draw_findings(patient.conditions, rng), patient.body, rng).signal)
    return np.nan_to_num(np.stack(signals)[:, [0, 1, 6, 7, 8, 9, 10, 11]]).astype(np.float32)


def leads_a_second(work: Callable[[], object], leads: int) -> float:
    """Time one call by the processor's clock."""
    began = time.process_time()
    work()
    return leads / (time.process_time() - began)


def speed(records: int, rounds: int) -> None:
    """Time all in turn, so that a machine that drifts drifts for all."""
    batch = recordings(records)
    many = np.concatenate([batch] * max(1, 512 // records))
    few = batch[:2].reshape(-1, 1, 1, batch.shape[-1])  # 16 leads, one at a time: the libraries are slow
    detectors = {name: Detector(name) for name in host().entries(DetectorEntry)}
    for detector in detectors.values():
        detector.find(batch[:1], 500.0, MEASURED)
    rates: dict[str, list[float]] = {name: [] for name in detectors}
    for _ in range(rounds):
        for name, detector in detectors.items():
            if name == "consensus":
                rate = leads_a_second(lambda d=detector: d.find(many, 500.0, MEASURED), many.shape[0] * many.shape[1])
            else:
                rate = leads_a_second(lambda d=detector: [d.find(lead, 500.0, ("II",)) for lead in few], len(few))
            rates[name].append(rate)
    print(f"{'detector':12}{'leads/s':>12}{'slower by':>12}")
    for name, found in rates.items():
        ratio = statistics.median(a / b for a, b in zip(rates["consensus"], found, strict=True))
        print(f"{name:12}{statistics.median(found):12,.0f}{ratio:12.1f}")


def quality(folder: Path) -> None:
    """Print F1 of every detector at 150 and 50 ms."""
    print(f"{'detector':12}{'F1 150 ms':>12}{'F1 50 ms':>12}")
    for name in host().entries(DetectorEntry):
        wide, narrow = score_folder(folder, Detector(name)).pooled()
        print(f"{name:12}{100 * wide.f1:12.2f}{100 * narrow.f1:12.2f}", flush=True)


def main() -> None:
    """Read the arguments and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--annotated", type=Path)
    arguments = parser.parse_args()
    if arguments.annotated:
        quality(arguments.annotated)
    else:
        speed(arguments.records, arguments.rounds)


if __name__ == "__main__":
    main()
