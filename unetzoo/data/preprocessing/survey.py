"""One look at each case: all that is wrong with a data set, and what preparation depends on.

Each file is hashed and decoded once. The decoded arrays stay in the cache folder until the case is
prepared; the measurements stay there for good, so that the same files are not decoded again.
"""

import shutil
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetzoo.data.datasets.case import Case, Dataset
from unetzoo.data.datasets.verification import used_twice
from unetzoo.data.io.pictures import is_picture
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing import jobs, processes
from unetzoo.data.preprocessing.decoded import make_place
from unetzoo.data.preprocessing.look import attempt, keep, look_at_case, look_in_turn
from unetzoo.data.preprocessing.statistics import CaseStatistics, ct_channels
from unetzoo.utils.files import make_folder
from unetzoo.utils.journal import keep_list
from unetzoo.utils.json_values import short
from unetzoo.utils.shards import in_order
from unetzoo.utils.text import by_kind, counted, first_of

MEASURED = "measured"  # folder of the measurements


@dataclass(frozen=True)
class Look:
    """What a look at one case gave."""

    statistics: CaseStatistics
    contents: Mapping[str, Any]  # from ``jobs.contents``
    read: str | None  # where the decoded arrays are, from ``decoded.put_down``
    key: str  # a digest of its files and of how they were measured
    measured: Mapping[str, Any]  # the statistics as JSON


@dataclass(frozen=True)
class Findings:
    """What a look at every case of a data set gave."""

    looks: Mapping[str, Look]  # by the case's name
    counts: Mapping[int, int]  # for each class, the number of cases in which it occurs


