"""A small data set whose plan has a cascade."""

from unetzoo.data.preprocessing.normalization import ZScore
from unetzoo.data.synthetic import write_dataset
from unetzoo.planning import Configuration, Plan, write_plan


def cascade_plan(path, classes=3):
    """A plan of 3d_lowres with half of the voxels on each axis, and of tiny networks."""

    def configuration(spacing, shape, patch):
        return Configuration(
            spacing=(spacing,) * 3, median_shape=shape, patch=(patch,) * 3, batch_size=2,
            features=(4, 8), kernels=((3, 3, 3),) * 2, strides=((1, 1, 1), (2, 2, 2)),
            estimate=1,
        )  # fmt: skip

    plan = Plan(
        "plain_unet", 8, 1, classes, (ZScore(),),
        {"3d_fullres": configuration(1.0, (22, 20, 24), 16),
         "3d_lowres": configuration(2.0, (11, 10, 12), 12)},
    )  # fmt: skip
    write_plan(plan, path)
    return plan


def cascade_data(folder, cases=5):
    """Scans of two classes of ellipsoids."""
    write_dataset(folder, cases, (22, 20, 24), classes=3)
    return folder
