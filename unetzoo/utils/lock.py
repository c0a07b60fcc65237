"""A folder that belongs to one process at a time."""

import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from unetzoo.utils.files import explained_writing

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"  # file in the folder; the system releases the lock however the process ends


@dataclass(frozen=True)
class Owner:
    """The process that has a folder, or had it when it was killed."""

    host: str
    pid: int
    since: float  # seconds since 1970


def owner_of(folder: Path | str) -> Owner | None:
    """Who has a folder, as its lock says; None where it has none."""
    path = Path(folder) / LOCK
    try:
        found = re.fullmatch(r"process (\d+) on (.+)", path.read_text()[:300].strip())
        return found and Owner(found[2], int(found[1]), path.stat().st_mtime)
    except (OSError, ValueError):
        return None


class Held:
    """The lock of a folder, and how many times this process has taken it."""

    def __init__(self, file: TextIO, made: list[Path]):
        self.file = file
        self.made = made  # folders that did not exist before
        self.times = 0


HELD: dict[Path, Held] = {}  # by this process
GUARD = threading.Lock()  # protects HELD between threads


@contextmanager
def owned(folder: Path | str) -> Iterator[None]:
    """Within this context a folder belongs to this process alone; it is made if it does not exist.

    A folder that was made, and is still empty at the end, is deleted.

    Raises: ValueError if another process has the folder, or if it cannot be written to.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "run"
    >>> with owned(place), owned(place):  # this process may take it again
    ...     sorted(path.name for path in place.iterdir())
    ['.lock']
    >>> place.exists()
    False
    """
    folder = Path(folder).resolve()
    if fcntl is None:
        yield
        return
    with GUARD:
        held = HELD.get(folder) or _take(folder)
        held.times += 1
    try:
        yield
    finally:
        with GUARD:
            held.times -= 1
            if not held.times and HELD.get(folder) is held:
                _give_back(folder)


def _take(folder: Path) -> Held:
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with explained_writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        HELD[folder] = Held(_taken(folder), made)
    return HELD[folder]


def _give_back(folder: Path) -> None:
    held = HELD.pop(folder)
    with suppress(OSError):
        (folder / LOCK).unlink()  # while locked, so that whoever has opened it sees that it is gone
    held.file.close()
    with suppress(OSError):
        for path in held.made:
            path.rmdir()


def _forget() -> None:
    """In a forked child: the locks belong to its parent and stay locked."""
    global GUARD
    GUARD = threading.Lock()
    for held in HELD.values():
        held.file.close()
    HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def check_free(folder: Path | str) -> None:
    """Check, before work that takes time, that no other process has a folder.

    Raises: ValueError if one has.
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
        file.close()  # its owner has deleted it in the meantime
