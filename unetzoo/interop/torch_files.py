"""Files that PyTorch has written, read with numpy alone.

A ``.pth`` file is a zip: ``data.pkl`` describes what was saved, and the numbers of each tensor are
a member of their own. Nothing in it is executed (``unetzoo.interop.pickled``), and no tensor takes
more memory than it has in the file.

Source: PyTorch 2.13, ``torch.save`` and ``torch.jit.save``; nnU-Net 2.8.1, ``save_checkpoint``.
"""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, is_zipfile

import numpy as np

from unetzoo.interop.pickled import Name, Object, Refused, follow, walk
from unetzoo.interop.safetensors_files import numbers_of, read_safetensors
from unetzoo.interop.torch_names import KNOWN, Dtype, Storage, Tensor, stored
from unetzoo.utils.files import missing
from unetzoo.utils.text import few, printable

EXPECTED = "expected tensors, numbers and texts alone, such as a state_dict that torch.save wrote"
FAULTS = (
    ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError,
    struct.error, BadZipFile, EOFError, NotImplementedError, AssertionError,
)  # fmt: skip  # what a damaged zip or description makes zipfile, pickletools and numpy raise
MOST = 64 * 2**20  # bytes of the description


def read_torch(path: "str | PathLike[str]", without: Sequence[str] = ()) -> Any:
    """What ``torch.save`` has written: containers, numbers, texts, and tensors as numpy arrays.

    Tensors that share their numbers in PyTorch share them here.

    Args:
        path: of the ``.pth`` or ``.pt`` file; of TorchScript too, whose modules are dicts of what
            they hold.
        without: keys of the outermost dict that are left out, and not read.

    Raises: ValueError for what is no such file, is damaged, or names a class or a function other
        than those that make tensors, numpy's numbers, and ordered dicts.
    """
    with _opened(path) as file:
        saved = file.description()
        if isinstance(saved, dict):
            saved = {key: value for key, value in saved.items() if key not in without}
        return file.arrays(saved)


def read_state_dict(path: "str | PathLike[str]", key: str | None = None) -> dict[str, np.ndarray]:
    """The weights in a file, by their names in PyTorch.

    Args:
        path: a ``.pth``, ``.pt``, ``.ckpt`` or TorchScript file, or ``.safetensors``.
        key: where a file holds several, which; None for the only one.

    Returns: numpy arrays in PyTorch's order of axes, float32 for what is stored as bfloat16.
    Raises: ValueError for what is no such file or is damaged, or holds no weights or several
        groups of them.

    >>> import tempfile
    >>> from safetensors.numpy import save_file
    >>> path = f"{tempfile.mkdtemp()}/net.safetensors"
    >>> save_file({"conv.weight": np.ones((2, 1, 3, 3), "float32")}, path)
    >>> read_state_dict(path)["conv.weight"].shape
    (2, 1, 3, 3)
    """
    if Path(path).suffix == ".safetensors":
        return read_safetensors(path)
    with _opened(path) as file:
        saved = file.description()
        groups = _groups(saved)
        if key is not None and key not in groups:
            raise Refused(f"it has no weights under {key!r}, but {few(list(groups)) or 'none'}")
        if not groups or (key is None and len(groups) > 1):
            held = (
                f"{few(list(groups))} (key=... says which)" if groups else "no tensors with names"
            )
            raise Refused(f"it holds {held}")
        chosen = groups[next(iter(groups)) if key is None else key]
        return file.arrays(chosen)


def _groups(saved: Any) -> dict[str, dict[str, Tensor]]:
    """Tensors by their names, for each key that holds some; under "" what the whole holds.

    What lies beside such keys, a number of epochs or a best loss, is none of the weights.
    """
    if isinstance(saved, dict):
        found = {str(key): _tensors(held, deep=False) for key, held in saved.items()}
        groups = {key: tensors for key, tensors in found.items() if tensors}
        if groups or not any(isinstance(held, Tensor) for held in saved.values()):
            return groups
    tensors = _tensors(saved, deep=True)
    return {"": tensors} if tensors else {}


