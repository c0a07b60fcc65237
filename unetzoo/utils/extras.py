"""Libraries that only some files need: imported where they are used."""

from importlib import import_module
from types import ModuleType


def extra(module: str, what: str, name: str) -> ModuleType:
    """A library of an extra of this package.

    Raises: ValueError, one sentence with the command that installs it.

    >>> extra("none_such", "DICOM", "itk")
    Traceback (most recent call last):
    ...
    ValueError: none_such is not installed: DICOM needs it; run pip install 'unetzoo[itk]'.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise ValueError(
            f"{module} is not installed: {what} needs it; run pip install 'unetzoo[{name}]'."
        ) from None
