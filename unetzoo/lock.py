"""A folder that belongs to one process at a time."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from unetzoo.files import explained_writing

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"  # file in the folder; the kernel frees it when the process ends, however it ends
HELD: set[Path] = set()  # by this process


@contextmanager
def owned(folder: Path | str) -> Iterator[None]:
    """The folder is this process's own in this context; it is made if need be.

    A folder that was made and is still empty in the end is deleted.

    Raises: ValueError where another process has it, or where it cannot be written to.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "run"
    >>> with owned(place), owned(place):  # this process may take it again
    ...     sorted(path.name for path in place.iterdir())
    ['.lock']
    >>> place.exists()
    False
    """
    folder = Path(folder).resolve()
    if fcntl is None or folder in HELD:
        yield
        return
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with explained_writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = _taken(folder)
    HELD.add(folder)
    try:
        yield
    finally:
        HELD.remove(folder)
        with suppress(OSError):
            (folder / LOCK).unlink()  # while it is locked: who opened it before sees that it went
        lock.close()
        with suppress(OSError):
            for path in made:
                path.rmdir()


def check_free(folder: Path | str) -> None:
    """Look at once, before what takes time, whether another process has a folder.

    Raises: ValueError where it has.
    """
    folder = Path(folder).resolve()
    if fcntl is not None and folder not in HELD:
        with suppress(OSError), open(folder / LOCK) as file:  # in a read-only folder too
            _lock(file, folder)


def _lock(file: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        who = file.read(200).strip() or "another process"
        raise ValueError(
            f"{folder}: {who} is at work there; wait until it has ended, or give another folder."
        ) from None
    except OSError:  # a file system without locks
        pass


def _taken(folder: Path) -> TextIO:
    while True:
        file = open(folder / LOCK, "a+")  # noqa: SIM115
        try:
            _lock(file, folder)
        except ValueError:
            file.close()
            raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(folder / LOCK)):
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}")
                file.flush()
                return file
        file.close()  # its owner deleted it in between
