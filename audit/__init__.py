"""audit: read, print and compare the summaries of networks.

>>> import audit, unetzoo
>>> table = audit.table(unetzoo.skeleton("unet2d_small"))
>>> table.trainable
63972
"""

from typing import Any

from audit.diff import Diff, diff
from audit.reading import read, read_all
from audit.table import Row, Table
from audit.verdict import Verdict, check

__all__ = ["Diff", "Row", "Table", "Verdict", "check", "diff", "read", "read_all", "table"]


def table(model: Any) -> Table:
    """The table of any Keras model, or of a skeleton: a row for each call of a layer.

    Raises: ValueError for a model that has not been built.
    """
    from audit.models import table_of

    return table_of(model)
