"""Names of arrays within a file or a folder: ``scan.h5:/raw`` and ``scan.ome.zarr/1``."""

from pathlib import Path

CONTAINERS = (".zarr", ".h5", ".hdf5")


def container_of(path: Path | str) -> Path:
    """The file or folder on the disk that a path leads into; of other paths the path itself.

    >>> container_of("scans/a.h5:/raw"), container_of("a.ome.zarr/1"), container_of("a.nii.gz")
    (PosixPath('scans/a.h5'), PosixPath('a.ome.zarr'), PosixPath('a.nii.gz'))
    """
    return _parts(Path(path))[0]


def inside_of(path: Path | str) -> str:
    """The name within it; "" for none.

    >>> inside_of("scans/a.h5:/raw/volume"), inside_of("a.ome.zarr")
    ('raw/volume', '')
    """
    return _parts(Path(path))[1]


def _parts(path: Path) -> tuple[Path, str]:
    for number, part in enumerate(path.parts, 1):
        name = part.removesuffix(":")
        inside = path.parts[number:]
        plain = name == part and name.lower().endswith(".zarr") and "." not in "".join(inside)
        if name.lower().endswith(CONTAINERS) and (plain or not inside or name != part):
            return Path(*path.parts[: number - 1], name), "/".join(inside)
    return path, ""
