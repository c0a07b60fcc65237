"""Files and paths: written whole or not at all, with one error for what cannot be written."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EISDIR
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import quote
from uuid import uuid4

WRITING = ".writing-"  # begins the names of files and folders that are not whole yet
DAY = 86400.0  # seconds after which nobody is still writing a file


class WriteError(ValueError, OSError):
    """Something cannot be written; the message says where, why, and what to check."""


def missing(path: "str | os.PathLike[str]") -> str:
    """Why a path is not a regular file; empty if it is one.

    >>> missing("/dev/null"), missing("/none")
    ('it is a pipe or a device, not a file', 'there is no such file')
    """
    path = Path(path)
    if path.is_file():
        return ""
    if path.is_dir():
        return "it is a folder, not a file"
    return "it is a pipe or a device, not a file" if path.exists() else "there is no such file"


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A temporary path beside a file; it replaces the file if nothing goes wrong.

    A device or a pipe, such as /dev/stdout, is not replaced but written to directly.

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
        beside = path.with_name(f"{WRITING}{uuid4().hex[:12]}-{path.name}")
        try:
            yield beside
            os.replace(beside, path)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)


@contextmanager
def explained_writing(path: Path | str) -> Iterator[None]:
    """Raise a WriteError for any OSError while a file or a folder is written."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise unwritten(path, error) from error


def unwritten(place: Path | str, error: OSError) -> WriteError:
    """The error for a path that cannot be written.

    >>> print(unwritten("/dev/null", FileExistsError()))  # doctest: +ELLIPSIS
    /dev/null: cannot be written (/dev/null is not a folder); look at the folder, ...
    """
    reason = error.strerror or str(error)
    if isinstance(error, FileExistsError | NotADirectoryError):
        path = Path(place)
        blocking = [p for p in (path, *path.parents) if p.exists() and not p.is_dir()]
        reason = f"{blocking[0]} is not a folder" if blocking else reason
    write_error = WriteError(
        f"{place}: cannot be written ({reason}); look at the folder, its permissions and the room "
        "on the disk."
    )
    write_error.strerror = error.strerror
    return write_error


def check_writable(path: Path | str) -> None:
    """Check that a file can be made at a path, before the work whose result it will hold.

    Raises: WriteError if it cannot.
    """
    path = Path(path)
    with explained_writing(path):
        if path.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        with TemporaryFile(dir=path.parent):
            pass


def check_folder(folder: Path | str) -> None:
    """Check that a folder can be made, or files in it, before the work starts.

    Raises: WriteError if not.
    """
    folder = Path(folder)
    with (
        explained_writing(folder),
        TemporaryFile(dir=next(p for p in (folder, *folder.absolute().parents) if p.exists())),
    ):
        pass


def abandoned(folder: Path, pattern: str, seconds: float = DAY) -> Iterator[Path]:
    """Paths that killed processes left in a folder: unchanged for at least this many seconds."""
    for path in folder.glob(pattern):
        with suppress(OSError):  # another process may be deleting it
            if time.time() - path.stat().st_mtime > seconds:
                yield path


def make_folder(folder: Path | str) -> Path:
    """Make a folder and its parents unless they exist; returns it. Raises: WriteError."""
    with explained_writing(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


def harmless(name: str) -> str:
    """A name of a case as part of a file's name: no path, never hidden, not too long.

    >>> harmless("../../x")
    '%2E%2E%2F%2E%2E%2Fx'
    """
    return quote(os.fsencode(name), safe="").replace(".", "%2E")[:80]


def absolute(place: str) -> str:
    """A path that holds in any working directory; what only names a thing, such as a:b, stays.

    >>> absolute("tfds:cells"), absolute("/scans/../data")
    ('tfds:cells', '/data')
    """
    return place if re.match("[a-z]{2,}:", place) else os.path.abspath(place)
