"""From a fingerprint to a plan: the rules of nnU-Net, which need no data and no network."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unetzoo.data.fingerprint import target_spacing
from unetzoo.data.normalisation import ZScore, is_number
from unetzoo.planning.plans import NETWORKS, Configuration, Fingerprint, Plan, times, wholes
from unetzoo.planning.topology import Topology, estimate, topology

FIRST_PATCH = {2: 2048.0**2, 3: 256.0**3}  # voxels, before it is cut to the median shape
MIN_BATCH = 2
LOWRES_BELOW = 0.25  # of the median shape is in a patch
LOWRES_STEP = 1.03  # what spacings are multiplied by until more is in it
LOWRES_LEAST = 2  # times fewer voxels, or low resolution is not worth it


@dataclass(frozen=True)
class Budget:
    """How large an estimate may become, and how many of a data set's voxels a batch may hold."""

    network: str
    reference: dict[int, float]  # the estimate that fits the memory, by axes of space
    batch: dict[int, int]  # with so many patches
    at_batch: dict[int, int]  # a patch has to fit so many times
    share: float

    def too_large(self, taken: int, rank: int) -> bool:
        return taken / self.batch[rank] * self.at_batch[rank] > self.reference[rank]


def budget(network: str, memory_gb: float) -> Budget:
    """What a network may take of the memory.

    The plain network has one reference, at 8 GB. The residual one has three, nnU-Net's sizes M, L
    and XL at 8, 24 and 40 GB; of them the largest that fits counts, or M. In between, the
    reference grows with the memory.

    Source: nnU-Net 2.8.1, ``ExperimentPlanner``, ``nnUNetPlannerResEncM``, ``L`` and ``XL``, with
    ``gpu_memory_target_in_gb``.

    >>> budget("residual_unet", 24).reference, budget("residual_unet", 16).reference
    ({2: 380000000.0, 3: 2100000000.0}, {2: 270000000.0, 3: 1360000000.0})
    """
    batch = {2: 12, 3: 2}
    if network == "plain_unet":
        more = memory_gb / 8
        return Budget(network, {2: 85e6 * more, 3: 560e6 * more}, batch, {2: 2, 3: 2}, 0.05)
    sizes = {8: (135e6, 680e6), 24: (380e6, 2100e6), 40: (560e6, 3600e6)}
    size = max((size for size in sizes if size <= memory_gb), default=8)
    flat, deep = (reference * (memory_gb / size) for reference in sizes[size])
    return Budget(network, {2: flat, 3: deep}, batch, batch, 1.0)


def plan(fingerprint: Fingerprint, memory_gb: float = 8, network: str = "plain_unet") -> Plan:
    """What nnU-Net would train on such data.

    Every channel gets z-scores: intensities are not in a fingerprint.

    Args:
        fingerprint: of the training cases.
        memory_gb: of the accelerator.
        network: "plain_unet" or "residual_unet".

    Raises: ValueError for an unknown network, or memory that no patch fits in.
    Source: nnU-Net 2.8.1, ``ExperimentPlanner.plan_experiment``; PIPELINE.md, the planner.

    >>> hearts = Fingerprint([(1.37, 1.25, 1.25)] * 20, [(115, 320, 232)] * 20, 1, 2)
    >>> found = plan(hearts).configurations["3d_fullres"]
    >>> found.patch, found.batch_size, found.pools
    ((80, 192, 160), 2, (4, 5, 5))
    """
    if network not in NETWORKS:
        raise ValueError(f"network {network!r}: expected {' or '.join(NETWORKS)}.")
    if not is_number(memory_gb) or memory_gb <= 0:
        raise ValueError(f"memory_gb {memory_gb!r}: expected a positive number, such as 8.")
    allowed = budget(network, memory_gb)
    spacing = target_spacing(fingerprint.spacings, fingerprint.shapes)
    shape = _median_shape(fingerprint, spacing)
    across = _perpendicular(spacing, shape)
    order = [across] + [axis for axis in range(fingerprint.rank) if axis != across]
    data = _Data(len(fingerprint.shapes), fingerprint.num_classes, allowed)
    if fingerprint.rank == 2:
        configurations = {"2d": data.configuration(spacing, shape)}
    else:
        spacing, shape = spacing[order], shape[order]
        voxels = data.cases * float(np.prod(shape))
        plane = data.configuration(spacing[1:], shape[1:], voxels)
        configurations = {"2d": _replaced(plane, perpendicular=across)}
        if shape[0] != 1:
            found = data.volumes(spacing, shape)
            configurations |= {name: _in_order(one, order) for name, one in found.items()}
    return Plan(
        network=network,
        memory_gb=memory_gb,
        num_channels=fingerprint.num_channels,
        num_classes=fingerprint.num_classes,
        normalisation=(ZScore(),) * fingerprint.num_channels,
        configurations=configurations,
    )
