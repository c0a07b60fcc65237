"""Users' own networks, which they name as ``pkg.module:build``."""

import importlib
from collections.abc import Callable
from operator import attrgetter
from typing import Any


class SpecError(ValueError):
    """A name ``pkg.module:build`` that leads to no function."""


def split_spec(spec: str) -> tuple[str, str]:
    """The module and the function of ``pkg.module:build``. Nothing is imported.

    Raises: SpecError, a ValueError, for another form.

    >>> split_spec("nets.small:build")
    ('nets.small', 'build')
    """
    module, _, function = spec.partition(":")
    words = [*module.split("."), *function.split(".")]
    if not all(word.isidentifier() for word in words):
        raise SpecError(f"{spec!r}: expected MODULE:FUNCTION, such as pkg.module:build.")
    return module, function


def find_builder(spec: str) -> Callable[[], Any]:
    """The function, imported from its module.

    What the module itself raises while it is imported is raised here too.

    Raises: SpecError, a ValueError, if there is no such module or function.

    >>> find_builder("unetzoo.models.unet2d_small:unet2d_small").__name__
    'unet2d_small'
    """
    name, function = split_spec(spec)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not error.name or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise SpecError(
            f"{spec!r}: no module {error.name!r}; start in the folder that holds it, or install it."
        ) from None
    try:
        builder = attrgetter(function)(module)
    except AttributeError:
        raise SpecError(f"{spec!r}: {name!r} has no {function!r}; check the name.") from None
    if not callable(builder):
        raise SpecError(
            f"{spec!r}: expected a function that returns a Keras model, found "
            f"{type(builder).__name__}."
        )
    return builder


def built(builder: Callable[[], Any]) -> Any:
    """What the builder returns, called with no arguments and, if possible, without weights.

    A builder that needs its weights, to run the network or to change them, raises without them. It
    is then called a second time, with weights, and only what it raises then is raised here. A
    builder that keeps its model (``functools.cache``) gets weights, because others will use it.
    """
    from unetzoo.registry import without_weights

    if not hasattr(builder, "cache_info"):
        try:
            with without_weights():
                return builder()
        except (Exception, SystemExit):
            pass  # the second call decides
    return builder()
