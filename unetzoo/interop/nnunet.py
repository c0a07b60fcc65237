"""Masks as nnU-Net makes them, by networks that nnU-Net has trained.

nnU-Net turns no image to canonical axes: its arrays are ``(z, y, x)`` in the file's own order, then
in the order that the plan says. So they are here; patches lie, and ties break, where its own do.

Source: nnU-Net 2.8.1, ``DefaultPreprocessor`` and ``nnUNetPredictor``.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from scipy.ndimage import gaussian_filter

from unetzoo.data.datasets import Case
from unetzoo.data.datasets.inputs import target
from unetzoo.data.io.formats import write_values
from unetzoo.data.io.geometry import spacing_of
from unetzoo.data.io.volumes import Volume, read_image
from unetzoo.data.preprocessing.axes import slices
from unetzoo.data.preprocessing.inverse import (
    resampling,
    restore_labels,
    restore_probabilities,
    restore_regions,
)
from unetzoo.data.preprocessing.normalization import CT, Normalization, Rescaled, ZScore
from unetzoo.data.preprocessing.preparation import Grid, Preparation, prepare
from unetzoo.data.preprocessing.resampling import coarse_axis, resample_labels
from unetzoo.data.preprocessing.statistics import nonzero_mask
from unetzoo.inference.fusing import fuse
from unetzoo.inference.postprocessing import largest_component
from unetzoo.inference.shapes import Network, first_output
from unetzoo.inference.uncertainty import Mirrored, Spread, mirror_images
from unetzoo.inference.windows import sliding_window_slabs
from unetzoo.interop.nnunet_folder import (
    FINAL,
    RESCALINGS,
    TrainedFolder,
    read_folder,
    reading_plans,
)
from unetzoo.interop.nnunet_network import architecture_of, trained_network
from unetzoo.layers.onednn import hasten
from unetzoo.utils.json_values import short
from unetzoo.utils.progress import inner
from unetzoo.utils.text import counted

DEVIATION = 1e-8  # the least that nnU-Net divides by


@dataclass(frozen=True)
class Scan:
    """An image as nnU-Net holds it, ``(*spatial, C)`` in the plan's order of axes."""

    data: np.ndarray
    spacing: tuple[float, ...]


class Ensemble:
    """Networks of one architecture as one: the mean of their logits, patch by patch.

    So there is one slab of logits for all of them.
    """

    def __init__(self, models: Sequence[keras.Model]) -> None:
        first = models[0]
        self.models, self.name, self.layers = models, first.name, first.layers
        self.input_shape, self.output_shape = first.input_shape, first.output_shape
        self.compute_output_shape = first.compute_output_shape

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
    previous: "NnunetPredictor | None" = None  # of a cascade

    def segment(self, image: Volume) -> np.ndarray:
        """The labels ``(X, Y, Z)`` of an image, in the file's own order of axes."""
        labels = self._back(self._labels(self._scan(image)), image)
        return largest_component(labels) if self.largest else labels

    def predict_probabilities(self, image: Volume) -> np.ndarray:
        """Of each class or region, ``(X, Y, Z, C)``, float32, in the file's own order of axes."""
        slabs, grid = self._logits(self._scan(image))
        probabilities = restore_probabilities(
            slabs, grid, "sigmoid" if self.trained.regions else "softmax", resampling(grid)
        )
        return self._back(probabilities, image)

    def spread(self, image: Volume) -> Spread:
        """The probabilities over folds and mirror images."""
        spread = Spread()
        axes = self._axes() if self.mirror else ()
        for model, flipped in itertools.product(self.models, mirror_images(axes)):
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
        image = read_image(case.images, fill=self.fill, spacing=case.spacing)
        path = target(case, folder)
        file = image.files[0]
        if self.probabilities:
            values = self.predict_probabilities(image)
            write_values(folder / f"{case.name}_probabilities.nii.gz", values, file)
        if self.uncertainty:
            spread = self.spread(image)
            entropy = spread.entropy(regions=bool(self.trained.regions))
            write_values(folder / f"{case.name}_entropy.nii.gz", entropy, file)
            if spread.count > 1:
                write_values(folder / f"{case.name}_variance.nii.gz", spread.variance, file)
        dtype = "uint8" if max(self.trained.numbers) < 255 else "uint16"
        write_values(path, self.segment(image).astype(dtype), file, self.label_names)
        return path

    def _scan(self, image: Volume) -> Scan:
        """An image in the order of axes in which the plan has it."""
        file = image.files[0]
        data, spacing = image.data, image.spacing
        if data.shape[-1] != (channels := len(self.preparation.normalisation)):
            raise ValueError(
                f"{file.path}: {counted(data.shape[-1], 'channel')}; {self.trained.path.name} was "
                f"trained with {channels}."
            )
        if not self.trained.reorients:
            data, spacing = file.from_canonical(data), spacing_of(file.affine)
        axes = self.trained.plans["transpose_forward"]
        data = data.transpose(2, 1, 0, 3).transpose(*axes, 3)
        return Scan(np.ascontiguousarray(data), tuple(spacing[::-1][axis] for axis in axes))

    def _back(self, values: np.ndarray, image: Volume) -> np.ndarray:
        """Values of voxels from the plan's order of axes to the file's."""
        rest = range(3, values.ndim)
        values = values.transpose(*self.trained.plans["transpose_backward"], *rest)
        values = values.transpose(2, 1, 0, *rest)
        return image.files[0].from_canonical(values) if self.trained.reorients else values

    def _labels(self, scan: Scan) -> np.ndarray:
        """The labels of an image, both in the plan's order of axes."""
        (slabs, grid), regions = self._logits(scan), self.trained.regions
        progress = resampling(grid)
        if regions:
            return restore_regions(slabs, grid, regions, progress)
        return restore_labels(slabs, grid, progress)

    def _logits(self, scan: Scan) -> tuple[Iterator[np.ndarray], Grid]:
        """The logits of the prepared image, and the way back from it."""
        prepared = prepare(scan, self.preparation)
        image = prepared.image
        if self.previous is not None:  # a channel for each label of the stage before
            before = _resampled(self.previous._labels(scan), scan, prepared.grid)
            channels = [before[..., None] == number for number in self.trained.numbers]
            image = np.concatenate([image, *channels], axis=-1, dtype="float32")
        return self._slabs(image), self._way_back(prepared.grid)

    def _way_back(self, grid: Grid) -> Grid:
        """The same grid; thick slices are now looked for in the plan's spacing first."""
        spacing = tuple(self.trained.configuration["spacing"])
        planned = spacing[:1] * (3 - len(spacing)) + spacing
        return dataclasses.replace(grid, coarse=coarse_axis(planned, grid.spacing))

    def _axes(self) -> tuple[int, ...]:
        """Those that training mirrored, of the three of an image."""
        thin = 3 - len(self.trained.configuration["patch_size"])
        return tuple(axis + thin for axis in self.trained.mirrored)

    def _slabs(self, image: np.ndarray) -> Iterator[np.ndarray]:
        """The mean of the logits of all folds."""
        thin = 3 - len(self.trained.configuration["patch_size"])  # 2D goes slice by slice
        patch = (1,) * thin + tuple(self.trained.configuration["patch_size"])
        axes = self._axes() if self.mirror else ()
        network = self.models[0] if len(self.models) == 1 else Ensemble(self.models)
        return sliding_window_slabs(
            network, image, patch, overlap=self.overlap, mirror=axes, weight=importance(patch),
            progress=inner("  windows"),
        )  # fmt: skip


