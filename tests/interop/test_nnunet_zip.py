"""Zips of trained folders: as nnU-Net exports them, and hostile ones."""

import re
import shutil
import stat
import struct
import tracemalloc
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import nibabel
import numpy as np
import pytest
from commands import started
from places import GOLDEN

from unetzoo.data.datasets import Case
from unetzoo.interop.nnunet_zip import trained_place
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.prediction import predict_cases

(CT,) = (GOLDEN / "nnunet" / "ct").glob("nnUNetTrainer*")


def zipped(path, prefix="Dataset001_ct", names=(CT.name,), more=()):
    """As ``nnUNetv2_export_model_to_zip`` writes it, with other files beside."""
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name in names:
            for file in sorted(CT.rglob("*")):
                if file.is_file():
                    archive.write(file, "/".join((prefix, name, str(file.relative_to(CT)))))
            archive.writestr(f"{prefix}/{name}/fold_0/progress.png", b"no picture")
        for name, content in more:
            archive.writestr(name, content)
    return path


def test_masks_of_a_zip_and_of_a_data_sets_folder_are_those_of_the_folder(tmp_path):
    path = zipped(tmp_path / "model.zip")
    shutil.copytree(CT, tmp_path / "Dataset001_ct" / CT.name)
    image = sorted((GOLDEN / "nnunet" / "ct" / "images").iterdir())[0]
    masks = []
    for number, place in enumerate((CT, path, tmp_path / "Dataset001_ct")):
        predict_cases(load_predictor(place), [Case("x", (image,))], tmp_path / f"{number}")
        masks.append(nibabel.load(tmp_path / f"{number}" / "x.nii.gz").get_fdata())
    assert masks[0].any()
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[0], masks[2])


def test_of_several_one_is_chosen_by_its_path(tmp_path):
    path = zipped(tmp_path / "m.zip", names=(CT.name, "nnUNetTrainer__nnUNetPlans__other"))
    told = (
        r"m.zip: it holds Dataset001_ct/nnUNet.*, Dataset001_ct/nnUNet.*; say which, as .*m.zip/D"
    )
    with pytest.raises(ValueError, match=told), trained_place(path):
        pass
    with trained_place(path / "Dataset001_ct" / CT.name) as place:
        assert place.name == CT.name
        assert (place / "plans.json").read_bytes() == (CT / "plans.json").read_bytes()
    assert not place.exists()


def test_what_is_wrong_is_told_before_keras_is_loaded(tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"PK nothing")
    with ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    for name, told in (
        ("bad.zip", "cannot be read as a zip of nnU-Net"),
        ("empty.zip", "no folder that nnU-Net has trained"),
    ):
        words = ["predict", tmp_path / name, tmp_path / name, "-o", tmp_path / "out"]
        code, heavy, _, said = started("unetzoo", *words)
        assert (code, heavy) == (2, [])
        assert told in said


def test_nothing_leaves_the_temporary_folder(tmp_path):
    """Parent folders, absolute paths, links, and names of other systems."""
    inner = "nnUNetTrainer__nnUNetPlans__2d/plans.json"
    link = ZipInfo(f"x/{inner}")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    hostile = [(f"../../{inner}", "{}"), (f"/tmp/unetzoo-hostile/{inner}", "{}"),
               (f"a/../../../{inner}", "{}"), (link, "/etc/passwd"),
               (f"C:\\{inner}", "{}")]  # fmt: skip
    path = zipped(tmp_path / "m.zip", more=hostile)
    with trained_place(path) as place:
        root = place.parents[1]
        assert place == root / "Dataset001_ct" / CT.name
        files = [file for file in root.rglob("*") if not file.is_dir()]
        assert not any(file.is_symlink() for file in files)
        assert (root / "x" / inner).read_text() == "/etc/passwd"  # the link's text, no link
    assert {file.name for file in tmp_path.iterdir()} == {"m.zip"}


def test_a_bomb_is_not_unpacked(tmp_path):
    name = f"Dataset001_ct/{CT.name}/fold_1/checkpoint_final.pth"
    path = zipped(tmp_path / "m.zip", more=[(name, bytes(300 * 2**20))])
    with pytest.raises(ValueError, match=r"m.zip: .*it unpacks from [\d,]+ bytes to [\d,]+"):
        load_predictor(path)


def with_stated_size(path, name, size):
    """A zip that states another size of a member, in its list and before the member."""
    content = bytearray(path.read_bytes())
    ends = [at.start() for at in re.finditer(re.escape(name.encode()), content)]
    for at, (signature, place) in zip(
        ends, ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)), strict=True
    ):
        begin = content.rindex(signature, 0, at)
        content[begin + place : begin + place + 4] = struct.pack("<I", size)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        (99, "unpacks to more than its stated 99 bytes"),
        (48 * 2**20, "has 33,554,432 of its 50,331,648 bytes"),
        (2**32 - 2, "it unpacks from [0-9,]+ bytes to [0-9,]+"),
    ],
)
def test_a_zip_that_lies_about_its_sizes_is_refused(tmp_path, stated, told):
    """What it unpacks to is never more in memory than it states, and a piece."""
    name = f"Dataset001_ct/{CT.name}/fold_7/checkpoint_final.pth"
    path = zipped(tmp_path / "m.zip", more=[(name, bytes(32 * 2**20))])
    with_stated_size(path, name, stated)
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"m.zip: cannot be read as a zip of nnU-Net: .*{told}"):
        load_predictor(path)
    assert tracemalloc.get_traced_memory()[1] < 96 * 2**20
    tracemalloc.stop()
    assert {file.name for file in tmp_path.iterdir()} == {"m.zip"}
