"""Where a run's batches come from: files that are prepared, or a data set of TFDS."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from unetzoo.data.augmentation import Augmentation
from unetzoo.data.datasets import Case
from unetzoo.data.labels import LabelScheme
from unetzoo.data.patches import PatchDataset
from unetzoo.data.preprocessing import jobs
from unetzoo.data.preprocessing.cache import PreparedCase, key_of, prepare_cases
from unetzoo.data.preprocessing.normalization import ZScore
from unetzoo.data.preprocessing.preparation import Preparation, preparation_for
from unetzoo.data.preprocessing.survey import Look, Survey
from unetzoo.data.sample import Sample
from unetzoo.data.splits import folds
from unetzoo.inference.shapes import output_shape
from unetzoo.pipeline.early import cases_named, dataset_of, nothing_left
from unetzoo.pipeline.run import Run, Settings, versions
from unetzoo.registry import card, list_models, skeleton
from unetzoo.utils.choices import TFDS
from unetzoo.utils.kernels import keras_backend
from unetzoo.utils.progress import bar
from unetzoo.utils.text import counted


class Cases(Protocol):
    """Prepared cases by name: a dict, or what reads them one by one."""

    def items(self) -> Iterable[tuple[str, Sample]]: ...


@dataclass(frozen=True)
class Feed:
    """What a run is trained and validated on."""

    batches: Callable[[int], Any]  # for ``fit``, from a batch of the run on
    held_out: Cases | None


def from_files(run: Run, cache: Path, workers: int, looks: Mapping[str, Look]) -> tuple[Run, Feed]:
    """Prepare a run's cases; the run with their digests, and its feed.

    The looks are those of the survey that the run was made of; none for a run that was read.

    Raises: ValueError for cases that are not there, or not those that the run was begun with.
    """
    settings = run.settings
    prepared = _prepare(run, cache, workers, looks)
    run = _with_digests(run, {name: case.key for name, case in prepared.items()})
    output, outputs = outputs_of(settings)

    def batches(first: int) -> PatchDataset:
        return PatchDataset(
            [prepared[name].sample for name in run.train],
            patch=settings.patch,
            batch_size=settings.batch_size,
            augment=Augmentation() if settings.augment else None,
            ignore_label=run.scheme.ignore,
            output=output,
            outputs=outputs,
            seed=settings.seed,
            first_batch=first,
            workers=workers,
        )

    held_out = {name: prepared[name].sample for name in run.held_out}
    return run, Feed(batches, held_out or None)


def from_tfds(run: Run) -> tuple[Run, Feed]:
    """The feed of a run on pictures of TFDS, which are read one by one: nothing is prepared."""
    from unetzoo.data.tfds import Changes, pictures, samples

    settings = run.settings
    output, outputs = outputs_of(settings)
    if output != settings.patch:
        raise ValueError(
            f"network {settings.network!r} gives {output} for a patch of {settings.patch}: "
            "with data of TFDS expected a network that gives as many pixels as it takes."
        )
    source = find_tfds(settings)
    splits = [*run.train, *run.held_out]
    run = _with_digests(run, {split: _digest(source, split) for split in splits})
    changes = Changes() if settings.augment else Changes((), False, 0.0, 0.0)

    def batches(first: int) -> Any:
        found = pictures(
            source,
            split="+".join(run.train),
            size=(settings.patch[0], settings.patch[1]),
            batch_size=settings.batch_size,
            crop=True,
            seed=settings.seed,
            changes=changes,
            first_batch=first,
        )
        return found if outputs == 1 else found.map(lambda x, y: (x, (y,) * outputs))

    class HeldOut:
        def items(self) -> Iterable[tuple[str, Sample]]:
            return samples(source, "+".join(run.held_out))

    return run, Feed(batches, HeldOut() if run.held_out else None)


def new_run(
    settings: Settings, folder: Path, workers: int, survey: Survey
) -> tuple[Run, Mapping[str, Look]]:
    """Look through the data, deal the cases, and plan how they are prepared.

    Returns: the run, and the looks at its cases; none at those of TFDS.
    Raises: ValueError with all that is wrong with the data.
    """
    if settings.data.startswith(TFDS):
        return _new_on_tfds(settings, folder), {}
    return _new_on_files(settings, folder, workers, survey)


def find_tfds(settings: Settings, place: str | None = None) -> Any:
    """The run's data set of TFDS, or another whose labels mean the same."""
    from unetzoo.data import tfds

    return tfds.find(
        place or settings.data,
        labels=settings.labels,
        classes=settings.classes,
        ignore=settings.ignore,
    )


def _new_on_files(
    settings: Settings, folder: Path, workers: int, survey: Survey
) -> tuple[Run, Mapping[str, Look]]:
    dataset = dataset_of(settings)
    names = [case.name for case in dataset.cases]
    kept, held_out = names, list[str]()
    if settings.fold is not None:
        kept, held_out = folds(names, settings.folds)[settings.fold]
    found = survey.look_through(
        dataset.cases,
        dataset.scheme,
        dataset.channel_names,
        fill=settings.fill,
        workers=workers,
        progress=bar("reading every file"),
    )
    scheme = dataset.scheme.with_classes(max(found.counts) + 1)
    preparation = preparation_for(
        {name: found.looks[name].statistics for name in kept},
        dataset.channel_names,
        spacing=settings.spacing,  # type: ignore[arg-type]
        normalisation=settings.normalisation,
        fill=settings.fill,
    )
    run = _run(settings, folder, scheme, dataset.class_names, preparation, kept, held_out)
    return run, found.looks


