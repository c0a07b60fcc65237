"""What the description in a file of PyTorch may name: tensors, numbers, and what holds them.

Source: PyTorch 2.13, ``torch._utils`` and ``torch.jit._pickle``; numpy 2.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unetzoo.interop.pickled import SIMPLE, Name, Refused

AXES = 64  # of a tensor, as in numpy
STORAGES = {
    "torch.DoubleStorage": "f8", "torch.FloatStorage": "f4", "torch.HalfStorage": "f2",
    "torch.BFloat16Storage": "bf16", "torch.LongStorage": "i8", "torch.IntStorage": "i4",
    "torch.ShortStorage": "i2", "torch.CharStorage": "i1", "torch.ByteStorage": "u1",
    "torch.BoolStorage": "b1",
}  # fmt: skip
SCALARS = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1")


@dataclass(frozen=True)
class Storage:
    """The numbers that one or more tensors look at."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class Tensor:
    """Where a tensor's numbers stand in their storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in numbers


@dataclass
class Dtype:
    """A dtype of numpy as a pickle makes it: first its name, then its order of bytes."""

    name: str
    order: str = "<"

    def build(self, state: Any) -> None:
        if state[1] not in ("<", ">", "|"):
            raise ValueError("an order of bytes that is none")
        self.order = state[1].replace("|", "<")


def stored(words: Any) -> Storage:
    """What a persistent id says of a storage."""
    word, kind, key, _, count = words
    if word != "storage" or not isinstance(kind, Name) or not isinstance(key, str):
        raise ValueError("a storage of no kind")
    if kind.path not in STORAGES:
        raise Refused(f"it stores {kind.path}")
    return Storage(key, STORAGES[kind.path], _count(count))


def _count(number: Any) -> int:
    if type(number) is not int:
        raise ValueError(f"a {type(number).__name__} for a number")
    if not 0 <= number < 2**62:
        raise ValueError(f"{str(number)[:20]} numbers")
    return number


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Tensor:
    """A view of a storage, which must lie within it and repeat nothing."""
    if not isinstance(storage, Storage):
        raise TypeError("a tensor of no storage")
    if not len(shape) == len(strides) <= AXES:
        raise ValueError(f"{len(shape)} sizes and {len(strides)} strides")
    offset, shape, strides = _count(offset), tuple(map(_count, shape)), tuple(map(_count, strides))
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    numbers = math.prod(shape)
    if math.prod(max(size, 1) for size in shape) >= 2**60:  # more than numpy counts
        raise ValueError(f"a tensor {shape}")
    if numbers and (last >= storage.count or numbers > storage.count):
        raise ValueError(f"a tensor {shape} that leaves its {storage.count:,} numbers")
    return Tensor(storage, offset if numbers else 0, shape, strides)


def _scalar(dtype: Any, content: Any) -> int | float | bool:
    """A number of numpy's, as Python's."""
    return np.frombuffer(content, f"{dtype.order}{dtype.name}")[0].item()


def _dtype(name: Any, *_: Any) -> Dtype:
    if name not in SCALARS:
        raise Refused(
            f"it has a dtype {name[:20]!r}" if isinstance(name, str) else "it has no dtype"
        )
    return Dtype(name)


def _device(kind: Any, number: int | None = None) -> str:
    if not isinstance(kind, str):
        raise TypeError("a device of no kind")
    return kind[:20] if number is None else f"{kind[:20]}:{_count(number)}"


def _ordered(items: Any = ()) -> dict[Any, Any]:
    made = {}
    for key, value in items:
        if not isinstance(key, SIMPLE):
            raise TypeError(f"a key of a dict that is a {type(key).__name__}")
        made[key] = value
    return made


KNOWN: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda tensor, *rest: tensor,
    "torch.device": _device,
    "torch.Size": tuple,
    "numpy.dtype": _dtype,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "_codecs.encode": lambda text, encoding: text.encode("latin1"),
    "torch.jit._pickle.restore_type_tag": lambda value, kind: value,
    "torch.jit._pickle.build_intlist": list,
    "torch.jit._pickle.build_doublelist": list,
    "torch.jit._pickle.build_boollist": list,
    "torch.jit._pickle.build_tensorlist": list,
    **{name: lambda *_: None for name in STORAGES},
}
