"""A progress bar on stderr, with the time elapsed and the time left."""

import threading
from collections.abc import Callable, Iterable, Iterator
from operator import length_hint
from typing import Any, TypeVar

Item = TypeVar("Item")
Progress = Callable[[Any], Iterable]  # wraps a sequence, to show how far its items are
SCREEN = threading.Lock()  # held by the bar that is shown


def on_terminal() -> bool:
    """Whether stderr is a terminal, where a line can be redrawn."""
    from rich.console import Console

    return Console(stderr=True).is_terminal


def bar(description: str, total: int | None = None) -> Callable[[Iterable[Item]], Iterable[Item]]:
    """A ``Progress``: wraps an iterable and shows how far it is, if stderr is a terminal.

    A bar inside another bar is not shown.

    Args:
        description: what is being done.
        total: the number of items, where the iterable does not know it.

    >>> list(bar("cases")(range(3)))
    [0, 1, 2]
    """

    def shown(items: Iterable[Item]) -> Iterator[Item]:
        from rich import progress
        from rich.console import Console
        from rich.markup import escape

        if not on_terminal() or not SCREEN.acquire(blocking=False):
            yield from items
            return
        columns = (
            progress.TextColumn(escape(description)),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
        )
        try:
            with progress.Progress(*columns, console=Console(stderr=True)) as on_screen:
                yield from on_screen.track(items, total=total or length_hint(items) or None)
        finally:
            SCREEN.release()

    return shown