def _new_on_tfds(settings: Settings, folder: Path) -> Run:
    source = find_tfds(settings)
    count = source.count("train")
    kept, held_out = ["train"], list[str]()
    if settings.fold is not None:
        if count < settings.folds:
            raise ValueError(
                f"{settings.data}: {counted(count, 'example')} for "
                f"{counted(settings.folds, 'fold')}."
            )
        ends = [count * n // settings.folds for n in (settings.fold, settings.fold + 1)]
        held_out = [f"train[{ends[0]}:{ends[1]}]"]
        parts = {f"train[:{ends[0]}]": ends[0], f"train[{ends[1]}:]": count - ends[1]}
        kept = [split for split, size in parts.items() if size]
    channels = source.builder.info.features[source.image].shape[-1] or 3
    kinds = settings.normalisation or (ZScore(),) * channels
    preparation = Preparation(None, kinds, crop=False)
    return _run(settings, folder, source.scheme, source.class_names, preparation, kept, held_out)


def _run(
    settings: Settings,
    folder: Path,
    scheme: LabelScheme,
    class_names: tuple[str, ...],
    preparation: Preparation,
    kept: list[str],
    held_out: list[str],
) -> Run:
    others = (f"class {n}" for n in range(1, scheme.num_classes))
    return Run(
        folder=folder,
        settings=settings,
        scheme=scheme,
        class_names=class_names or ("background", *others),
        channels=len(preparation.normalisation),
        preparation=preparation,
        train=dict.fromkeys(kept, ""),
        held_out=dict.fromkeys(held_out, ""),
        versions=versions(),
        backend=keras_backend(),
    )


def check_data(run: Run) -> None:
    """Whether a run's data are those that it was begun with; files are hashed, none is written.

    Raises: ValueError where they are not, or not there.
    """
    if run.settings.data.startswith(TFDS):
        source = find_tfds(run.settings)
        found = {split: _digest(source, split) for split in (*run.train, *run.held_out)}
    else:
        settings = run.preparation.to_json()
        boundary = run.settings.boundary_weights
        each = jobs.by_name(_wanted(run), run.scheme).items()
        found = {name: key_of(job, jobs.contents(job), settings, boundary) for name, job in each}
    _with_digests(run, found)


def check_held_out(run: Run) -> None:
    """As ``check_data``, of what the run held out alone. Raises: ValueError if that is nothing."""
    if not run.held_out:
        raise nothing_left(run, run.settings.data)
    check_data(dataclasses.replace(run, train={}))


def _wanted(run: Run) -> list[Case]:
    return cases_named(run, [*run.train, *run.held_out])


def _prepare(
    run: Run, cache: Path, workers: int, looks: Mapping[str, Look]
) -> dict[str, PreparedCase]:
    prepared = prepare_cases(
        _wanted(run),
        run.scheme,
        run.preparation,
        cache,
        workers=workers,
        boundary_weights=run.settings.boundary_weights,
        looks=looks,
        progress=bar("preparing"),
    )
    return {case.name: case for case in prepared}


def outputs_of(settings: Settings) -> tuple[tuple[int, ...], int]:
    """The sizes of what the network gives for a patch, and how many outputs it has.

    Raises: ValueError for a patch that the network does not take.
    """
    axes, rank = card(settings.network).ranks, len(settings.patch)
    if rank not in axes:
        near = ", ".join(list_models(f"{rank}d")) or "none"
        raise ValueError(
            f"network {settings.network!r} has {' or '.join(map(str, axes))} axes of space, patch "
            f"{settings.patch} has {rank}: expected the same; for {counted(rank, 'axis')} there "
            f"are {near}."
        )
    shape = (*settings.patch, 1)  # the sizes do not depend on the channels
    build = {"name": settings.network, **(settings.build or {})}
    model = skeleton(settings.network, input_shape=shape, **build)
    return output_shape(model, settings.patch)[:-1], len(model.outputs)


def _digest(source: Any, split: str) -> str:
    """TFDS vouches for what a version holds; the examples are not read for it."""
    text = f"{source.builder.info.full_name} {split} {source.count(split)}"
    return hashlib.sha256(text.encode()).hexdigest()


def _with_digests(run: Run, found: Mapping[str, str]) -> Run:
    known = {**run.train, **run.held_out}
    if changed := [name for name, key in known.items() if key not in ("", found[name])]:
        raise ValueError(
            f"{run.settings.data}: the files of {changed[:5]} are not those that the run in "
            f"{run.folder} was begun with; put them back, or give another folder."
        )
    return dataclasses.replace(
        run,
        train={name: found[name] for name in run.train},
        held_out={name: found[name] for name in run.held_out},
    )
