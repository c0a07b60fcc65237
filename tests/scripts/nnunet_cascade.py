"""What nnU-Net does to the masks of a cascade, as ``tests/golden/nnunet_cascade.npz``.

Run in an environment with nnunetv2: ``OMP_NUM_THREADS=1 python tests/scripts/nnunet_cascade.py``.
"""

from pathlib import Path

import numpy as np

OUT = Path(__file__).parents[1] / "golden" / "nnunet_cascade.npz"
SHAPE = (23, 20, 26)  # of a patch
RADII = (1.0, 1.4, 1.5, 2.3, 3.0, 3.8, 4.5, 6.9, 8.0)  # cubes of 3 to 17 voxels, even ones too
NAMES = ("dilation", "erosion", "closing", "opening")
SPACINGS = {"even": (1.0, 1.0, 1.0), "thick": (4.0, 1.0, 1.0)}  # of a scan, in nnU-Net's order
TARGET = (1.3, 0.8, 0.9)
DRAWS = 20_000
REGIONS = {"background": 0, "whole": [1, 2, 4], "core": [4, 2], "enhancing": 4, "ignore": 5}
ORDER = [1, 2, 4]


def waves(*shape, pace):
    """Numbers that every version of numpy gives."""
    return np.sin(pace * np.arange(np.prod(shape))).reshape(shape)


def mask(shape=SHAPE):
    """A mask of balls and specks of three classes."""
    labels = np.zeros(shape, "uint8")
    grid = np.indices(shape)
    for number, (center, radius) in enumerate(
        [((6, 7, 8), 5.2), ((14, 12, 16), 6.1), ((19, 4, 21), 3.4), ((3, 16, 3), 2.6),
         ((21, 18, 24), 2.2)]
    ):  # fmt: skip
        far = sum((axis - middle) ** 2 for axis, middle in zip(grid, center, strict=True))
        labels[far < radius**2] = number % 3 + 1
    labels[waves(*shape, pace=1.7) > 0.995] = 2
    return labels


def scan():
    """An image, channels first, whose border is 0 and is cropped."""
    image = (2 + waves(1, *SHAPE, pace=0.37)).astype("float32")
    image[:, :2] = image[:, :, -3:] = 0
    return image


def channels(labels):
    """A channel for each of three classes, channels first."""
    return np.stack([labels == number for number in (1, 2, 3)])


def operated(torch, found):
    """Each operator with each radius on the second channel, as bits of all voxels."""
    from batchgeneratorsv2.transforms.nnunet import random_binary_operator as operators

    transform = operators.ApplyRandomBinaryOperatorTransform([-3, -2, -1])
    for name in NAMES:
        for radius in RADII:
            image = torch.from_numpy(channels(mask()).astype("float32"))
            operator = getattr(operators, f"binary_{name}_torch")
            given = {"apply_to_channels": [-2], "operators": [operator], "strel_size": [radius]}
            after = transform._apply_to_image(image, **given)
            found[f"{name} {radius}"] = np.packbits(after.numpy() > 0)


def removed(torch, found):
    """All that removing one component of the second channel can give."""
    from batchgeneratorsv2.transforms.nnunet.remove_connected_components import (
        RemoveRandomConnectedComponentFromOneHotEncodingTransform as Remove,
    )

    transform = Remove([-3, -2, -1], fill_with_other_class_p=0,
                       dont_do_if_covers_more_than_x_percent=0.15)  # fmt: skip
    results = set()
    np.random.seed(0)
    for _ in range(300):
        image = torch.from_numpy(channels(mask()).astype("float32"))
        after = transform._apply_to_image(image, apply_to_channels=[-2])
        results.add(np.packbits(after.numpy() > 0).tobytes())
    found["removed"] = np.stack([np.frombuffer(one, "uint8") for one in sorted(results)])


