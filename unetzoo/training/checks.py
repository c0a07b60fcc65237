"""What an optimizer may be asked for; checked without Keras."""

import math
from numbers import Real
from typing import Any

from unetzoo.utils.choices import RATES, SCHEDULES


def check_optimizer(
    name: str, learning_rate: float | None, schedule: str, clip: float | None
) -> None:
    """Check the arguments of ``make_optimizer``; no learning rate stands for the optimizer's own.

    Raises: ValueError for a name or a number that cannot work.

    >>> check_optimizer("sgd", None, "poly", 12.0)
    """
    if name not in RATES or schedule not in SCHEDULES:
        raise ValueError(
            f"optimizer {name!r}, schedule {schedule!r}: expected one of {', '.join(RATES)} "
            f"and one of {', '.join(SCHEDULES)}."
        )
    if not all(number is None or _is_positive(number) for number in (learning_rate, clip)):
        raise ValueError(f"learning_rate {learning_rate}, clip {clip}: expected numbers above 0.")


def _is_positive(number: Any) -> bool:
    real = isinstance(number, Real) and not isinstance(number, bool)
    return real and 0 < number < math.inf
