"""One look at each case: all that is wrong with a data set, and what preparing goes by.

A file is hashed and decoded once. What was decoded lies in the folder of the cache until the case
is prepared; what was measured stays there, and the same files are not decoded to be measured again.
"""

import json
import shutil
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from unetzoo.data.datasets.case import Case, Dataset
from unetzoo.data.datasets.verification import used_twice
from unetzoo.data.io.pictures import is_picture
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing import jobs, processes
from unetzoo.data.preprocessing.look import attempt, look
from unetzoo.data.preprocessing.statistics import CaseStatistics, ct_channels
from unetzoo.utils.files import abandoned, replacing
from unetzoo.utils.json_values import short
from unetzoo.utils.text import counted, first_of

MEASURED = "measured"  # folder of what was measured
READ = ".read-"  # begins the names of folders of what was decoded
ABANDONED = 86400.0  # seconds after which a killed run's are deleted


@dataclass(frozen=True)
class Look:
    """At one case."""

    statistics: CaseStatistics
    contents: Mapping[str, Any]  # of ``jobs.contents``
    read: str | None  # where what was decoded lies, of ``decoded.put_down``
    key: str  # of its files and of how they were looked at
    measured: Mapping[str, Any]  # as JSON has it


@dataclass(frozen=True)
class Found:
    """What a look at every case of a data set found."""

    looks: Mapping[str, Look]  # by the case's name
    counts: Mapping[int, int]  # for each class, the number of cases that it occurs in


class Survey:
    """Looks at each case once, however often it is asked, until it is closed.

    Args:
        cache: the folder of prepared cases that these looks are for; None keeps nothing on disk.

    >>> import tempfile
    >>> from unetzoo.data.datasets import find_dataset
    >>> from unetzoo.data.synthetic import write_dataset
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = write_dataset(folder, 3, (40, 30), classes=2, layout="pictures")
    >>> data = find_dataset(folder)
    >>> with Survey() as survey:
    ...     found = survey.look_through(data.cases, data.scheme)
    >>> found.counts, found.looks[data.cases[0].name].statistics.shape
    ({0: 3, 1: 3}, (40, 30))
    """

    def __init__(self, cache: Path | str | None = None):
        self.cache = None if cache is None else Path(cache)
        self._read: Path | None = None
        self._made: list[Path] = []
        self._known: tuple | None = None

    def __enter__(self) -> "Survey":
        return self

    def __exit__(self, *_: object) -> None:
        """Delete what was decoded, and folders that were made for it and are empty."""
        if self._read is not None:
            shutil.rmtree(self._read, ignore_errors=True)
        for folder in self._made:
            with suppress(OSError):
                folder.rmdir()
        self._read, self._made, self._known = None, [], None

    def look_through(
        self,
        cases: Iterable[Case],
        scheme: LabelScheme,
        channel_names: Sequence[str] = (),
        *,
        fill: float | None = None,
        workers: int = 1,
        progress: processes.Progress = lambda cases: cases,
    ) -> Found:
        """Look through a whole data set before training, and say all that is wrong at once.

        Every file is read to its end, one case at a time in each process: image, labels and
        weights must lie on one grid, and all cases have the same number of channels.

        Args:
            cases: with labels, all volumes or all pictures.
            scheme: which numbers the label files hold.
            channel_names: ``("CT",)``, ``("T1", "FLAIR")`` ...; () if not known.
            fill: takes the place of NaN and infinite voxels; without it they are an error.
            workers: processes that read.
            progress: wraps what has been read, to show how far it is.

        Warns of a class that occurs in no case.
        Raises: ValueError with a line for each fault.
        """
        listed = list(cases)
        asked = listed, scheme, list(channel_names), fill
        if self._known is None or self._known[0] != asked:
            _check_kind(listed)
            answers = self._answers(*asked, workers, progress)
            self._known = asked, _found(listed, scheme, channel_names, answers)
        return self._known[1]

    def _answers(
        self,
        cases: Sequence[Case],
        scheme: LabelScheme,
        channel_names: Sequence[str],
        fill: float | None,
        workers: int,
        progress: processes.Progress,
    ) -> list[dict]:
        more = [ct_channels(channel_names), fill, *self._places()]
        tasks = {name: [job, *more] for name, job in jobs.by_name(cases, scheme).items()}
        return processes.each(look, tasks, workers=workers, progress=progress)

    def _places(self) -> tuple[str | None, str | None, int]:
        """Where measures are, where to put what is decoded, and what must stay free there."""
        if self.cache is None:
            return None, None, 0
        with suppress(OSError):  # who writes to the cache says what is wrong with it
            if self._read is None:
                folders = (self.cache, *self.cache.parents)
                self._made = [folder for folder in folders if not folder.exists()]
                self.cache.mkdir(parents=True, exist_ok=True)
                for left in abandoned(self.cache, f"{READ}*", ABANDONED):
                    shutil.rmtree(left, ignore_errors=True)
                self._read = Path(mkdtemp(prefix=READ, dir=self.cache))
            free = shutil.disk_usage(self._read).free
            return str(self.cache / MEASURED), str(self._read), free // 2
        return None, None, 0


