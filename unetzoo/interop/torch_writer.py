"""Files as ``torch.save`` writes them, without PyTorch: a zip of one pickle and the numbers.

Only what a state dict needs is written: tensors, texts, numbers, lists, tuples and dicts.

Source: PyTorch 2.13, ``torch.serialization``; Python's ``pickletools``.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from unetzoo.utils.files import replacing

ROOT = "archive"
STORAGES = {"float32": b"FloatStorage", "int64": b"LongStorage"}


def write_torch(path: Path | str, content: Mapping[str, Any]) -> None:
    """Write what ``torch.load`` reads, also with ``weights_only=True``.

    An array that occurs several times is stored once, and its tensors share it.

    Args:
        path: of the file.
        content: texts, finite numbers, True, False, None, lists, tuples and dicts of these and of
            numpy arrays (float32 or int64), which become tensors.

    Raises: TypeError for anything else; ValueError if the file cannot be written.

    >>> import tempfile
    >>> from unetzoo.interop import read_torch
    >>> path = Path(tempfile.mkdtemp()) / "weights.pth"
    >>> write_torch(path, {"bias": np.array([1, 2], "float32"), "epoch": 3})
    >>> read_torch(path)
    {'bias': array([1., 2.], dtype=float32), 'epoch': 3}
    """
    pickled = _Pickled()
    data = b"\x80\x02" + pickled.value(content) + b"."
    with replacing(Path(path)) as beside, ZipFile(beside, "w", ZIP_STORED) as archive:
        archive.writestr(f"{ROOT}/data.pkl", data)
        archive.writestr(f"{ROOT}/byteorder", "little")
        for key, array in enumerate(pickled.arrays):
            with archive.open(f"{ROOT}/data/{key}", "w", force_zip64=True) as file:
                file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
        archive.writestr(f"{ROOT}/version", "3\n")


class _Pickled:
    """Values as opcodes of pickle's protocol 2; arrays are collected."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.keys: dict[int, int] = {}  # of arrays, by identity

    def value(self, value: Any) -> bytes:
        if value is None or isinstance(value, bool):
            return {None: b"N", True: b"\x88", False: b"\x89"}[value]
        if isinstance(value, np.ndarray):
            return self._tensor(value)
        if isinstance(value, Mapping):
            items = b"".join(self.value(key) + self.value(value[key]) for key in value)
            return b"}(" + items + b"u"
        if isinstance(value, list):
            return b"](" + b"".join(map(self.value, value)) + b"e"
        if isinstance(value, tuple):
            return b"(" + b"".join(map(self.value, value)) + b"t"
        return _plain(value)

    def _tensor(self, array: np.ndarray) -> bytes:
        key = self.keys.setdefault(id(array), len(self.arrays))
        if key == len(self.arrays):
            self.arrays.append(array)
        strides = [int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim)]
        kind = b"ctorch\n" + STORAGES[array.dtype.name] + b"\n"
        storage = [_plain("storage"), kind, *map(_plain, (str(key), "cpu", array.size))]
        numbers = [0, tuple(map(int, array.shape)), tuple(strides), False]
        return (
            b"ctorch._utils\n_rebuild_tensor_v2\n(("
            + b"".join(storage)
            + b"tQ"
            + b"".join(map(self.value, numbers))
            + b"ccollections\nOrderedDict\n)RtR"
        )


def _plain(value: Any) -> bytes:
    if isinstance(value, str):
        text = value.encode()
        return b"X" + struct.pack("<I", len(text)) + text
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return b"J" + struct.pack("<i", value)
        size = value.bit_length() // 8 + 1
        return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    raise TypeError(f"{type(value).__name__}: expected texts, numbers, lists, dicts and arrays.")
