"""The HTML report: one file that needs no network, and no script to be looked at."""

from pathlib import Path
from typing import Any

__all__ = ["needs_keras", "report", "report_diff", "write"]


def needs_keras(source: Any) -> bool:
    """Whether a source is a network of the zoo or a ``.keras`` file; a text is read without."""
    from unetzoo.registry import list_models

    name = str(source)
    return name.endswith(".keras") or name.replace("-", "_") in list_models()


def report(source: Any) -> str:
    """The page of a zoo id, a ``.keras`` file, a text with a summary, a Keras model or a table.

    Raises: ValueError for what is none of these.

    >>> "64 - 2 x 4 = 56" in report("unet2d_original")
    True
    """
    from audit.report.page import report as page_of

    return page_of(source)


def report_diff(first: Any, second: Any) -> str:
    """Two networks side by side with what differs. Raises: ValueError as ``report``."""
    from audit.report.compare import report_diff as page_of

    return page_of(first, second)


def write(page: str, path: Path | str) -> Path:
    """Write a page whole or not at all; its path.

    Raises: ValueError where there is no such folder.
    """
    from unetzoo.files import replacing

    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"{path}: no folder {str(path.parent)!r} to write the page in.")
    with replacing(path) as beside:
        beside.write_text(page, encoding="utf-8")
    return path
