"""All that a picture can do to its reader: each bad file ends in a sentence that names it."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_files import ANY, GREY, fault, png, save
from PIL import Image

from unetzoo.data.io.pictures import read_mask, read_picture


def animated(path):
    frames = [Image.fromarray(GREY + n) for n in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def bomb(path):
    """40,000 x 40,000 pixels in a file of 2 MB."""
    rows = zlib.compressobj(9)
    row = bytes(40_001)
    data = b"".join(rows.compress(row) for _ in range(40)) + rows.flush()
    path.write_bytes(png([], 40_000, 8, 0, [(b"IDAT", data)]))
    raw = bytearray(path.read_bytes())
    raw[20:24] = struct.pack(">I", 40_000)
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    path.write_bytes(raw)


def turned(path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(GREY).save(path, exif=exif)


def taller(path):
    """A TIFF whose header promises 1000 rows, of which Pillow would make up those it lacks."""
    tags = {256: 4, 257: 1000, 258: 8, 259: 1, 262: 1, 273: 122, 278: 3, 279: 12}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    header = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + b"".join(entries) + bytes(4)
    path.write_bytes(header.ljust(122, b"\0") + GREY.tobytes())


BAD = {
    "empty.png": (lambda path: path.write_bytes(b""), "it is empty"),
    "text.png": (lambda path: path.write_text("no picture at all"), "it begins with b'no pictu'"),
    "cut.png": (lambda path: path.write_bytes(png([bytes(64)] * 64, 64, 8, 0)[:60]), "truncated"),
    "head.png": (lambda path: path.write_bytes(png([bytes(4)] * 3, 4, 8, 0)[:30]), "not a PNG"),
    "gif.png": (lambda path: save(path, GREY, format="GIF"), "not a PNG, TIFF, BMP or JPEG"),
    "animated.png": (animated, "3 pictures in one file"),
    "pages.tif": (animated, "3 pictures in one file"),
    "taller.tif": (taller, "of 4 x 1000 pixels"),
    "bomb.png": (bomb, "1600000000 pixels"),
    "turned.jpg": (turned, "EXIF"),
    "turned.png": (turned, "EXIF"),
    "turned.tif": (turned, "EXIF"),
    "cmyk.jpg": (lambda path: save(path, np.zeros((4, 4, 3), "uint8"), "CMYK"), "mode CMYK"),
    "colours16.png": (
        lambda path: path.write_bytes(png([np.arange(6, dtype=">u2").tobytes()], 2, 16, 2)),
        "colors of 16 bits",
    ),
    "folder.png": (lambda path: path.mkdir(), "it is a folder"),
    "missing.png": (lambda path: None, "there is no such file"),
    "pipe.png": (os.mkfifo, "it is a pipe or a device"),  # which would be read without end
    "picture.gif": (lambda path: save(path, GREY), "expected a name that ends in .png, .tif"),
    "volume.nii.gz": (lambda path: path.touch(), "expected a name that ends in .png, .tif"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_ends_in_a_sentence(name, tmp_path):
    write, words = BAD[name]
    write(tmp_path / name)
    assert words in fault(tmp_path / name)
    if "jpg" not in name:
        fault(tmp_path / name, lambda path: read_mask(path, ANY))


@pytest.mark.parametrize(("name", "write", "words"), [
    ("a.png", lambda path: save(path, np.zeros((4, 4, 3), "uint8")), "mode RGB; expected one num"),
    ("a.png", lambda path: save(path, GREY, "RGBA"), "mode RGBA; expected one number per pixel"),
    ("a.png", lambda path: save(path, GREY, format="JPEG"), "JPEG changes every label"),
    ("a.tif", lambda path: save(path, GREY, compression="jpeg"), "JPEG changes every label"),
    ("a.jpg", lambda path: save(path, GREY), "name that ends in .png, .tif, .tiff, .bmp."),
    ("a.tif", lambda path: save(path, np.full((2, 2), 0.5, "float32")), "not a whole number"),
    ("a.png", lambda path: save(path, np.array([[0, 255]], "uint8")), "labels={0: 0, 255: 1}"),
    ("a.png", lambda path: save(path, np.array([[255]], "uint8")), "labels={0: 0, 255: 1}"),
])  # fmt: skip
def test_what_is_no_mask(name, write, words, tmp_path):
    write(tmp_path / name)
    assert words in fault(tmp_path / name, lambda path: read_mask(path, ANY))


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 24), "uint8"))


def stored(kind, **options):
    stream = io.BytesIO()
    NOISE.save(stream, kind, **options)
    return stream.getvalue()


@settings(max_examples=150, deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_png_is_refused_or_read_as_it_was(where, bit, cut, tmp_path_factory):
    """Damage to what surrounds the pixels, such as their resolution, may pass; the pixels not."""
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    found = damaged(path, stored("PNG"), where, bit, cut)
    if found is not None:
        np.testing.assert_array_equal(found[..., 0], np.asarray(NOISE))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of odd tags
@settings(max_examples=150, deadline=None)
@given(
    where=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    cut=st.booleans(),
    kind=st.sampled_from([("TIFF", None), ("TIFF", "tiff_lzw"), ("JPEG", None)]),
)
def test_of_any_damage_it_is_a_sentence_at_most(where, bit, cut, kind, tmp_path_factory):
    """TIFF and JPEG have no checksums: other pixels may be read."""
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind[0][:3].lower()}".replace("jpe", "jpg")
    options = {"compression": kind[1]} if kind[1] else {}
    damaged(path, stored(kind[0], **options), where, bit, cut)


def damaged(path, raw, where, bit, cut):
    """What is read of a file with a bit turned over, or cut off there; None if it is refused."""
    index = int(where * len(raw))
    changed = bytearray(raw)
    changed[index] ^= 1 << bit
    path.write_bytes(raw[:index] if cut else changed)
    try:
        return read_picture(path).data
    except ValueError:
        fault(path)
        return None
