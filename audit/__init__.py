"""audit: read, print and compare the summaries of networks.

>>> import audit
>>> table = audit.table("unet2d_small")
>>> table.trainable
63972
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit import report as _pages
from audit.diff import Diff
from audit.explain import Explanation
from audit.reading import read, read_all
from audit.sources import as_table
from audit.table import Row, Table
from unetzoo.lazy import lazy

if TYPE_CHECKING:
    from audit.counting import Search
    from audit.matching import assert_matches
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
    "report",
    "table",
]
__getattr__, __dir__ = lazy(
    __name__,
    {
        "Search": "audit.counting:Search",
        "Verdict": "audit.verdict:Verdict",
        "assert_matches": "audit.matching:assert_matches",
        "check": "audit.verdict:check",
    },
    ["cost", "memory", "receptive_field"],
)


def table(source: Any) -> Table:
    """The table of a network: a row for each call of a layer.

    Args:
        source: a Keras model or skeleton, an id of the zoo, a ``.keras`` file, or a text with a
            summary, of which the first is taken (``read_all`` gives all).

    Raises: ValueError for what is none of these, or a model that has not been built.

    >>> len(table("unet3d-90m"))
    76
    """
    return as_table(source)


def diff(first: Any, second: Any) -> Diff:
    """Two networks row by row, each as ``table`` takes it.

    Raises: ValueError for what is none of these.

    >>> diff("unet2d_small", "unet2d_small").same
    True
    """
    from audit.diff import diff as diff_of

    return diff_of(as_table(first), as_table(second))


def explain(first: Any, second: Any = None, *, count: int | None = None) -> "Explanation | Search":
    """Why two networks' counts differ; or which ways of counting give a published number.

    Args:
        first, second: as ``table`` takes them.
        count: instead of ``second``: a number published for ``first``, an id of the zoo.

    Raises: ValueError for what is none of these.

    >>> str(explain("unet3d_original", count=19_069_955).matches[0])
    'norms not counted'
    """
    from audit.counting import search
    from audit.explain import explain as explain_of

    if (second is None) == (count is None):
        raise ValueError("explain: expected a second network, or count=, and not both.")
    if count is not None:
        return search(first, count)
    return explain_of(as_table(first), as_table(second))


def report(source: Any, path: Path | str, *, against: Any = None) -> Path:
    """Write a page about a network, or about two side by side: one file that needs no network.

    Args:
        source: as ``table`` takes it; a network of the zoo is shown with its document's statements.
        path: of the page.
        against: the second of two, also as ``table`` takes it.

    Returns: the path.
    Raises: ValueError for what is no network, or where the page cannot be written.
    """
    page = _pages.report(source) if against is None else _pages.report_diff(source, against)
    return _pages.write(page, path)
