"""3D TIFF and OME-TIFF in and out, against tifffile and SimpleITK, and nnU-Net's .json beside."""

import json
import struct
from contextlib import suppress

import nibabel
import numpy as np
import pytest
from volume_files import ANY, fault

from unetzoo.data.datasets.case import Case
from unetzoo.data.datasets.reading import check_grid, read_case, read_case_labels
from unetzoo.data.io.pictures import is_picture
from unetzoo.data.io.volumes import read_image, read_labels, write_image, write_labels
from unetzoo.data.labels import LabelScheme

tifffile = pytest.importorskip("tifffile")
VOXELS = np.random.default_rng(0).integers(0, 60000, (7, 9, 8)).astype("uint16")  # z, y, x
SIZES = (2.5, 0.7, 0.5)  # of z, y, x, millimeters


def imagej(path, voxels=VOXELS, unit="mm", scale=1.0, axes="ZYX", **more):
    z, y, x = (size * scale for size in SIZES)
    metadata = {"axes": axes, "spacing": z, "unit": unit, **more}
    tifffile.imwrite(path, voxels, imagej=True, resolution=(1 / x, 1 / y), metadata=metadata)
    return path


def ome(path, voxels=VOXELS, axes="ZYX", unit="mm", scale=1.0, **more):
    sizes = {f"PhysicalSize{axis}": size * scale for axis, size in zip("ZYX", SIZES, strict=True)}
    units = {} if unit is None else {f"PhysicalSize{axis}Unit": unit for axis in "ZYX"}
    tifffile.imwrite(path, voxels, ome=True, metadata={"axes": axes, **sizes, **units}, **more)
    return path


def plain(path, voxels=VOXELS):
    tifffile.imwrite(path, voxels, photometric="minisblack", metadata=None)
    return path


FILES = {
    "ImageJ": lambda folder: imagej(folder / "a.tif"),
    "ImageJ in micrometers": lambda folder: imagej(folder / "a.TIF", unit="\\u00B5m", scale=1000),
    "ImageJ in microns": lambda folder: imagej(folder / "a.tiff", unit="micron", scale=1000),
    "OME": lambda folder: ome(folder / "a.ome.tif"),
    "OME's default": lambda folder: ome(folder / "a.OME.TIF", unit=None, scale=1000),
    "OME in nanometers, tiled": lambda folder: ome(
        folder / "a.tif", unit="nm", scale=1e6, tile=(16, 16), compression="zlib"
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_voxels_and_sizes_are_what_the_file_states_and_go_back(kind, tmp_path):
    path = FILES[kind](tmp_path)
    assert not is_picture(path)
    image = read_image(path)
    np.testing.assert_allclose(image.spacing, SIZES[::-1], rtol=1e-5)
    values = image.files[0].values("float32")[..., 0]
    np.testing.assert_array_equal(values, VOXELS.T)

    mask = (image.data[..., 0] > 30000).astype("uint8")
    out = tmp_path / path.name.lower().replace("a.", "mask.")
    write_labels(out, mask, image, ANY)
    with tifffile.TiffFile(out) as tiff:
        assert tiff.is_ome == kind.startswith("OME")
        assert tiff.is_imagej == kind.startswith("ImageJ")
        assert tiff.series[0].axes == "ZYX"
        np.testing.assert_array_equal(tiff.asarray(), VOXELS > 30000)
    check_grid(out, path)
    assert read_labels(out, ANY, image=path).data.dtype == "uint8"
    np.testing.assert_array_equal(read_labels(out, ANY, image=path).data, mask)


def test_a_mask_as_nifti_lies_where_itk_has_the_tiff(tmp_path):
    """ITK-SNAP and 3D Slicer open a TIFF with ITK: columns to the left, rows to the back."""
    sitk = pytest.importorskip("SimpleITK")
    image = read_image(imagej(tmp_path / "a.tif"))
    write_labels(tmp_path / "m.nii.gz", (image.data[..., 0] > 30000).astype("uint8"), image, ANY)
    mask = sitk.ReadImage(str(tmp_path / "m.nii.gz"))
    np.testing.assert_allclose(mask.GetDirection(), np.eye(3).ravel(), atol=1e-6)
    np.testing.assert_allclose(mask.GetSpacing(), SIZES[::-1], rtol=1e-5)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), VOXELS > 30000)


