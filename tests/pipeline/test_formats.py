"""Data sets and predictions of volumes in every format: the way from files to masks."""

import json
from functools import partial

import commands
import numpy as np
import pytest
from dicom_files import save_series
from small_runs import threshold_run

from unetzoo.data import find_dataset
from unetzoo.data.datasets.inputs import cases_of, in_format, target
from unetzoo.data.datasets.reading import read_case, read_case_labels
from unetzoo.data.io.formats import read_header
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.jobs import contents, job, state
from unetzoo.pipeline.predictor import load_predictor, predict_cases

sitk = pytest.importorskip("SimpleITK")
predict = partial(commands.command, "unetzoo", "predict")

SCAN = np.random.default_rng(3).integers(1, 1000, (11, 9, 13)).astype("int16")


def save(path, values=SCAN):
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((1, 1.5, 2))
    image.SetOrigin((3, 4, 5))
    if ".gipl" not in path.name.lower():
        image.SetDirection((0, 0, 1, 1, 0, 0, 0, -1, 0))
    sitk.WriteImage(image, str(path.with_name(path.name.lower())))
    path.with_name(path.name.lower()).rename(path)
    return path


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return load_predictor(threshold_run(tmp_path_factory.mktemp("run")), "last")


@pytest.mark.parametrize("name", ["a.nrrd", "a.MHA", "a.nhdr", "a.mhd", "a.gipl", "a.gipl.gz"])
def test_a_mask_has_the_format_and_the_grid_of_its_image(name, predictor, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for channel in range(2):
        save(folder / name.replace("a.", f"a_{channel:04}."))
    cases = cases_of([folder], 2)
    done = predict_cases(predictor, cases, tmp_path / "out")
    assert done.failed == {}
    (path,) = done.written.values()
    kept = {"a.nhdr": "a.nrrd", "a.mhd": "a.mha"}
    assert path.name == kept.get(name, name.lower())
    mask = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), 4 * (SCAN.mean() < SCAN))
    np.testing.assert_allclose(
        read_header(path).affine, read_header(cases[0].images[0]).affine, atol=1e-6
    )


def test_a_series_is_an_image_and_its_mask_is_nifti(predictor, tmp_path):
    (tmp_path / "all").mkdir()
    for channel in range(2):
        save_series(tmp_path / "all" / f"s_{channel:04}", SCAN)
    for places in ([tmp_path / "all"], sorted((tmp_path / "all").iterdir())):
        (case,) = cases_of(places, 2)
        assert (case.name, len(case.images)) == ("s", 2)
    done = predict_cases(predictor, [case], tmp_path / "out")
    assert done.failed == {}
    mask = sitk.ReadImage(str(done.written["s"]))
    assert done.written["s"].name == "s.nii.gz"
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), 4 * (SCAN.mean() < SCAN))


def test_the_format_of_masks_may_be_chosen(tmp_path):
    (tmp_path / "run").mkdir()
    paths = [save(tmp_path / f"a_{n:04}.nii.gz") for n in range(2)]
    result = predict(
        threshold_run(tmp_path / "run"), *paths, "-o", tmp_path / "out", "--model", "last",
        "--format", "nrrd",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [str(tmp_path / "out" / "a.nrrd")]
    mask, image = sitk.ReadImage(str(tmp_path / "out" / "a.nrrd")), sitk.ReadImage(str(paths[0]))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), 4 * (SCAN.mean() < SCAN))
    np.testing.assert_allclose(mask.GetDirection(), image.GetDirection(), atol=1e-6)
    (tmp_path / "a.png").touch()
    with pytest.raises(ValueError, match=r"--format nrrd: .*a\.png is a picture, whose mask is"):
        in_format(cases_of([tmp_path / "a.png"], 1), "nrrd")
    assert target(cases_of([tmp_path / "a.png"], 1)[0], tmp_path).suffix == ".png"


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd"])
def test_data_sets_in_nnunets_layout_and_by_patterns(ending, tmp_path):
    labels = (SCAN > 500).astype("uint8")
    upper = ending if ending == ".mhd" else ending.upper()  # whose data are beside it
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        save(tmp_path / f"imagesTr/{name}_0000{ending}")
        save(tmp_path / f"labelsTr/{name}{upper}", labels)
    manifest = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "x": 1},
                "numTraining": 2, "file_ending": ending}  # fmt: skip
    (tmp_path / "dataset.json").write_text(json.dumps(manifest))
    dataset = find_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["a", "b"]
    for case in dataset.cases:
        image, classes = read_case(case), read_case_labels(case, dataset.scheme)
        np.testing.assert_array_equal(classes.data, image.data[..., 0] > 500)
    patterns = f"{tmp_path}/imagesTr/*_0000{ending};{tmp_path}/labelsTr/*{upper}"
    assert len(find_dataset(patterns, classes=2).cases) == 2


def test_pictures_layout_holds_volumes_too(tmp_path):
    for folder, values in (("images", SCAN), ("masks", (SCAN > 500).astype("uint8"))):
        (tmp_path / folder).mkdir()
        save(tmp_path / folder / "a.nrrd", values)
    (case,) = find_dataset(tmp_path, classes=2).cases
    assert case.label == tmp_path / "masks" / "a.nrrd"


def test_data_beside_a_header_and_slices_in_a_folder_count_for_the_cache(tmp_path):
    dataset_case = cases_of([save(tmp_path / "a.mhd")], 1)[0]
    (tmp_path / "b").mkdir()
    series = cases_of([save_series(tmp_path / "b", SCAN)], 1)[0]
    for case, part in ((dataset_case, tmp_path / "a.raw"), (series, tmp_path / "b" / "001.dcm")):
        one = job(case, LabelScheme())
        before, moved = contents(one)["digests"], state(one)
        content = bytearray(part.read_bytes())
        content[-1] ^= 1
        part.write_bytes(bytes(content))
        assert contents(one)["digests"] != before
        assert state(one) != moved
