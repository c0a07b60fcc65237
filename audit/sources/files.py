"""Which reader takes a file that is no text: weights, exported networks, nnU-Net's plans."""

import importlib
from collections.abc import Callable
from pathlib import Path

from audit.tables import Table
from unetzoo.utils.files import missing

MODULES = {
    ".pth": "weights", ".pt": "weights", ".ckpt": "weights", ".safetensors": "weights",
    ".onnx": "onnx_file", ".tflite": "tflite_file", ".zip": "nnunet",
}  # fmt: skip


def kind_of(source: Path | str) -> str:
    """The module that reads a file or a folder; empty for a text, and what names no file.

    >>> kind_of("net.onnx"), kind_of("README.md")
    ('onnx_file', '')
    """
    try:
        return "" if "\n" in str(source) else _kind_of(Path(source))
    except (OSError, ValueError):  # no possible name
        return ""


def _kind_of(path: Path) -> str:
    if path.is_dir():
        return "nnunet" if any(path.glob("plans.json")) or any(path.glob("*/plans.json")) else ""
    if path.name.lower().endswith("plans.json"):
        return "nnunet" if path.is_file() else ""
    return MODULES.get(path.suffix.lower(), "")


def table_of(path: Path) -> Table:
    """The table of such a file.

    Raises: ValueError for a file that is not there, is damaged, or is not what its name says.
    """
    if not path.is_dir() and (reason := missing(path)):
        raise ValueError(f"{path}: {reason}.")
    module = importlib.import_module(f"audit.sources.{kind_of(path)}")
    read: Callable[[Path], Table] = module.table_of
    return read(path)
