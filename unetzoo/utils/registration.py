"""Registers our layers, losses, metrics and optimizers as soon as Keras is imported, quietly."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from unetzoo.utils.quiet import tensorflow_silenced

# Importing them registers their classes.
MODULES = (
    "unetzoo.layers",
    "unetzoo.losses",
    "unetzoo.metrics",
    "unetzoo.training.optimizers",
)


def register_with_keras() -> None:
    """Register all classes: now if Keras is imported, or else when it is."""
    if "keras" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _KerasWatch())


def _register() -> None:
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:  # one of our modules is itself importing Keras
            if "partially initialized" not in str(error):
                raise


class _KerasWatch(MetaPathFinder):
    """Finds no module itself: it waits until others load Keras, and then removes itself."""

    looking = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "keras" or self.looking:
            return None
        self.looking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.looking = False
        loader: Any = spec and spec.loader
        if loader is not None:
            run = loader.exec_module

            def run_and_register(module: ModuleType) -> None:
                with tensorflow_silenced():
                    run(module)
                with suppress(ValueError):
                    sys.meta_path.remove(self)
                _register()

            loader.exec_module = run_and_register
        return spec
