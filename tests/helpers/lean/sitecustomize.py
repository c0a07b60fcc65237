"""Every Python that a test starts loads Keras as the commands do, which takes half of the time.

Keras looks for these libraries while it is imported; nothing that a test starts needs them there.
The process of the tests itself, and who imports them by name, has them. It is as in
``unetzoo.utils.absent``, which cannot be imported before unetzoo is.
"""

import os
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec

LOOKED_FOR = {"jax", "matplotlib", "pandas", "sklearn"} - {os.environ.get("KERAS_BACKEND")}


class NotForKeras(MetaPathFinder, Loader):
    def find_spec(self, name, path=None, target=None):
        keras = getattr(sys.modules.get("keras"), "__spec__", None)
        loading = getattr(keras, "_initializing", False)
        return ModuleSpec(name, self) if loading and name in LOOKED_FOR else None

    def exec_module(self, module):
        raise ModuleNotFoundError(f"No module named {module.__name__!r}", name=module.__name__)


sys.meta_path.insert(0, NotForKeras())
