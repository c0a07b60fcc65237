"""Files written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A place beside a file to write to; it takes the file's place if nothing went wrong.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "results.csv"
    >>> with replacing(place) as beside:
    ...     _ = beside.write_text("whole")
    >>> place.read_text()
    'whole'
    """
    path = Path(path)
    beside = path.with_name(f".writing-{os.getpid()}-{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def writing(path: Path | str) -> Iterator[Path]:
    """``replacing``, and a sentence where that fails.

    Raises: ValueError where the file cannot be written.

    >>> with writing("/none/results.csv") as beside:
    ...     _ = beside.write_text("whole")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: /none/results.csv: cannot be written (No such file or directory); look at ...
    """
    with explained_writing(path), replacing(path) as beside:
        yield beside


@contextmanager
def explained_writing(path: Path | str) -> Iterator[None]:
    """Raises: ValueError for an OSError while a file, or in a folder, is written."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be written ({error.strerror or error}); look at the folder, its "
            "permissions and the room on the disk."
        ) from error
