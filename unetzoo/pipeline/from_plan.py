"""From a plan to a run: what ``unetzoo train`` is asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unetzoo.pipeline.run import PLAN
from unetzoo.planning.dataset import plan_dataset
from unetzoo.planning.plans import Configuration, Plan
from unetzoo.planning.serialization import read_plan
from unetzoo.training.checkpoints import checkpoints


def settings_of(plan: Plan, configuration: str | None = None) -> dict[str, Any]:
    """What a plan says of ``unetzoo.pipeline.Settings``, by their names.

    A 2D configuration of volumes becomes a network of 3D whose patches are one voxel thick across
    the slices, whose distance stays as it is; it computes what a network of 2D does. SGD stands for
    the learning rate that falls as a polynomial as well.

    Args:
        plan: of the data.
        configuration: "2d", "3d_fullres" or "3d_lowres"; None for 3d_fullres, of pictures and
            single slices, and where 3d_fullres cannot be trained, 2d.

    Raises: ValueError for a configuration that the plan does not have, or of a single stage.
    Source: nnU-Net 2.8.1, ``nnUNetTrainer``.

    >>> from unetzoo.planning import Fingerprint, plan
    >>> found = plan(Fingerprint([(1.0, 1.0, 5.0)] * 9, [(64, 64, 12)] * 9, 1, 2))
    >>> settings = settings_of(found, "2d")
    >>> settings["patch"], settings["spacing"], settings["build"]["strides"][1]
    ((64, 64, 1), (1.0, 1.0, None), [2, 2, 1])
    """
    of = plan.configurations
    likely = [name for name in ("3d_fullres", "2d") if name in of] or ["2d"]
    able = [name for name in likely if name in of and not of[name].untrainable]
    name = configuration or (able or likely)[0]
    if name not in of:
        raise ValueError(f"configuration {name!r}: expected one of the plan, {' or '.join(of)}.")
    one = of[name]
    if one.untrainable:
        raise ValueError(
            f"patch {one.patch} of {name}: {one.untrainable}, expected at least 8 voxels on "
            "an axis; give --network and --patch without a plan."
        )
    pictures = len(one.patch) == 2 and one.perpendicular is None
    return {
        "network": plan.network,
        "patch": tuple(_across(one, one.patch, 1)),
        "spacing": None if pictures else tuple(_across(one, one.spacing, None)),
        "normalisation": plan.normalisation,
        "batch_size": one.batch_size,
        "build": {  # as JSON gives it back
            "features": list(one.features),
            "kernels": [_across(one, kernel, 1) for kernel in one.kernels],
            "strides": [_across(one, stride, 1) for stride in one.strides],
            "deep_supervision": True,
        },
        "optimizer": "sgd",
    }


def plan_of_run(folder: Path, data: str, **options: Any) -> Plan:
    """The plan of the run that was begun in a folder, or a new one.

    Args:
        folder: of the run.
        data, options: as in ``plan_dataset``.

    Raises: ValueError for a file that is no plan, or data that have none.
    """
    if checkpoints(folder) and (folder / PLAN).exists():
        return read_plan(folder / PLAN)
    return plan_dataset(data, **options)


def _across(one: Configuration, numbers: Sequence, thick: Any) -> list:
    """Numbers in a plane, and one across it where it lies in a volume."""
    found = list(numbers)
    if one.perpendicular is not None:
        found.insert(one.perpendicular, thick)
    return found
