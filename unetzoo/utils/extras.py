"""Libraries that only some files need: imported where they are used."""

from importlib import import_module
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
