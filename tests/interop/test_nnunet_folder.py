"""Folders whose plans and descriptions say something else, against nnU-Net's own masks.

``scripts/nnunet_edited.py`` makes the masks with nnU-Net's predictor.
"""

import json
import shutil

import nibabel
import numpy as np
import pytest
from places import GOLDEN

from unetzoo.data.datasets import Case
from unetzoo.interop.nnunet import load_nnunet
from unetzoo.interop.nnunet_folder import channel_count, configuration_of
from unetzoo.interop.nnunet_resampling import rules_of

FOLDERS = GOLDEN / "nnunet"
EDITS = json.loads((FOLDERS / "edited" / "edits.json").read_text())


def merged(content, change):
    """A JSON file with other values; "gone" takes a key away."""
    result = dict(content)
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return {key: value for key, value in result.items() if value != "gone"}


def edited(edit, place):
    """A copy of a trained folder with changed files."""
    (source,) = (FOLDERS / edit["folder"]).glob("nnUNetTrainer__*fullres")
    folder = shutil.copytree(source, place / source.name)
    for file in ("plans", "dataset"):
        path = folder / f"{file}.json"
        path.write_text(json.dumps(merged(json.loads(path.read_text()), edit.get(file, {}))))
    return folder


@pytest.mark.parametrize("name", EDITS)
def test_masks_are_nnu_nets_to_the_voxel(name, tmp_path):
    edit, folder = EDITS[name], edited(EDITS[name], tmp_path)
    cascade = edit["folder"] == "cascade"
    predictor = load_nnunet(
        folder, ["all" if cascade else 0], canonical=edit.get("canonical", False),
        previous=FOLDERS / "cascade" / "masks_3d_lowres" if cascade else None,
    )  # fmt: skip
    for case in ("case11", "case12"):
        images = sorted((FOLDERS / EDITS[name]["folder"] / "images").glob(f"{case}_*"))
        ours = nibabel.load(predictor.write(Case(case, tuple(images)), tmp_path))
        theirs = nibabel.load(FOLDERS / "edited" / f"{name}_{case}.nii.gz")
        np.testing.assert_array_equal(ours.dataobj, theirs.dataobj)
        np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-5)
        assert ours.get_data_dtype() == theirs.get_data_dtype()
        assert set(np.unique(theirs.dataobj)) == {0, 1, 2}


def test_edits_change_masks():
    """Most of them: so the masks say that what was changed was read."""
    plain = {
        (folder, case): nibabel.load(FOLDERS / "edited" / f"{name}_{case}.nii.gz").get_fdata()
        for folder, name in {"ct": "old_plans", "mr": "ignore_regions"}.items()
        for case in ("case11", "case12")
    }
    masks = FOLDERS / "cascade" / "masks"
    for case in ("case11", "case12"):
        plain["cascade", case] = nibabel.load(masks / f"{case}.nii.gz").get_fdata()
    other = {
        name
        for name, edit in EDITS.items()
        for case in ("case11", "case12")
        if (nibabel.load(FOLDERS / "edited" / f"{name}_{case}.nii.gz").get_fdata()
            != plain[edit["folder"], case]).any()
    }  # fmt: skip
    assert {name for name in EDITS if name.startswith(("resampling", "cascade"))} <= other
    assert {"nibabel_reorient", "sitk_reorient", "canonical", "transposed", "rescaled"} <= other
    assert not {"overwrite", "ignore"} & other


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"resampling_fn_data": "mine"}, "resampling of data 'mine': expected one of"),
        ({"resampling_fn_data_kwargs": {"order": 2}}, "resampling of data: order 2: expected 3 or"),
        (
            {"resampling_fn_probabilities_kwargs": {"order": "gone"}},
            "resampling of probabilities: order 3: expected 1",
        ),
        ({"resampling_fn_data_kwargs": {"order_z": 1}}, "order_z 1: expected 0"),
        ({"resampling_fn_data_kwargs": {"is_seg": True}}, "is_seg True: expected False"),
        (
            {"resampling_fn_data_kwargs": {"force_separate_z": "x"}},
            "force_separate_z 'x': expected",
        ),
        ({"resampling_fn_data_kwargs": {"faster": True}}, "faster: .* has no such argument"),
        (
            {"resampling_fn_data": "no_resampling_hack", "resampling_fn_data_kwargs": None},
            "only images or only probabilities are resampled",
        ),
        (
            {
                "previous_stage": "low",
                "resampling_fn_seg": "no_resampling_hack",
                "resampling_fn_seg_kwargs": None,
            },
            "only images or only masks of the stage before are resampled",
        ),
        (
            {"previous_stage": "low", "resampling_fn_seg_kwargs": {"order": 0}},
            "resampling of seg: order 0: expected 1",
        ),
    ],
)
def test_resampling_that_would_give_other_masks_is_a_sentence(tmp_path, change, told):
    plans = json.loads(next((FOLDERS / "ct").glob("*/plans.json")).read_text())
    configuration = merged(configuration_of(plans, "3d_fullres", tmp_path), change)
    with pytest.raises(ValueError, match=f"^{tmp_path}: .*{told}"):
        rules_of(configuration, tmp_path)


