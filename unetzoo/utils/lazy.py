"""Public names that are imported when they are used, and listed before."""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def lazy(
    package: str, names: Mapping[str, str], modules: Iterable[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its ``__name__``.
        names: public names, each with where it is defined, as ``package.module:name``.
        modules: the package's own public modules.

    >>> __getattr__, __dir__ = lazy("unetzoo", {"deal": "unetzoo.data.splits:folds"}, ["losses"])
    >>> __getattr__("deal").__name__
    'folds'
    """
    modules = frozenset(modules)

    def get(name: str) -> Any:
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        if name in names:
            module, _, defined = names[name].partition(":")
            return getattr(importlib.import_module(module), defined)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def listed() -> list[str]:
        here = sys.modules[package]
        return sorted({*here.__all__, *names, *modules, *(n for n in vars(here) if n[:2] == "__")})

    return get, listed
