"""Prepared cases on disk, mapped into memory: a case is prepared once, however many runs use it.

An entry is a folder of plain .npy files. Its key is a digest of the case's files and the settings.
It is written under another name, flushed to the disk and then renamed, so it is either whole or
missing, and other files or settings never find it.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import numpy as np

from unetzoo.data.datasets.case import Case
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing import jobs, processes
from unetzoo.data.preprocessing.boundary import boundary_weights as boundary_map
from unetzoo.data.preprocessing.decoded import Decoded, decode, pick_up
from unetzoo.data.preprocessing.foreground import foreground_voxels
from unetzoo.data.preprocessing.preparation import Grid, Preparation, prepare
from unetzoo.data.preprocessing.survey import Look, remember
from unetzoo.data.sample import Sample
from unetzoo.utils.claims import CLAIM, claimed
from unetzoo.utils.files import WRITING, abandoned, explained_writing, harmless
from unetzoo.utils.journal import noted
from unetzoo.utils.shards import in_order

ARRAYS = ("image", "labels", "weight", "voxels", "inside")
ABOUT = "entry.json"
FORMAT = 2  # of the entries; to be raised when their content changes
SPARE = 512  # files that may be open besides those of the cache
ABANDONED = 3600.0  # seconds after which nobody is still writing


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """A case in the cache."""

    name: str
    key: str  # hex digest of the files' contents and the settings
    sample: Sample  # mapped from disk, read-only
    grid: Grid  # for the way back


def prepare_cases(
    cases: Sequence[Case],
    scheme: LabelScheme,
    preparation: Preparation,
    folder: Path | str,
    *,
    workers: int = 1,
    boundary_weights: bool = False,
    looks: Mapping[str, Look] | None = None,
    progress: processes.Progress = lambda cases: cases,
) -> list[PreparedCase]:
    """Prepare the cases that the folder does not hold yet, and open all of them.

    The folder can hold entries of any number of data sets and settings, and several runs can use it
    at a time; entries that are no longer needed can be deleted.

    Args:
        cases: cases with labels.
        scheme: which numbers their label files may hold.
        preparation: how to prepare them.
        folder: the cache; created if missing.
        workers: processes that prepare.
        boundary_weights: whether to weight voxels by the 2015 paper's map, times the case's own
            weights.
        looks: those of a ``Survey`` of these cases, made for this folder with the same scheme and
            fill: their files are neither hashed nor decoded again.
        progress: wraps the results as they come, to show how far it is.

    Returns: the prepared cases, in the order of the cases.
    Raises: ValueError with a line for each case that failed; the others are in the cache.
    """
    keys = ensure_prepared(
        cases, scheme, preparation, folder, workers=workers, boundary_weights=boundary_weights,
        looks=looks, progress=progress,
    )  # fmt: skip
    _allow_open_files(len(keys) * len(ARRAYS))
    return [_opened(Path(folder), name, key) for name, key in keys.items()]


def ensure_prepared(
    cases: Sequence[Case],
    scheme: LabelScheme,
    preparation: Preparation,
    folder: Path | str,
    *,
    workers: int = 1,
    boundary_weights: bool = False,
    looks: Mapping[str, Look] | None = None,
    progress: processes.Progress = lambda cases: cases,
    share: tuple[int, int] = (1, 1),
) -> dict[str, str]:
    """Prepare the cases that the folder does not hold yet, without opening them.

    Args:
        cases, scheme, preparation, folder, workers, boundary_weights, looks, progress: as in
            ``prepare_cases``.
        share: the number of this job, from 1, and how many there are: it begins with its share,
            and goes on with what the others have not begun.

    Returns: the key of each case's entry.
    Raises: ValueError as in ``prepare_cases``.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for pattern, age in ((f"{WRITING}*", ABANDONED), (f"{CLAIM}*", 24 * ABANDONED)):
            for left in abandoned(folder, pattern, age):
                _delete(left)
    except OSError as error:
        raise ValueError(f"{folder}: {error.strerror}; expected a folder to write to.") from error
    looks = looks or {}
    tasks = {}
    for name, job in jobs.by_name(cases, scheme).items():
        look = looks.get(name)
        of_look = [None, None] if look is None else [look.contents, look.read]
        tasks[name] = [job, preparation.to_json(), boundary_weights, str(folder), *of_look]
    ordered = {name: tasks[name] for name in in_order(list(tasks), *share)}
    workers = jobs.worthwhile(workers, cases)
    keys = processes.run_in_turn(prepare_in_turn, ordered, workers=workers, progress=progress)
    remember(folder, {name: looks[name] for name in tasks if name in looks})
    return {name: keys[name] for name in tasks}


