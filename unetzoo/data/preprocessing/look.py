"""What the processes of a survey do: look at one case, for faults and measures."""

import hashlib
import json
import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from unetzoo.data.datasets.reading import read_case, read_case_labels, read_case_weight
from unetzoo.data.io.pictures import Picture
from unetzoo.data.io.volumes import Volume
from unetzoo.data.preprocessing import jobs
from unetzoo.data.preprocessing.axes import Box
from unetzoo.data.preprocessing.decoded import Decoded, put_down
from unetzoo.data.preprocessing.statistics import CaseStatistics, draw, nonzero_box

FORMAT = 2  # of the files of what was measured; to be raised when what is in them changes


def look(
    job: dict,
    channels: Sequence[int],
    fill: float | None,
    measured: str | None,
    folder: str | None,
    reserve: int,
) -> dict:
    """Look at a case: what is wrong with it, or what it measures.

    Args:
        job: the case and its label scheme, of ``jobs.job``.
        channels: whose foreground intensities to draw.
        fill: as in ``read_case``.
        measured: folder of what was measured of the same files before, or None.
        folder: where to put what was decoded, or None.
        reserve: as in ``decoded.put_down``.
    """
    contents = key = None
    with suppress(OSError):  # whoever reads the file says what is wrong with it
        contents = jobs.contents(job)
        key = _key(job, contents, channels, fill)
    case, scheme, faults = jobs.case_of(job), jobs.scheme_of(job), list[str]()
    answer: dict = {"contents": contents, "key": key, "faults": faults, "read": None}
    known = measured and key and _remembered(Path(measured, f"{key}.json"))
    if known:
        told = [_named(text, job) for text in known["warnings"]]
        return {**answer, "measured": known, "warnings": told, "channels": known["channels"]}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = attempt(faults, read_case, case, fill=fill)
        labels = attempt(faults, read_case_labels, case, scheme)
        weight = attempt(faults, read_case_weight, case)
    told = [str(warning.message) for warning in caught]
    channel_count = image and image.data.shape[-1]
    answer |= {"measured": None, "warnings": told, "channels": channel_count}
    if faults:
        return answer
    if contents is None or jobs.state(job) != contents["state"]:
        faults.append(f"case {case.name!r}: its files changed while they were read; start again.")
        return answer
    shape = image.data.shape[:-1]
    whole = tuple((0, size) for size in shape)
    box = nonzero_box(image.data) if len(shape) == 3 else whole
    answer["measured"] = {
        **case_statistics(case.name, image, labels.data, scheme.ignore, channels, box),
        "warnings": [_nameless(text, job) for text in told],
    }
    decoded = Decoded(image.data, image.spacing, labels.data, weight, shape, whole)
    answer["read"] = folder and put_down(decoded, box, Path(folder), reserve)
    return answer


def case_statistics(
    name: str,
    image: Volume | Picture,
    labels: np.ndarray,
    ignore: int | None,
    channels: Sequence[int],
    box: Box,
) -> dict[str, Any]:
    """What a case measures, as ``CaseStatistics.from_json`` reads it.

    Args:
        name: of the case; its draw of intensities goes by it.
        image: on canonical axes.
        labels: ``(*spatial)``, classes.
        ignore: the number in the labels that does not count, or None.
        channels: whose foreground intensities to draw.
        box: the voxels that the crop keeps.
    """
    sizes = [end - begin for begin, end in box]
    return {
        "spacing": image.spacing,
        "shape": sizes,
        "channels": image.data.shape[-1],
        "intensities": draw(name, image.data, labels, ignore, channels),
        "voxels": _voxels(labels, ignore),
        "kept": math.prod(sizes) / math.prod(labels.shape),
    }


def _remembered(path: Path) -> dict | None:
    """What was measured; None where that is not there, or damaged."""
    try:
        found = json.loads(path.read_bytes())
        CaseStatistics.from_json(found)
        return found if all(isinstance(text, str) for text in found["warnings"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _nameless(text: str, job: dict) -> str:
    """A warning to be kept: the same files may lie elsewhere when it is told again."""
    for number, path in _paths(job):
        text = text.replace(path, f"\0{number}\0")
    return text


def _named(text: str, job: dict) -> str:
    for number, path in _paths(job):
        text = text.replace(f"\0{number}\0", path)
    return text


def _paths(job: dict) -> list[tuple[int, str]]:
    """The files of a case and their numbers, a longer path before one that it begins with."""
    paths = [*job["images"], job["label"], job["weight"]]
    numbered = [(number, path) for number, path in enumerate(paths) if path]
    return sorted(numbered, key=lambda pair: -len(pair[1]))


def _key(job: dict, contents: Mapping, channels: Sequence[int], fill: float | None) -> str:
    about = [FORMAT, contents["digests"], job["name"], job["scheme"], list(channels), fill]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _voxels(labels: np.ndarray, ignore: int | None) -> list[list[int]]:
    """How many voxels each class has that occurs."""
    counts: Counter[int] = Counter()
    for plane in labels:  # one at a time, for the memory
        found, times = np.unique(plane, return_counts=True)
        counts.update(dict(zip(found.tolist(), times.tolist(), strict=True)))
    return [[label, counts[label]] for label in sorted(counts) if label != ignore]


def attempt(faults: list[str], look: Callable, *args: object, **options: object) -> Any:
    """What a function gives; None where it found a fault, which is kept."""
    try:
        return look(*args, **options)
    except ValueError as error:
        faults.append(str(error))
        return None
