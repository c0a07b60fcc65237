"""A run's data in files: volumes or pictures, prepared before the first batch."""

import dataclasses
import glob
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unetzoo.data.augmentation import Augmentation
from unetzoo.data.datasets import Case, Dataset, find_dataset
from unetzoo.data.datasets.reading import read_case_labels
from unetzoo.data.io.pictures import is_picture
from unetzoo.data.preprocessing import jobs
from unetzoo.data.preprocessing.cache import PreparedCase, key_of, prepare_cases
from unetzoo.data.preprocessing.masks_before import prepare_masks
from unetzoo.data.preprocessing.preparation import preparation_for
from unetzoo.data.preprocessing.survey import Look, Survey
from unetzoo.data.splits import grouped_folds, read_splits
from unetzoo.evaluation.results import Evaluation, evaluate_files
from unetzoo.pipeline.previous import (
    check_classes,
    held_out_masks,
    keys_with,
    masks_before,
    masks_of,
)
from unetzoo.pipeline.run import Run
from unetzoo.pipeline.training_data import Outputs, Shown, TrainingData
from unetzoo.utils.json_values import short
from unetzoo.utils.progress import EVERY, bar_or_lines
from unetzoo.utils.text import counted

if TYPE_CHECKING:
    import numpy as np

    from unetzoo.data.patches import PatchDataset
    from unetzoo.pipeline.predictor import Predictor

OBJECTS = 8  # from this label on, labels may be numbers of objects


def _exists(place: str) -> bool:
    """Whether there is a folder, a file, or a file that one of several patterns matches."""
    return os.path.exists(place) or any(glob.glob(part) for part in place.split(";"))


