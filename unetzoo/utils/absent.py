"""Libraries that others only look for, left out while these are imported."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


@contextmanager
def absent(*libraries: str) -> Iterator[None]:
    """Within it an import of these libraries fails, as where they are not installed.

    Args:
        libraries: names of top-level packages; those that are imported already stay.

    Example:
        >>> with absent("antigravity"):
        ...     import antigravity
        Traceback (most recent call last):
        ...
        ModuleNotFoundError: No module named 'antigravity'
    """
    finder = _Finder(libraries)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Who only asks whether a library is there is told so; who imports it gets an ImportError."""

    def __init__(self, libraries: Sequence[str]) -> None:
        self.libraries = libraries

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, _Loader()) if name in self.libraries else None


class _Loader(Loader):
    def exec_module(self, module: ModuleType) -> None:
        raise ModuleNotFoundError(f"No module named {module.__name__!r}", name=module.__name__)
