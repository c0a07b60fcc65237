"""A trained network of the zoo as nnU-Net would have it, and whether it could."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.preparation import Preparation
from unetzoo.data.regions import Regions
from unetzoo.interop.nnunet_network import NETWORKS, NONLINEARITIES
from unetzoo.models.residual_unet import BLOCKS
from unetzoo.utils.stages import counts

CLASSES = {plain: name for name, plain in NETWORKS.items()}


@dataclass(frozen=True)
class Trained:
    """What a folder of nnU-Net is made of."""

    network: str  # of the zoo
    build: Mapping[str, Any]  # the builder's arguments, with features, kernels and strides
    weights: Mapping[str, np.ndarray]  # by "LAYER.PART", such as "encoder1-conv1.kernel"
    patch: tuple[int, ...]
    batch_size: int
    channels: int
    class_names: tuple[str, ...]
    preparation: Preparation
    scheme: LabelScheme | None = None  # which regions the channels are, if they are
    stage: str = ""  # of a cascade, nnU-Net's name of the configuration
    mirrored: bool = False  # whether its masks were made with mirror images

    @property
    def thin(self) -> int | None:
        """The axis across the slices of a network that goes slice by slice."""
        spacing = self.preparation.spacing
        return next((axis for axis, size in enumerate(spacing or ()) if size is None), None)

    @property
    def pictures(self) -> bool:
        """Whether it sees pictures, not volumes."""
        return len(self.patch) == 2

    @property
    def axes(self) -> list[int]:
        """Those of the network in nnU-Net's order, of x, y and z; of two, first that across.

        Those of pictures are rows and columns, as in nnU-Net.
        """
        if self.thin is None:
            return list(range(len(self.patch)))
        return [self.thin, *(axis for axis in range(3) if axis != self.thin)]

    @property
    def dims(self) -> int:
        """The number of axes of nnU-Net's network."""
        return len(self.along(1))

    @property
    def configuration(self) -> str:
        """nnU-Net's name for it."""
        return self.stage or ("3d_fullres" if self.dims == 3 else "2d")

    def along(self, sizes: Any) -> list:
        """A number for each axis of nnU-Net's network, from one or from one for each of ours."""
        listed = list(sizes) if isinstance(sizes, Sequence) else [sizes] * len(self.patch)
        return [listed[axis] for axis in self.axes if axis != self.thin]

    def turned(self, maps: np.ndarray) -> np.ndarray:
        """The network's maps ``(B, *spatial, C)`` as nnU-Net has them; pictures as one slice."""
        if self.pictures:
            return maps[:, None]
        return maps.transpose(0, *(1 + axis for axis in self.axes), 4)

    def turned_back(self, maps: np.ndarray) -> np.ndarray:
        """The way back."""
        if self.pictures:
            return maps[:, 0]
        return maps.transpose(0, *(1 + np.argsort(self.axes)), 4)

    @property
    def regions(self) -> Regions | None:
        """The regions that the channels are, if they are regions."""
        kind = None if self.scheme is None else self.scheme.regions
        return kind if isinstance(kind, Regions) else None

    @property
    def outputs(self) -> int:
        """The channels of the network's full-size output."""
        head = self.weights.get("head1.kernel")
        return 0 if head is None else head.shape[-1]

    @property
    def convs(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Convolutions or blocks of each stage of the encoder, and of the decoder, finest first."""
        stages = len(self.build["features"])
        if self.network == "plain_unet":
            down, up = self.build.get("convs", 2), self.build.get("decoder_convs", 2)
        else:
            planned = [BLOCKS[min(stage, len(BLOCKS) - 1)] for stage in range(stages)]
            down, up = self.build.get("residuals") or planned, self.build.get("decoder_convs", 1)
        return counts("convs", down, stages), counts("decoder_convs", up, stages - 1)


def check_trained(trained: Trained) -> None:
    """Raises: ValueError for what nnU-Net has no counterpart of."""
    build, spacing = trained.build, trained.preparation.spacing
    faults = {
        f"network {trained.network!r}": trained.network not in CLASSES,
        "no resampling (spacing None)": spacing is None and not trained.pictures,
        "an axis that keeps its spacing, with kernels across it": not _is_thin(trained),
        "no crop": not trained.preparation.crop,
        f"norm {build.get('norm', 'instance')!r}":
            build.get("norm", "instance") not in ("instance", "batch"),
        f"nonlinearity {build.get('nonlinearity')!r}":
            build.get("nonlinearity", "leaky_relu") not in NONLINEARITIES.values(),
        f"upsampling {build.get('upsampling')!r}":
            build.get("upsampling", "transposed") != "transposed",
        "an activation of the output": build.get("activation") is not None,
        "labels that overlap": trained.scheme is not None and trained.scheme.overlapping,
        "one channel for two classes": trained.outputs == 1 and trained.regions is None,
    }  # fmt: skip
    if wrong := [fault for fault, holds in faults.items() if holds]:
        raise ValueError(
            f"format nnunet: {', '.join(wrong)}: nnU-Net has no counterpart; expected plain_unet "
            "or residual_unet, or --format onnx."
        )


def _is_thin(trained: Trained) -> bool:
    """Whether every kernel is one voxel thick along an axis without a spacing, if there is one."""
    if trained.thin is None:
        return True
    kernels = [array for name, array in trained.weights.items()
               if name.endswith("kernel") and array.ndim == 5]  # fmt: skip
    flat = all(array.shape[trained.thin] == 1 for array in kernels)
    return flat and trained.patch[trained.thin] == 1