class Survey:
    """Looks at each case once, however often it is asked, until it is closed.

    Args:
        cache: the folder that ``prepare_cases`` will write to; None: nothing is kept on disk.
        share: of several jobs that look through the same cases at a time, the number of this one,
            from 1, and how many there are: it begins with its share, and goes on with what the
            others have not begun. What is measured is kept at once. None: this job alone looks.
        decoded: whether to keep the decoded arrays for ``prepare_cases``, until it is closed.

    >>> import tempfile
    >>> from unetzoo.data.datasets import find_dataset
    >>> from unetzoo.data.synthetic import write_dataset
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = write_dataset(folder, 3, (40, 30), classes=2, layout="pictures")
    >>> data = find_dataset(folder)
    >>> with Survey() as survey:
    ...     findings = survey.look_through(data.cases, data.scheme)
    >>> findings.counts, findings.looks[data.cases[0].name].statistics.shape
    ({0: 3, 1: 3}, (40, 30))
    """

    def __init__(
        self,
        cache: Path | str | None = None,
        share: tuple[int, int] | None = None,
        *,
        decoded: bool = True,
    ):
        self.cache = None if cache is None else Path(cache)
        self.share = share
        self.decoded = decoded
        self._read: Path | None = None
        self._made: list[Path] = []
        self._known: tuple | None = None

    def __enter__(self) -> "Survey":
        return self

    def __exit__(self, *_: object) -> None:
        """Delete the decoded arrays, and the folders made for them if they are empty."""
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
    ) -> Findings:
        """Look through a whole data set before training, and report all that is wrong at once.

        Every file is read to its end, one case at a time in each process. Image, labels and
        weights must share one grid, and all cases must have the same number of channels.

        Args:
            cases: cases with labels, all volumes or all pictures.
            scheme: which numbers the label files may hold.
            channel_names: ``("CT",)``, ``("T1", "FLAIR")`` ...; () if unknown.
            fill: replaces NaN and infinite voxels; without it they are an error.
            workers: processes that read.
            progress: wraps the results as they come, to show how far it is.

        Returns: the looks, and in how many cases each class occurs.
        Warns of a class that occurs in no case.
        Raises: ValueError with a line for each fault.
        """
        listed = list(cases)
        asked = listed, scheme, list(channel_names), fill
        if self._known is None or self._known[0] != asked:
            _check_kind(listed)
            answers = self._answers(*asked, workers, progress)
            self._known = asked, _findings(listed, scheme, channel_names, answers)
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
        workers = jobs.worthwhile(workers, cases)
        rest = [ct_channels(channel_names), fill, *self._places()]
        tasks = {name: [job, *rest] for name, job in jobs.by_name(cases, scheme).items()}
        if self.share is None or self.cache is None:
            return processes.run_tasks(look_at_case, tasks, workers=workers, progress=progress)
        with suppress(OSError):  # whoever writes to the cache will report it
            make_folder(self.cache / jobs.CONTENTS)
            make_folder(self.cache / MEASURED)
            keep_list(self.cache, "measured", dict.fromkeys(tasks))
        ordered = {name: tasks[name] for name in in_order(list(tasks), *self.share)}
        found = processes.run_in_turn(look_in_turn, ordered, workers=workers, progress=progress)
        return [found[name] for name in tasks]

    def _places(self) -> tuple[str | None, str | None, int]:
        """The folders of measurements and of decoded arrays, and the bytes that must stay free."""
        if self.cache is None:
            return None, None, 0
        if not self.decoded:
            return str(self.cache / MEASURED), None, 0
        with suppress(OSError):  # whoever writes to the cache will report it
            if self._read is None:
                folders = (self.cache, *self.cache.parents)
                self._made = [folder for folder in folders if not folder.exists()]
                self.cache.mkdir(parents=True, exist_ok=True)
                self._read = make_place(self.cache)
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
    """Read every labeled case of a data set, and report all that is wrong at once.

    Args:
        data: from ``find_dataset``.
        fill: replaces NaN and infinite voxels; without it they are an error.
        workers: processes that read.
        progress: wraps the results as they come, to show how far it is.

    Returns: for each class, the number of cases in which it occurs.
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
    """Write the measurements, so that the same files are not decoded for them again.

    If they cannot be written, nothing is lost but time in the next run.
    """
    for look in looks.values():
        keep(cache / MEASURED, look.key, look.measured)


def _findings(
    cases: Sequence[Case],
    scheme: LabelScheme,
    channel_names: Sequence[str],
    answers: Sequence[dict],
) -> Findings:
    """Raises: ValueError with a line for each fault."""
    for answer in answers:
        for text in answer["warnings"]:
            warnings.warn(text, stacklevel=4)
    faults = used_twice(path for case in cases for path in (*case.images, *case.labels))
    faults += [fault for answer in answers for fault in answer["faults"]]
    faults += _channel_faults(cases, answers)
    measured = [answer["measured"] for answer in answers if answer["measured"]]
    counts = Counter(label for statistics in measured for label, _ in statistics["voxels"])
    if not faults:
        attempt(faults, scheme.without_gap, counts, "the label files together")
    faults = list(dict.fromkeys(faults))  # a broken image is reported for its labels too
    if faults:
        head = f"{counted(len(cases), 'case')}, {counted(len(faults), 'fault')}:"
        raise ValueError("\n".join([head, *first_of(by_kind(faults))]))
    _check_channel_names(channel_names, cases[0], measured[0]["channels"])
    named = set() if scheme.overlapping else set(range(scheme.num_classes))
    known = named | set(counts)
    absent = sorted(known - set(counts))
    if scheme.overlapping:
        absent = sorted(set(range(1, scheme.channels + 1)) - scheme.seen(counts))
    if absent:
        text = f"classes {short(absent)} occur in none of the {counted(len(cases), 'label file')}."
        warnings.warn(text, stacklevel=4)
    looks = {
        case.name: Look(
            CaseStatistics.from_json(answer["measured"]),
            answer["contents"],
            answer["read"],
            answer["key"],
            answer["measured"],
        )
        for case, answer in zip(cases, answers, strict=True)
    }
    return Findings(looks, {label: counts[label] for label in sorted(known)})


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