def prepare_in_turn(
    job: dict,
    settings: dict,
    boundary: bool,
    folder: str,
    contents: dict | None,
    read: str | None,
    wait: bool,
) -> str | None:
    """``prepare_one``, unless another process prepares the case, and this one does not wait."""
    contents = contents or jobs.contents(job, folder)
    place, name = Path(folder), job["name"]
    given = job, settings, boundary, folder, contents, read
    entry = entry_of(place, name, key_of(job, contents, settings, boundary))
    if (entry / ABOUT).exists():
        return prepare_one(*given)  # which looks whether it is whole
    with claimed(place, name, wait=wait) as ours:
        if not ours:
            return None
        if (entry / ABOUT).exists():  # another process was faster
            return prepare_one(*given)
        with noted(place, name, "prepared"):
            return prepare_one(*given)


def prepare_one(
    job: dict,
    settings: dict,
    boundary: bool,
    folder: str,
    contents: dict | None = None,
    read: str | None = None,
) -> str:
    """Make sure that the cache holds a case.

    Args:
        job: the case and its label scheme, from ``jobs.job``.
        settings: a ``Preparation`` as JSON.
        boundary: ``boundary_weights`` of ``prepare_cases``.
        folder: the cache.
        contents: from ``jobs.contents``; None: determined here.
        read: where ``decoded.put_down`` put the decoded arrays, or None.

    Returns: the key of its entry.
    """
    place, case, preparation = Path(folder), jobs.case_of(job), Preparation.from_json(settings)
    contents = contents or jobs.contents(job, folder)
    key = key_of(job, contents, settings, boundary)
    entry = entry_of(place, case.name, key)
    there = _read(entry, key)
    if there is not None and preparation.masked and there[0].inside is None:
        _delete(entry)  # an older version wrote it
        there = None
    if there is None:
        decoded = pick_up(read)
        if decoded is None or not (preparation.crop or decoded.whole):
            decoded = decode(case, jobs.scheme_of(job), preparation.fill)
            if jobs.state(job) != contents["state"]:
                raise ValueError("its files changed while they were read; start again.")
        arrays, about = _prepared(decoded, jobs.scheme_of(job), preparation, boundary, key)
        with explained_writing(place):
            _write(place, entry, arrays, about)
    if read:
        _delete(Path(read))
    return key


