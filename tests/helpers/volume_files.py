"""NIfTI files on disk, good and bad."""

import gzip

import nibabel
import numpy as np
import pytest
from nibabel.nifti1 import header_dtype

from unetzoo.data.io.volumes import read_image
from unetzoo.data.labels import LabelScheme

AFFINE = np.array([[-2, 0, 0, 50], [0, 0, 1.5, -20], [0, -1, 0, 30], [0, 0, 0, 1.0]])
ANY = LabelScheme()
MOVE = np.array([[0, 0, 0, 3], [0, 0, 0, 0], [0, 0, 0, 4], [0, 0, 0, 0]])


def content(data, affine=AFFINE, **fields):
    """A NIfTI-1 file's bytes, with fields of the header overwritten behind nibabel's back."""
    raw = bytearray(nibabel.Nifti1Image(data, affine).to_bytes())
    header = np.frombuffer(raw, header_dtype, count=1)
    for field, value in fields.items():
        header[field] = value
    return bytes(raw)


def save(path, data=None, affine=AFFINE, **fields):
    data = np.arange(60, dtype="int16").reshape(3, 4, 5) % 3 if data is None else data
    raw = content(data, affine, **fields)
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def fault(path, read=read_image, *options):
    """The one sentence that a bad file ends in."""
    with pytest.raises(ValueError, match=r"\.$") as error:
        read(path, *options)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text
