"""The networks by name: list them, read their cards, build them or their skeletons."""

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any, TypeVar

from unetzoo import models
from unetzoo.cards import CARDS, Card, builder_in
from unetzoo.utils.arguments import closest
from unetzoo.utils.checks import check as check_value
from unetzoo.utils.text import short

if TYPE_CHECKING:
    import keras


Function = TypeVar("Function", bound=Callable[..., Any])


NEEDING_WEIGHTS = (
    "fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch", "save",
    "save_weights", "load_weights", "get_weights", "set_weights", "export", "call",
)  # fmt: skip


def list_models(pattern: str = "*") -> list[str]:
    """The ids of the networks, sorted: all, or those that fit a pattern.

    Args:
        pattern: part of an id, or a pattern of ``fnmatch``; "2d" and "3d" mean the networks that
            take two or three spatial axes, whatever their ids.

    Raises: ValueError for a pattern that is not a text.

    >>> list_models("unet2d_t*")
    ['unet2d_textbook']
    """
    check_value(isinstance(pattern, str), "pattern", pattern, "a text, such as '3d' or 'unet2d_*'")
    pattern = pattern.replace("-", "_")
    names = sorted(module.name for module in pkgutil.iter_modules(models.__path__))
    if pattern in ("2d", "3d"):
        return [name for name in names if int(pattern[0]) in card(name).ranks]
    return [name for name in names if pattern in name or fnmatch(name, pattern)]


def card(name: str) -> Card:
    """What is documented of a network: input, classes, counts, source, and what is assumed.

    Args:
        name: an id of ``list_models()``; hyphens are accepted.

    Raises: ValueError for an unknown name.

    >>> card("unet3d-90m").trainable_params
    90309763
    """
    return CARDS[_builder(name).__name__]


class _Own:
    """Stands in a signature for a default that differs between networks."""

    def __repr__(self) -> str:
        return "..."


def _shows_arguments(function: Function) -> Function:
    """Add to a signature, for ``help`` and Tab, the arguments that every builder takes."""
    common = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=_Own())
        for key in ("input_shape", "num_classes", "norm", "dropout", "activation")
    ]
    signature = inspect.signature(function)
    name, arguments = signature.parameters.values()
    function.__signature__ = signature.replace(parameters=[name, *common, arguments])  # type: ignore[attr-defined]
    return function


@_shows_arguments
def build(name: str, /, **arguments: Any) -> "keras.Model":
    """A network of the zoo, as a plain ``keras.Model`` with new random weights.

    ``print(card(name))`` lists the network's arguments with their defaults;
    ``help(unetzoo.models.unet3d_90m)`` explains them, and ``unetzoo.models.unet3d_90m(...)`` is
    another way to build it.

    Args:
        name: an id of ``list_models()``; hyphens are accepted.
        arguments: those of the network's builder: ``input_shape`` (channels last, spatial sizes
            may be None), ``num_classes``, ``norm`` ("batch", "instance", "group" or None),
            ``dropout`` (a rate), ``activation`` (None: logits), ``name``, and more of its own.

    Returns: a model from ``(B, *spatial, channels)`` to ``(B, *spatial, num_classes)``; with
        ``deep_supervision=True`` to a list of outputs, the full-size one first.
    Raises: ValueError for an unknown name or a value that cannot work; TypeError for an
        argument that the network does not have.

    >>> build("unet2d_small", num_classes=2).output_shape
    (None, 128, 128, 2)
    """
    return _builder(name)(**arguments)


@_shows_arguments
def skeleton(name: str, /, **arguments: Any) -> "keras.Model":
    """The same graph as ``build`` makes, without weights: shapes, names and counts at once.

    It is there to be looked at and takes next to no memory. Whatever needs weights (``fit``,
    ``predict``, ``save`` ..., also of its layers) raises a ValueError that says so. Arguments and
    errors are those of ``build``.

    >>> skeleton("unet3d_90m").count_params()
    90321539
    """
    builder = _builder(name)
    with without_weights():
        model = builder(**arguments)
    for method in NEEDING_WEIGHTS:
        setattr(model, method, functools.partial(_refuse, model.name, method))
    for weight in model.weights:
        weight._initializer = functools.partial(_only_traced, model.name, weight._initializer)
    return model


def _only_traced(name: str, initial: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Where Keras works out shapes, the value that it asks for; nowhere else is there one."""
    from keras.src.backend.common.symbolic_scope import in_symbolic_scope

    if not in_symbolic_scope():
        _refuse(name, "weights")
    return initial(*args, **kwargs)


def _refuse(name: str, method: str, *_: Any, **__: Any) -> None:
    raise ValueError(
        f"{method} of {name!r}: a skeleton has no weights; build the network with unetzoo.build."
    )


def check_arguments(name: str, /, **arguments: Any) -> dict[str, Any]:
    """All arguments of a builder, with their defaults, or the errors that ``build`` would raise.

    Imports Keras only to check an activation's name.

    >>> check_arguments("unet2d_small", num_classes=2)["input_shape"]
    (128, 128, 3)
    """
    return _builder(name).completed(**arguments)  # type: ignore[attr-defined]


@contextmanager
def without_weights() -> Iterator[None]:
    """What is built inside gets no weights, now or later.

    Keras keeps a list of the variables that a stateless scope leaves without values, and fills
    them when the next such scope ends, in any later call of a layer. This removes them from it.
    """
    import keras
    from keras.src.backend.common.global_state import get_global_attribute

    waiting = get_global_attribute("uninitialized_variables", [], set_to_default=True)
    before = len(waiting)
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        del waiting[before:]


def _builder(name: str) -> Callable[..., Any]:
    check_value(isinstance(name, str), "network", name, "a name of the zoo, such as 'unet3d_90m'")
    known = list_models()
    key = name.replace("-", "_")
    if key not in known:
        near = closest(key, known, "unetzoo list shows them")
        raise ValueError(f"network {short(name)}: expected a name of the zoo; {near}.")
    return builder_in(importlib.import_module(f"unetzoo.models.{key}"))
