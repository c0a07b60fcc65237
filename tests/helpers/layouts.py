"""Data sets as folders of empty files, in each layout."""

import json

import pytest

from unetzoo.data.datasets import find_dataset

DECATHLON = {  # as Task01_BrainTumour is published, with fewer cases
    "name": "BRATS",
    "tensorImageSize": "4D",
    "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
    "labels": {
        "0": "background",
        "1": "edema",
        "2": "non-enhancing tumor",
        "3": "enhancing tumour",
    },
    "numTraining": 2,
    "numTest": 1,
    "training": [
        {"image": "./imagesTr/BRATS_457.nii.gz", "label": "./labelsTr/BRATS_457.nii.gz"},
        {"image": "./imagesTr/BRATS_306.nii.gz", "label": "./labelsTr/BRATS_306.nii.gz"},
    ],
    "test": ["./imagesTs/BRATS_557.nii.gz"],
}
NNUNET = {  # as nnU-Net's documentation has it
    "channel_names": {"0": "T2", "1": "ADC"},
    "labels": {"background": 0, "PZ": 1, "TZ": 2},
    "numTraining": 2,
    "file_ending": ".nii.gz",
}
NNUNET_FILES = (
    "imagesTr/prostate_00_0000.nii.gz imagesTr/prostate_00_0001.nii.gz "
    "imagesTr/prostate_01_0000.nii.gz imagesTr/prostate_01_0001.nii.gz "
    "labelsTr/prostate_00.nii.gz labelsTr/prostate_01.nii.gz "
    "imagesTs/prostate_07_0000.nii.gz imagesTs/prostate_07_0001.nii.gz"
)


def lay(folder, files, manifest=None):
    """Empty files in a folder, and its dataset.json."""
    for name in files.split() if isinstance(files, str) else files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    if manifest is not None:
        folder.mkdir(exist_ok=True)
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        (folder / "dataset.json").write_text(text)
    return folder


def decathlon(folder, **changes):
    files = [name for pair in DECATHLON["training"] for name in pair.values()]
    return lay(folder, [*files, *DECATHLON["test"]], {**DECATHLON, **changes})


def nnunet(folder, more="", less=(), **changes):
    lay(folder, f"{NNUNET_FILES} {more}", {**NNUNET, **changes})
    for name in less:
        (folder / name).unlink()
    return folder


def table(folder, text, files="a.nii.gz b.nii.gz c.nii.gz w.nii.gz"):
    lay(folder, files)
    (folder / "cases.csv").write_text(text)
    return folder / "cases.csv"


def fault(place, *words, **options):
    """The sentence, or a line for each of several faults."""
    with pytest.raises(ValueError, match=r"\.$") as error:
        find_dataset(place, **options)
    text = str(error.value)
    first, *lines = text.split("\n")
    assert first.endswith(f"{len(lines)} faults:") if lines else first.endswith(".")
    for word in words:
        assert word in text
    return text
