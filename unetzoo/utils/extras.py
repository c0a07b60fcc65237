"""Libraries that only some files need: imported where they are used."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType


class MissingExtra(ValueError):
    """A library is not installed that a file needs."""


def extra(module: str, what: str, name: str) -> ModuleType:
    """A library of an extra of this package.

    Raises: ValueError, one sentence with the command that installs it.

    >>> extra("none_such", "DICOM", "itk")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    unetzoo.utils.extras.MissingExtra: none_such is not installed: DICOM needs it; run pip ...
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise MissingExtra(
            f"{module} is not installed: {what} needs it; run pip install 'unetzoo[{name}]'."
        ) from None


@contextmanager
def explained(path: Path, library: str, advice: str, verb: str = "read") -> Iterator[None]:
    """Turn whatever a library raises for a damaged file into a sentence that names the file.

    Args:
        path: of the file.
        library: its name.
        advice: what to do.
        verb: what cannot be done.

    >>> with explained(Path("a.tif"), "tifffile", "export it again"):
    ...     raise KeyError("no pages")
    Traceback (most recent call last):
    ...
    ValueError: a.tif: tifffile cannot read it ('no pages'); export it again.
    """
    try:
        yield
    except (OSError, MemoryError, MissingExtra):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise ValueError(f"{path}: {library} cannot {verb} it ({reason}); {advice}.") from error
