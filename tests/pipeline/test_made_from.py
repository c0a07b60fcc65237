"""A mask that is there stands for its own image alone."""

import json
import os
from pathlib import Path
from unittest import mock

import pytest

from unetzoo.data.datasets.inputs import cases_of, target
from unetzoo.pipeline.made_from import MADE_FROM
from unetzoo.pipeline.prediction import predict_cases


class Names:
    """In place of a predictor: its masks hold the paths of their images."""

    label_names = None

    def write(self, case, folder):
        path = target(case, folder)
        path.write_text(str(case.images[0]))
        return path


def predicted(image, masks, **options):
    return predict_cases(Names(), cases_of([image], 1), masks, **options)


@pytest.mark.parametrize(
    ("first", "second", "mask"),
    [
        ("a.h5:/raw", "a.h5:/other", "a.h5"),
        ("i.mha", "i.mhd", "i.mha"),
        ("z.ome.zarr", "z.ome.zarr/7", "z.ome.zarr"),
        ("one/x.nii.gz", "two/x.nii.gz", "x.nii.gz"),
    ],
)
def test_the_mask_of_another_image_is_a_failure(first, second, mask, tmp_path):
    images, masks = tmp_path / "images", tmp_path / "masks"
    for name in ("a.h5", "i.mha", "i.mhd", "z.ome.zarr", "one/x.nii.gz", "two/x.nii.gz"):
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).touch()
    assert len(predicted(images / first, masks).written) == 1
    assert len(predicted(images / first, masks).skipped) == 1
    done = predicted(images / second, masks)
    (why,) = done.failed.values()
    assert (done.written, done.skipped) == ({}, {})
    assert why == (
        f"{masks / mask} is there, but was made from ../images/{first}, not from "
        f"{images / second}; choose another folder, or --overwrite to replace it."
    )
    assert (masks / mask).read_text() == str(images / first)
    assert len(predicted(images / second, masks, overwrite=True).written) == 1
    assert len(predicted(images / first, masks).failed) == 1
    assert json.loads((masks / MADE_FROM).read_text()) == {mask: [f"../images/{second}"]}


def test_masks_are_known_from_any_folder_and_after_both_were_moved(tmp_path, monkeypatch):
    place, moved = tmp_path / "place", tmp_path / "moved"
    (place / "images").mkdir(parents=True)
    (place / "images" / "a.png").touch()
    predicted(place / "images" / "a.png", place / "masks")
    monkeypatch.chdir(place / "images")
    assert len(predicted("a.png", Path("../masks")).skipped) == 1
    os.symlink(place, tmp_path / "link")
    assert len(predicted(tmp_path / "link/images/a.png", tmp_path / "link/masks").skipped) == 1
    place.rename(moved)
    assert len(predicted(moved / "images" / "a.png", moved / "masks").skipped) == 1


@pytest.mark.parametrize("record", ["", "[1]", '{"a.png": 3}', "{"])
def test_a_mask_of_which_nothing_is_known_is_left(record, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    predicted(tmp_path / "images", tmp_path / "masks")
    (tmp_path / "masks" / MADE_FROM).write_text(record)
    assert len(predicted(tmp_path / "images", tmp_path / "masks").skipped) == 1
    assert len(predicted(tmp_path / "images", tmp_path / "masks", overwrite=True).written) == 1
    known = json.loads((tmp_path / "masks" / MADE_FROM).read_text())
    assert known == {"a.png": ["../images/a.png"]}


def test_a_mask_that_was_being_replaced_is_nobodys(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    masks = tmp_path / "masks"
    predicted(tmp_path / "one", masks)
    with mock.patch.object(Names, "write", side_effect=ValueError("stopped")):
        assert len(predicted(tmp_path / "two", masks, overwrite=True).failed) == 1
    for name in ("one", "two"):
        (why,) = predicted(tmp_path / name, masks).failed.values()
        assert why == (
            f"{masks / 'a.png'} is there, but was being replaced and may not be from "
            f"{tmp_path / name / 'a.png'}; choose another folder, or --overwrite to replace it."
        )
    assert len(predicted(tmp_path / "two", masks, overwrite=True).written) == 1
    assert len(predicted(tmp_path / "two", masks).skipped) == 1
