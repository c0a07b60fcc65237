"""A progress bar with the time gone and the time left, on stderr."""

import threading
from collections.abc import Callable, Iterable, Iterator
from operator import length_hint
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Item = TypeVar("Item")
SCREEN = threading.Lock()  # held by the one bar that is shown


def on_terminal() -> bool:
    """Whether stderr is a terminal, where a line can be drawn anew."""
    return Console(stderr=True).is_terminal


def bar(description: str, total: int | None = None) -> Callable[[Iterable[Item]], Iterable[Item]]:
    """What wraps an iterable and shows how far it is; nothing where stderr is no terminal.

    A bar within another is not shown.

    Args:
        description: what is done.
        total: how many items there are, where the iterable does not know it.

    >>> list(bar("cases")(range(3)))
    [0, 1, 2]
    """

    def shown(items: Iterable[Item]) -> Iterator[Item]:
        console = Console(stderr=True)
        if not on_terminal() or not SCREEN.acquire(blocking=False):
            yield from items
            return
        columns = (
            TextColumn(escape(description)),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        try:
            with Progress(*columns, console=console) as progress:
                yield from progress.track(items, total=total or length_hint(items) or None)
        finally:
            SCREEN.release()

    return shown
