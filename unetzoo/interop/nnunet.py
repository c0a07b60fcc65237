"""Masks as nnU-Net makes them, by networks that nnU-Net has trained.

nnU-Net turns no image to canonical axes: its arrays are ``(z, y, x)`` in the file's own order, then
in the order that the plan says. So they are here; patches lie, and ties break, where its own do.

Source: nnU-Net 2.8.1, ``DefaultPreprocessor`` and ``nnUNetPredictor``.
"""

import dataclasses
import gc
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from unetzoo.data.datasets import Case
from unetzoo.data.datasets.inputs import target
from unetzoo.data.io.formats import write_values
from unetzoo.data.io.pictures import Picture, write_mask
from unetzoo.data.io.tiff import TiffVolume
from unetzoo.data.io.volumes import Volume
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.axes import slices
from unetzoo.data.preprocessing.inverse import (
    resampling,
    restore_labels,
    restore_probabilities,
    restore_regions,
)
from unetzoo.data.preprocessing.preparation import Grid, Preparation, prepare
from unetzoo.data.preprocessing.statistics import nonzero_mask
from unetzoo.inference.fusing import for_prediction
from unetzoo.inference.postprocessing import largest_component
from unetzoo.inference.shapes import Network, first_output
from unetzoo.inference.uncertainty import Mirrored, Spread, mirror_images
from unetzoo.inference.windows import sliding_window_slabs
from unetzoo.interop.nnunet_cascade import GivenMasks, stage_before
from unetzoo.interop.nnunet_folder import (
    FINAL,
    STACKS,
    TrainedFolder,
    is_trained_folder,
    read_folder,
    reading_plans,
)
from unetzoo.interop.nnunet_network import architecture_of, trained_network
from unetzoo.interop.nnunet_preparation import preparation_of
from unetzoo.interop.nnunet_scan import Scan, read_scan, scan_of, write_spacing
from unetzoo.utils.files import replacing
from unetzoo.utils.progress import inner


class Ensemble:
    """Networks of one architecture as one: the mean of their logits, patch by patch.

    So there is one slab of logits for all of them.
    """

    def __init__(self, models: Sequence[keras.Model]) -> None:
        first = models[0]
        self.models, self.name, self.layers = models, first.name, first.layers
        self.input_shape, self.output_shape = first.input_shape, first.output_shape
        self.compute_output_shape = first.compute_output_shape
        self.at_once = getattr(first, "at_once", 1)

    def predict_on_batch(self, x: np.ndarray) -> np.ndarray:
        """The mean of the logits ``(B, *patch, classes)``, float32."""
        total = np.array(first_output(self.models[0].predict_on_batch(x)), "float32")
        for model in self.models[1:]:
            total += first_output(model.predict_on_batch(x))
        return total / len(self.models)


