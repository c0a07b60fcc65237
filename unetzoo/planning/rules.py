"""From a fingerprint to a plan: nnU-Net's rules, which need neither data nor a network."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unetzoo.data.preprocessing.normalization import ZScore
from unetzoo.data.preprocessing.statistics import target_spacing
from unetzoo.planning.checks import check_choice, plain
from unetzoo.planning.plans import Configuration, Fingerprint, Plan, tidy, times
from unetzoo.planning.topology import Topology, estimate, topology
from unetzoo.utils.checks import check

FIRST_PATCH = {2: 2048.0**2, 3: 256.0**3}  # voxels, before the cut to the median shape
MIN_BATCH = 2
MOST_UNLIKE = 1000  # largest ratio of the spacings of two axes
LOWRES_BELOW = 0.25  # of the median shape in a patch: below this, low resolution is planned
LOWRES_STEP = 1.03  # by which spacings are multiplied until a patch holds enough
LOWRES_LEAST = 2  # low resolution is worth it with this many times fewer voxels


@dataclass(frozen=True)
class Budget:
    """How large an estimate may become, and how many of a data set's voxels a batch may hold."""

    network: str
    memory_gb: float
    reference: dict[int, float]  # the estimate that fits the memory, by number of spatial axes
    batch: dict[int, int]  # the patches of that estimate
    at_batch: dict[int, int]  # how many patches have to fit
    share: float  # of a data set's voxels that a batch may hold

    def too_large(self, taken: int, rank: int) -> bool:
        """Whether a patch's estimate exceeds the memory."""
        return taken / self.batch[rank] * self.at_batch[rank] > self.reference[rank]


def budget(network: str, memory_gb: float) -> Budget:
    """How much memory a network may take.

    The plain network has one reference, at 8 GB. The residual one has three, nnU-Net's sizes M, L
    and XL at 8, 24 and 40 GB; the largest that fits is used, or else M. In between, the reference
    grows with the memory.

    Source: nnU-Net 2.8.1, ``ExperimentPlanner``, ``nnUNetPlannerResEncM``, ``L`` and ``XL``, with
    ``gpu_memory_target_in_gb``.

    >>> budget("residual_unet", 24).reference, budget("residual_unet", 16).reference
    ({2: 380000000.0, 3: 2100000000.0}, {2: 270000000.0, 3: 1360000000.0})
    """
    batch = {2: 12, 3: 2}
    if network == "plain_unet":
        factor = memory_gb / 8
        return Budget(
            network, memory_gb, {2: 85e6 * factor, 3: 560e6 * factor}, batch, {2: 2, 3: 2}, 0.05
        )
    sizes = {8: (135e6, 680e6), 24: (380e6, 2100e6), 40: (560e6, 3600e6)}
    size = max((size for size in sizes if size <= memory_gb), default=8)
    flat, deep = (reference * (memory_gb / size) for reference in sizes[size])
    return Budget(network, memory_gb, {2: flat, 3: deep}, batch, batch, 1.0)


def plan(fingerprint: Fingerprint, memory_gb: float = 8, network: str = "plain_unet") -> Plan:
    """Plan what nnU-Net would train on such data.

    Every channel gets z-scores, because a fingerprint has no intensities.

    Args:
        fingerprint: spacings and shapes of the training cases.
        memory_gb: the accelerator's memory that a training step may take.
        network: "plain_unet" or "residual_unet".

    Returns: the plan.
    Raises: ValueError for an unknown network, or if no patch fits the memory.
    Source: nnU-Net 2.8.1, ``ExperimentPlanner.plan_experiment``.

    >>> hearts = Fingerprint([(1.37, 1.25, 1.25)] * 20, [(115, 320, 232)] * 20, 1, 2)
    >>> full = plan(hearts).configurations["3d_fullres"]
    >>> full.patch, full.batch_size, full.pools
    ((80, 192, 160), 2, (4, 5, 5))
    """
    takes = "a Fingerprint; unetzoo.plan takes a data set"
    check(isinstance(fingerprint, Fingerprint), "fingerprint", fingerprint, takes)
    check_choice(network, memory_gb)
    memory_gb = plain(memory_gb)
    need = _Need(len(fingerprint.shapes), fingerprint.num_classes, budget(network, memory_gb))
    spacing = target_spacing(fingerprint.spacings, fingerprint.shapes)
    if max(spacing) > MOST_UNLIKE * min(spacing):
        raise ValueError(
            f"spacing {times(spacing.tolist())} mm: expected no axis more than {MOST_UNLIKE} times "
            "another; fix the files' headers."
        )
    shape = _median_shape(fingerprint, spacing)
    if fingerprint.rank == 2:
        flat = _configuration(need, spacing, shape, _voxels(shape))
        configurations = {"2d": dataclasses.replace(flat, batch_dice=True)}
    else:
        configurations = _of_volumes(need, spacing, shape)
    return Plan(
        network=network,
        memory_gb=memory_gb,
        num_channels=fingerprint.num_channels,
        num_classes=fingerprint.num_classes,
        normalisation=(ZScore(),) * fingerprint.num_channels,
        configurations=configurations,
    )


@dataclass(frozen=True)
class _Need:
    """What all configurations of a plan have in common."""

    cases: int
    num_classes: int
    allowed: Budget


