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
LOGS: list[Any] = []  # the lines that are printed instead
EVERY = 20.0  # seconds, at least, between lines that are not about a whole case


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

    In a log it is a line, at most every ``EVERY`` seconds. Where neither is, nothing is shown.

    Args: as in ``bar``.

    >>> list(inner("windows")(range(3)))
    [0, 1, 2]
    """

    def shown(items: Iterable[Item]) -> Iterator[Item]:
        from rich.markup import escape

        count = total or length_hint(items) or None
        if logs := [log for log, thread in LOGS if thread == threading.get_ident()]:
            yield from logs[-1].counted(description.strip(), items, count)
            return
        screens = [screen for screen, thread in SHOWN if thread == threading.get_ident()]
        if not screens:
            yield from items
            return
        row = screens[0].add_task(escape(description), total=count)
        try:
            for item in items:
                yield item
                screens[0].advance(row)
        finally:
            screens[0].remove_task(row)

    return shown


def bar_or_lines(
    description: str, total: int | None = None, *, every: float = 0.0
) -> Callable[[Iterable[Item]], Iterable[Item]]:
    """``bar`` on a terminal; elsewhere, as in a log file, lines on stderr.

    Args:
        description: what is being done to the items, which may have a name.
        total: as in ``bar``.
        every: seconds, at least, from one line to the next; 0 is a line for each item.
    """
    return bar(description, total) if on_terminal() else lines(description, total, every=every)


def lines(
    description: str, total: int | None = None, *, every: float = 0.0
) -> Callable[[Iterable[Item]], Iterable[Item]]:
    """A ``Progress`` that prints a line on stderr when an item is done, without control codes.

    Args: as in ``bar_or_lines``.

    >>> list(lines("cases")(range(3)))
    [0, 1, 2]
    """

    def shown(items: Iterable[Item]) -> Iterator[Item]:
        count = total or length_hint(items) or None
        log = _Log(description)
        of_thread = (log, threading.get_ident())
        LOGS.append(of_thread)
        try:
            yield from log.counted("", items, count, every)
        finally:
            LOGS.remove(of_thread)

    return shown


class _Log:
    """The lines of a log about the items of a task, and about what is done within an item."""

    def __init__(self, description: str):
        self.item = description  # that is worked on
        self.description = description
        self.last = time.monotonic()

    def counted(
        self, inside: str, items: Iterable[Item], total: int | None, every: float = EVERY
    ) -> Iterator[Item]:
        """The items; a line after one of them, if so many seconds have passed since the last."""
        begin = time.monotonic()
        for number, item in enumerate(items, 1):
            where = f"{number}/{total}" if total else f"{number}"
            if not inside:
                named = filter(None, [f"{self.description}: {where}", getattr(item, "name", "")])
                self.item = ", ".join(named)
            yield item
            now = time.monotonic()
            if now - self.last < every:
                continue
            self.last, elapsed = now, now - begin
            parts = [self.item, *([f"{inside} {where}"] if inside else []), f"{elapsed:.0f} s"]
            if total and number < total:
                parts.append(f"about {elapsed / number * (total - number):.0f} s left")
            print(printable(", ".join(parts)), file=sys.stderr, flush=True)
