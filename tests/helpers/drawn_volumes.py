"""Data sets of drawn volumes, for planning."""

import json

import nibabel
import numpy as np

SPACINGS = [(0.7, 0.7, 3.0), (0.8, 0.8, 2.5), (0.9, 0.9, 5.0)]


def volumes(folder, labels, *, shape=(40, 36, 12), spacings=SPACINGS, channel="MR", classes=3):
    """An nnU-Net data set: noise in a margin of two zeros on each side, and the labels given."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for n, (mask, spacing) in enumerate(zip(labels, spacings, strict=True)):
        image = np.zeros(shape, "float32")
        inside = tuple(slice(2, -2) if size > 4 else slice(None) for size in shape)
        image[inside] = np.random.default_rng(n).uniform(10, 90, image[inside].shape)
        for data, name in [(image, f"imagesTr/c{n}_0000"), (mask, f"labelsTr/c{n}")]:
            file = nibabel.Nifti1Image(data, np.diag([*spacing, 1.0]))
            nibabel.save(file, folder / f"{name}.nii.gz")
    names = {"background": 0, **{f"l{n}": n for n in range(1, classes)}}
    described = {"channel_names": {"0": channel}, "labels": names, "file_ending": ".nii.gz"}
    described["numTraining"] = len(labels)
    (folder / "dataset.json").write_text(json.dumps(described))
    return folder


def masks(count=3, shape=(40, 36, 12), classes=3):
    random = np.random.default_rng(0)
    return [random.integers(0, classes, shape).astype("uint8") for _ in range(count)]