def verify_dataset(
    data: Dataset,
    *,
    fill: float | None = None,
    workers: int = 1,
    progress: processes.Progress = lambda cases: cases,
) -> dict[int, int]:
    """Read every labelled case of a data set, and say all that is wrong at once.

    Args:
        data: of ``find_dataset``.
        fill: takes the place of NaN and infinite voxels; without it they are an error.
        workers: processes that read.
        progress: wraps the cases as they are read, to show how far it is.

    Returns: for each class, the number of cases that it occurs in.
    Raises: ValueError with a line for each fault.

    >>> import tempfile
    >>> from unetzoo.data.datasets import find_dataset
    >>> from unetzoo.data.synthetic import write_dataset
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = write_dataset(folder, 3, (40, 30), classes=2, layout="pictures")
    >>> verify_dataset(find_dataset(folder))
    {0: 3, 1: 3}
    """
    with Survey() as survey:
        result = survey.look_through(
            data.cases,
            data.scheme,
            data.channel_names,
            fill=fill,
            workers=workers,
            progress=progress,
        )
    return dict(result.counts)


def remember(cache: Path, looks: Mapping[str, Look]) -> None:
    """Write what was measured, so that the same files are not decoded for it again.

    Where that cannot be written nothing is lost but the time of the next run.
    """
    with suppress(OSError):
        for one in looks.values():
            path = cache / MEASURED / f"{one.key}.json"
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                with replacing(path) as beside:
                    beside.write_text(json.dumps(one.measured))


def _found(
    cases: Sequence[Case],
    scheme: LabelScheme,
    channel_names: Sequence[str],
    answers: Sequence[dict],
) -> Found:
    """Raises: ValueError with a line for each fault."""
    for answer in answers:
        for text in answer["warnings"]:
            warnings.warn(text, stacklevel=4)
    faults = used_twice(path for case in cases for path in (*case.images, case.label) if path)
    faults += [fault for answer in answers for fault in answer["faults"]]
    faults += _channel_faults(cases, answers)
    measured = [answer["measured"] for answer in answers if answer["measured"]]
    counts = Counter(label for one in measured for label, _ in one["voxels"])
    if not faults:
        attempt(faults, scheme.without_gap, counts, "the label files together")
    faults = list(dict.fromkeys(faults))  # of a broken image its labels complain as well
    if faults:
        head = f"{counted(len(cases), 'case')}, {counted(len(faults), 'fault')}:"
        raise ValueError("\n".join([head, *first_of(faults)]))
    _check_channel_names(channel_names, cases[0], measured[0]["channels"])
    known = set(range(scheme.num_classes)) | set(counts)
    if absent := sorted(known - set(counts)):
        text = f"classes {short(absent)} occur in none of the {counted(len(cases), 'label file')}."
        warnings.warn(text, stacklevel=4)
    looks = {
        case.name: Look(CaseStatistics.from_json(of := answer["measured"]), answer["contents"],
                        answer["read"], answer["key"], of)
        for case, answer in zip(cases, answers, strict=True)
    }  # fmt: skip
    return Found(looks, {label: counts[label] for label in sorted(known)})


def _check_kind(cases: Sequence[Case]) -> None:
    if not cases:
        raise ValueError("no cases: expected at least one image with labels.")
    missing = [case.name for case in cases if case.label is None]
    if missing:
        raise ValueError(f"cases {short(missing)} have no labels; expected a label file for each.")
    if len({is_picture(path) for case in cases for path in case.files}) > 1:
        raise ValueError("volumes and pictures in one data set; expected one kind: split it.")


def _channel_faults(cases: Sequence[Case], answers: Sequence[dict]) -> list[str]:
    channels = [answer["channels"] for answer in answers]
    usual = Counter(count for count in channels if count).most_common(1)
    return [
        f"{case.images[0]}: {counted(count, 'channel')} in case {case.name!r}, but most cases have "
        f"{usual[0][0]}; expected the same in all."
        for case, count in zip(cases, channels, strict=True)
        if count and count != usual[0][0]
    ]


def _check_channel_names(names: Sequence[str], first: Case, channels: int) -> None:
    if names and len(names) != channels:
        raise ValueError(
            f"channel names {tuple(names)}: expected {channels}, one for each channel of case "
            f"{first.name!r}."
        )
