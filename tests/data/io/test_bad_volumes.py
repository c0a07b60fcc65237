"""All that a file can do to its reader: each ends in one sentence that names the file."""

import gzip
import subprocess
import tempfile
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_files import ANY, content, fault, save

from unetzoo.data.io import volumes
from unetzoo.data.io.volumes import read_image, read_labels

BAD = {  # what is done to a good file, and what is said of it
    "truncated.nii.gz": (lambda raw: gzip.compress(raw)[:-20], "ends too early.*truncated"),
    "crc.nii.gz": (lambda raw: _flip(gzip.compress(raw), -6), "damaged .CRC check failed"),
    "length.nii.gz": (lambda raw: _flip(gzip.compress(raw), -2), "damaged .Incorrect length"),
    "deflate.nii.gz": (lambda raw: _flip(gzip.compress(raw), 11), "compressed data is damaged"),
    "trailing.nii.gz": (lambda raw: gzip.compress(raw) + b"more", "damaged .Not a gzipped file"),
    "longer.nii.gz": (lambda raw: gzip.compress(raw + b"1"), "more bytes than the header's shape"),
    "shorter.nii.gz": (lambda raw: gzip.compress(raw[:-1]), "Expected 120 bytes, got 119"),
    "shorter.nii": (lambda raw: raw[:-1], "471 bytes, but the header's shape .3, 4, 5.* needs 472"),
    "longer.nii": (lambda raw: raw + b"1", "473 bytes, more than the 472"),
    "header.nii": (lambda raw: raw[:200], "not a NIfTI file"),
    "empty.nii": (lambda raw: b"", "it is empty"),
    "empty.nii.gz": (lambda raw: b"", "it is empty"),
    "text.nii": (lambda raw: b"hello " * 100, "not a NIfTI file .it begins with b'hello he'"),
    "png.nii": (lambda raw: b"\x89PNG\r\n\x1a\n" + bytes(600), r"begins with b'\\x89PNG"),
    "plain.nii.gz": (lambda raw: raw, "it is not compressed; if it is NIfTI, name it .nii[.]$"),
    "gzip.nii": (gzip.compress, "it is compressed; .* name it .nii.gz"),
    "magic.nii": (lambda raw: raw.replace(b"n+1\0", b"n+9\0"), "not a NIfTI file"),
    "pair.nii": (lambda raw: raw.replace(b"n+1\0", b"ni1\0"), "of a .hdr/.img pair"),
}  # fmt: skip


def _flip(raw, place):
    damaged = bytearray(raw)
    damaged[place] ^= 255
    return bytes(damaged)


@pytest.mark.parametrize("read", [read_image, lambda path: read_labels(path, ANY)])
@pytest.mark.parametrize("name", BAD)
def test_a_damaged_file_is_named_with_its_fault(name, read, tmp_path):
    damage, expected = BAD[name]
    good = content(np.arange(60, dtype="int16").reshape(3, 4, 5) % 3)
    (tmp_path / name).write_bytes(damage(good))
    with pytest.raises(ValueError, match=expected):
        fault_raised(tmp_path / name, read)


def fault_raised(path, read):
    raise ValueError(fault(path, read))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"pixdim": [1, 0, 1, 1, 1, 1, 1, 1]}, "voxel sizes .pixdim. .0.0, 1.0, 1.0"),
        ({"pixdim": [1, 1, -2, 1, 1, 1, 1, 1]}, "voxel sizes .pixdim. .1.0, -2.0"),
        ({"pixdim": [1, 1, np.nan, 1, 1, 1, 1, 1]}, "nan.*expected positive numbers"),
        ({"dim": [3, 3, -4, 5, 1, 1, 1, 1]}, "dim .3, 3, -4, 5.*axes of at least 1"),
        ({"dim": [3, 3, 0, 5, 1, 1, 1, 1]}, "axes of at least 1"),
        ({"dim": [0, 3, 4, 5, 1, 1, 1, 1]}, "expected 2 to 7 axes"),
        ({"dim": [1, 60, 1, 1, 1, 1, 1, 1]}, "expected 2 to 7 axes"),
        ({"dim": [5, 3, 1, 1, 2, 10, 1, 1]}, "one of channels"),
        ({"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}, "needs 54000000000352"),
        ({"scl_slope": np.nan}, "scl_slope nan.*expected finite"),
        ({"scl_slope": np.inf}, "scl_slope inf"),
        ({"scl_slope": 2, "scl_inter": np.nan}, "scl_inter nan"),
        ({"datatype": 128, "bitpix": 24}, "voxels of type RGB"),
        ({"datatype": 32, "bitpix": 64}, "voxels of type complex64"),
        ({"datatype": 1, "bitpix": 1}, "voxels of type binary"),
        ({"datatype": 777}, "voxels of type .unknown code 777"),
        ({"vox_offset": 10}, "byte 10 .vox_offset"),
        ({"vox_offset": np.nan}, "byte nan"),
        ({"srow_x": 0}, "has no inverse"),
        ({"srow_x": np.inf}, "inf.*has no inverse"),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": 3}, "nibabel cannot read it"),
    ],
)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_bad_header_is_named_with_its_fault(name, fields, expected, tmp_path):
    with pytest.raises(ValueError, match=expected):
        fault_raised(save(tmp_path / name, **fields), read_image)


def test_what_is_no_file(tmp_path):
    assert "No such file" in fault(tmp_path / "none.nii")
    (tmp_path / "folder.nii").mkdir()
    assert "it is a folder" in fault(tmp_path / "folder.nii")
    (tmp_path / "link.nii").symlink_to(tmp_path / "gone.nii")
    assert "No such file" in fault(tmp_path / "link.nii")
    subprocess.run(["mkfifo", tmp_path / "pipe.nii"], check=True)
    assert "not a regular file" in fault(tmp_path / "pipe.nii")
    nibabel.save(nibabel.AnalyzeImage(np.zeros((2, 2, 2), "int16"), None), tmp_path / "old.img")
    assert "ends in .nii or .nii.gz" in fault(tmp_path / "old.hdr")
    assert "ends in .nii or .nii.gz" in fault(tmp_path / "scan.png")
    with pytest.raises(ValueError, match="at least one path"):
        read_image([])


@settings(max_examples=400, deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4),
    compressed=st.booleans(),
)
def test_any_bytes_are_read_or_named(places, compressed):
    raw = bytearray(content(np.arange(60, dtype="int16").reshape(3, 4, 5)))
    for place, value in places:
        raw[place] = value
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(volumes, "MAX_GIB", 0.01)
        path = Path(folder, "a.nii.gz" if compressed else "a.nii")
        path.write_bytes(gzip.compress(raw) if compressed else raw)
        try:
            with warnings.catch_warnings(action="ignore"):
                assert np.isfinite(read_image(path).data).all()
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017
