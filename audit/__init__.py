"""audit: read, print and compare networks as tables, and say why their counts differ.

- ``read``, ``read_all``: the table in a text, or all of them, whichever program printed it
- ``table``: the table of a Keras model, a ``.keras`` file, a text or a network of the zoo
- ``Table``, ``Row``: what these give; ``to_text`` prints a table as another program does
- ``diff``: two networks row by row (a ``Diff``)
- ``explain``: why two counts differ (an ``Explanation``), or how to get one (a ``Search``)
- ``check``: what a document states about a network of the zoo, measured (a ``Verdict`` each)
- ``cost``, ``memory``, ``receptive_field``: its multiplications, bytes, and the voxels it sees
- ``rebuild``: a published table back into a network (a ``Rebuilt``)
- ``report``: all of this as one HTML file
- ``skips``: a page on which each skip of a trained network can be switched off
- ``assert_matches``: for a test that keeps a published table true; so does ``pytest --audit``

Results print as text and show themselves in a notebook; ``to_pandas`` makes a table a frame of
pandas. The command is ``unetzoo-audit``.

>>> import audit
>>> table = audit.table("unet2d_small")
>>> table.trainable
63972
>>> audit.diff(table, "unet2d_small").same
True
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.comparison.diff import Diff
from audit.comparison.explain import Explanation
from audit.sources.resolve import as_table
from audit.sources.text import read, read_all
from audit.tables import Row, Table
from unetzoo.utils.lazy import lazy

if TYPE_CHECKING:
    from audit.analysis.cost import cost
    from audit.analysis.memory import memory
    from audit.analysis.receptive_field import receptive_field
    from audit.comparison.assertion import assert_matches
    from audit.comparison.conventions import Search
    from audit.documents.check import check
    from audit.documents.statement import Verdict
    from audit.rebuilding.network import Rebuilt

__all__ = [
    "Diff",
    "Explanation",
    "Rebuilt",
    "Row",
    "Search",
    "Table",
    "Verdict",
    "assert_matches",
    "check",
    "cost",
    "diff",
    "explain",
    "memory",
    "read",
    "read_all",
    "rebuild",
    "receptive_field",
    "report",
    "skips",
    "table",
]
__getattr__, __dir__ = lazy(
    __name__,
    {
        "cost": "audit.analysis.cost:cost",
        "memory": "audit.analysis.memory:memory",
        "receptive_field": "audit.analysis.receptive_field:receptive_field",
        "Search": "audit.comparison.conventions:Search",
        "Verdict": "audit.documents.statement:Verdict",
        "Rebuilt": "audit.rebuilding.network:Rebuilt",
        "assert_matches": "audit.comparison.assertion:assert_matches",
        "check": "audit.documents.check:check",
    },
    [],
)


def table(source: Any) -> Table:
    """The table of a network: a row for each call of a layer.

    Args:
        source: a Keras model or skeleton, an id of the zoo, a ``.keras`` file, or a text, of which
            the first summary is taken (``read_all`` gives all).

    Raises:
        ValueError: for anything else, or a model that has not been built.

    >>> len(table("unet3d-90m"))
    76
    """
    return as_table(source)


def diff(first: Any, second: Any) -> Diff:
    """Compare two networks row by row.

    Args:
        first: a network, as ``table`` takes it.
        second: the network to compare with it, also as ``table`` takes it.

    Raises:
        ValueError: for anything that ``table`` does not take.

    >>> diff("unet2d_small", "unet2d_small").same
    True
    """
    from audit.comparison.diff import diff as diff_of

    return diff_of(as_table(first), as_table(second))


def explain(first: Any, second: Any = None, *, count: int | None = None) -> "Explanation | Search":
    """Why two networks' counts differ, or which ways of counting give a published number.

    Args:
        first: a network, as ``table`` takes it; with ``count``, an id of the zoo.
        second: the other network, as ``table`` takes it.
        count: in place of ``second``, the number of parameters published for ``first``.

    Raises:
        ValueError: for anything else, or if ``second`` and ``count`` are both given or both left
            out.

    >>> str(explain("unet3d_original", count=19_069_955).matches[0])
    'norms not counted'
    """
    from audit.comparison.conventions import search
    from audit.comparison.explain import explain as explain_of

    if (second is None) == (count is None):
        raise ValueError("explain: expected a second network, or a count (--count).")
    if count is not None:
        return search(first, count)
    return explain_of(as_table(first), as_table(second))


def rebuild(source: Any) -> "Rebuilt":
    """A published table back into a network: a Keras model, and code that builds the same one.

    Args:
        source: a table of Keras or PyTorch, as ``table`` takes it.

    Returns: the network, how its table compares with the published one, and what is assumed.
    Raises:
        ValueError: for anything that ``table`` does not take, and for rows that no layer gives.

    >>> print(str(rebuild(table("unet2d_small").to_text("keras3"))).splitlines()[0])
    35 rows: each as in the table
    """
    from audit.rebuilding.network import rebuild as rebuilt

    return rebuilt(as_table(source))


def report(source: Any, path: Path | str, *, against: Any = None) -> Path:
    """Write a page about a network, or about two side by side: one file, readable offline.

    Args:
        source: a network, as ``table`` takes it; one of the zoo is shown with its document's
            statements.
        path: where to write the page.
        against: a second network to show beside it, also as ``table`` takes it.

    Returns:
        The path.

    Raises:
        ValueError: for anything that ``table`` does not take, or if the page cannot be written.
    """
    from audit import html_report

    if against is None:
        return html_report.write(html_report.report(source), path)
    return html_report.write(html_report.report_diff(source, against), path)


def skips(
    model: Any,
    image: Any,
    path: Path | str,
    *,
    labels: Any = None,
    class_names: Sequence[str] = (),
    spacing: Sequence[float] | None = None,
    title: str = "",
) -> Path:
    """Write a page on which each skip of a trained network can be switched off, on one image.

    A switch that is off puts zeros where the skip would join the decoder. Every combination is
    computed beforehand: 2 to the power of the levels with skips, of which the sixth and all deeper
    ones share a switch, so at most 64. Beside the mask stand its Dice, how far its outlines are
    off and how many objects it misses; of a volume a slice is shown, and the whole is scored.

    Args:
        model: a Keras network, a ``.keras`` file, or a folder that ``unetzoo.load_predictor``
            takes.
        image: an array ``(*spatial, C)`` as the network takes it, or a file, or one for each
            channel. With a ``.keras`` file or a network a file's channels are given a mean of 0
            and a standard deviation of 1; a folder says itself how images are prepared.
        path: where to write the page.
        labels: the classes ``(*spatial)``, or a file; without them masks are compared with the
            one that all skips give.
        class_names: of class 0, 1 ...; a folder knows them.
        spacing: of an array, millimeters along each axis; None: distances are in pixels.
        title: what to call the network; else its own name.

    Returns:
        The path.

    Raises:
        ValueError: for a network without skips, an image that does not fit, or a page that
            cannot be written.
    """
    from audit import html_report
    from audit.playground.measuring import measured
    from audit.playground.page import page_of
    from audit.playground.scenes import scene_of
    from unetzoo.utils.progress import bar

    scene = scene_of(model, image, labels, class_names=class_names, spacing=spacing, title=title)
    return html_report.write(page_of(measured(scene, bar("switching skips"))), path)
