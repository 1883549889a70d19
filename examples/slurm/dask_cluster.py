"""Workers of a Dask cluster below Slurm, for every command that has ``--dask``.

    pip install dask-jobqueue
    python examples/slurm/dask_cluster.py --workers 16 --partition cpu --file scheduler.txt &
    until [ -s scheduler.txt ]; do sleep 1; done
    ecgkit ingest mimic-iv-ecg/ --out mimic.zarr --dask "$(cat scheduler.txt)"

Each worker is a Slurm job with one core. A job that ends is started again, so the work goes on. The file vanishes when
the cluster ends. Stop it with Ctrl-C or kill. ``--local`` starts the workers on this machine instead, to try it out.
"""

import argparse
import os
import signal
from pathlib import Path
from typing import Any


def slurm_cluster(given: argparse.Namespace) -> Any:
    """Return a cluster whose workers are Slurm jobs."""
    from dask_jobqueue import SLURMCluster

    cluster = SLURMCluster(cores=1, processes=1, memory=given.memory, queue=given.partition, walltime=given.walltime)
    cluster.adapt(minimum=given.workers, maximum=given.workers)
    return cluster


def local_cluster(given: argparse.Namespace) -> Any:
    """Return a cluster whose workers are processes of this machine."""
    from distributed import LocalCluster

    return LocalCluster(n_workers=given.workers, threads_per_worker=1, dashboard_address=None)


def main() -> None:
    """Start the workers, and write the scheduler's address into a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--partition")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--walltime", default="08:00:00")
    parser.add_argument("--file", type=Path, default=Path("scheduler.txt"))
    parser.add_argument("--local", action="store_true")
    given = parser.parse_args()
    given.file.unlink(missing_ok=True)  # of a cluster that has ended
    cluster = local_cluster(given) if given.local else slurm_cluster(given)
    staging = given.file.with_name(f"{given.file.name}.partial")
    staging.write_text(cluster.scheduler_address)
    os.replace(staging, given.file)
    print(f"{given.workers} workers; scheduler {cluster.scheduler_address}", flush=True)
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.pause()
    except KeyboardInterrupt:
        given.file.unlink(missing_ok=True)
        cluster.close()


if __name__ == "__main__":
    main()
