"""Claims: one case is worked on by one process, where many on many machines share a folder.

A claim is a file that only one process can make, also over NFS. It names the process and is renewed
while the work lasts; that of a process that died on this machine, or one that nobody renewed, is
taken over. Whoever loses a claim may still finish: results are written whole or not at all.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from unetzoo.utils.files import harmless

CLAIM = ".claim-"  # begins the names of the files
LEASE = 600.0  # seconds without renewal after which a claim is taken over
RENEWED = 60.0  # seconds between renewals
POLL = 1.0  # seconds between looks at a claim that is waited for


@dataclass(frozen=True)
class Claim:
    """A process that is at work."""

    host: str
    pid: int


def place_of(folder: Path, name: str) -> Path:
    """The file of a case's claim.

    >>> place_of(Path("cache"), "a/b").as_posix()
    'cache/.claim-a%2Fb-c14cddc033f64b9d'
    """
    digest = sha256(os.fsencode(name)).hexdigest()[:16]  # long names are cut
    return folder / f"{CLAIM}{harmless(name)}-{digest}"


@contextmanager
def claimed(folder: Path | str, name: str, *, wait: bool = False) -> Iterator[bool]:
    """Work on a case of a folder, if no other process does.

    Args:
        folder: the folder that is shared; it exists.
        name: the case's.
        wait: whether to wait while another process works on it.

    Yields: whether the case is ours; in a folder that cannot be written to, it always is.

    >>> import tempfile
    >>> place = tempfile.mkdtemp()
    >>> with claimed(place, "a") as first, claimed(place, "a") as second:
    ...     first, second
    (True, False)
    """
    from filelock import SoftFileLease, Timeout

    folder = Path(folder)
    lease = SoftFileLease(place_of(folder, name), lease_duration=LEASE, heartbeat_interval=RENEWED)
    try:
        lease.acquire(timeout=-1 if wait else 0, poll_interval=POLL)
    except Timeout:
        yield False
        return
    except OSError:  # whoever writes the result will report it
        yield True
        return
    try:
        yield True
    finally:
        with suppress(OSError):
            lease.release()


def claim_of(folder: Path, name: str) -> Claim | None:
    """Who works on a case, or None; a claim that ran out is none."""
    path = place_of(folder, name)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        fresh = time.time() - path.stat().st_mtime < LEASE
        fields = dict(line.split("=", 1) for line in lines if "=" in line)
        claim = Claim(fields["host"], int(fields["pid"]))
    except (OSError, ValueError, KeyError):
        return None
    return claim if fresh and lives(claim) else None


def lives(claim: Claim) -> bool:
    """Whether a process is alive, as far as this machine can tell."""
    if claim.host != socket.gethostname():
        return True
    try:
        os.kill(claim.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