def _tensors(saved: Any, deep: bool) -> dict[str, Tensor]:
    return {
        ".".join(path): value
        for path, value in walk(saved)
        if isinstance(value, Tensor) and (deep or len(path) == 1)
    }


@contextmanager
def _opened(path: "str | PathLike[str]") -> "Iterator[_File]":
    """A file to be read; whatever is wrong with it is one sentence that names it."""
    if reason := missing(path):
        raise ValueError(f"{path}: {reason}; {EXPECTED}.")
    if not is_zipfile(path):
        raise ValueError(
            f"{path}: not a file of PyTorch 1.6 or later, or damaged; {EXPECTED} (load an older "
            "one in PyTorch and save it again)."
        )
    try:
        with ZipFile(path) as archive:
            yield _File(archive, Path(path).stat().st_size)
    except Refused as error:
        raise ValueError(f"{path}: {printable(str(error))}; {EXPECTED}.") from error
    except FAULTS as error:
        raise ValueError(f"{path}: it is damaged ({_reason(error)}); copy it again.") from error


def _reason(error: Exception) -> str:
    return printable(" ".join(str(error).split())[:120]) or type(error).__name__


class _File:
    """A zip that torch has written."""

    def __init__(self, archive: ZipFile, size: int) -> None:
        self.archive = archive
        self.members = {member.filename: member for member in archive.infolist()}
        descriptions = [name for name in self.members if name.endswith("/data.pkl")]
        if len(descriptions) != 1:
            raise ValueError("it has no data.pkl")
        self.root = descriptions[0].removesuffix("data.pkl")
        stored = [m.file_size for m in self.members.values() if m.compress_type == ZIP_STORED]
        if sum(stored) > size:
            raise ValueError("its parts are larger than itself")
        self.storages: dict[Storage, np.ndarray] = {}

    def description(self) -> Any:
        if (size := self.members[f"{self.root}data.pkl"].file_size) > MOST:
            raise ValueError(f"a description of {size:,} bytes")
        return follow(
            self.content("data.pkl"), KNOWN, lambda path: path.startswith("__torch__."), stored
        )

    def content(self, name: str) -> bytes:
        """A member as it stands in the file; torch packs none of those that are read here."""
        member = self.members[self.root + name]
        if member.compress_type != ZIP_STORED:
            raise Refused(f"{member.filename[:80]} is packed")
        try:
            return self.archive.read(member)
        except OSError as error:  # a place before the file's beginning
            raise ValueError(str(error)) from error

    def arrays(self, value: Any) -> Any:
        """The same with numpy arrays for tensors and dicts for modules; what is shared stays so."""
        done: dict[int, Any] = {}

        def made(value: Any) -> Any:
            if id(value) in done:
                return done[id(value)]
            match value:
                case Tensor():
                    return done.setdefault(id(value), self.array(value))
                case dict() | Object():
                    inner = value.state if isinstance(value, Object) else value
                    new = done[id(value)] = {}
                    new.update({key: made(held) for key, held in inner.items()})
                    return new
                case list() | tuple():
                    return done.setdefault(id(value), type(value)(made(held) for held in value))
                case Name():
                    return value.path
                case Dtype():
                    return value.name
            return value

        return made(value)

    def array(self, tensor: Tensor) -> np.ndarray:
        numbers = self.numbers(tensor.storage)
        return np.lib.stride_tricks.as_strided(
            numbers[tensor.offset :],
            tensor.shape,
            [step * numbers.itemsize for step in tensor.strides],
            writeable=False,
        )

    def numbers(self, storage: Storage) -> np.ndarray:
        if storage not in self.storages:
            content = self.content(f"data/{storage.key}")
            size = 2 if storage.dtype == "bf16" else np.dtype(storage.dtype).itemsize
            if len(content) != storage.count * size:
                raise ValueError(f"{storage.count:,} numbers in another number of bytes")
            self.storages[storage] = numbers_of(content, storage.dtype)
        return self.storages[storage]
