"""One module per network, named after it, to be read top to bottom like its document."""

import pkgutil

from unetzoo.utils.lazy import lazy

__all__: list[str] = []
__getattr__, __dir__ = lazy(
    __name__, {}, [module.name for module in pkgutil.iter_modules(__path__)]
)
