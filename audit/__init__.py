"""audit: read, print and compare the summaries of networks.

>>> import audit, unetzoo
>>> table = audit.table(unetzoo.skeleton("unet2d_small"))
>>> table.trainable
63972
"""

from typing import Any

from audit.counting import Search, search
from audit.diff import Diff
from audit.explain import Explanation
from audit.matching import assert_matches
from audit.reading import read, read_all
from audit.sources import as_table
from audit.table import Row, Table
from audit.verdict import Verdict, check

__all__ = [
    "Diff",
    "Explanation",
    "Row",
    "Search",
    "Table",
    "Verdict",
    "assert_matches",
    "check",
    "diff",
    "explain",
    "read",
    "read_all",
    "table",
]


def table(model: Any) -> Table:
    """The table of any Keras model, or of a skeleton: a row for each call of a layer.

    Raises: ValueError for a model that has not been built.
    """
    from audit.models import table_of

    return table_of(model)


def diff(first: Any, second: Any) -> Diff:
    """Two networks row by row: models, zoo ids, ``.keras`` files or texts with a summary.

    Raises: ValueError for what is none of these.

    >>> diff("unet2d_small", "unet2d_small").same
    True
    """
    from audit.diff import diff as diff_of

    return diff_of(as_table(first), as_table(second))


def explain(first: Any, second: Any = None, *, count: int | None = None) -> Explanation | Search:
    """Why two networks' counts differ; or which ways of counting give a published number.

    Args:
        first, second: as ``diff`` takes them.
        count: instead of ``second``: a number published for ``first``, an id of the zoo.

    Raises: ValueError for what is none of these.

    >>> str(explain("unet3d_original", count=19_069_955).matches[0])
    'norms not counted'
    """
    from audit.explain import explain as explain_of

    if (second is None) == (count is None):
        raise ValueError("explain: expected a second network, or count=, and not both.")
    if count is not None:
        return search(first, count)
    return explain_of(as_table(first), as_table(second))
