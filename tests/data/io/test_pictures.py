"""Pictures in and out, against Pillow and against PNGs written by the specification."""

import errno

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_files import ANY, GREY, fault, png, save
from PIL import Image

from unetzoo.data.io.pictures import (
    Picture,
    PictureFile,
    is_picture,
    read_mask,
    read_picture,
    read_pixel_weights,
    read_size,
    write_mask,
)
from unetzoo.data.labels import LabelScheme


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool"])
def test_grey_values_are_the_files_own(suffix, dtype, tmp_path):
    values = (GREY.astype("uint16") * 5000 if dtype == "uint16" else GREY).astype(dtype)
    picture = read_picture(save(tmp_path / f"a{suffix}", values))
    np.testing.assert_array_equal(picture.data[..., 0], values)
    assert picture.data.dtype == "float32"
    assert picture.data.shape == (3, 4, 1)
    assert picture.spacing == (1.0, 1.0)
    assert picture.files == (PictureFile(tmp_path / f"a{suffix}", (3, 4), 1),)
    assert read_size(tmp_path / f"a{suffix}") == picture.files[0]


def test_bmp_is_lossless_too(tmp_path):
    colors = np.random.default_rng(0).integers(0, 255, (5, 7, 3), "uint8")
    for values in (GREY, GREY > 5, colors):
        path = save(tmp_path / "a.BMP", values)
        found = read_picture(path).data
        np.testing.assert_array_equal(found, values.astype("float32").reshape(found.shape))
        assert is_picture(path)
        assert read_size(path).shape == values.shape[:2]
    np.testing.assert_array_equal(read_mask(save(path, GREY), ANY).data, GREY)
    cut = tmp_path / "cut.bmp"
    cut.write_bytes(path.read_bytes()[:-3])
    assert "Pillow cannot read it" in fault(cut)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_a_tiff_of_32_bits(dtype, tmp_path):
    values = GREY.astype(dtype) * 70_001 - (7.5 if dtype == "float32" else 7)
    picture = read_picture(save(tmp_path / "a.tif", values))
    np.testing.assert_array_equal(picture.data[..., 0], values)


def test_colours_palettes_and_jpeg(tmp_path):
    colours = np.random.default_rng(0).integers(0, 255, (8, 8, 3), "uint8")
    for suffix in ("png", "tif"):
        picture = read_picture(save(tmp_path / f"a.{suffix}", colours))
        np.testing.assert_array_equal(picture.data, colours)
    smooth = np.full((16, 16, 3), (10, 100, 200), "uint8")
    picture = read_picture(save(tmp_path / "a.jpg", smooth, quality=95))
    np.testing.assert_allclose(picture.data, smooth, atol=3)

    image = Image.fromarray(np.array([[0, 1, 2]], "uint8"), mode="P")
    image.putpalette([9, 8, 7, 6, 5, 4, 3, 2, 1])
    image.save(tmp_path / "palette.png")
    expected = [[[9, 8, 7], [6, 5, 4], [3, 2, 1]]]
    np.testing.assert_array_equal(read_picture(tmp_path / "palette.png").data, expected)
    np.testing.assert_array_equal(read_mask(tmp_path / "palette.png", ANY).data, [[0, 1, 2]])


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 3), ("LA", 1)])
def test_opacity_is_dropped_where_all_is_opaque(mode, channels, tmp_path):
    image = Image.fromarray(GREY).convert(mode)
    image.save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(picture.data, np.stack([GREY] * channels, -1))
    pixel = image.getpixel((1, 1))
    image.putpixel((1, 1), (*pixel[:-1], 254))
    image.save(tmp_path / "a.png")
    assert "not opaque" in fault(tmp_path / "a.png")


@pytest.mark.parametrize(("bits", "packed", "values"), [
    (1, [0b10110000], [1, 0, 1, 1]),
    (2, [0b00011011], [0, 1, 2, 3]),
    (4, [0x01, 0x2F], [0, 1, 2, 15]),
])  # fmt: skip
@pytest.mark.parametrize("kind", [0, 3], ids=["grey", "palette"])
def test_pictures_of_fewer_than_8_bits_keep_their_numbers(bits, packed, values, kind, tmp_path):
    palette = [(b"PLTE", bytes(range(3 * 2**bits)))] if kind == 3 else []
    (tmp_path / "a.png").write_bytes(png([bytes(packed)], 4, bits, kind, palette))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", ANY).data, [values])
    if kind == 0:
        np.testing.assert_array_equal(read_picture(tmp_path / "a.png").data[..., 0], [values])


