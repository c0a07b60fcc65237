"""The HTML report: one file, readable offline and without scripts."""

from pathlib import Path
from typing import Any

__all__ = ["report", "report_diff", "write"]


def report(source: Any) -> str:
    """The page of a zoo id, a ``.keras`` file, a text with a summary, a Keras model or a table.

    Raises: ValueError for anything else.

    >>> "64 - 2 x 4 = 56" in report("unet2d_original")
    True
    """
    from audit.html_report.page import report as page_of

    return page_of(source)


def report_diff(first: Any, second: Any) -> str:
    """Two networks side by side, and what differs. Raises: ValueError as ``report`` does."""
    from audit.html_report.compare import report_diff as page_of

    return page_of(first, second)


def write(page: str, path: Path | str) -> Path:
    """Write a page, whole or not at all, and return its path.

    Raises: ValueError if it cannot be written.
    """
    from unetzoo.utils.files import replacing

    with replacing(path) as beside:
        beside.write_text(page, encoding="utf-8")
    return Path(path)
