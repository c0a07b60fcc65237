"""What a run is trained, validated and scored on, wherever the data come from."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from unetzoo import registry
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.preparation import Preparation
from unetzoo.data.preprocessing.survey import Survey
from unetzoo.data.sample import Sample
from unetzoo.evaluation.results import Evaluation
from unetzoo.pipeline.run import Run, versions
from unetzoo.pipeline.settings import Settings
from unetzoo.utils.kernels import keras_backend

if TYPE_CHECKING:
    from unetzoo.pipeline.predictor import Predictor

Shown = tuple[np.ndarray, np.ndarray, np.ndarray, tuple[float, ...]]
"""The image, reference, prediction and spacing of a case."""


class Cases(Protocol):
    """Prepared cases by name, in a dict or read one by one."""

    def items(self) -> Iterable[tuple[str, Sample]]: ...


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The outputs of a network for a patch."""

    sizes: tuple[int, ...]
    count: int


class TrainingData(ABC):
    """The data of a run: ``check``, ``begin`` and ``open`` to train, ``evaluate`` to score.

    ``unetzoo.pipeline.early.training_data`` makes it from settings.

    Args:
        settings: of the run.
        place: other data to score, whose labels mean the same; None for the run's own.
        test: whether to score the test cases of the data.
    """

    # Both are there once the data are open.
    batches: Callable[..., Any]  # for ``fit``, from a batch of the run on, and a share of each
    held_out: Cases | None

    def __init__(self, settings: Settings, place: str | None = None, test: bool = False):
        self.settings = settings
        self.place = place or settings.data
        self.test = test
        self.own = place is None and not test

    @abstractmethod
    def check(self) -> None:
        """Check the names of files, without reading them, before Keras is loaded.

        Raises: ValueError for a wrong list of files, too few cases for the folds, or another number
            of axes than the patch has.
        """

    @abstractmethod
    def begin(self, folder: Path, workers: int, survey: Survey) -> Run:
        """Read through the data, deal the cases into folds, and decide how to prepare them.

        Raises: ValueError that lists everything that is wrong with the data.
        """

    @abstractmethod
    def open(self, run: Run, outputs: Outputs, cache: Path, workers: int) -> Run:
        """Prepare a run's cases, for ``batches`` and ``held_out``.

        Returns: the run with the digests of its cases.
        Raises: ValueError for cases that are missing, or differ from those the run began with.
        """

    @abstractmethod
    def to_score(self, run: Run) -> Any:
        """The part of the data to score; of a run's own data, what it held out.

        Raises: ValueError if it held out nothing.
        """

    @abstractmethod
    def evaluate(
        self, predictor: "Predictor", folder: Path, tolerance: float
    ) -> tuple[Evaluation, Callable[[str], Shown]]:
        """Scores, and a function that gives what there is to draw of a case."""

    @abstractmethod
    def digests(self, run: Run) -> Mapping[str, str]:
        """A digest of the present data for each case of a run; nothing is written."""

    def check_same(self, run: Run, *, held_out_only: bool = False) -> None:
        """Whether a run's data, or only what it held out, are those that it began with.

        Raises: ValueError if they differ or are missing.
        """
        run = dataclasses.replace(run, train={}) if held_out_only else run
        self._with_digests(run, self.digests(run))

    def _check_axes(self, axes: int) -> None:
        """Raises: ValueError where patch and data do not have the same number of axes."""
        settings, rank = self.settings, len(self.settings.patch)
        if rank != axes:
            networks = ", ".join(registry.list_models(f"{axes}d"))
            slices = (
                " Or give a patch of one slice, such as 64,64,1, to go through volumes slice by "
                "slice."
            )
            raise ValueError(
                f"network {settings.network!r}, patch {settings.patch} has {rank}, the data have "
                f"{axes}: expected the same number of axes; networks for these data are {networks}."
                f"{slices if (rank, axes) == (2, 3) else ''}"
            )

    def _check_held_out(self, run: Run) -> None:
        if not run.held_out:
            raise ValueError(
                f"{self.place}: the run in {run.folder} was trained on all of its labeled cases; "
                "give others with --data."
            )

    def _new_run(
        self,
        folder: Path,
        scheme: LabelScheme,
        class_names: tuple[str, ...],
        preparation: Preparation,
        train: Iterable[str],
        held_out: Iterable[str],
    ) -> Run:
        others = (f"class {number}" for number in range(1, scheme.num_classes))
        return Run(
            folder=folder,
            settings=self.settings.located(),
            scheme=scheme,
            class_names=class_names or ("background", *others),  # a name for each channel
            channels=len(preparation.normalisation),
            preparation=preparation,
            train=dict.fromkeys(train, ""),
            held_out=dict.fromkeys(held_out, ""),
            versions=versions(),
            backend=keras_backend(),
        )

    def _with_digests(self, run: Run, digests: Mapping[str, str]) -> Run:
        known = {**run.train, **run.held_out}
        if changed := [name for name, key in known.items() if key not in ("", digests[name])]:
            raise ValueError(
                f"{self.settings.data}: the files of {changed[:5]} are not those that the run in "
                f"{run.folder} was begun with; put those back, or give another folder."
            )
        return dataclasses.replace(
            run,
            train={name: digests[name] for name in run.train},
            held_out={name: digests[name] for name in run.held_out},
        )
