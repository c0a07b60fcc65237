"""What the processes of a survey do: read one case, look for faults and measure it."""

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
from unetzoo.data.preprocessing.statistics import CaseStatistics, draw_intensities, nonzero_box
from unetzoo.utils.claims import claimed
from unetzoo.utils.files import replacing
from unetzoo.utils.journal import noted

FORMAT = 3  # of the files with measurements; to be raised when their content changes


def look_at_case(
    job: dict,
    channels: Sequence[int],
    fill: float | None,
    measured: str | None,
    folder: str | None,
    reserve: int,
    contents: dict | None = None,
) -> dict:
    """Look at a case: what is wrong with it, or else its statistics.

    Args:
        job: the case and its label scheme, from ``jobs.job``.
        channels: those whose foreground intensities are drawn.
        fill: as in ``read_case``.
        measured: the folder with earlier measurements of the same files, or None.
        folder: where to keep the decoded arrays, or None.
        reserve: as in ``decoded.put_down``.
        contents: from ``jobs.contents``; None: determined here.

    Returns: what JSON can hold, with the keys contents, key, faults, read, measured, warnings and
        channels.
    """
    key = None
    with suppress(OSError):  # whoever reads the file will report it
        contents = contents or jobs.contents(job, measured and Path(measured).parent)
        key = _key(job, contents, channels, fill)
    case, scheme, faults = jobs.case_of(job), jobs.scheme_of(job), list[str]()
    answer: dict = {"contents": contents, "key": key, "faults": faults, "read": None}
    if known := _before(job, answer, measured):
        return known
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        image = attempt(faults, read_case, case, fill=fill)
        labels = attempt(faults, read_case_labels, case, scheme)
        weight = attempt(faults, read_case_weight, case)
    texts = [str(warning.message) for warning in caught]
    channel_count = image and image.data.shape[-1]
    answer |= {"measured": None, "warnings": texts, "channels": channel_count}
    if faults:
        return answer
    if contents is None or jobs.state(job) != contents["state"]:
        faults.append(f"case {case.name!r}: its files changed while they were read; start again.")
        return answer
    shape = image.data.shape[:-1]
    whole = tuple((0, size) for size in shape)
    box = nonzero_box(image.data)
    answer["measured"] = {
        **case_statistics(case.name, image, labels.data, scheme.ignore, channels, box),
        "warnings": [_nameless(text, job) for text in texts],
    }
    decoded = Decoded(image.data, image.spacing, labels.data, weight, shape, whole)
    answer["read"] = folder and put_down(decoded, box, Path(folder), reserve)
    return answer


def look_in_turn(
    job: dict,
    channels: Sequence[int],
    fill: float | None,
    measured: str,
    folder: str | None,
    reserve: int,
    wait: bool,
) -> dict | None:
    """``look_at_case`` where several jobs share a cache: what was measured is kept at once.

    Args:
        job, channels, fill, measured, folder, reserve: as there.
        wait: whether to wait for another job that looks at the case.

    Returns: as there; None if another job looks at the case, and this one does not wait.
    """
    cache, name = Path(measured).parent, job["name"]
    contents = jobs.known_contents(job, cache)

    def known() -> dict | None:
        if contents is None:
            return None
        key = _key(job, contents, channels, fill)
        answer: dict = {"contents": contents, "key": key, "faults": [], "read": None}
        return _before(job, answer, measured)

    if answer := known():
        return answer
    with claimed(cache, name, wait=wait) as ours:
        if not ours:
            return None
        with suppress(OSError):  # whoever reads the file will report it
            contents = contents or jobs.contents(job, cache)
        if answer := known():  # another job was faster
            return answer
        with noted(cache, name, "measured") as faults:
            answer = look_at_case(job, channels, fill, measured, folder, reserve, contents)
            faults += answer["faults"]
            if not faults:
                keep(Path(measured), answer["key"], answer["measured"])
        return answer


def keep(folder: Path, key: str, measured: Mapping) -> None:
    """Write what was measured; if it cannot be written, only time is lost in the next run."""
    path = folder / f"{key}.json"
    with suppress(OSError):
        if not path.exists():
            folder.mkdir(exist_ok=True)
            with replacing(path) as beside:
                beside.write_text(json.dumps(measured))


def case_statistics(
    name: str,
    image: Volume | Picture,
    labels: np.ndarray,
    ignore: int | None,
    channels: Sequence[int],
    box: Box,
) -> dict[str, Any]:
    """Measure a case; ``CaseStatistics.from_json`` reads the result.

    Args:
        name: the case's; the draw of intensities depends on it.
        image: on canonical axes.
        labels: ``(*spatial)``, classes.
        ignore: the label that does not count, or None.
        channels: those whose foreground intensities are drawn.
        box: the voxels that the crop keeps.
    """
    sizes = [end - begin for begin, end in box]
    return {
        "spacing": image.spacing,
        "shape": sizes,
        "channels": image.data.shape[-1],
        "intensities": draw_intensities(name, image.data, labels, ignore, channels),
        "voxels": _voxels(labels, ignore),
        "kept": math.prod(sizes) / math.prod(labels.shape),
    }


def _before(job: dict, answer: dict, measured: str | None) -> dict | None:
    """The answer of an earlier look at the same files, or None."""
    if not (measured and answer["key"]):
        return None
    known = _remembered(Path(measured, f"{answer['key']}.json"))
    if not known:
        return None
    texts = [_named(text, job) for text in known["warnings"]]
    return {**answer, "measured": known, "warnings": texts, "channels": known["channels"]}


def _remembered(path: Path) -> dict | None:
    """Earlier measurements; None if they are missing or damaged."""
    try:
        measured = json.loads(path.read_bytes())
        CaseStatistics.from_json(measured)
        return measured if all(isinstance(text, str) for text in measured["warnings"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _nameless(text: str, job: dict) -> str:
    """A warning to be kept, without paths: the same files may lie elsewhere next time."""
    for number, path in _paths(job):
        text = text.replace(path, f"\0{number}\0")
    return text


def _named(text: str, job: dict) -> str:
    for number, path in _paths(job):
        text = text.replace(f"\0{number}\0", path)
    return text


def _paths(job: dict) -> list[tuple[int, str]]:
    """A case's files with numbers, longer paths first: one may begin with another."""
    paths = [*job["images"], job["label"], job["weight"], *job.get("more_labels", ())]
    numbered = [(number, path) for number, path in enumerate(paths) if path]
    return sorted(numbered, key=lambda pair: -len(pair[1]))


def _key(job: dict, contents: Mapping, channels: Sequence[int], fill: float | None) -> str:
    content = [FORMAT, contents["digests"], job["name"], job["scheme"], list(channels), fill]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _voxels(labels: np.ndarray, ignore: int | None) -> list[list[int]]:
    """The number of voxels of each class that occurs."""
    counts: Counter[int] = Counter()
    for plane in labels:  # one at a time, for the memory
        classes, voxels = np.unique(plane, return_counts=True)
        counts.update(dict(zip(classes.tolist(), voxels.tolist(), strict=True)))
    return [[label, counts[label]] for label in sorted(counts) if label != ignore]


def attempt(faults: list[str], function: Callable, *args: object, **options: object) -> Any:
    """What a function returns; None if it raises ValueError, whose text is added to the faults."""
    try:
        return function(*args, **options)
    except ValueError as error:
        faults.append(str(error))
        return None
