"""What stands in a ``.keras`` file, looked at before Keras is loaded and reads it.

Anybody may have written the file. A zip states what its members unpack to, and an HDF5 file how
large its data sets are; neither has to be true. So a member is unpacked in pieces and no further
than it says, and data sets are looked at, not read.
"""

import copy
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo, is_zipfile

from unetzoo.utils.files import missing
from unetzoo.utils.json_values import parsed

MOST = 64 * 2**20  # bytes of a text; of all that is in a file that is small itself
RATIO = 10  # of what is in a larger file to the file; Keras packs nothing
PIECE = 2**20  # bytes
CONFIG, WEIGHTS = "config.json", "model.weights.h5"


def check_saved(path: "str | PathLike[str]", weights: bool = True) -> dict[str, Any]:
    """Whether a file is a model that Keras has saved, undamaged; without Keras.

    Args:
        path: of the ``.keras`` file.
        weights: whether they will be read; else only the network's description is looked at.

    Returns: the network's description, its ``config.json``.
    Raises: ValueError where there is no such file, where it is damaged or lies about its sizes, or
        where it unpacks to more than 64 MiB and ten times its own size, or has a text over 64 MiB.
    """
    if reason := missing(path):
        raise ValueError(f"{path}: {reason}; expected a model saved as .keras.")
    if not is_zipfile(path):
        raise ValueError(f"{path}: expected a model saved as .keras: it is none, or damaged.")
    with reading_model(path), ZipFile(path) as archive:
        members = _members(archive, Path(path).stat().st_size)
        for name in (CONFIG, WEIGHTS) if weights else (CONFIG,):
            if name not in members:
                raise _Fault(f"it has no {name}")
        config = parsed(_unpacked(archive, members[CONFIG]).getvalue())
        if not isinstance(config, dict):
            raise _Fault(f"{CONFIG} describes no network")
        if weights:
            for name, member in members.items():
                content = _unpacked(archive, member, keep=name == WEIGHTS)
                if name == WEIGHTS:
                    _check_data_sets(content)
    return config


class _Fault(ValueError):
    """A sentence of our own."""


@contextmanager
def reading_model(path: "str | PathLike[str]") -> Iterator[None]:
    """Whatever a file makes Keras or zipfile raise, as a ValueError of one sentence that names it.

    Raises: ValueError; MemoryError as it is.
    """
    try:
        yield
    except Exception as error:
        from unetzoo.utils.console import out_of_memory

        if out_of_memory(error):
            raise
        reason = _reason(error)
        raise ValueError(f"{path}: expected a model saved as .keras: {reason}.") from error


def _reason(error: Exception) -> str:
    """What is wrong with a file, in plain words; Keras's own are those of its code."""
    text = str(error)
    if isinstance(error, _Fault):
        return text
    if unknown := re.search(r"Could not locate class '(\w+)'", text):
        return f"it holds a layer of an unknown class, {unknown[1]}; import its module first"
    if "Lambda" in text:
        return "it holds a Lambda layer, whose code is not run; save the network without it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it is damaged, or was saved by another version of Keras"


def _members(archive: ZipFile, size: int) -> dict[str, ZipInfo]:
    """The members of a file of so many bytes, by name, by the sizes that they state.

    Raises: _Fault for what Keras does not write, or for too much.
    """
    members = {member.filename: member for member in archive.infolist()}
    for name, member in members.items():
        if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise _Fault(f"{name[:40]} is packed in another way than Keras or zip do it")
        if name.endswith(".json") and member.file_size > MOST:
            raise _Fault(f"{name[:40]} has {member.file_size:,} bytes; expected {MOST:,} at most")
    most = max(MOST, RATIO * size)
    if (total := sum(member.file_size for member in archive.infolist())) > most:
        raise _Fault(
            f"it unpacks from {size:,} bytes to {total:,}; expected {most:,} at most, {RATIO} "
            f"times its size or {MOST:,}"
        )
    return members


def _unpacked(archive: ZipFile, member: ZipInfo, keep: bool = True) -> io.BytesIO:
    """What a member holds, or nothing of it: read to its end, where its checksum is compared.

    Raises: _Fault where it goes on after the size that it states.
    """
    longer = copy.copy(member)
    longer.file_size += PIECE  # zipfile silently cuts off what is more than it takes as true
    kept, size = io.BytesIO(), 0
    with archive.open(longer) as file:
        while piece := file.read(PIECE):
            size += len(piece)
            if size > member.file_size:
                raise _Fault(
                    f"{member.filename[:40]} unpacks to more than the {member.file_size:,} bytes "
                    "that it states"
                )
            if keep:
                kept.write(piece)
    if size < member.file_size:
        raise _Fault(f"{member.filename[:40]} has {size:,} of its {member.file_size:,} bytes")
    return kept


def _check_data_sets(file: io.BytesIO) -> None:
    """Whether the weights lie in a file as Keras writes them, whole and not packed.

    Raises: _Fault for a data set that holds fewer bytes than it gives when it is read.
    """
    import h5py

    total = 0

    def look(name: str, found: Any) -> None:
        nonlocal total
        if isinstance(found, h5py.Dataset):
            given, held = found.nbytes, found.id.get_storage_size()
            total += given
            if found.chunks or found.external or found.is_virtual or held < given:
                raise _Fault(
                    f"{WEIGHTS}: {name[-80:]} gives {given:,} bytes and holds {held:,}; expected "
                    "weights as Keras saves them, not packed"
                )

    with h5py.File(file, "r") as weights:
        weights.visititems(look)
    if total > (size := file.getbuffer().nbytes):
        raise _Fault(f"{WEIGHTS} gives {total:,} bytes of weights and holds {size:,}")