def test_several_files_are_channels(tmp_path):
    paths = [save(tmp_path / f"{n}.png", GREY + n) for n in range(3)]
    picture = read_picture(paths)
    np.testing.assert_array_equal(picture.data, np.stack([GREY, GREY + 1, GREY + 2], -1))
    assert [file.path for file in picture.files] == paths
    save(paths[2], GREY.T)
    with pytest.raises(ValueError, match=r"2\.png: \(4, 3\) pixels .* but .*0\.png has \(3, 4\)"):
        read_picture(paths)
    with pytest.raises(ValueError, match="without files"):
        read_picture([])


def test_not_a_number_is_filled_or_said(tmp_path):
    values = np.array([[1, np.nan, np.inf]], "float32")
    path = save(tmp_path / "a.tif", values)
    assert "2 of 3 pixels are NaN or infinite; give fill=0" in fault(path)
    np.testing.assert_array_equal(read_picture(path, fill=7).data[..., 0], [[1, 7, 7]])


def test_labels_are_those_of_the_scheme(tmp_path):
    path = save(tmp_path / "a.png", np.array([[0, 1, 255]], "uint8"))
    found = read_mask(path, LabelScheme(classes=2, ignore=255)).data
    np.testing.assert_array_equal(found, [[0, 1, 255]])
    assert "above the class count" in fault(path, lambda p: read_mask(p, LabelScheme(classes=2)))
    scheme = LabelScheme(labels={0: 0, 1: 1, 255: 2})
    np.testing.assert_array_equal(read_mask(path, scheme).data, [[0, 1, 2]])
    white = save(tmp_path / "white.png", np.array([[255, 255]], "uint8"))
    np.testing.assert_array_equal(read_mask(white, LabelScheme(classes=256)).data, [[255, 255]])
    black = save(tmp_path / "black.png", np.array([[0, 0]], "uint8"))
    np.testing.assert_array_equal(read_mask(black, ANY).data, [[0, 0]])


def test_weights_are_grey_values(tmp_path):
    path = save(tmp_path / "a.tif", np.array([[0.5, 2]], "float32"))
    np.testing.assert_array_equal(read_pixel_weights(path), [[0.5, 2]])
    image = Image.fromarray(np.array([[0, 1]], "uint8"), mode="P")
    image.putpalette([0, 0, 0, 9, 9, 9])
    image.save(tmp_path / "p.png")
    assert "mode P" in fault(tmp_path / "p.png", read_pixel_weights)


@st.composite
def masks(draw):
    numbers = draw(st.lists(st.integers(0, 65535), min_size=1, max_size=5, unique=True))
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    classes = np.random.default_rng(draw(st.integers(0, 99))).integers(0, len(numbers), shape)
    return classes, LabelScheme(labels={n: label for label, n in enumerate(numbers)})


@settings(max_examples=80, deadline=None)
@given(mask=masks())
def test_masks_come_back_as_they_were_written(mask, tmp_path_factory):
    classes, scheme = mask
    path = tmp_path_factory.getbasetemp() / "mask.png"
    like = Picture(
        np.zeros((*classes.shape, 3)), (PictureFile(path.parent / "a", classes.shape, 3),)
    )
    write_mask(path, classes, like, scheme)
    numbers = np.array(list(scheme.labels))[classes]
    np.testing.assert_array_equal(np.asarray(Image.open(path)), numbers)
    np.testing.assert_array_equal(read_mask(path, scheme).data, classes)


def test_what_cannot_be_written(tmp_path, monkeypatch):
    source = save(tmp_path / "a.png", GREY)
    like = read_picture(source)
    classes = np.ones((3, 4), "uint8")
    out = tmp_path / "out.png"
    for path, array, scheme, words in (
        (tmp_path / "out.jpg", classes, ANY, "ends in .png"),
        (out, classes.T, ANY, "an array of shape (4, 3); expected the pixels of"),
        (source, classes, ANY, "this file was read"),
        (out, classes, LabelScheme(labels={0: 0}), "class 1 at voxel (0, 0) cannot be written"),
        (out, classes, LabelScheme(labels={0: 0, 70_000: 1}), "a PNG holds 0 to 65535"),
        (out, classes / 2, ANY, "classes of type float64"),
        (tmp_path / "none" / "out.png", classes, ANY, "cannot be written (No such file"),
    ):
        with pytest.raises(ValueError, match=r"\.$") as error:
            write_mask(path, array, like, scheme)
        assert str(error.value).startswith(f"{path}: ")
        assert words in str(error.value)

    def full(self, stream, *args, **options):
        stream.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(ValueError, match="No space left on device"):
        write_mask(out, classes, like, ANY)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_names():
    assert all(is_picture(name) for name in ("a.png", "a.b.TIF", "x/a.tiff", "a.jpg", "a.JPEG"))
    assert not any(is_picture(name) for name in ("a.nii.gz", "png", "a.png.nii", "a.gif"))
