"""A progress bar on stderr, with the time elapsed and the time left; or a line an item."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from operator import length_hint
from typing import Any, TypeVar

from unetzoo.utils.text import printable

Item = TypeVar("Item")
Progress = Callable[[Any], Iterable]  # wraps a sequence, to show how far its items are
SCREEN = threading.Lock()  # held by the bar that is shown
SHOWN: list[Any] = []  # the bar that is shown, of rich


def on_terminal() -> bool:
    """Whether stderr is a terminal, where a line can be redrawn."""
    from rich.console import Console

    return Console(stderr=True).is_terminal


def bar(description: str, total: int | None = None) -> Callable[[Iterable[Item]], Iterable[Item]]:
    """A ``Progress``: wraps an iterable and shows how far it is, if stderr is a terminal.

    A bar inside another bar is not shown; ``inner`` is for that.

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
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
        )
        try:
            with progress.Progress(*columns, console=Console(stderr=True)) as on_screen:
                SHOWN.append((on_screen, threading.get_ident()))
                yield from on_screen.track(
                    items, total or length_hint(items) or None, description=escape(description)
                )
        finally:
            SHOWN.clear()
            SCREEN.release()

    return shown


def inner(description: str, total: int | None = None) -> Callable[[Iterable[Item]], Iterable[Item]]:
    """A ``Progress`` that is one more row of the bar that this thread shows, while it lasts.

    Nothing is shown where there is no bar.

    Args: as in ``bar``.

    >>> list(inner("windows")(range(3)))
    [0, 1, 2]
    """

    def shown(items: Iterable[Item]) -> Iterator[Item]:
        from rich.markup import escape

        screens = [screen for screen, thread in SHOWN if thread == threading.get_ident()]
        if not screens:
            yield from items
            return
        row = screens[0].add_task(escape(description), total=total or length_hint(items) or None)
        try:
            for item in items:
                yield item
                screens[0].advance(row)
        finally:
            screens[0].remove_task(row)

    return shown


def bar_or_lines(description: str) -> Callable[[Iterable[Item]], Iterable[Item]]:
    """``bar`` on a terminal; elsewhere, as in a log file, a line on stderr for each item.

    Args:
        description: what is being done to the items, which may have a name.
    """
    return bar(description) if on_terminal() else lines(description)


def lines(description: str) -> Callable[[Iterable[Item]], Iterable[Item]]:
    """A ``Progress`` that prints a line on stderr when an item is done, without control codes.

    >>> list(lines("cases")(range(3)))
    [0, 1, 2]
    """

    def shown(items: Iterable[Item]) -> Iterator[Item]:
        total, begin = length_hint(items), time.monotonic()
        for number, item in enumerate(items, 1):
            yield item
            elapsed = time.monotonic() - begin
            parts = [f"{description}: {number}/{total}", *filter(None, [getattr(item, "name", "")])]
            parts.append(f"{elapsed:.0f} s")
            if number < total:
                parts.append(f"about {elapsed / number * (total - number):.0f} s left")
            print(printable(", ".join(parts)), file=sys.stderr, flush=True)

    return shown
