"""Prepare a data set on the workers of a Dask cluster, with the plan of its network.

    python examples/dask_prepare.py DIR CACHE tcp://10.0.0.1:8786

Without the address of a scheduler, there are two workers on this machine. All machines see the same
folders. A worker begins with its share of the cases, and goes on with what the others have not
begun; Dask gives the share of a worker that is lost to another one. Then:

    unetzoo train --data DIR --plan CACHE/plan.json --cache CACHE --out RUN
"""

import sys
from pathlib import Path

from dask.distributed import Client, LocalCluster, as_completed

import unetzoo
from unetzoo.data import Survey
from unetzoo.pipeline import Settings, prepare_data
from unetzoo.planning import write_plan


def prepare_share(data, cache, number, count):
    """What one worker does."""
    with Survey(cache, share=(number, count)) as survey:
        plan = unetzoo.plan(data, survey=survey)  # all workers come to the same one
        write_plan(plan, Path(cache, "plan.json"))
        settings = Settings.from_plan(plan, data=data)
        return str(prepare_data(settings, cache, share=(number, count), survey=survey))


def main(data, cache, scheduler=None):
    cluster = scheduler or LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with Client(cluster) as client:
        count = len(client.scheduler_info(n_workers=-1)["workers"])
        numbers = range(1, count + 1)
        shares = [client.submit(prepare_share, data, cache, n, count, pure=False) for n in numbers]
        for share in as_completed(shares):
            print(share.result())


if __name__ == "__main__":
    main(*sys.argv[1:])
