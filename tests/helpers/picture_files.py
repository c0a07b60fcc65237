"""Pictures on disk, good and bad."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from unetzoo.data.io.pictures import (
    read_picture,
)
from unetzoo.data.labels import LabelScheme

ANY = LabelScheme()
GREY = np.arange(12, dtype="uint8").reshape(3, 4)


def png(rows, width, bits, kind, chunks=()):
    """A PNG, written by its specification: Pillow writes none of fewer or more than 8 bits."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, len(rows), bits, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def save(path, array, mode=None, **options):
    image = Image.fromarray(np.asarray(array))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def fault(path, read=read_picture, **options):
    """The one sentence that a bad file ends in."""
    with pytest.raises(ValueError, match=r"\.$") as error:
        read(path, **options)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text