def key_of(job: dict, contents: dict, settings: dict, boundary: bool) -> str:
    """A digest of all that a prepared case depends on: its files' contents, but not their names."""
    content = {
        "format": FORMAT,
        **contents["digests"],
        "scheme": job["scheme"],
        "settings": settings,
        "boundary": boundary,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def entry_of(folder: Path, name: str, key: str) -> Path:
    """The folder of an entry, named after the case, made harmless and short, and the key.

    >>> entry_of(Path("cache"), "../../x", "0123").as_posix()
    'cache/%2E%2E%2F%2E%2E%2Fx-0123'
    """
    return folder / f"{harmless(name)}-{key}"


def _prepared(
    case: Decoded, scheme: LabelScheme, preparation: Preparation, boundary: bool, key: str
) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays of an entry, and the JSON that stands beside them."""
    prepared = prepare(case, preparation, case.labels, case.weight)
    grid = prepared.grid
    if not case.whole:
        grid = replace(grid, shape=case.shape, box=case.box)
    classes, weight = prepared.labels, prepared.weight
    assert classes is not None  # labels went in
    if boundary:
        weighed = boundary_map(classes, scheme.ignore)
        weight = weighed if weight is None else weight * weighed
    voxels = _foreground(classes, scheme, seed=int(key[:8], 16))
    drawn = np.concatenate([np.empty(0, "int64"), *voxels.values()])
    of_all = {
        "image": prepared.image,
        "labels": classes,
        "weight": weight,
        "voxels": drawn,
        "inside": prepared.inside,
    }
    arrays = {name: array for name, array in of_all.items() if array is not None}
    about = {
        "format": FORMAT,
        "key": key,
        "grid": asdict(grid),
        "classes": [[label, len(of_class)] for label, of_class in voxels.items()],
        "arrays": {name: [str(a.dtype), list(a.shape)] for name, a in arrays.items()},
    }
    return arrays, about


def _foreground(classes: np.ndarray, scheme: LabelScheme, seed: int) -> dict[int, np.ndarray]:
    """The voxels that patches are centered on: of each class, or of each region, from 1."""
    if not scheme.regions:
        return foreground_voxels(classes, scheme.ignore, seed)
    return {
        number: foreground_voxels(mask, seed=seed + number).get(1, np.empty(0, "int64"))
        for number, mask in enumerate(np.moveaxis(scheme.in_regions(classes), -1, 0), 1)
    }


def _write(folder: Path, entry: Path, arrays: Mapping[str, np.ndarray], about: dict) -> None:
    """Write an entry, whole or not at all."""
    beside, aside = (folder / f"{WRITING}{uuid4().hex}" for _ in range(2))
    try:
        beside.mkdir()
        for name, array in arrays.items():
            with open(beside / f"{name}.npy", "wb") as file:
                np.save(file, array, allow_pickle=False)
                _flush(file)
        with open(beside / ABOUT, "wb") as file:
            file.write(json.dumps(about).encode())
            _flush(file)
        _flush_folder(beside)
        if _read(beside, about["key"]) is None:  # numpy.save may overlook a full disk
            raise OSError("the disk took only a part")
        if entry.exists() and _read(entry, about["key"]) is None:
            os.replace(entry, aside)  # it is damaged
        try:
            os.replace(beside, entry)
        except OSError:
            if _read(entry, about["key"]) is None:  # otherwise another process was faster
                raise
        _flush_folder(folder)
    finally:
        _delete(beside)
        _delete(aside)


def _read(entry: Path, key: str) -> tuple[Sample, Grid] | None:
    """An entry, if it is whole and has the key; else None."""
    try:
        about = json.loads((entry / ABOUT).read_bytes())
        if about["key"] != key or about["format"] != FORMAT:
            return None
        listed = about["arrays"]
        arrays = {name: _mapped(entry, name, *listed[name]) for name in ARRAYS if name in listed}
        voxels, end = {}, 0
        for label, count in about["classes"]:
            voxels[label] = arrays["voxels"][end : end + count]
            end += count
        grid = grid_of(about["grid"])
        image, labels, weight = arrays["image"], arrays["labels"], arrays.get("weight")
        inside = arrays.get("inside")
        return Sample(image, labels, weight, voxels, grid.prepared_spacing, inside), grid
    except (FileNotFoundError, NotADirectoryError, EOFError, ValueError, KeyError, TypeError):
        return None


def _mapped(entry: Path, name: str, dtype: str, shape: list[int]) -> np.ndarray:
    """An array of an entry, mapped. Raises: ValueError if it is cut off or another array."""
    array = np.load(entry / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    if str(array.dtype) != dtype or list(array.shape) != shape:
        raise ValueError(f"{name}.npy is not the array that was written.")
    return np.asarray(array)  # the same memory without the overhead of np.memmap


def grid_of(about: dict) -> Grid:
    """A grid, as JSON has it."""
    lists = {name: tuple(about[name]) for name in ("shape", "spacing", "prepared")}
    return Grid(**lists, box=tuple((b, e) for b, e in about["box"]), coarse=about["coarse"])


def _opened(folder: Path, name: str, key: str) -> PreparedCase:
    entry = entry_of(folder, name, key)
    try:
        sample_and_grid = _read(entry, key)
    except OSError as error:
        raise ValueError(f"{entry}: {error.strerror}; cannot be opened.") from error
    if sample_and_grid is None:
        raise ValueError(f"{entry}: was deleted or damaged after it was written; start again.")
    return PreparedCase(name, key, *sample_and_grid)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _allow_open_files(count: int) -> None:
    """A mapped file stays open, and many systems allow 1,024 unless asked for more."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
