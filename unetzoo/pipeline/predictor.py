"""A run's network, and all that is needed to apply it to a file."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from unetzoo.data.datasets import Case
from unetzoo.data.datasets.inputs import target
from unetzoo.data.datasets.reading import read_case, read_case_labels, write_case_labels
from unetzoo.data.io.pictures import Picture
from unetzoo.data.io.volumes import Volume, write_image
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.inverse import (
    resampling,
    restore_labels,
    restore_probabilities,
    restore_regions,
)
from unetzoo.data.preprocessing.masks_before import on_grid
from unetzoo.data.preprocessing.preparation import Grid, prepare
from unetzoo.evaluation.calibration import Sampler, scaled
from unetzoo.inference.postprocessing import (
    Steps,
    keep_components,
    largest_component,
    largest_of_regions,
)
from unetzoo.inference.shapes import Network, first_output
from unetzoo.inference.uncertainty import Mirrored, Spread, mirror_images
from unetzoo.inference.windows import classes_of, segment, sliding_window_slabs
from unetzoo.interop.processing import Processing
from unetzoo.pipeline.run import Run
from unetzoo.utils.checks import check, is_number
from unetzoo.utils.files import replacing
from unetzoo.utils.progress import inner
from unetzoo.utils.text import counted


class StageBefore(Protocol):
    """What gives the masks that a cascade sees."""

    def segment(self, image: Volume | Picture) -> np.ndarray: ...  # classes, canonical axes


@dataclass(frozen=True)
class Predictor:
    """A run's network, and all that is needed to apply it to a file.

    Args:
        run: the run, or what ``processing.json`` says of it.
        model: its network.
        mirror: whether to average over the image and its mirror images, 2^d times slower.
        overlap: as in ``sliding_window``.
        largest: whether to keep only the largest component of each class.
        probabilities: whether to write the probabilities, too.
        fill: replaces NaN and infinite voxels; None for what the run was trained with.
        uncertainty: whether to write the entropy, too, and with mirror the variance.
        temperature: of the probabilities; see ``unetzoo.evaluation.calibration``.
        sampler: gathers the probabilities of labeled cases, for a calibration.
        file: the name of the network's file, where it is known.
        postprocessing: the steps of ``keep_components`` that a mask goes through.
        previous: of a cascade, the stage before.

    Raises: ValueError for an overlap outside [0, 1), or a fill that is not finite.
    """

    run: Run | Processing
    model: Network
    mirror: bool = False
    overlap: float | None = None
    largest: bool = False
    probabilities: bool = False
    fill: float | None = None
    uncertainty: bool = False
    temperature: float = 1.0
    sampler: Sampler | None = None
    file: str = ""
    postprocessing: Steps = ()
    previous: StageBefore | None = None

    def __post_init__(self) -> None:
        holds = self.overlap is None or 0 <= self.overlap < 1
        check(holds, "overlap", self.overlap, "a fraction in [0, 1)")
        holds = self.fill is None or is_number(self.fill)
        check(holds, "fill", self.fill, "a finite number, such as 0")

    @property
    def own_run(self) -> Run:
        """The run. Raises: ValueError for an export, which does not know its data."""
        if isinstance(self.run, Run):
            return self.run
        raise ValueError(f"{self.run.folder}: an export; expected the folder of a run.")

    @property
    def label_names(self) -> dict[int, str]:
        """The name of each number in a mask; none where labels overlap."""
        scheme = self.run.scheme
        if scheme.overlapping:
            return {}
        names = scheme.drawn_names(self.run.class_names)
        numbers = scheme.to_numbers(np.arange(len(names)), self.run.folder)
        return dict(zip(numbers.tolist(), names, strict=True))

    def read(self, case: Case) -> Volume | Picture:
        """The image of a case. Raises: ValueError as ``read_case``."""
        fill = self.run.preparation.fill if self.fill is None else self.fill
        return read_case(case, fill=fill, near=self.run.preparation.spacing)

    def segment(self, image: Volume | Picture) -> np.ndarray:
        """The class of each voxel ``(*spatial)`` of an image, on its canonical axes."""
        slabs, grid = self._slabs(image)
        scheme, progress = self.run.scheme, resampling(grid)
        if scheme.regions:
            return self._cleaned(
                restore_regions(slabs, grid, scheme.painting, progress, add=scheme.overlapping)
            )
        return self._cleaned(restore_labels(slabs, grid, progress))

    def segment_prepared(self, image: np.ndarray) -> np.ndarray:
        """The class of each voxel ``(*spatial)`` of a prepared image ``(*spatial, C)``."""
        return self._cleaned(
            segment(
                self.model, image, self.run.patch,
                overlap=self.overlap, mirror=self.mirror,
            )
        )  # fmt: skip

    def predict_probabilities(self, image: Volume | Picture) -> np.ndarray:
        """The probabilities ``(*spatial, classes)`` of an image, float32, on its canonical axes.

        Those of regions, which may lie over each other, are independent.
        """
        slabs, grid = self._slabs(image)
        single = first_output(self.model.output_shape)[-1] == 1
        regions = self.run.scheme.regions is not None
        probabilities = restore_probabilities(
            slabs, grid, "sigmoid" if single or regions else "softmax", resampling(grid)
        )
        return scaled(probabilities, self.temperature, regions=regions)

    def spread(self, image: Volume | Picture) -> Spread:
        """The probabilities over folds, and over mirror images if the predictor mirrors."""
        spread = Spread()
        for single in inner("  folds and mirror images")(list(self.singles())):
            spread.add(single.predict_probabilities(image))
        return spread

    def singles(self) -> "Iterator[Predictor]":
        """A predictor for each fold and mirror image."""
        axes = tuple(range(len(self.run.patch))) if self.mirror else ()
        models = getattr(self.model, "models", [self.model])  # of folds
        for model, flipped in itertools.product(models, mirror_images(axes)):
            yield replace(self, model=Mirrored(model, flipped), mirror=False)

    def write(self, case: Case, folder: Path) -> Path:
        """Segment a case and write its mask to a folder. Returns: the mask's path."""
        image = self.read(case)
        path = target(case, folder)
        if self.probabilities or self.sampler is not None:
            probabilities = self.predict_probabilities(image)
            classes = self._cleaned(self._classes(probabilities))
            self._keep(probabilities, case, image, folder)
        else:
            classes = self.segment(image)
        if self.uncertainty:
            spread = self.spread(image)
            entropy = spread.entropy(regions=self.run.scheme.regions is not None)
            _write_values(folder / f"{case.name}_entropy", entropy[..., None], image)
            if spread.count > 1:
                variance = spread.variance[..., None]
                _write_values(folder / f"{case.name}_variance", variance, image)
        write_case_labels(path, classes, image, self.run.scheme, self.label_names)
        return path

    def _keep(
        self, probabilities: np.ndarray, case: Case, image: Volume | Picture, folder: Path
    ) -> None:
        """Write the probabilities, and draw voxels of them, as was asked for."""
        if self.probabilities:
            _write_values(folder / f"{case.name}_probabilities", probabilities, image)
        if self.sampler is not None:
            self.sampler.add(probabilities, read_case_labels(case, self.run.scheme).data)

    def _classes(self, probabilities: np.ndarray) -> np.ndarray:
        return classes_in(probabilities, self.run.scheme)

    def _cleaned(self, classes: np.ndarray) -> np.ndarray:
        if self.postprocessing:
            classes = keep_components(classes, self.postprocessing)
        if not self.largest:
            return classes
        scheme = self.run.scheme
        if scheme.overlapping:
            masks = np.moveaxis(scheme.in_regions(classes), -1, 0).astype("uint8")
            return scheme.painted(np.stack([largest_component(mask) > 0 for mask in masks], -1))
        if scheme.regions:
            return largest_of_regions(classes, map(np.flatnonzero, scheme.table.T))
        return largest_component(classes)

    def _slabs(self, image: Volume | Picture) -> tuple[Iterator[np.ndarray], Grid]:
        """The logits of the prepared image, and how to get back to the image's grid."""
        if image.data.shape[-1] != self.run.channels:
            raise ValueError(
                f"{image.files[0].path}: {counted(image.data.shape[-1], 'channel')}; the run in "
                f"{self.run.folder} was trained with {self.run.channels}."
            )
        prepared = prepare(image, self.run.preparation)
        seen = prepared.image
        if isinstance(self.run, Run):
            seen = self.run.seen(seen, self._before(image, prepared.grid))
        else:
            seen = self.run.seen(seen)
        slabs = sliding_window_slabs(
            self.model, seen, self.run.patch,
            overlap=self.overlap, mirror=self.mirror, progress=inner("  windows"),
        )  # fmt: skip
        return slabs, self.run.preparation.way_back(prepared.grid)

    def _before(self, image: Volume | Picture, grid: Grid) -> np.ndarray | None:
        """Of a cascade, the mask of the stage before on the grid of the prepared image."""
        return None if self.previous is None else on_grid(self.previous.segment(image), grid)


