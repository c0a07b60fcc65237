"""The plan of a folder that nnU-Net has trained, as one of ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unetzoo.interop.nnunet_folder import (
    TrainedFolder,
    check_folds,
    is_trained_folder,
    read_folder,
    reading_plans,
)
from unetzoo.planning.plans import Configuration, Plan
from unetzoo.planning.serialization import read_plan
from unetzoo.planning.topology import Topology, estimate


def plan_at(path: Path) -> Plan:
    """A plan of ``unetzoo plan``, or of the ``plans.json`` in a folder that nnU-Net has trained.

    Raises: ValueError for anything else.
    """
    return plan_of_folder(path.parent) if is_trained_folder(path.parent) else read_plan(path)


def plan_of_folder(folder: Path) -> Plan:
    """The configuration that a folder of nnU-Net was trained with, on our axes.

    Raises: ValueError for a damaged folder, or one whose network cannot be built.
    """
    from unetzoo.interop.nnunet_network import architecture_of, is_planned
    from unetzoo.interop.nnunet_preparation import preparation_of

    trained = read_folder(folder, [check_folds(folder)[0].removeprefix("fold_")])
    with reading_plans(folder):
        network, stages = architecture_of(trained.configuration, folder / "plans.json")
        if not is_planned(network, stages):
            raise ValueError(
                f"{folder}: a network with other convolutions than nnU-Net plans, which a plan "
                "cannot say; expected a folder of default plans, or --init alone."
            )
        kinds = preparation_of(trained).normalisation
        chosen = _configuration(trained, network, stages)
    name = "2d" if len(chosen.patch) == 2 else "3d_fullres"
    return Plan(network, 8.0, len(kinds), len(trained.numbers) + 1, kinds, {name: chosen})


def _configuration(
    trained: TrainedFolder, network: str, stages: Mapping[str, Any]
) -> Configuration:
    configuration, axes = trained.configuration, axes_of(trained, 3)
    thin = 3 - len(configuration["patch_size"])  # of 2D the plan's first axis is not seen

    def ours(numbers: Sequence) -> tuple:
        three = (1,) * (3 - len(numbers)) + tuple(numbers)
        return tuple(three[axis] for axis in axes if axis >= thin)

    rows = {name: tuple(map(ours, stages[name])) for name in ("kernels", "strides")}
    patch = ours(configuration["patch_size"])
    return Configuration(
        spacing=ours(configuration["spacing"]),
        median_shape=ours(configuration["median_image_size_in_voxels"]),
        patch=patch,
        batch_size=configuration["batch_size"],
        features=tuple(stages["features"]),
        estimate=estimate(network, Topology(patch, **rows), trained.heads),
        perpendicular=axes.index(0) if thin else None,
        batch_dice=bool(configuration.get("batch_dice", False)),
        **rows,
    )


def axes_of(trained: TrainedFolder, rank: int) -> Sequence[int]:
    """Which axes of the plan are ours: nnU-Net's are (z, y, x) in its order, ours (x, y, z)."""
    if rank == 2:  # of a picture, rows and columns
        return 1, 2
    order = list(trained.plans["transpose_forward"])
    return tuple(order.index(axis) for axis in (2, 1, 0))
