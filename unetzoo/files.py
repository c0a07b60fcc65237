"""Files written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EISDIR
from pathlib import Path
from tempfile import TemporaryFile


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A place beside a file to write to; it takes the file's place if nothing went wrong.

    A device or a pipe, such as /dev/stdout, is no file to be replaced: it is written to itself.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "results.csv"
    >>> with replacing(place) as beside:
    ...     _ = beside.write_text("whole")
    >>> place.read_text()
    'whole'
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path
        return
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


def check_writable(path: Path | str) -> None:
    """Whether a file can be made there, asked before the work whose result it is to hold.

    Raises: ValueError where it cannot.
    """
    path = Path(path)
    with explained_writing(path):
        if path.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        with TemporaryFile(dir=path.parent):
            pass
