"""Which share of the cases is one job's, where several jobs share them."""

import os
from collections.abc import Mapping, Sequence

ALONE = 1, 1  # the share of a job that begins with all cases
SLURM = "slurm"  # asks for the share that SLURM's variables name


def share_of(part: str, environment: Mapping[str, str] | None = None) -> tuple[int, int]:
    """The number of a job, from 1, and how many there are.

    Args:
        part: such as "2/8"; or "slurm", for a task of a job array.
        environment: SLURM's variables; None for those of this process.

    Raises: ValueError for anything else, or outside an array whose numbers are evenly spaced.

    >>> share_of("2/8")
    (2, 8)
    >>> share_of("slurm", {f"SLURM_ARRAY_TASK_{name}": n for name, n in
    ...                    dict(ID="3", COUNT="8", MIN="0", MAX="7", STEP="1").items()})
    (4, 8)
    """
    if part == SLURM:
        return _of_array(os.environ if environment is None else environment)
    number, _, count = part.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise ValueError(
            f"shard {part!r}: expected the second of eight jobs, for example, as 2/8; the first "
            "is 1/8, the last 8/8."
        )
    return int(number), int(count)


def _of_array(environment: Mapping[str, str]) -> tuple[int, int]:
    names = ("ID", "COUNT", "MIN", "MAX", "STEP")
    found = [environment.get(f"SLURM_ARRAY_TASK_{name}", "") for name in names]
    if not all(text.isdecimal() for text in (found[0], found[1])):
        raise ValueError(
            "shard 'slurm': SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT are not there; expected "
            "a task of sbatch --array, or give a share such as 2/8."
        )
    task, count = int(found[0]), int(found[1])
    first, last, step = (
        int(text) if text.isdecimal() else other
        for text, other in zip(found[2:], (0, count - 1, 1), strict=True)
    )
    step = max(step, 1)
    if last != first + (count - 1) * step or (task - first) % step or not first <= task <= last:
        raise ValueError(
            f"shard 'slurm': task {task} of {count} in an array with gaps from {first} to {last}; "
            f"expected an array such as 0-{count - 1}, or give a share such as 2/8."
        )
    return (task - first) // step + 1, count


def in_order(names: Sequence[str], number: int, count: int) -> list[str]:
    """The order in which one of several jobs goes through all cases: its own share first.

    It takes those of the others from their ends, where these come last.

    >>> in_order("abcdef", 2, 3)
    ['b', 'e', 'f', 'c', 'd', 'a']
    """
    total = len(names)  # perhaps far less than there are jobs
    others = [*range(number, min(count, total)), *range(min(number - 1, total))]
    theirs = (name for start in others for name in reversed(names[start::count]))
    return [*names[number - 1 :: count], *theirs]