def _median_shape(fingerprint: Fingerprint, target: np.ndarray) -> np.ndarray:
    """The median shape of the resampled cases; every axis keeps at least one voxel."""
    pairs = zip(fingerprint.spacings, fingerprint.shapes, strict=True)
    shapes = [
        [max(1, round(o / n * size)) for o, n, size in zip(old, target, shape, strict=True)]
        for old, shape in pairs
    ]
    return np.median(shapes, axis=0)


def _of_volumes(need: _Need, spacing: np.ndarray, shape: np.ndarray) -> dict[str, Configuration]:
    """All configurations for volumes; they are planned with the perpendicular axis first."""
    across = _perpendicular(spacing, shape)
    order = [across] + [axis for axis in range(3) if axis != across]
    spacing, shape = spacing[order], shape[order]
    plane = _configuration(need, spacing[1:], shape[1:], _voxels(shape))
    plane = dataclasses.replace(plane, perpendicular=across, batch_dice=True)
    configurations = {"2d": plane}
    if shape[0] != 1:
        full = _configuration(need, spacing, shape, _voxels(shape))
        low = _low_resolution(need, full, shape)
        full = dataclasses.replace(full, batch_dice=low is not None)
        configurations["3d_fullres"] = in_order(full, order)
        if low is not None:
            configurations["3d_lowres"] = in_order(low, order)
    return configurations


def _perpendicular(spacing: np.ndarray, shape: np.ndarray) -> int:
    """The axis across the slices: that of a single slice, or else the first of the coarsest."""
    single = np.flatnonzero(shape == 1)
    return int(single[0] if len(single) == 1 else np.argmax(spacing))


def _configuration(
    need: _Need, spacing: np.ndarray, shape: np.ndarray, voxels: float
) -> Configuration:
    """The largest patch that the budget allows, and how many of them make a batch.

    Args:
        need: what the data and the budget demand.
        spacing: of 2 or 3 axes, mm.
        shape: the median case's, voxels.
        voxels: the median case's number of voxels, on all axes of the data.
    """
    allowed, rank = need.allowed, len(spacing)
    aspect = 1 / spacing
    first = aspect * (FIRST_PATCH[rank] / np.prod(aspect)) ** (1 / rank)
    cut = [min(max(1, round(n)), most) for n, most in zip(first, shape, strict=True)]
    stages = topology(spacing.tolist(), cut)
    taken = estimate(allowed.network, stages, need.num_classes)
    seen = set()
    while allowed.too_large(taken, rank):
        if max(stages.patch) == 1 or stages.patch in seen:
            raise ValueError(
                f"memory_gb {allowed.memory_gb:g}: too little for any patch; give more, such as 8."
            )
        seen.add(stages.patch)
        stages = _smaller(stages, spacing, shape)
        taken = estimate(allowed.network, stages, need.num_classes)
    batch = round(allowed.reference[rank] / taken * allowed.batch[rank])
    most = round(voxels * need.cases * allowed.share / math.prod(stages.patch))
    return Configuration(
        spacing=tuple(spacing.tolist()),
        median_shape=tidy(shape.tolist()),
        patch=stages.patch,
        batch_size=max(min(batch, most), MIN_BATCH),
        features=stages.features,
        kernels=stages.kernels,
        strides=stages.strides,
        estimate=taken,
    )


def _smaller(stages: Topology, spacing: np.ndarray, shape: np.ndarray) -> Topology:
    """A smaller patch: less on the axis that has most of its median shape, the last of equals.

    It shrinks by what the smaller patch has to be divisible by, so that no size is skipped.
    """
    patch = list(stages.patch)
    shares = [(n / most, axis) for axis, (n, most) in enumerate(zip(patch, shape, strict=True))]
    axis = max((share, axis) for share, axis in shares if patch[axis] > 1)[1]
    less = [n - stages.divisor[axis] * (at == axis) for at, n in enumerate(patch)]
    patch[axis] -= topology(spacing.tolist(), less).divisor[axis]
    return topology(spacing.tolist(), patch)


def _low_resolution(need: _Need, full: Configuration, shape: np.ndarray) -> Configuration | None:
    """Coarser until a patch holds a quarter of the median case; None if little is gained."""
    fine, spacing = np.array(full.spacing), np.array(full.spacing)
    voxels, low = _voxels(shape), full
    while math.prod(low.patch) / voxels < LOWRES_BELOW:
        finer = max(spacing) / spacing > 2
        spacing[finer if finer.any() else slice(None)] *= LOWRES_STEP
        coarse = fine / spacing * shape
        voxels = _voxels(coarse)
        low = _configuration(need, spacing, np.array([max(1, round(n)) for n in coarse]), voxels)
    return low if _voxels(shape) / voxels >= LOWRES_LEAST else None


def in_order(turned: Configuration, order: Sequence[int]) -> Configuration:
    """The configuration in the data's order of axes; its own axes are the data's in this order."""
    back = [order.index(axis) for axis in range(len(order))]

    def sorted_axes(numbers: Sequence) -> tuple:
        return tuple(numbers[axis] for axis in back)

    return dataclasses.replace(
        turned,
        spacing=sorted_axes(turned.spacing),
        median_shape=sorted_axes(turned.median_shape),
        patch=sorted_axes(turned.patch),
        kernels=tuple(map(sorted_axes, turned.kernels)),
        strides=tuple(map(sorted_axes, turned.strides)),
    )


def _voxels(shape: np.ndarray) -> float:
    return float(np.prod(shape, dtype="float64"))