def prepared(found):
    """The channels of a prepared case, as prediction makes them."""
    from types import SimpleNamespace

    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.preprocessing.resampling.default_resampling import (
        resample_data_or_seg_to_shape,
    )
    from nnunetv2.utilities.label_handling.label_handling import (
        LabelManager,
        convert_labelmap_to_one_hot,
    )

    def resampling(is_seg, order):
        def function(data, shape, old, new):
            return resample_data_or_seg_to_shape(
                data, shape, old, new, is_seg=is_seg, order=order, order_z=0,
                force_separate_z=None,
            )  # fmt: skip

        return function

    labels = LabelManager({"background": 0, "a": 1, "b": 2, "c": 3}, None)
    plans = SimpleNamespace(
        transpose_forward=[0, 1, 2], foreground_intensity_properties_per_channel={"0": {}},
        get_label_manager=lambda _: labels,
    )  # fmt: skip
    configuration = SimpleNamespace(
        spacing=list(TARGET), normalization_schemes=["ZScoreNormalization"],
        use_mask_for_norm=[False], resampling_fn_data=resampling(False, 3),
        resampling_fn_seg=resampling(True, 1),
    )  # fmt: skip
    for name, spacing in SPACINGS.items():
        data, seg, _ = DefaultPreprocessor(verbose=False).run_case_npy(
            scan(), mask()[None].astype("int16"), {"spacing": list(spacing)}, plans,
            configuration, {},
        )  # fmt: skip
        onehot = convert_labelmap_to_one_hot(seg[0], labels.foreground_labels, data.dtype)
        found[f"{name} shape"] = np.array(onehot.shape)
        found[f"{name} channels"] = np.packbits(onehot > 0)


def regions(found):
    """The channels of masks of regions: one for each label, whatever region it belongs to."""
    from nnunetv2.utilities.label_handling.label_handling import (
        LabelManager,
        convert_labelmap_to_one_hot,
    )

    manager = LabelManager(REGIONS, ORDER)
    mask = np.array([0, 1, 2, 4, 2]).reshape(5, 1, 1)
    found["regions"] = convert_labelmap_to_one_hot(mask, manager.foreground_labels)[:, :, 0, 0]


def drawn(torch, found):
    """How often nnU-Net changes a mask, how often each channel, with which operators and radii."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    transforms = nnUNetTrainer.get_training_transforms(
        (16, 16, 16), (0, 0), None, (0, 1, 2), False, is_cascaded=True, foreground_labels=[1, 2, 3]
    )
    operator, remove = transforms.transforms[-2:]
    found["probabilities"] = np.array([operator.apply_probability, remove.apply_probability])
    torch.manual_seed(0)
    np.random.seed(0)
    radii, counts, names = [], [], []
    example = {"image": torch.zeros(4, 2, 2, 2)}
    for _ in range(DRAWS):
        parameters = operator.transform.get_parameters(**example)
        counts.append(len(parameters["apply_to_channels"]))
        radii += parameters["strel_size"]
        names += [each.__name__ for each in parameters["operators"]]
    found["channels"] = np.bincount(counts, minlength=4) / DRAWS
    found["radii"] = np.quantile(radii, np.linspace(0, 1, 11))
    found["operators"] = np.array([
        np.mean([each == f"binary_{name}_torch" for each in names]) for name in NAMES
    ])  # fmt: skip
    counts = [len(remove.transform.get_parameters()["apply_to_channels"]) for _ in range(DRAWS)]
    found["removed channels"] = np.bincount(counts, minlength=4) / DRAWS


def main():
    """All of it in one file."""
    import torch

    found = {}
    operated(torch, found)
    removed(torch, found)
    prepared(found)
    regions(found)
    drawn(torch, found)
    np.savez_compressed(OUT, **found)
    for name in ("probabilities", "channels", "radii", "operators", "removed channels"):
        print(name, found[name].round(3))
    print(len(found["removed"]), "ways to remove a component;", OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
