"""A run's data in TensorFlow Datasets: pictures, read one by one and not prepared before."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unetzoo.data.preprocessing.normalization import ZScore
from unetzoo.data.preprocessing.preparation import Preparation
from unetzoo.data.preprocessing.survey import Survey
from unetzoo.data.sample import Sample
from unetzoo.evaluation.results import Evaluation
from unetzoo.evaluation.scores import score_case
from unetzoo.pipeline.run import Run
from unetzoo.pipeline.training_data import Outputs, Shown, TrainingData
from unetzoo.utils.progress import EVERY, bar_or_lines
from unetzoo.utils.text import counted

if TYPE_CHECKING:
    from unetzoo.data.tfds import Source
    from unetzoo.pipeline.predictor import Predictor


class Tfds(TrainingData):
    """``tfds:NAME``. Where files have cases it has splits, such as "train[:80]"."""

    @cached_property
    def source(self) -> "Source":
        """The data set."""
        from unetzoo.data.tfds import find

        settings = self.settings
        return find(
            self.place,
            labels=settings.labels,
            classes=settings.classes,
            ignore=settings.ignore,
        )

    def check(self) -> None:
        self._check_axes(2)
        settings = self.settings
        for name, value in {"splits": settings.splits, "groups": settings.groups}.items():
            if value is not None:
                raise ValueError(
                    f"{name} {value}: examples of {settings.data} have no names to go by; expected "
                    "fold and folds alone."
                )
        given = settings.threshold, settings.file_spacing, settings.geometry
        if given != (None, None, "header"):
            raise ValueError(
                f"{settings.data}: expected no threshold, geometry or file_spacing with TFDS."
            )

    def begin(self, folder: Path, workers: int, survey: Survey) -> Run:
        settings, source = self.settings, self.source
        count = source.count("train")
        train, held_out = ["train"], list[str]()
        if settings.fold is not None:
            if count < settings.folds:
                raise ValueError(
                    f"{settings.data}: {counted(count, 'example')} for "
                    f"{counted(settings.folds, 'fold')}; give fewer folds, or hold out none "
                    "(--fold all)."
                )
            ends = [count * fold // settings.folds for fold in (settings.fold, settings.fold + 1)]
            held_out = [f"train[{ends[0]}:{ends[1]}]"]
            parts = {f"train[:{ends[0]}]": ends[0], f"train[{ends[1]}:]": count - ends[1]}
            train = [split for split, size in parts.items() if size]
        channels = source.builder.info.features[source.image].shape[-1] or 3
        if settings.named:
            raise ValueError(
                f"{settings.data}: its pictures get z-scores; expected no --normalization."
            )
        preparation = Preparation(None, settings.kinds or (ZScore(),) * channels, crop=False)
        return self._new_run(
            folder, source.scheme, source.class_names, preparation, train, held_out
        )

    def open(self, run: Run, outputs: Outputs, cache: Path, workers: int) -> Run:
        from unetzoo.data.tfds import Changes, pictures, samples

        settings, source = self.settings, self.source
        if outputs.sizes != settings.patch:
            raise ValueError(
                f"network {settings.network!r} gives {outputs.sizes} for a patch of "
                f"{settings.patch}: with TFDS data expected a network whose output is as large as "
                "its input."
            )
        run = self._with_digests(run, self.digests(run))
        changes = Changes() if settings.augment else Changes((), False, 0.0, 0.0)

        def batches(first: int, share: tuple[int, int] = (0, 1)) -> Any:
            dataset = pictures(
                source,
                split="+".join(run.train),
                size=(settings.patch[0], settings.patch[1]),
                batch_size=settings.batch_size,
                crop=True,
                seed=settings.seed,
                changes=changes,
                first_batch=first,
            )
            count, (part, parts) = outputs.count, share
            if parts > 1:
                begin, end = (settings.batch_size * at // parts for at in (part, part + 1))
                dataset = dataset.map(lambda x, y: (x[begin:end], y[begin:end]))
            return dataset if count == 1 else dataset.map(lambda x, y: (x, (y,) * count))

        class HeldOut:
            def items(self) -> Iterable[tuple[str, Sample]]:
                return samples(source, "+".join(run.held_out))

        self.batches = batches
        self.held_out = HeldOut() if run.held_out else None
        return run

    def to_score(self, run: Run) -> str:
        """The split that the run held out, or "test" of data that are named."""
        if not self.own:
            return "test"
        self._check_held_out(run)
        return "+".join(run.held_out)

    def evaluate(
        self, predictor: "Predictor", folder: Path, tolerance: float
    ) -> tuple[Evaluation, Callable[[str], Shown]]:
        from unetzoo.data.tfds import samples

        run, source = predictor.own_run, self.source
        split = self.to_score(run)
        if self.own:
            self.check_same(run, held_out_only=True)
        scores, ignore = {}, run.scheme.ignore
        labels = range(1, len(run.class_names))
        count = source.count(split)
        progress = bar_or_lines("segmenting and scoring", count, every=EVERY)
        for name, sample in progress(samples(source, split)):
            prediction = predictor.segment_prepared(sample.image)
            scores[name] = score_case(
                sample.labels, prediction, labels, (1.0, 1.0), tolerance, ignore
            )

        def shown(name: str) -> Shown:
            sample = next(sample for key, sample in samples(source, split) if key == name)
            prediction = predictor.segment_prepared(sample.image)
            return np.asarray(sample.image), np.asarray(sample.labels), prediction, (1.0, 1.0)

        return Evaluation(scores, run.class_names, tolerance, "px"), shown

    def digests(self, run: Run) -> Mapping[str, str]:
        """Of names and counts: TFDS guarantees what a version holds, so nothing is read."""
        name = self.source.builder.info.full_name
        texts = {
            split: f"{name} {split} {self.source.count(split)}"
            for split in (*run.train, *run.held_out)
        }
        return {split: hashlib.sha256(text.encode()).hexdigest() for split, text in texts.items()}
