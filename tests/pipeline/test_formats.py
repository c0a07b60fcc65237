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
from unetzoo.data.io.formats import read_header, write_values
from unetzoo.data.io.volumes import read_image
from unetzoo.data.labels import LabelScheme
from unetzoo.data.preprocessing.jobs import case_of, contents, job, state
from unetzoo.pipeline.loading import load_predictor
from unetzoo.pipeline.prediction import predict_cases

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


def test_a_series_may_get_dicom_seg_and_names_of_classes_survive(predictor, tmp_path):
    highdicom = pytest.importorskip("highdicom")
    for channel in range(2):
        save_series(tmp_path / f"s_{channel:04}", SCAN)
    cases = cases_of([tmp_path / f"s_{n:04}" for n in range(2)], 2)
    done = predict_cases(predictor, in_format(cases, "dicom-seg"), tmp_path / "out")
    assert done.failed == {}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        ".made_from.json", "labels.ctbl", "labels.label", "s.dcm",
    ]  # fmt: skip
    (segment,) = highdicom.seg.segread(done.written["s"]).SegmentSequence
    assert (segment.SegmentLabel, segment.SegmentDescription) == ("bright", "label 4")
    assert "4 bright 230 159 0 255" in (tmp_path / "out" / "labels.ctbl").read_text()
    nrrd = cases_of([save(tmp_path / "a.nrrd")], 1)
    with pytest.raises(ValueError, match="is no DICOM series, to which such a mask refers"):
        in_format(nrrd, "dicom-seg")


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


def test_a_tiff_stack_is_a_volume_whose_spacing_may_be_given(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    (tmp_path / "run").mkdir()
    (tmp_path / "in").mkdir()
    for n in range(2):
        tifffile.imwrite(tmp_path / "in" / f"a_{n:04}.tif", SCAN.astype("uint16"),
                         photometric="minisblack", metadata=None)  # fmt: skip
    words = [threshold_run(tmp_path / "run"), tmp_path / "in", "-o", tmp_path / "out",
             "--model", "last"]  # fmt: skip
    result = predict(*words)
    assert result.returncode == 1
    assert "does not state the size of a voxel; give --file-spacing Z,Y,X" in result.stderr
    result = predict(*words, "--file-spacing", "2,1")
    assert (result.returncode, result.stdout) == (2, "")
    assert "expected three sizes in mm with commas between, such as 3,1,1" in result.stderr
    result = predict(*words, "--file-spacing", "2,1,1.5")
    assert result.returncode == 0, result.stderr
    mask = tifffile.imread(tmp_path / "out" / "a.tif")
    np.testing.assert_array_equal(mask, 4 * (SCAN.mean() < SCAN))
    np.testing.assert_allclose(read_header(tmp_path / "out" / "a.tif").affine[2, 2], 2)


@pytest.mark.parametrize("name", ["a.ome.zarr", "a.h5"])
def test_zarr_and_hdf5_are_images_and_masks(name, predictor, tmp_path):
    pytest.importorskip("zarr")
    pytest.importorskip("h5py")
    both = np.stack([SCAN, SCAN]).transpose(3, 2, 1, 0)
    like = read_image(save(tmp_path / "a.gipl"))
    (tmp_path / "in").mkdir()
    write_values(tmp_path / "in" / name, both, like.files[0])
    cases = cases_of([tmp_path / "in"], 2)
    done = predict_cases(predictor, cases, tmp_path / "out")
    assert done.failed == {}
    assert done.written["a"].name == name
    mask = read_header(done.written["a"])
    np.testing.assert_array_equal(mask.values()[..., 0].T, 4 * (SCAN.mean() < SCAN))
    one = job(cases[0], LabelScheme())
    before = contents(one)["digests"]
    write_values(tmp_path / "in" / name, both + 1, like.files[0])
    assert contents(one)["digests"] != before
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "labelsTr").mkdir()
    ending = name.partition(".")[2]
    write_values(tmp_path / f"imagesTr/a_0000.{ending}", both[..., 0], like.files[0])
    bright = (both[..., 0] > 500).astype("uint8")
    write_values(tmp_path / f"labelsTr/a.{ending}", bright, like.files[0])
    (case,) = find_dataset(tmp_path, classes=2).cases
    assert read_case_labels(case, LabelScheme(2)).data.sum() == bright.sum()


def test_a_data_set_of_stacks_is_read_with_the_spacing_that_was_given(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    for name, values in (("imagesTr/a_0000", SCAN), ("labelsTr/a", SCAN > 500)):
        (tmp_path / name).parent.mkdir()
        tifffile.imwrite(tmp_path / f"{name}.tif", values.astype("uint16"),
                         photometric="minisblack", metadata=None)  # fmt: skip
    manifest = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "x": 1},
                "numTraining": 1, "file_ending": ".tif"}  # fmt: skip
    (tmp_path / "dataset.json").write_text(json.dumps(manifest))
    dataset = find_dataset(tmp_path, file_spacing=(2, 1, 1.5))
    (case,) = dataset.cases
    assert read_case(case).spacing == (1.5, 1, 2)
    classes = read_case_labels(case, dataset.scheme)
    np.testing.assert_array_equal(classes.data, read_case(case).data[..., 0] > 500)
    one, other = (job(c, dataset.scheme) for c in (case, find_dataset(tmp_path).cases[0]))
    assert case_of(one) == case
    assert contents(one)["digests"] != contents(other)["digests"]
    plan = commands.command(
        "unetzoo", "plan", tmp_path, "--file-spacing", "2,1,1.5", "--memory-gb", "1"
    )
    assert plan.returncode == 0, plan.stderr
    assert "1.5" in plan.stdout


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
