"""napari's plugin engine reads and writes volumes; nibabel says what is right."""

import tomllib
from importlib import import_module

import nibabel
import numpy as np
import pytest
from nibabel.orientations import aff2axcodes
from places import ROOT
from volume_files import AFFINE, save

from unetzoo.data.io.label_files import read_label_file, write_label_files
from unetzoo.data.io.napari import get_reader, read_layers, write_mask

NAMES = {1: "liver", 4: "left kidney"}


def canonical(path):
    """nibabel's canonical voxels ``(Z, Y, X)``, spacing and origin, in this order."""
    image = nibabel.as_closest_canonical(nibabel.load(path))
    assert aff2axcodes(image.affine) == ("R", "A", "S")
    spacing = np.array(image.header.get_zooms()[:3])[::-1]
    return np.asarray(image.dataobj).T, spacing, image.affine[:3, 3][::-1]


@pytest.fixture
def mask(tmp_path):
    """A mask of two labels with names, on turned axes."""
    data = np.random.default_rng(0).choice([0, 1, 4], (3, 4, 5)).astype("uint8")
    write_label_files(tmp_path, NAMES)
    return save(tmp_path / "mask.nii.gz", data)


def test_an_image_has_its_spacing_and_its_place(tmp_path):
    path = save(tmp_path / "scan.nii.gz")
    ((data, about, kind),) = get_reader(str(path))(str(path))
    expected, spacing, origin = canonical(path)
    assert (kind, about["name"]) == ("image", "scan")
    np.testing.assert_array_equal(data, expected)
    np.testing.assert_allclose(about["scale"], spacing)
    np.testing.assert_allclose(about["translate"], origin)


def test_channels_are_layers_of_their_own(tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype("float32")
    path = save(tmp_path / "scan.nii.gz", values)
    ((data, about, kind),) = read_layers([str(path)])
    assert (kind, about["name"], about["channel_axis"]) == ("image", ["scan 0", "scan 1"], 0)
    np.testing.assert_array_equal(data, canonical(path)[0])


def test_a_mask_has_the_names_and_colors_of_its_labels(mask):
    ((data, about, kind),) = read_layers(str(mask))
    assert kind == "labels"
    np.testing.assert_array_equal(data, canonical(mask)[0])
    assert data.dtype.kind == "u"
    assert about["features"] == {"index": [0, 1, 4], "label": ["background", *NAMES.values()]}
    assert about["colormap"][4] == pytest.approx([86 / 255, 180 / 255, 233 / 255, 1])
    assert about["colormap"][0][3] == 0
    assert None in about["colormap"]  # of other labels; napari asks for it


def test_integers_of_other_numbers_are_an_image(mask):
    path = save(mask.with_name("scan.nii.gz"), np.full((3, 4, 5), 900, "int16"))
    with pytest.warns(UserWarning, match="every voxel"):
        assert read_layers(str(path))[0][2] == "image"


@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "mha"])
def test_a_layer_goes_out_on_the_grid_that_it_came_from(mask, tmp_path, ending):
    if ending != "nii.gz":
        pytest.importorskip("SimpleITK")
    out = tmp_path / "new"
    out.mkdir()
    ((data, about, _),) = read_layers(str(mask))
    data = np.where(data == 4, 300, data.astype(int))
    features = {"index": [0, 1, 300], "label": ["background", "liver", "spleen"]}
    written = write_mask(str(out / f"m.{ending}"), data, {**about, "features": features})
    assert written == [str(out / f"m.{ending}")]
    before = np.asarray(nibabel.load(mask).dataobj).astype(int)
    if ending == "nii.gz":
        image = nibabel.load(written[0])
        np.testing.assert_array_equal(image.affine, AFFINE)
        assert image.get_data_dtype() == "uint16"
        np.testing.assert_array_equal(np.asarray(image.dataobj), np.where(before == 4, 300, before))
    ((again, _, _),) = read_layers(written[0])
    np.testing.assert_array_equal(again, data)
    assert {n: name for n, (name, _) in read_label_file(out).items()} == {
        0: "Clear Label", 1: "liver", 300: "spleen"
    }  # fmt: skip


def test_a_layer_that_was_drawn_anew_has_the_grid_of_its_scale(tmp_path):
    data = np.arange(24).reshape(2, 3, 4)
    meta = {"scale": (3.0, 2.0, 1.0), "translate": (7.0, 8.0, 9.0), "metadata": {}}
    write_mask(str(tmp_path / "m.nii"), data, meta)
    found, spacing, origin = canonical(tmp_path / "m.nii")
    np.testing.assert_array_equal(found, data)
    np.testing.assert_allclose(spacing, (3, 2, 1))
    np.testing.assert_allclose(origin, (7, 8, 9))
    assert not (tmp_path / "labels.label").exists()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((2, 2)), r"labels of shape \(2, 2\) and type float64; expected whole numbers"),
        (np.full((5, 4, 3), -1), "expected whole numbers from 0 on"),
        (np.zeros((5, 4, 4), int), r"shape \(5, 4, 4\); expected \("),
    ],
)
def test_what_cannot_be_written_is_a_sentence(mask, data, words):
    ((_, about, _),) = read_layers(str(mask))
    with pytest.raises(ValueError, match=words):
        write_mask(str(mask.with_name("m.nii.gz")), data, about)
    with pytest.raises(ValueError, match=r"m\.txt: expected a name that ends in \.nii"):
        write_mask(str(mask.with_name("m.txt")), np.zeros((2, 2, 2), int), {})


def test_files_of_other_kinds_are_left_to_others(tmp_path):
    assert get_reader(str(tmp_path / "picture.png")) is None
    assert get_reader(str(tmp_path)) is None
    assert get_reader([]) is None


def test_the_engine_of_napari_takes_the_manifest_and_calls_the_functions(mask):
    npe2 = pytest.importorskip("npe2")
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    module, _, name = points["napari.manifest"]["unetzoo"].partition(":")
    manifest = npe2.PluginManifest.from_file(ROOT / module / name)
    manifest.validate_imports()
    for command in manifest.contributions.commands:
        place, _, function = command.python_name.partition(":")
        assert callable(getattr(import_module(place), function))
    manager = npe2.PluginManager()
    manager.register(manifest)
    manager.activate("unetzoo")
    assert [reader.command for reader in manager.iter_compatible_readers([str(mask)])]
    ((data, about, kind),) = manager.commands.execute("unetzoo.get_reader", (str(mask),))(str(mask))
    assert kind == "labels"
    (writer,) = manager.iter_compatible_writers(["labels"])
    target = mask.with_name("out.nii.gz")
    assert manager.commands.execute(writer.command, (str(target), data, about)) == [str(target)]
    np.testing.assert_array_equal(canonical(target)[0], canonical(mask)[0])