class Files(TrainingData):
    """A folder, a CSV file or patterns. A run's own data may also be named for scoring."""

    looks: Mapping[str, Look] = {}  # of the survey, for a run that begins

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        same = os.path.realpath(self.place) == os.path.realpath(self.settings.data)
        self.own = same and not self.test

    @cached_property
    def dataset(self) -> Dataset:
        """The cases, by their names."""
        settings = self.settings
        return find_dataset(
            self.place,
            settings.layout if self.place == settings.data else None,
            labels=settings.labels,
            classes=settings.classes,
            ignore=settings.ignore,
            threshold=settings.threshold,
            geometry=settings.geometry,
            file_spacing=settings.file_spacing,
            normalisation=settings.named,
        )

    def check(self) -> None:
        cases = self.dataset.cases
        if cases:
            self._check_axes(2 if is_picture(cases[0].images[0]) else 3)
        self._dealt()
        if self.settings.previous is not None:
            masks_before(self.settings.previous, cases)

    def begin(self, folder: Path, workers: int, survey: Survey) -> Run:
        settings, dataset = self.settings, self.dataset
        train, held_out = self._dealt()
        survey_result = survey.look_through(
            dataset.cases,
            dataset.scheme,
            dataset.channel_names,
            fill=settings.fill,
            workers=workers,
            progress=bar_or_lines("reading every file", every=EVERY),
        )
        self.looks = survey_result.looks
        unlearned = self._tell_classes(train)
        self._check_slices()
        scheme = dataset.scheme.with_classes(max(survey_result.counts) + 1)
        preparation = preparation_for(
            {name: self.looks[name].statistics for name in train},
            dataset.channel_names,
            spacing=settings.spacing,  # type: ignore[arg-type]
            normalisation=settings.kinds,
            fill=settings.fill,
        )
        if settings.spacing == "median" and (settings.slicing is not None or settings.neighbors):
            preparation = preparation.keeping(settings.across)
        run = self._new_run(folder, scheme, dataset.class_names, preparation, train, held_out)
        return dataclasses.replace(run, layout=dataset.layout, unlearned=unlearned)

    def open(self, run: Run, outputs: Outputs, cache: Path, workers: int) -> Run:
        from unetzoo.data.patches import PatchDataset

        settings = self.settings
        prepared = prepare_cases(
            self.cases_of(run),
            run.scheme,
            run.preparation,
            cache,
            workers=workers,
            boundary_weights=settings.boundary_weights,
            looks=self.looks,
            progress=bar_or_lines("preparing", every=EVERY),
        )
        files = masks_of(run, self.cases_of(run), settings.previous)
        keys = keys_with(files, {case.name: case.key for case in prepared})
        run = self._with_digests(run, keys)
        masks = self._masks(run, prepared, files, cache, workers)
        samples = {
            case.name: case.sample._replace(image=run.seen(case.sample.image, masks.get(case.name)))
            for case in prepared
        }

        def batches(first: int, share: tuple[int, int] = (0, 1)) -> "PatchDataset":
            return PatchDataset(
                [samples[name] for name in run.train],
                patch=settings.patch,
                batch_size=settings.batch_size,
                augment=Augmentation() if settings.augment else None,
                ignore_label=run.scheme.ignore,
                masked=[n + settings.neighbors * run.channels for n in run.preparation.masked],
                slicing=settings.slicing,
                regions=run.scheme.table if run.scheme.regions else None,
                output=outputs.sizes,
                outputs=outputs.count,
                seed=settings.seed,
                first_batch=first,
                share=share,
                workers=workers,
            )

        self.batches = batches
        self.held_out = {name: samples[name] for name in run.held_out} or None
        return run

    def _masks(
        self,
        run: Run,
        prepared: list[PreparedCase],
        files: Mapping[str, Path],
        cache: Path,
        workers: int,
    ) -> dict[str, "np.ndarray"]:
        """Of a cascade, the mask of each case by the stage before, on its prepared grid."""
        if not files:
            return {}
        check_classes(run, self.settings.previous)
        return prepare_masks(
            self.cases_of(run), prepared, files, run.scheme, cache,
            workers=workers, progress=bar_or_lines("preparing masks", every=EVERY),
        )  # fmt: skip

    def to_score(self, run: Run) -> list[Case]:
        """The held-out cases of a run's own files, all cases of other files, or test cases."""
        if self.test:
            return self._test_cases()
        self.own = self.own or self._moved(run)
        if not self.own:
            return list(self.dataset.cases)
        self._check_held_out(run)
        return self._named(run, run.held_out)

    def _test_cases(self) -> list[Case]:
        """Raises: ValueError where none has labels."""
        cases = [case for case in self.dataset.test if case.label is not None]
        if not cases:
            raise ValueError(
                f"{self.place}: no test case with labels; expected images in imagesTs and their "
                "labels in labelsTs."
            )
        if len(cases) < len(self.dataset.test):
            others = counted(len(self.dataset.test) - len(cases), "test case")
            warnings.warn(f"{self.place}: {others} without labels, not scored.", stacklevel=2)
        return cases

    def _moved(self, run: Run) -> bool:
        """Whether these are the run's own files in another place, from where none may be scored
        that it was trained on."""
        names = {*run.train, *run.held_out}
        known = {case.name for case in self.dataset.cases}
        return bool(names) and names <= known and not _exists(run.settings.data)

    def evaluate(
        self, predictor: "Predictor", folder: Path, tolerance: float
    ) -> tuple[Evaluation, Callable[[str], Shown]]:
        from unetzoo.pipeline.prediction import predict_cases

        run = predictor.own_run
        cases = {case.name: case for case in self.to_score(run)}
        if self.own:
            self.check_same(run, held_out_only=True)
            place = getattr(predictor.previous, "folder", None)
            before = held_out_masks(run, list(cases.values()), place)
            predictor = dataclasses.replace(predictor, previous=before)
        masks = predict_cases(
            predictor,
            list(cases.values()),
            folder / "masks",
            overwrite=True,
            progress=bar_or_lines("segmenting"),
        )
        pairs = [(name, cases[name].labels, path) for name, path in masks.written.items()]
        scored = evaluate_files(
            pairs,
            run.scheme,
            run.class_names,
            tolerance=tolerance,
            progress=bar_or_lines("scoring", every=EVERY),
        )

        def shown(name: str) -> Shown:
            case = cases[name]
            image = predictor.read(case)
            written = dataclasses.replace(case, label=masks.written[name], more_labels=())
            reference, prediction = (read_case_labels(c, run.scheme).data for c in (case, written))
            return image.data, reference, prediction, image.spacing

        return dataclasses.replace(scored, failed={**masks.failed, **scored.failed}), shown

    def digests(self, run: Run) -> Mapping[str, str]:
        settings, boundary = run.preparation.to_json(), run.settings.boundary_weights
        cases = self.cases_of(run)
        by_name = jobs.by_name(cases, run.scheme).items()
        keys = {name: key_of(job, jobs.contents(job), settings, boundary) for name, job in by_name}
        return keys_with(masks_of(run, cases, self.settings.previous), keys)

    def _check_slices(self) -> None:
        """Raises: ValueError where every case is one slice, and the patch lies across it."""
        patch, across = self.settings.patch, self.settings.across
        shapes = [look.statistics.shape for look in self.looks.values()]
        single = [axis for axis, sizes in enumerate(zip(*shapes, strict=True)) if max(sizes) == 1]
        if across is not None and single and across not in single:
            sizes = [size for size in patch if size != 1]
            sizes.insert(single[0], 1)
            raise ValueError(
                f"{self.place}: every case is one slice across axis {single[0]}, but the patch "
                f"{patch} is one across axis {across}; give {','.join(map(str, sizes))}."
            )

    def _tell_classes(self, train: Iterable[str]) -> tuple[int, ...]:
        """Warn of classes that training never sees, and of labels that look like objects.

        Returns: the classes that training never sees.
        """
        scheme = self.dataset.scheme
        seen = {
            name: scheme.seen(label for label, _ in look.measured["voxels"])
            for name, look in self.looks.items()
        }
        every, trained = set[int]().union(*seen.values()), set[int]()
        trained = trained.union(*(seen[name] for name in train))
        missed = sorted(every - trained)
        if missed:
            warnings.warn(
                f"{self.place}: only held-out cases have the classes {short(missed)}, which cannot "
                "be learned; give another --fold, or 'all'.",
                stacklevel=2,
            )
        unnamed = not self.dataset.class_names and scheme.mapping is None
        apart = not (scheme.regions or scheme.overlapping)
        if max(every) < OBJECTS or not apart:
            return tuple(missed)
        if unnamed:
            warnings.warn(
                f"{self.place}: the labels are 0 to {max(every)}, so {max(every) + 1} classes are "
                "trained; if they number objects, write masks of 0 and 1 instead.",
                stacklevel=2,
            )
        elif _counted_up(seen.values()):
            warnings.warn(
                f"{self.place}: the classes of each case are 1 to a number of its own, up to "
                f"{max(every)}, as if they numbered objects; if they do, write masks of 0 and 1 "
                "instead.",
                stacklevel=2,
            )
        return tuple(missed)

    def parts(self) -> list[tuple[list[str], list[str]]]:
        """Of each fold, the names of the cases to train on and of those to hold out."""
        names, settings = [case.name for case in self.dataset.cases], self.settings
        if settings.splits is not None:
            return read_splits(settings.splits, names)
        return grouped_folds(names, settings.groups, settings.folds)

    def _dealt(self) -> tuple[list[str], list[str]]:
        """The names of the cases to train on, and of those to hold out."""
        fold = self.settings.fold
        if fold is None:
            return [case.name for case in self.dataset.cases], []
        parts = self.parts()
        if fold >= len(parts):
            raise ValueError(
                f"fold {fold}: {self.settings.splits} lists {counted(len(parts), 'fold')}, "
                "numbered from 0."
            )
        return parts[fold]

    def cases_of(self, run: Run) -> list[Case]:
        """The cases of a run, to train on and held out. Raises: ValueError for one not there."""
        return self._named(run, [*run.train, *run.held_out])

    def _named(self, run: Run, names: Iterable[str]) -> list[Case]:
        """Raises: ValueError for a case that is not there."""
        cases = {case.name: case for case in self.dataset.cases}
        if missing := sorted(set(names) - set(cases)):
            raise ValueError(
                f"{self.settings.data}: the cases {missing[:5]} of the run in {run.folder} are not "
                "there; put back the data that it was begun with."
            )
        return [cases[name] for name in names]


def _counted_up(seen: Iterable[set[int]]) -> bool:
    """Whether the classes of each case are 1, 2, 3 ..., and not equally many in all cases."""
    each = [found - {0} for found in seen]
    return len({len(found) for found in each}) > 1 and all(
        found == {*range(1, len(found) + 1)} for found in each
    )