def test_a_reader_that_is_not_known_is_a_sentence(tmp_path):
    folder = edited({"folder": "ct", "plans": {"image_reader_writer": "MyIO"}}, tmp_path)
    with pytest.raises(ValueError, match=r"images are read by 'MyIO': expected one of Simple"):
        load_nnunet(folder)


def with_3d(**values):
    return {"plans": {"configurations": {"3d_fullres": values}}}


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"dataset": {"labels": {"liver": -1}}}, r"label 'liver' \[-1\]: expected whole numbers"),
        ({"dataset": {"labels": {"liver": 1.5}}}, r"label 'liver' \[1.5\]: expected whole numbers"),
        (
            {"dataset": {"labels": {"liver": float("nan")}}},
            r"label 'liver' \[nan\]: expected",
        ),
        ({"dataset": {"labels": {"liver": True}}}, r"label 'liver' \[True\]: expected whole"),
        (
            {"dataset": {"labels": {"both": [1, 2]}, "regions_class_order": "12"}},
            r"label 'regions_class_order' \['1', '2'\]: expected whole",
        ),
        (
            {"dataset": {"labels": {"both": [1, 2]}, "regions_class_order": [1, 65536]}},
            r"label 'regions_class_order' \[1, 65536\]: expected whole numbers from 0 to 65535",
        ),
        (
            {"dataset": {"labels": {"both": [1, 2]}, "regions_class_order": [1, 2, 1, 2]}},
            r"regions_class_order \(1, 2, 1, 2\): expected a number for each of 3 regions",
        ),
        (
            with_3d(patch_size=[10**9] * 3),
            r"patch_size \(1000000000, .*: expected 2,147,483,648",
        ),
        (
            with_3d(architecture={"arch_kwargs": {"kernel_sizes": [[2] * 3] * 4}}),
            r"kernels\[0\] \(2, 2, 2\): expected odd numbers",
        ),
        (
            with_3d(architecture={"arch_kwargs": {"strides": [[2] * 3] * 4}}),
            r"strides\[0\] \(2, 2, 2\): expected 1 on every axis",
        ),
    ],
    ids=str,
)
def test_numbers_that_cannot_be_are_a_sentence_that_names_the_folder(edit, told, tmp_path):
    folder = edited({"folder": "ct", **edit}, tmp_path)
    with pytest.raises(ValueError, match=f"^{folder}: .*{told}") as error:
        load_nnunet(folder)
    assert "\n" not in str(error.value)


def test_channels_that_are_no_list_are_a_sentence(tmp_path):
    folder = edited({"folder": "ct", "dataset": {"channel_names": 5}}, tmp_path)
    with pytest.raises(
        ValueError, match=f"^{folder}: plans.json or dataset.json is not as nnU-Net"
    ):
        channel_count(folder)
