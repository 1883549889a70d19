"""Workers of a Dask cluster below Slurm, for ``--dask`` of ingest, beats, prepare, probe, embed and predict.

    pip install dask-jobqueue
    python examples/slurm/dask_cluster.py --workers 16 --partition cpu --file scheduler.txt &
    ecgkit ingest mimic-iv-ecg/ --out mimic.zarr --dask "$(cat scheduler.txt)"

Each worker is a Slurm job with one core. A job that ends is started again, so the work goes on. Stop it with Ctrl-C.
"""

import argparse
import signal
from pathlib import Path


def main() -> None:
    """Start the workers, and write the scheduler's address into a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--partition")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--walltime", default="08:00:00")
    parser.add_argument("--file", type=Path, default=Path("scheduler.txt"))
    given = parser.parse_args()
    from dask_jobqueue import SLURMCluster

    cluster = SLURMCluster(cores=1, processes=1, memory=given.memory, queue=given.partition, walltime=given.walltime)
    cluster.adapt(minimum=given.workers, maximum=given.workers)
    given.file.write_text(cluster.scheduler_address)
    print(f"{given.workers} workers; scheduler {cluster.scheduler_address}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
