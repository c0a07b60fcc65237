"""A ``.keras`` file, checked before Keras is imported and reads it.

Anybody may have written the file. A zip file states the unpacked sizes of its members, and an HDF5
file the sizes of its data sets; neither has to be true. So a member is unpacked in pieces and no
further than its stated size, and the sizes of data sets are compared before anything is read.
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

MOST = 64 * 2**20  # bytes of a text, and of all members of a small file together
DESCRIPTION = 16 * 2**20  # bytes of a network's description, which may take 30 times that to read
RATIO = 10  # how many times its own size a larger file may unpack to; Keras does not compress
PIECE = 2**20  # bytes
CONFIG, WEIGHTS = "config.json", "model.weights.h5"


def check_saved(path: "str | PathLike[str]", weights: bool = True) -> dict[str, Any]:
    """Check that a file is a model saved by Keras, and undamaged; does not import Keras.

    Args:
        path: of the ``.keras`` file.
        weights: whether to check the weights too, or only the network's description.

    Returns: the network's description, its ``config.json``.
    Raises: ValueError where there is no such file, where it is damaged or its sizes are false,
        where it unpacks to more than both 64 MiB and ten times its own size, where a text in it is
        larger than 64 MiB, or where its description is larger than 16 MiB.
    """
    if reason := missing(path):
        raise ValueError(f"{path}: {reason}; expected a model saved as .keras.")
    if not is_zipfile(path):
        raise ValueError(f"{path}: not a .keras model, or damaged; save one with model.save.")
    with reading_model(path), ZipFile(path) as archive:
        members = checked_members(archive, Path(path).stat().st_size)
        for name in (CONFIG, WEIGHTS) if weights else (CONFIG,):
            if name not in members:
                raise Fault(f"it has no {name}")
        config = _description(archive, members[CONFIG])
        if weights:
            for name, member in members.items():
                content = unpacked_member(archive, member, keep=name == WEIGHTS)
                if name == WEIGHTS:
                    _check_data_sets(content)
    return config


def _description(archive: ZipFile, member: ZipInfo) -> dict[str, Any]:
    if (size := member.file_size) > DESCRIPTION:
        raise Fault(f"{CONFIG} has {size:,} bytes; expected {DESCRIPTION:,} at most")
    config = parsed(unpacked_member(archive, member).getvalue())
    if not isinstance(config, dict):
        raise Fault(f"{CONFIG} does not describe a network")
    return config


def weight_bytes(path: "str | PathLike[str]") -> int:
    """The stated size of the weights in a file, which ``check_saved`` has found true."""
    with ZipFile(path) as archive:
        return archive.getinfo(WEIGHTS).file_size


class Fault(ValueError):
    """What is wrong with the file, in our own words."""


@contextmanager
def reading_model(path: "str | PathLike[str]") -> Iterator[None]:
    """Turn whatever Keras or zipfile raise for a file into a ValueError of one sentence.

    Raises: ValueError; errors about too little memory or missing packages are raised as they are.
    """
    try:
        yield
    except Exception as error:
        from unetzoo.utils.console import out_of_memory

        if out_of_memory(error) or isinstance(error, ImportError):
            raise
        reason = _reason(error)
        raise ValueError(f"{path}: cannot be read as a .keras model: {reason}.") from error


def _reason(error: Exception) -> str:
    """What is wrong with a file, in plain words; Keras speaks of its own code."""
    text = str(error)
    if isinstance(error, Fault):
        return text
    if unknown := re.search(r"Could not locate class '(\w+)'", text):
        return f"it has a layer of an unknown class, {unknown[1]}; import its module first"
    if "Lambda" in text:
        return "it has a Lambda layer, whose code is not run; save the network without it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it is damaged, or was saved by another version of Keras"


def checked_members(archive: ZipFile, size: int) -> dict[str, ZipInfo]:
    """The members of a file of ``size`` bytes, by name.

    Raises: Fault for a kind of compression that Keras does not use, and for stated sizes that
        are too large.
    """
    members = {member.filename: member for member in archive.infolist()}
    for name, member in members.items():
        if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise Fault(f"{name[:40]} is compressed in a way that neither Keras nor zip uses")
        if name.endswith(".json") and member.file_size > MOST:
            raise Fault(f"{name[:40]} has {member.file_size:,} bytes; expected {MOST:,} at most")
    most = max(MOST, RATIO * size)
    if (total := sum(member.file_size for member in archive.infolist())) > most:
        raise Fault(
            f"it unpacks from {size:,} bytes to {total:,}; expected {most:,} at most, {RATIO} "
            f"times its size or {MOST:,}"
        )
    return members


def unpacked_member(archive: ZipFile, member: ZipInfo, keep: bool = True) -> io.BytesIO:
    """The content of a member, or nothing unless ``keep``, read to its end: the checksum is there.

    Raises: Fault where the member is longer or shorter than it states.
    """
    longer = copy.copy(member)
    longer.file_size += PIECE  # zipfile silently cuts off what is beyond the stated size
    content, size = io.BytesIO(), 0
    with archive.open(longer) as file:
        while piece := file.read(PIECE):
            size += len(piece)
            if size > member.file_size:
                raise Fault(
                    f"{member.filename[:40]} unpacks to more than its stated "
                    f"{member.file_size:,} bytes"
                )
            if keep:
                content.write(piece)
    if size < member.file_size:
        raise Fault(f"{member.filename[:40]} has {size:,} of its {member.file_size:,} bytes")
    return content


def _check_data_sets(file: io.BytesIO) -> None:
    """Check that a file holds its weights as Keras writes them, whole and not compressed.

    Raises: Fault for a data set that would give more bytes than the file holds of it.
    """
    import h5py

    total = 0

    def check_one(name: str, item: Any) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset):
            read, stored = item.nbytes, item.id.get_storage_size()
            total += read
            if item.chunks or item.external or item.is_virtual or stored < read:
                raise Fault(
                    f"{WEIGHTS}: {name[-80:]} gives {read:,} bytes and holds {stored:,}; expected "
                    "weights as Keras saves them, not compressed"
                )

    with h5py.File(file, "r") as weights:
        weights.visititems(check_one)
    if total > (size := file.getbuffer().nbytes):
        raise Fault(f"{WEIGHTS} gives {total:,} bytes of weights and holds {size:,}")
