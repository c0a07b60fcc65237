"""Files of safetensors, read into numpy with its library, bfloat16 too."""

import math
from os import PathLike
from pathlib import Path

import numpy as np

from unetzoo.utils.files import missing
from unetzoo.utils.text import few, printable, short

SAFETENSORS = {
    "F64": "f8", "F32": "f4", "F16": "f2", "BF16": "bf16", "I64": "i8", "I32": "i4", "I16": "i2",
    "I8": "i1", "U64": "u8", "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "b1",
}  # fmt: skip


def read_safetensors(path: "str | PathLike[str]") -> dict[str, np.ndarray]:
    """The tensors in a file, by their names; what is stored as bfloat16 is float32.

    Raises: ValueError for a file that is damaged or holds numbers that numpy has not, and where
        safetensors is not installed.
    """
    if reason := missing(path):
        raise ValueError(f"{path}: {reason}; expected a file of safetensors.")
    try:
        from safetensors import SafetensorError, deserialize
    except ImportError as error:
        raise ValueError(
            f"{path}: safetensors is not installed; run pip install safetensors."
        ) from error
    try:
        found = deserialize(Path(path).read_bytes())
    except SafetensorError as error:
        raise ValueError(f"{path}: it is damaged ({error}); copy it again.") from error
    for name, held in found:
        if held["dtype"] not in SAFETENSORS:
            raise ValueError(
                f"{path}: {printable(name)} is stored as {held['dtype']}; expected one of "
                f"{few(list(SAFETENSORS), 12)}."
            )
        if math.prod(max(size, 1) for size in held["shape"]) >= 2**60:  # more than numpy counts
            raise ValueError(
                f"{path}: it is damaged ({printable(name)} has shape {short(held['shape'])}); copy "
                "it again."
            )
    return {
        name: numbers_of(held["data"], SAFETENSORS[held["dtype"]]).reshape(held["shape"])
        for name, held in found
    }


def numbers_of(content: bytes, dtype: str) -> np.ndarray:
    """The numbers in a file; bfloat16, which is the upper half of a float32, as float32."""
    if dtype != "bf16":
        return np.frombuffer(content, f"<{dtype}")
    return (np.frombuffer(content, "<u2").astype("u4") << 16).view("f4")
