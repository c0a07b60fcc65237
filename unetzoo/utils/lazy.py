"""Public names that are imported when they are first used, but listed before."""

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def lazy(
    package: str, names: Mapping[str, str], modules: Iterable[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` for a package.

    Args:
        package: its ``__name__``.
        names: public names, each with the place of its definition, as ``package.module:name``.
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

    return get, listed(package, modules)


def listed(package: str, modules: Iterable[str] = ()) -> Callable[[], list[str]]:
    """``__dir__`` for a package: the names of its ``__all__``, and its own public modules.

    Its other modules are left out, although they are attributes once they are imported.

    >>> "targets" in listed("unetzoo.losses")()
    False
    """
    modules = frozenset(modules)

    def names() -> list[str]:
        module = importlib.import_module(package)
        return sorted({*module.__all__, *modules, *(n for n in vars(module) if n[:2] == "__")})

    return names