def classes_in(probabilities: np.ndarray, scheme: LabelScheme) -> np.ndarray:
    """The class of each voxel, from the probabilities ``(*spatial, C)`` of classes or regions."""
    if scheme.regions:
        return scheme.painted(probabilities > 0.5)
    return classes_of(probabilities, threshold=0.5)


@dataclass(frozen=True)
class Mixed(Predictor):
    """Several predictors as one: the mean of their probabilities, as in nnU-Net."""

    members: tuple[Predictor, ...] = ()

    def segment(self, image: Volume | Picture) -> np.ndarray:
        """The class of each voxel ``(*spatial)`` of an image, on its canonical axes."""
        return self._cleaned(self._classes(self.predict_probabilities(image)))

    def predict_probabilities(self, image: Volume | Picture) -> np.ndarray:
        """The mean of the probabilities ``(*spatial, classes)`` of an image, float32."""
        total = self.members[0].predict_probabilities(image)
        for member in self.members[1:]:
            total += member.predict_probabilities(image)
        total /= len(self.members)
        return total

    def spread(self, image: Volume | Picture) -> Spread:
        """The probabilities over the members, their folds and mirror images."""
        spread = Spread()
        for member in self.members:
            for single in member.singles():
                spread.add(single.predict_probabilities(image))
        return spread


def _write_values(stem: Path, values: np.ndarray, image: Volume | Picture) -> None:
    """``(*spatial, C)`` as NIfTI with C channels; those of a picture as numpy's ``.npy``."""
    if isinstance(image, Volume):
        write_image(stem.with_name(f"{stem.name}.nii.gz"), values, image)
        return
    with replacing(stem.with_name(f"{stem.name}.npy")) as beside, beside.open("wb") as file:
        np.save(file, values, allow_pickle=False)
