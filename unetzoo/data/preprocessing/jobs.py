"""Cases and label schemes as JSON, for the processes that work on them."""

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from unetzoo.data.datasets.case import Case
from unetzoo.data.io.formats import parts_of
from unetzoo.data.labels import LabelScheme
from unetzoo.utils.files import replacing

CONTENTS = "contents"  # folder of the digests of files, where many jobs share a cache
LITTLE = 4 * 2**20  # bytes of files that are read before another process has started
SETTLED = 60.0  # seconds without a change after which a file's state stands for its content


def worthwhile(workers: int, cases: Iterable[Case]) -> int:
    """So many processes; or one, which has read a little before others would have started.

    Sizes are those of the files, and folders are never little.
    """
    left = LITTLE
    for path in chain.from_iterable(case.files for case in cases):
        if workers < 2 or left < 0 or not path.is_file():
            return workers
        left -= path.stat().st_size
    return 1 if left >= 0 else workers


def job(case: Case, scheme: LabelScheme) -> dict:
    """All that is needed to read a case.

    >>> one = job(Case("a", (Path("a.nii"),)), LabelScheme(labels={0: 0, 4: 1}, ignore=9))
    >>> case_of(one) == Case("a", (Path("a.nii"),))
    True
    >>> scheme_of(one)
    LabelScheme(labels={0: 0, 4: 1}, ignore=9)
    """
    return {
        "name": case.name,
        "images": [str(path) for path in case.images],
        "label": None if case.label is None else str(case.label),
        "weight": None if case.weight is None else str(case.weight),
        "scheme": scheme.to_json(),
        **({"more_labels": [str(path) for path in case.more_labels]} if case.more_labels else {}),
        **({"spacing": list(case.spacing)} if case.spacing else {}),
    }


def by_name(cases: Sequence[Case], scheme: LabelScheme) -> dict[str, dict]:
    """The jobs of cases by their names.

    Raises: ValueError if there is no case, or a name is given twice.
    """
    names = Counter(case.name for case in cases)
    repeated = [name for name, count in names.items() if count > 1]
    if repeated or not names:
        fault = f"case {repeated[0]!r} given more than once" if repeated else "no cases"
        raise ValueError(f"{fault}: expected at least one case, each with a name of its own.")
    return {case.name: job(case, scheme) for case in cases}


def case_of(job: dict) -> Case:
    """The case of a job."""
    label, weight = (job[kind] and Path(job[kind]) for kind in ("label", "weight"))
    images, more = (tuple(map(Path, job.get(kind, ()))) for kind in ("images", "more_labels"))
    spacing = tuple(job["spacing"]) if "spacing" in job else None
    return Case(job["name"], images, label, weight, more, spacing)


def scheme_of(job: dict) -> LabelScheme:
    """The label scheme of a job."""
    return LabelScheme.from_json(job["scheme"])


def contents(job: dict, cache: Path | str | None = None) -> dict[str, Any]:
    """What a job's files contain: a digest of each, and the files' state before they were read.

    Args:
        job: from ``job``.
        cache: if it has a folder for it, the digests of files that have settled are kept there, and
            those of files in the same state are taken from there.
    """
    known = None if cache is None else known_contents(job, cache)
    if known is not None:
        return known
    began, before = time.time(), state(job)
    digests = {
        "images": [digest(path) for path in job["images"]],
        "label": job["label"] and digest(job["label"]),
        "weight": job["weight"] and digest(job["weight"]),
    }
    if "more_labels" in job:
        digests["more_labels"] = [digest(path) for path in job["more_labels"]]
    if "spacing" in job:
        digests["spacing"] = job["spacing"]
    found = {"state": before, "digests": digests}
    if cache is not None and Path(cache, CONTENTS).is_dir():
        changed = max(nanoseconds for one in before for nanoseconds in one[2:]) / 1e9
        if began - changed > SETTLED and state(job) == before:
            with suppress(OSError), replacing(_kept(job, before, cache)) as beside:
                beside.write_text(json.dumps(found))
    return found


def known_contents(job: dict, cache: Path | str) -> dict[str, Any] | None:
    """What a job's files contain, if it was kept and they have not changed since; else None."""
    try:
        before = state(job)
        found = json.loads(_kept(job, before, cache).read_bytes())
        return found if found["state"] == before and _is_of(found["digests"], job) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _kept(job: dict, before: list[list[int]], cache: Path | str) -> Path:
    content = json.dumps([job, before], sort_keys=True).encode()
    return Path(cache, CONTENTS, f"{hashlib.sha256(content).hexdigest()}.json")


def _is_of(digests: Mapping, job: dict) -> bool:
    """Whether digests have the parts of a job's."""
    names = {"images", "label", "weight", *({"more_labels", "spacing"} & set(job))}
    return set(digests) == names and len(digests["images"]) == len(job["images"])


def state(job: dict) -> list[list[int]]:
    """Numbers that change when a file is written to or replaced."""
    paths = [*job["images"], job["label"], job["weight"], *job.get("more_labels", ())]
    states = [os.stat(part) for path in paths if path for part in parts_of(path)]
    return [[s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns] for s in states]


def digest(path: str) -> str:
    """A digest of a file; of a volume in several files, of their digests and names."""
    digests = []
    for part in (parts := parts_of(path)):
        with open(part, "rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(parts) == 1:
        return digests[0]
    named = [f"{part.name} {one}" for part, one in zip(parts, digests, strict=True)]
    return hashlib.sha256("\n".join(named).encode()).hexdigest()