def _resampled(labels: np.ndarray, scan: Scan, grid: Grid) -> np.ndarray:
    """Labels on the grid of the prepared image; -1 is what is empty in every channel."""
    inside = slices(grid.box)
    cropped = labels[inside].astype("int16")
    cropped[(cropped == 0) & ~nonzero_mask(scan.data[inside])] = -1
    return resample_labels(cropped, grid.prepared, grid.coarse, ties="nearest")


def importance(patch: Sequence[int]) -> np.ndarray:
    """nnU-Net's Gaussian weight of a patch's voxels, with the numbers of float16.

    Its middle is voxel ``size // 2``, so mirror images differ a little.

    >>> importance((3,))
    array([ 0.28564453, 10.        ,  0.28564453], dtype=float32)
    """
    middle = np.zeros(patch)
    middle[tuple(size // 2 for size in patch)] = 1
    weight = gaussian_filter(middle, [size / 8 for size in patch], mode="constant")
    rounded = (weight / weight.max() * 10).astype("float16")
    return np.where(rounded == 0, rounded[rounded > 0].min(), rounded).astype("float32")


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
) -> NnunetPredictor:
    """A trained folder of nnU-Net, ready to be applied.

    Args:
        path: ``TRAINER__PLANS__CONFIGURATION``.
        folds: numbers, or "all"; None for every numbered fold that there is, or else "all". Those
            of the stage before a cascade are all that there are.
        mirror: whether to take the mean over mirror images, where training allowed them.
        overlap: of neighbouring patches, a fraction in [0, 1).
        checkpoint: the name of the file in each fold.
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
    previous = None
    if stage is not None:
        before = trained.path.with_name(f"{trained.path.name.rpartition('__')[0]}__{stage}")
        previous = load_nnunet(before, mirror=mirror, overlap=overlap, checkpoint=checkpoint)
    channels = len(preparation.normalisation) + (len(trained.numbers) if stage else 0)
    models = tuple(
        hasten(fuse(trained_network(
            name, stages, weights, channels, trained.heads, plans
        )))
        for weights in trained.weights
    )  # fmt: skip
    return NnunetPredictor(
        trained, models, preparation, mirror, overlap, largest, probabilities,
        fill=fill, uncertainty=uncertainty, previous=previous,
    )  # fmt: skip


def preparation_of(trained: TrainedFolder) -> Preparation:
    """Crop, normalization and resampling, as the plan says.

    Raises: ValueError for a scheme of normalization that is not known.
    """
    configuration, plans = trained.configuration, trained.plans
    properties = plans.get("foreground_intensity_properties_per_channel") or plans.get(
        "foreground_intensity_properties_by_modality", {}
    )
    kinds = tuple(
        _normalization(scheme, masked, properties.get(str(channel), {}), trained.path)
        for channel, (scheme, masked) in enumerate(
            zip(
                configuration["normalization_schemes"],
                configuration["use_mask_for_norm"],
                strict=True,
            )
        )
    )
    spacing = tuple(configuration["spacing"])
    return Preparation((None,) * (3 - len(spacing)) + spacing, kinds)


def _normalization(scheme: str, masked: bool, numbers: dict[str, Any], path: Path) -> Normalization:
    if scheme == "ZScoreNormalization":
        return ZScore(masked)
    if scheme == "CTNormalization":
        return CT(
            numbers["percentile_00_5"], numbers["percentile_99_5"],
            numbers["mean"], max(numbers["std"], DEVIATION),
        )  # fmt: skip
    if scheme in RESCALINGS:
        return Rescaled(RESCALINGS[scheme])
    known = ", ".join(("ZScoreNormalization", "CTNormalization", *RESCALINGS))
    raise ValueError(f"{path}: normalization {short(scheme)}: expected one of {known}.")
