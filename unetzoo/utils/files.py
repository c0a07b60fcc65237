"""Files written whole or not at all; what cannot be written is told in one way."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EISDIR
from pathlib import Path
from tempfile import TemporaryFile


class WriteError(ValueError, OSError):
    """What cannot be written: the place, why not, and what to look at."""


def missing(path: "str | os.PathLike[str]") -> str:
    """Why a path is no regular file; empty where it is one.

    >>> missing("/dev/null"), missing("/none")
    ('it is a pipe or a device, no file', 'there is no such file')
    """
    path = Path(path)
    if path.is_file():
        return ""
    if path.is_dir():
        return "it is a folder, no file"
    return f"{'it is a pipe or a device, no' if path.exists() else 'there is no such'} file"


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A place beside a file to write to; it takes the file's place if nothing went wrong.

    A device or a pipe, such as /dev/stdout, is no file to be replaced: it is written to itself.

    Raises: WriteError, a ValueError, where the file cannot be written.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "results.csv"
    >>> with replacing(place) as beside:
    ...     _ = beside.write_text("whole")
    >>> place.read_text()
    'whole'
    >>> with replacing("/none/results.csv") as beside:
    ...     _ = beside.write_text("whole")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    unetzoo.utils.files.WriteError: /none/results.csv: cannot be written (No such file or ...
    """
    path = Path(path)
    with explained_writing(path):
        if path.exists() and not path.is_file() and not path.is_dir():
            yield path
            return
        beside = path.with_name(f".writing-{os.getpid()}-{path.name}")
        try:
            yield beside
            os.replace(beside, path)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)


@contextmanager
def explained_writing(path: Path | str) -> Iterator[None]:
    """Raises: WriteError for an OSError while a file, or in a folder, is written."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise unwritten(path, error) from error


def unwritten(place: Path | str, error: OSError) -> WriteError:
    """What to say of a place that cannot be written to.

    >>> print(unwritten("/dev/null", FileExistsError()))  # doctest: +ELLIPSIS
    /dev/null: cannot be written (/dev/null is no folder); look at the folder, ...
    """
    reason = error.strerror or str(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        path = Path(place)
        there = [one for one in (path, *path.parents) if one.exists() and not one.is_dir()]
        reason = f"{there[0]} is no folder" if there else reason
    told = WriteError(
        f"{place}: cannot be written ({reason}); look at the folder, its permissions and the room "
        "on the disk."
    )
    told.strerror = error.strerror
    return told


def check_writable(path: Path | str) -> None:
    """Whether a file can be made there, asked before the work whose result it is to hold.

    Raises: WriteError where it cannot.
    """
    path = Path(path)
    with explained_writing(path):
        if path.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        with TemporaryFile(dir=path.parent):
            pass


def check_folder(folder: Path | str) -> None:
    """Whether files can be made in a folder, or the folder itself, asked before the work.

    Raises: WriteError where they cannot.
    """
    folder = Path(folder)
    with (
        explained_writing(folder),
        TemporaryFile(dir=next(p for p in (folder, *folder.absolute().parents) if p.exists())),
    ):
        pass


def abandoned(folder: Path, pattern: str, seconds: float) -> Iterator[Path]:
    """What processes that were killed left in a folder: nothing has changed there for so long."""
    for path in folder.glob(pattern):
        with suppress(OSError):  # another process is deleting it
            if time.time() - path.stat().st_mtime > seconds:
                yield path


def make_folder(folder: Path | str) -> Path:
    """The folder, made with its parents where it is not there. Raises: WriteError."""
    with explained_writing(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)