def test_channels_are_omes_and_imagejs(tmp_path):
    both = np.stack([VOXELS, VOXELS[::-1]])
    first = read_image(ome(tmp_path / "a.ome.tif", both, axes="CZYX"))
    second = read_image(imagej(tmp_path / "b.tif", both.swapaxes(0, 1), axes="ZCYX"))
    colors = np.stack([(VOXELS >> shift).astype("uint8") for shift in (0, 4, 8)], axis=-1)
    third = read_image(ome(tmp_path / "c.ome.tif", colors, axes="ZYXS", photometric="rgb"))
    np.testing.assert_array_equal(first.files[0].values(), both.transpose(3, 2, 1, 0))
    np.testing.assert_array_equal(second.data, first.data)
    np.testing.assert_array_equal(third.files[0].values(), colors.transpose(2, 1, 0, 3))
    for name in ("copy.ome.tif", "copy.tif"):
        write_image(tmp_path / name, first.data, first)
        np.testing.assert_array_equal(read_image(tmp_path / name).data, first.data)


def test_a_spacing_that_is_not_stated_is_asked_for_in_one_sentence(tmp_path):
    unit = imagej(tmp_path / "pixels.tif", unit="pixel")
    only = tmp_path / "flat.ome.tif"
    sizes = {"PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0}
    tifffile.imwrite(only, VOXELS, ome=True, metadata={"axes": "ZYX", **sizes})
    for path in (plain(tmp_path / "plain.tif"), unit, only):
        text = fault(path)
        assert "--file-spacing Z,Y,X in mm" in text
        assert 'such as {"spacing": [3, 1, 1]}' in text
        assert read_image(path, spacing=SIZES).spacing == SIZES[::-1]


def test_nnunets_json_beside_a_tiff_is_its_spacing(tmp_path):
    """As Tiff3DIO of nnU-Net 2.8.1 writes and finds it: after the case, without the channel."""
    image, label = plain(tmp_path / "a_0000.tif"), tmp_path / "labels"
    label.mkdir()
    plain(label / "a.tif", (VOXELS > 30000).astype("uint8"))
    (tmp_path / "a.json").write_text(json.dumps({"spacing": SIZES}))
    assert read_image(image).spacing == SIZES[::-1]
    case = Case("a", (image,), label / "a.tif")
    classes = read_case_labels(case, LabelScheme(2))  # a label file without one has its image's
    np.testing.assert_array_equal(classes.data, read_case(case).data[..., 0] > 30000)
    for wrong in ('{"spacing": [1, 1]}', '{"spacing": [1, 1, 0]}', "{}", "[1, 2, 3]"):
        (tmp_path / "a.json").write_text(wrong)
        with pytest.raises(ValueError, match=r"a\.json: spacing .*expected three sizes"):
            read_image(image)


def test_large_numbers_go_into_an_ome_tiff(tmp_path):
    image = read_image(imagej(tmp_path / "a.tif"))
    scheme = LabelScheme(labels={0: 0, 70000: 1})
    write_labels(tmp_path / "m.tif", (image.data[..., 0] > 30000).astype("uint8"), image, scheme)
    assert tifffile.imread(tmp_path / "m.tif").max() == 70000
    np.testing.assert_allclose(read_image(tmp_path / "m.tif").spacing, SIZES[::-1], rtol=1e-5)


def test_directions_are_not_lost_in_silence(tmp_path):
    nibabel.save(nibabel.Nifti1Image(VOXELS, np.eye(4)), tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii")
    with pytest.raises(ValueError, match="TIFF holds no directions of axes"):
        write_labels(tmp_path / "m.tif", (image.data[..., 0] > 9).astype("uint8"), image, ANY)


def test_flat_tiffs_stay_pictures(tmp_path):
    tifffile.imwrite(tmp_path / "flat.tif", VOXELS[0])
    tifffile.imwrite(tmp_path / "flat.ome.tif", VOXELS[0], ome=True)
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as tiff:
        tiff.write(VOXELS[0], subifds=0)
        tiff.write(VOXELS[0, ::2, ::2], subfiletype=1)
    (tmp_path / "broken.tif").write_bytes(b"II*\0 broken")
    for name in ("flat.tif", "flat.ome.tif", "pyramid.tif", "broken.tif", "none.tif"):
        assert is_picture(tmp_path / name), name


# === What a file can do to its reader ===


def test_other_axes_and_several_images_are_one_sentence(tmp_path):
    frames = imagej(tmp_path / "t.tif", np.stack([VOXELS] * 2), axes="TZYX")
    text = fault(frames)
    assert "axes T 2, Z 7, Y 9, X 8" in text
    assert "turn frames into slices" in text
    with tifffile.TiffWriter(tmp_path / "two.ome.tif", ome=True) as tiff:
        tiff.write(VOXELS, metadata={"axes": "ZYX"})
        tiff.write(VOXELS[:3], metadata={"axes": "ZYX"})
    assert "2 images in one file" in fault(tmp_path / "two.ome.tif")
    tifffile.imwrite(tmp_path / "c.ome.tif", VOXELS.astype("complex64"), ome=True,
                     metadata={"axes": "ZYX"})  # fmt: skip
    assert "expected integers or floats" in fault(tmp_path / "c.ome.tif")


def test_files_of_an_ome_tiff_elsewhere_are_not_opened(tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    ome(tmp_path / "secret.ome.tif", VOXELS)
    path = ome(inside / "a.ome.tif", VOXELS)
    with tifffile.TiffFile(path) as tiff:
        text = tiff.ome_metadata
    uuid = tifffile.TiffFile(tmp_path / "secret.ome.tif").ome_metadata.partition('UUID="')[2]
    block = f'<UUID FileName="../secret.ome.tif">{uuid.partition(chr(34))[0]}</UUID>'
    changed = text.replace('PlaneCount="7"/>', f'PlaneCount="7">{block}</TiffData>')
    assert changed != text
    tifffile.imwrite(path, VOXELS * 0 + np.uint16(3), description=changed, metadata=None)
    opened = []
    reopen = tifffile.TiffFile.__init__

    def noting(self, file, *args, **more):
        opened.append(str(file))
        return reopen(self, file, *args, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tifffile.TiffFile, "__init__", noting)
        with suppress(ValueError), pytest.warns(UserWarning, match="every voxel"):
            assert read_image(path).data.max() == 3
    assert opened
    assert not [name for name in opened if "secret" in name]


@pytest.mark.parametrize("images", [70_000, 4_000_000_000])
def test_a_number_of_slices_that_lies_is_found_before_memory_is_taken(images, tmp_path):
    path = tmp_path / "a.tif"
    told = f"ImageJ=1.11a\nimages={images}\nslices={images}\nunit=mm\nspacing=2.5\n"
    tifffile.imwrite(path, VOXELS[0], description=told, metadata=None, resolution=(2, 2))
    assert not is_picture(path)
    text = fault(path)
    assert "cut off or its header wrong" in text


def test_widths_that_lie_and_files_that_end_are_one_sentence(tmp_path):
    path = imagej(tmp_path / "a.tif")
    raw = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[0].tags["ImageWidth"]
    kind = {3: "<H", 4: "<I"}[int(tag.dtype)].replace("<", tiff.byteorder)
    wide = bytearray(raw)
    struct.pack_into(kind, wide, tag.valueoffset, 60000)
    (tmp_path / "wide.tif").write_bytes(wide)
    fault(tmp_path / "wide.tif")
    voxels = raw.index(VOXELS.tobytes() if tiff.byteorder == "<" else VOXELS.byteswap().tobytes())
    for end in (10, 200, len(raw) // 2, voxels + VOXELS.nbytes - 30):
        (tmp_path / "cut.tif").write_bytes(raw[:end])
        fault(tmp_path / "cut.tif")
    packed = ome(tmp_path / "b.ome.tif", compression="zlib")
    raw = packed.read_bytes()
    with tifffile.TiffFile(packed) as tiff:
        start, count = tiff.pages[3].dataoffsets[0], tiff.pages[3].databytecounts[0]
    packed.write_bytes(raw[:start] + bytes(count) + raw[start + count :])
    fault(packed)


def test_without_tifffile_one_sentence_names_the_command(tmp_path, monkeypatch):
    path = imagej(tmp_path / "a.tif")
    monkeypatch.setitem(__import__("sys").modules, "tifffile", None)
    with pytest.raises(ValueError, match=r"run pip install 'unetzoo\[tiff\]'\.$"):
        read_image(path)
