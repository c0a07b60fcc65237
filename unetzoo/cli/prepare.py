"""``unetzoo prepare``, what many jobs do together, and ``unetzoo status``: how far they are."""

from pathlib import Path
from typing import Any

import click

from unetzoo.cli.asked import asked_for
from unetzoo.cli.options import (
    FOLDER,
    case_options,
    fold_options,
    patch_options,
    plan_options,
    workers_option,
)
from unetzoo.utils.console import say
from unetzoo.utils.files import check_folder, make_folder
from unetzoo.utils.shards import share_of


@click.command()
@click.argument("data")
@click.option("-o", "--out", "folder", required=True, type=FOLDER, help="The --cache of train.")
@click.option(
    "--shard",
    default="1/1",
    help="Where this job begins: 2/8 is the second of 8; slurm asks SLURM's job array.",
)
@plan_options
@patch_options
@fold_options
@case_options
@workers_option
def prepare(
    data: str, folder: Path, shard: str, workers: int, path: Path | None, base: Path | None,
    configuration: str | None, memory_gb: float | None, network: str | None, **options: Any,
) -> None:  # fmt: skip
    """Prepare the cases of DATA, so that train with --cache finds all of them.

    DATA is a folder, a CSV file, or globs 'IMAGES;LABELS'. Without --network or --plan a network is
    planned, and the plan is written there, too. Several jobs may do it together, on machines that
    see the same folders: each begins with its share, and goes on with what the others have not
    begun, so that all is there when one of them ends.
    """
    from unetzoo.pipeline.preparing import files_to_prepare, prepare_data
    from unetzoo.pipeline.run import PLAN
    from unetzoo.planning.dataset import plan_dataset
    from unetzoo.planning.plans import Plan
    from unetzoo.planning.serialization import write_plan

    share = share_of(shard)
    check_folder(folder)
    if (network, path, base) == (None, None, None):
        network = "planned"

    def planned(_: Path, data: str, **options: Any) -> Plan:
        made = plan_dataset(data, **options)
        write_plan(made, make_folder(folder) / PLAN)
        return made

    settings, _, survey = asked_for(
        folder, folder, workers, path, configuration, memory_gb, base, planner=planned,
        lock=lambda _: None, share=share, data=data, network=network, clip=None, no_augment=False,
        norm=None, dropout=None, init=None, **options,
    )  # fmt: skip
    files_to_prepare(settings)
    say(prepare_data(settings, folder, share=share, workers=workers, survey=survey), err=True)
    say(folder)


@click.command()
@click.argument("folder", type=FOLDER)
def status(folder: Path) -> None:
    """Say how far the work in FOLDER is: a run, a cross-validation, or cases of several jobs.

    That is the folder of train, cross-validate or prepare, or of predict with --shard.
    """
    from unetzoo.pipeline.status import status as status_of

    say(status_of(folder))