@dataclass(frozen=True, eq=False)
class NnunetPredictor:
    """The networks of a folder's folds, and all that it takes to apply them to files."""

    trained: TrainedFolder
    models: tuple[Network, ...]
    preparation: Preparation
    mirror: bool = True
    overlap: float = 0.5
    largest: bool = False
    probabilities: bool = False
    fill: float | None = None
    uncertainty: bool = False
    previous: "NnunetPredictor | GivenMasks | None" = None  # of a cascade
    canonical: bool = False  # whether images are turned to canonical axes, whatever the plan says

    def segment(self, image: Volume | Picture) -> np.ndarray:
        """The labels ``(X, Y, Z)`` of an image, in the file's own order of axes."""
        labels = self._back(self._labels(self._scan(image)), image)
        return largest_component(labels) if self.largest else labels

    def predict_probabilities(self, image: Volume | Picture) -> np.ndarray:
        """Of each class or region, ``(X, Y, Z, C)``, float32, in the file's own order of axes."""
        slabs, grid = self._logits(self._scan(image))
        probabilities = restore_probabilities(
            slabs, grid, "sigmoid" if self.trained.regions else "softmax", resampling(grid)
        )
        return self._back(probabilities, image)

    def spread(self, image: Volume | Picture) -> Spread:
        """The probabilities over folds and mirror images."""
        spread = Spread()
        axes = self._axes() if self.mirror else ()
        singles = list(itertools.product(self.models, mirror_images(axes)))
        for model, flipped in inner("  folds and mirror images")(singles):
            mirrored = (Mirrored(model, flipped),)
            single = dataclasses.replace(self, models=mirrored, mirror=False)
            spread.add(single.predict_probabilities(image))
        return spread

    @property
    def label_names(self) -> dict[int, str]:
        """The name of each number in a mask."""
        trained = self.trained
        named = {name: value for name, value in trained.labels.items() if value not in (0, [0])}
        if trained.regions:
            return dict(zip(trained.regions, named, strict=False))
        numbers = [value[0] if isinstance(value, list) else value for value in named.values()]
        return dict(zip(map(int, numbers), named, strict=True))

    def write(self, case: Case, folder: Path) -> Path:
        """Segment a case and write its mask to a folder. Returns: the mask's path."""
        image, path = read_scan(case, self.trained, self.fill), target(case, folder)
        if self.probabilities:
            values = self.predict_probabilities(image)
            _write(folder / f"{case.name}_probabilities", values, image)
        if self.uncertainty:
            spread = self.spread(image)
            entropy = spread.entropy(regions=bool(self.trained.regions))
            _write(folder / f"{case.name}_entropy", entropy, image)
            if spread.count > 1:
                _write(folder / f"{case.name}_variance", spread.variance, image)
        labels = self.segment(image)
        labels = labels.astype("uint8" if labels.max() < 255 else "uint16")
        if isinstance(image, Picture):
            write_mask(path, labels, image, LabelScheme())
        else:
            file = image.files[0]
            write_values(path, labels, file, self.label_names)
            if self.trained.reader == STACKS and isinstance(file, TiffVolume):
                write_spacing(path, file)
        return path

    def _scan(self, image: Volume | Picture) -> Scan:
        """An image in the order of axes in which the plan has it."""
        return scan_of(image, self.trained, self._turns)

    @property
    def _turns(self) -> bool:
        """Whether images are turned to canonical axes."""
        return self.canonical or self.trained.reorients

    def _back(self, values: np.ndarray, image: Volume | Picture) -> np.ndarray:
        """Values of voxels from the plan's order of axes to the file's."""
        rest = range(3, values.ndim)
        values = values.transpose(*self.trained.plans["transpose_backward"], *rest)
        values = values.transpose(2, 1, 0, *rest)
        if isinstance(image, Picture):
            return values[:, :, 0].swapaxes(0, 1)
        return image.files[0].from_canonical(values) if self._turns else values

    def _labels(self, scan: Scan) -> np.ndarray:
        """The labels of an image, both in the plan's order of axes."""
        (slabs, grid), regions = self._logits(scan), self.trained.regions
        progress = resampling(grid)
        if regions:
            return restore_regions(slabs, grid, regions, progress)
        return restore_labels(slabs, grid, progress)

    def _logits(self, scan: Scan) -> tuple[Iterator[np.ndarray], Grid]:
        """The logits of the prepared image, and the way back from it."""
        rule = self.trained.resampling.data
        prepared = prepare(scan, self.preparation, coarse_of=rule.coarse, resampled=rule.resampled)
        image = prepared.image
        if self.previous is not None:  # a channel for each label of the stage before
            before = self._resampled(self.previous._labels(scan), scan, prepared.grid)
            channels = [before[..., None] == number for number in self.trained.numbers]
            image = np.concatenate([image, *channels], axis=-1, dtype="float32")
        return self._slabs(image), self._way_back(prepared.grid)

    def _resampled(self, labels: np.ndarray, scan: Scan, grid: Grid) -> np.ndarray:
        """Labels on the grid of the prepared image; -1 is what is empty in every channel."""
        rule, inside = self.trained.resampling.seg, slices(grid.box)
        cropped = labels[inside].astype("int16")
        cropped[(cropped == 0) & ~nonzero_mask(scan.data[inside])] = -1
        coarse = rule.coarse(scan.spacing, self._planned(scan.spacing))
        return rule.resampled_labels(cropped, grid.prepared, coarse)

    def _way_back(self, grid: Grid) -> Grid:
        """The same grid; thick slices are now looked for in the plan's spacing first."""
        rule = self.trained.resampling.probabilities
        coarse = rule.coarse(self._planned(grid.spacing), grid.spacing)
        return dataclasses.replace(grid, coarse=coarse)

    def _planned(self, spacing: tuple[float, ...]) -> tuple[float, ...]:
        """The plan's spacing; that between slices, which a 2D network does not change, is kept."""
        planned = tuple(self.trained.configuration["spacing"])
        return spacing[: 3 - len(planned)] + planned

    def _axes(self) -> tuple[int, ...]:
        """Those that training mirrored, of the three of an image."""
        thin = 3 - len(self.trained.configuration["patch_size"])
        return tuple(axis + thin for axis in self.trained.mirrored)

    def _slabs(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """The mean of the logits of all folds."""
        axes = self._axes() if self.mirror else ()
        network = self.models[0] if len(self.models) == 1 else Ensemble(self.models)
        return sliding_window_slabs(
            network, image, self.trained.patch,
            overlap=self.overlap, mirror=axes, progress=inner("  windows"),
        )  # fmt: skip


def _write(stem: Path, values: np.ndarray, image: Volume | Picture) -> None:
    """Values of voxels as NIfTI; those of a picture as numpy's ``.npy``."""
    if not isinstance(image, Picture):
        write_values(stem.with_name(f"{stem.name}.nii.gz"), values, image.files[0])
        return
    with replacing(stem.with_name(f"{stem.name}.npy")) as beside, beside.open("wb") as file:
        np.save(file, values, allow_pickle=False)


def load_nnunet(
    path: Path | str,
    folds: Iterable[int | str] | None = None,
    *,
    mirror: bool = True,
    overlap: float = 0.5,
    checkpoint: str = FINAL,
    largest: bool = False,
    probabilities: bool = False,
    fill: float | None = None,
    uncertainty: bool = False,
    previous: Path | str | None = None,
    canonical: bool = False,
) -> NnunetPredictor:
    """A trained folder of nnU-Net, ready to be applied.

    Args:
        path: ``TRAINER__PLANS__CONFIGURATION``.
        folds: numbers, or "all"; None for every numbered fold that there is, or else "all". Those
            of the stage before a cascade are all that there are.
        mirror: whether to take the mean over mirror images, where training allowed them.
        overlap: of neighbouring patches, a fraction in [0, 1).
        checkpoint: the name of the file in each fold.
        previous: of a cascade, the folder of the stage before, or a folder with masks of it; None
            for the folder beside its own.
        canonical: whether images are turned to canonical axes before, and masks back, as
            TotalSegmentator does it.
        largest: whether to keep only the largest component of each label.
        probabilities: whether to write the probabilities, too.
        fill: replaces NaN and infinite voxels; None makes them an error.
        uncertainty: whether to write entropy and variance, too.

    Raises: ValueError for what is no such folder, is damaged, or cannot be built.
    """
    trained = read_folder(path, folds, checkpoint)
    plans = trained.path / "plans.json"
    with reading_plans(trained.path):
        name, stages = architecture_of(trained.configuration, plans)
        preparation = preparation_of(trained)
    stage = trained.configuration.get("previous_stage")
    before = stage_before(trained, previous)
    first: NnunetPredictor | GivenMasks | None = None
    if before is not None and is_trained_folder(before):
        first = load_nnunet(
            before, mirror=mirror, overlap=overlap, checkpoint=checkpoint, fill=fill,
            canonical=canonical,
        )  # fmt: skip
    elif before is not None:
        first = GivenMasks(before, trained, canonical)
    channels = len(preparation.normalisation) + (len(trained.numbers) if stage else 0)
    given, trained = list(trained.weights), dataclasses.replace(trained, weights=())
    models = []
    while given:  # so that no fold's weights are held twice
        network = trained_network(name, stages, given.pop(0), channels, trained.heads, plans)
        models.append(for_prediction(network, trained.patch))
        del network
        gc.collect()  # what a network was built in
    return NnunetPredictor(
        trained, tuple(models), preparation, mirror, overlap, largest, probabilities,
        fill=fill, uncertainty=uncertainty, previous=first,
        canonical=canonical,
    )  # fmt: skip
