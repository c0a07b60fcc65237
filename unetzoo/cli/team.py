"""The options of ``train`` for several devices and processes."""

from typing import Any

import click

from unetzoo.cli.options import WHOLE, together
from unetzoo.utils.devices import slurm_task


class Devices(click.ParamType):
    """A whole number of at least 1, or "all"."""

    name = "N|all"

    def convert(self, value: Any, param: Any, context: Any) -> int | str:
        if value == "all" or (str(value).isdecimal() and int(value) > 0):
            return value if value == "all" else int(value)
        self.fail(f"{value!r}: expected a whole number of at least 1, or all.", param, context)


team_options = together(
    click.option(
        "--devices",
        type=Devices(),
        default=1,
        metavar="N|all",
        help="How many GPUs of this machine share each batch. With jax and tensorflow.",
    ),
    click.option(
        "--coordinator",
        metavar="HOST:PORT",
        help="Where the first of several processes listens. With jax; SLURM's srun needs none.",
    ),
    click.option("--processes", type=WHOLE, help="How many there are. With --coordinator."),
    click.option(
        "--process", type=click.IntRange(0), help="Which one this is, from 0. With --coordinator."
    ),
)


def number_of(coordinator: str | None, processes: int | None, process: int | None) -> int:
    """The number of this process; 0 where there is only one.

    Raises: ValueError for options that do not fit each other.
    """
    given = coordinator, processes, process
    if any(value is None for value in given) and given != (None, None, None):
        raise ValueError(
            "expected --coordinator, --processes and --process together, or none of them."
        )
    if processes is not None and process is not None and process >= processes:
        raise ValueError(f"--process {process}: expected less than --processes {processes}.")
    return slurm_task()[0] if process is None else process
