"""What ITK believes in the text of a header: where the data lie, and how many they are."""

import re
from collections.abc import Callable
from pathlib import Path

from unetzoo.data.io.volume_file import DEFLATE
from unetzoo.utils.files import missing

LONGEST = 2**20  # bytes of a header
BZIP2 = 50_000  # bzip2's highest compression ratio, about
TEXT = 8  # "0 " is a number of 8 bytes, at most, with some room


def check_header(path: Path) -> Callable[[int], None]:
    """Check that a header's data are in its own folder.

    Returns: a check of the number of bytes that the header promises.
    Raises: ValueError for a file that is not there, and for data elsewhere or in several files.
    """
    if reason := missing(path):
        raise ValueError(f"{path}: {reason}; expected a volume.")
    data, ratio = data_file(path), _ratio(path)
    size = data.stat().st_size

    def promised(count: int) -> None:
        if size * ratio < count:
            raise ValueError(
                f"{path}: {size} bytes of data in {data.name}, but its header needs {count}; the "
                "file is cut off or its header wrong: copy or download it again."
            )

    return promised


def data_file(path: Path) -> Path:
    """The file that holds a header's data: itself, or one in the same folder.

    Raises: ValueError for data elsewhere, in several files, or not there.
    """
    fields = header_fields(path)
    name = next((fields[key] for key in ("elementdatafile", "data file", "datafile")
                 if key in fields), "LOCAL")  # fmt: skip
    if name.upper() == "LOCAL":
        return path
    beside = path.parent / name
    folder = path.parent.resolve()
    if "%" in name or name.upper().startswith("LIST") or beside.resolve().parent != folder:
        raise ValueError(
            f"{path}: its data are in {name!r}; expected one file in the header's own folder: "
            "export it again as one file."
        )
    if reason := missing(beside):
        raise ValueError(f"{path}: its data are in {name!r}, but {reason}; copy it, too.")
    return beside


def header_fields(path: Path) -> dict[str, str]:
    """The fields of a header of text, in lower case; none of other files.

    Raises: ValueError for a header that does not end.
    """
    with path.open("rb") as stream:
        start = stream.read(LONGEST)
    if path.name.lower().endswith((".gipl", ".gz")):
        return {}
    fields: dict[str, str] = {}
    lines = start.split(b"\n")
    for line in lines[:-1] if len(start) == LONGEST else lines:
        if not line.strip() and b"NRRD" in start[:8]:  # the data follow an empty line
            return fields
        match = re.fullmatch(rb"\s*([^#:=][^:=]*?)\s*(?::=?|=)\s*(.*?)\s*", line)
        if match is None:
            continue
        key, value = (part.decode("latin-1") for part in match.groups())
        key = key.lower()
        fields[key] = f"{fields[key]}\n{value}" if key in fields else value
        if key == "elementdatafile":  # the last one of a MetaImage
            return fields
    if len(start) == LONGEST:
        raise ValueError(f"{path}: its header does not end; the file is damaged: export it again.")
    return fields


def _ratio(path: Path) -> int:
    """How many bytes one byte of the file may become."""
    fields = header_fields(path)
    if path.name.lower().endswith(".gz") or fields.get("compresseddata", "").lower() == "true":
        return DEFLATE
    if fields.get("binarydata", "").lower() == "false":
        return TEXT
    encoding = fields.get("encoding", "raw").lower()
    ratios = {"raw": 1, "gzip": DEFLATE, "gz": DEFLATE, "bzip2": BZIP2, "bz2": BZIP2}
    return ratios.get(encoding, TEXT)
