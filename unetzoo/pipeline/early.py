"""What of a run can be checked early: before Keras is loaded and before a case is read."""

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from unetzoo import registry
from unetzoo.data.datasets import Case, Dataset, find_dataset
from unetzoo.data.io.pictures import is_picture
from unetzoo.data.splits import folds
from unetzoo.pipeline.run import Run, Settings
from unetzoo.training.checkpoints import checkpoints
from unetzoo.utils.checks import check, is_whole
from unetzoo.utils.choices import TFDS
from unetzoo.utils.files import check_folder


def check_settings(settings: Settings, folder: Path, cache: Path | None = None) -> Run | None:
    """The run that was begun in a folder and goes on with these settings, or None.

    Raises: ValueError for a run of other settings, a folder or cache that cannot be written to, or
        a network that does not take the patch or its arguments.
    """
    done = checkpoints(folder)
    begun = Run.read(folder) if done else None
    if begun is not None:
        begun.check_same(settings)
    if max(done, default=0) < settings.epochs:
        for place in filter(None, (folder, cache)):
            check_folder(place)
    known = registry.card(settings.network)
    right = all(map(is_whole, settings.patch))
    check(right, "patch", settings.patch, "whole numbers of at least 1, such as (64, 64, 64)")
    wrong = [size for size in settings.patch if not known.sizes.allow(size)]
    if wrong and len(settings.patch) in known.ranks:
        raise ValueError(f"patch {settings.patch}: {known.name!r} {known.sizes.needed(wrong)}")
    registry.check_arguments(settings.network, **(settings.build or {}))
    return begun


def check_data(settings: Settings) -> None:
    """Look at the names of a run's files, not into them.

    Raises: ValueError for a list of files that is wrong, too few for the folds, or with other axes
        than the network and the patch.
    """
    if settings.data.startswith(TFDS):
        check_axes(settings, 2)
        return
    cases = dataset_of(settings).cases
    if cases:
        check_axes(settings, 2 if is_picture(cases[0].images[0]) else 3)
    if settings.fold is not None:
        folds([case.name for case in cases], settings.folds)


def check_axes(settings: Settings, data: int) -> None:
    """Raises: ValueError where network, patch and data have not the same number of axes."""
    ranks, rank = registry.card(settings.network).ranks, len(settings.patch)
    if rank != data or data not in ranks:
        axes = " or ".join(map(str, ranks))
        near = ", ".join(registry.list_models(f"{data}d"))
        raise ValueError(
            f"network {settings.network!r} has {axes} axes of space, patch {settings.patch} has "
            f"{rank}, the data have {data}: expected the same; for these data choose of {near}."
        )
    spacing = settings.spacing
    if spacing not in ("median", None) and len(spacing) != data:
        raise ValueError(f"spacing {spacing}: expected {data} numbers, one for each axis.")


def dataset_of(settings: Settings, place: str | None = None) -> Dataset:
    """The run's data set, or another whose labels mean the same."""
    return find_dataset(
        place or settings.data,
        settings.layout if place in (None, settings.data) else None,
        labels=settings.labels,
        classes=settings.classes,
        ignore=settings.ignore,
    )


def cases_to_score(run: Run, data: str | None = None) -> tuple[Case, ...]:
    """Of the run's own files the held-out cases, of others all.

    Raises: ValueError where none were held out.
    """
    settings = run.settings
    place = data or settings.data
    dataset = dataset_of(settings, place)
    if not is_own(run, data):
        return dataset.cases
    if not run.held_out:
        raise nothing_left(run, place)
    return tuple(cases_named(run, run.held_out, dataset))


def cases_named(run: Run, names: Iterable[str], dataset: Dataset | None = None) -> list[Case]:
    """Cases of a run, from where its data lie.

    Raises: ValueError for one that is not there.
    """
    cases = {case.name: case for case in (dataset or dataset_of(run.settings)).cases}
    if missing := sorted(set(names) - set(cases)):
        raise ValueError(
            f"{run.settings.data}: the cases {missing[:5]} of the run in {run.folder} are not "
            "there; expected the data that it was begun with."
        )
    return [cases[name] for name in names]


def is_own(run: Run, data: str | None) -> bool:
    """Whether data are those that the run was trained on."""
    own = run.settings.data
    return data is None or Path(data).resolve() == Path(own).resolve()


def check_demo() -> None:
    """Raises: ValueError where what the demo takes is not installed."""
    for name in ("nilearn", "matplotlib"):
        if find_spec(name) is None:
            raise ValueError(
                f"{name} is not installed: the demo needs it; run pip install 'unetzoo[demo]'."
            )


def nothing_left(run: Run, place: str) -> ValueError:
    """What to say where a run held out no case."""
    return ValueError(
        f"{place}: the run in {run.folder} was trained on all of its labelled cases; expected "
        "others, given with --data."
    )
