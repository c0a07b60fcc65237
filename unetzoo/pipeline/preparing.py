"""``unetzoo prepare``: what a training needs prepared, by one job or many that share a cache."""

from dataclasses import dataclass
from pathlib import Path

from unetzoo.data.preprocessing import jobs
from unetzoo.data.preprocessing.cache import ensure_prepared, entry_of, key_of
from unetzoo.data.preprocessing.survey import Survey
from unetzoo.pipeline.early import training_data
from unetzoo.pipeline.from_files import Files
from unetzoo.pipeline.settings import Settings
from unetzoo.utils.journal import keep_list
from unetzoo.utils.progress import EVERY, bar_or_lines
from unetzoo.utils.shards import ALONE
from unetzoo.utils.text import counted


@dataclass(frozen=True)
class InCache:
    """The prepared cases of a training.

    Args:
        folder: the cache.
        keys: of each case's entry there, by the case's name.
    """

    folder: Path
    keys: dict[str, str]

    def __str__(self) -> str:
        return f"{self.folder}: {counted(len(self.keys), 'case')} prepared"


def prepare_data(
    settings: Settings,
    cache: Path | str,
    *,
    share: tuple[int, int] = ALONE,
    workers: int = 1,
    survey: Survey | None = None,
) -> InCache:
    """Prepare all cases that ``train`` with these settings needs, training and held-out cases.

    Many jobs on many machines may do it at the same time. Each begins with its share of the cases,
    and goes on with those that no other job has begun, so that all cases are prepared when any of
    the jobs ends, and a job that dies is replaced by the others.

    Args:
        settings: of the run, or of one fold of several; fold None for those of ``cross_validate``.
        cache: the folder to give to ``train`` as ``cache``.
        share: the number of this job, from 1, and how many there are.
        workers: processes of this job; each holds one case in memory.
        survey: for this cache, if it has looked at the data before.

    Raises: ValueError that lists everything that is wrong with the data, or each case that failed.
    """
    cache, data = Path(cache), files_to_prepare(settings)
    with survey or Survey(cache, share) as looking:
        run = data.begin(cache, workers, looking)
        cases, boundary = data.cases_of(run), settings.boundary_weights
        entries = {}
        for name, job in jobs.by_name(cases, run.scheme).items():
            contents = dict(data.looks[name].contents)
            key = key_of(job, contents, run.preparation.to_json(), boundary)
            entries[name] = entry_of(cache, name, key).name
        keep_list(cache, "prepared", entries)
        keys = ensure_prepared(
            cases, run.scheme, run.preparation, cache, workers=workers, boundary_weights=boundary,
            looks=data.looks, progress=bar_or_lines("preparing", every=EVERY), share=share,
        )  # fmt: skip
    return InCache(cache, keys)


def files_to_prepare(settings: Settings) -> Files:
    """The data of settings.

    Raises: ValueError for data of TensorFlow Datasets, and files that do not fit the settings.
    """
    data = training_data(settings)
    if not isinstance(data, Files):
        raise ValueError(
            f"{settings.data}: expected files to prepare; examples of TFDS are prepared as a run "
            "reads them."
        )
    data.check()
    return data
