"""What the processes that share a folder have done there, for ``unetzoo status``.

Each process appends lines of JSON to a file of its own in ``.jobs``, which is there where someone
asked for it. Lists beside them say which cases there are.
"""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from unetzoo.utils.files import make_folder, replacing

JOBS = ".jobs"  # folder of the journals and lists


@dataclass(frozen=True)
class Listed:
    """Cases that are to be done.

    Args:
        what: is to be done to them, such as "prepared".
        cases: for each case, the name of the file or folder in the folder that is there when it is
            done; None where only the journal knows.
    """

    what: str
    cases: Mapping[str, str | None]


def keep_list(folder: Path | str, what: str, cases: Mapping[str, str | None]) -> None:
    """Say which cases are to be done in a folder; from now on, work there is noted.

    Raises: WriteError where the folder cannot be written to.
    """
    text = json.dumps({"what": what, "cases": dict(cases)})
    place = make_folder(Path(folder) / JOBS)
    path = place / f"{what}-{sha256(text.encode()).hexdigest()[:16]}.json"
    if not path.exists():
        with replacing(path) as beside:
            beside.write_text(text)


def lists(folder: Path | str) -> list[Listed]:
    """The lists of a folder, oldest first; damaged ones are left out."""
    found = []
    for path in Path(folder, JOBS).glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            record = json.loads(path.read_bytes())
            cases = {str(name): target for name, target in record["cases"].items()}
            found.append((path.stat().st_mtime, Listed(str(record["what"]), cases)))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


@contextmanager
def noted(folder: Path, name: str, what: str) -> Iterator[list[str]]:
    """Note when the work on a case begins, and how it ends.

    Yields: a list for faults that are not raised.
    """
    began, faults = time.time(), list[str]()
    _append(folder, case=name, what=what, state="begun")
    try:
        yield faults
    except Exception as error:
        faults.append(str(error) or type(error).__name__)
        raise
    finally:
        end = {"state": "failed", "fault": " ".join(faults[0].split())} if faults else {}
        seconds = round(time.time() - began, 3)
        _append(folder, case=name, what=what, **{"state": "done", "seconds": seconds, **end})


def notes(folder: Path | str) -> list[dict[str, Any]]:
    """All that was noted in a folder, oldest first; a line that was cut off is left out."""
    found = []
    for path in Path(folder, JOBS).glob("*.jsonl"):
        with suppress(OSError):
            for line in path.read_bytes().splitlines():
                with suppress(ValueError):
                    note = json.loads(line)
                    if isinstance(note, dict) and {"case", "what", "state", "time"} <= set(note):
                        found.append(note)
    return sorted(found, key=lambda note: note["time"])


def _append(folder: Path, **note: Any) -> None:
    """If it cannot be written, only ``status`` knows less."""
    place = folder / JOBS
    if not place.is_dir():
        return
    host, pid = socket.gethostname(), os.getpid()
    line = json.dumps({**note, "time": round(time.time(), 3), "host": host, "pid": pid})
    with suppress(OSError), open(place / f"{host}-{pid}.jsonl", "ab", buffering=0) as file:
        file.write(line.encode() + b"\n")
