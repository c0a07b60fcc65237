"""The arrays of a case, kept on disk from the look at it until it is prepared.

Only the run that wrote them reads them again, so they are not flushed to the disk.
"""

import json
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

import numpy as np

from unetzoo.data.datasets.case import Case
from unetzoo.data.datasets.reading import read_case, read_case_labels, read_case_weight
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.axes import Box, slices
from unetzoo.utils.claims import Claim, lives
from unetzoo.utils.files import abandoned

ABOUT = "decoded.json"
READ = ".read-"  # begins the names of folders with decoded arrays


@dataclass(frozen=True, eq=False)
class Decoded:
    """A case on canonical axes, whole or cropped to a box."""

    data: np.ndarray  # (*spatial, C), float32
    spacing: tuple[float, ...]  # of the files, mm
    labels: np.ndarray  # (*spatial), classes
    weight: np.ndarray | None  # (*spatial), float32
    shape: tuple[int, ...]  # of the whole case
    box: Box  # the part of it that the arrays hold

    @property
    def whole(self) -> bool:
        """Whether nothing was cropped."""
        return self.labels.shape == self.shape


def decode(case: Case, scheme: LabelScheme, fill: float | None) -> Decoded:
    """Read a case. Raises: ValueError for files that cannot be read or do not fit together."""
    scan = read_case(case, fill=fill)
    labels = read_case_labels(case, scheme).data
    shape = scan.data.shape[:-1]
    box = tuple((0, size) for size in shape)
    return Decoded(scan.data, scan.spacing, labels, read_case_weight(case), shape, box)


def make_place(cache: Path) -> Path:
    """A new folder in a cache for the arrays of this process.

    Those of processes that died on this machine, and those of a day ago, are deleted.
    """
    old = set(abandoned(cache, f"{READ}*"))
    for path in cache.glob(f"{READ}*-*-*"):
        host, pid, _ = path.name.removeprefix(READ).rsplit("-", 2)
        if pid.isdecimal() and not lives(Claim(host, int(pid))):
            old.add(path)
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return Path(mkdtemp(prefix=f"{READ}{socket.gethostname()}-{os.getpid()}-", dir=cache))


def put_down(whole: Decoded, box: Box, folder: Path, reserve: int) -> str | None:
    """Write the box of a case to a new place in the folder, uncompressed.

    Args:
        whole: from ``decode``.
        box: the part of it to keep.
        folder: an existing folder.
        reserve: bytes that must stay free on the disk.

    Returns: the place; None if there is no room.
    """
    of_case = {"image": whole.data, "labels": whole.labels, "weight": whole.weight}
    arrays = {name: array[slices(box)] for name, array in of_case.items() if array is not None}
    place = folder / uuid4().hex
    try:
        needed = sum(array.nbytes for array in arrays.values())
        if shutil.disk_usage(folder).free - needed < reserve:
            return None
        place.mkdir()
        for name, array in arrays.items():
            np.save(place / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
        about = {"spacing": whole.spacing, "shape": whole.shape, "box": box}
        (place / ABOUT).write_text(json.dumps(about))
    except OSError:
        shutil.rmtree(place, ignore_errors=True)
        return None
    return str(place)


def pick_up(place: str | None) -> Decoded | None:
    """The arrays that were put down, mapped; None if they are gone or incomplete."""
    try:
        folder = Path(place or "")
        about = json.loads((folder / ABOUT).read_bytes())
        image, labels = (_mapped(folder / f"{name}.npy") for name in ("image", "labels"))
        weight = folder / "weight.npy"
        return Decoded(
            image,
            tuple(about["spacing"]),
            labels,
            _mapped(weight) if weight.exists() else None,
            tuple(about["shape"]),
            tuple((begin, end) for begin, end in about["box"]),
        )
    except (OSError, EOFError, ValueError):
        return None


def _mapped(path: Path) -> np.ndarray:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
