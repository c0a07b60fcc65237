"""The networks by name: list them, read their cards, build them, or only their skeleton."""

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

if TYPE_CHECKING:
    import keras


Function = TypeVar("Function", bound=Callable[..., Any])


NEEDING_WEIGHTS = (
    "fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch", "save",
    "save_weights", "load_weights", "get_weights", "set_weights", "export", "call",
)  # fmt: skip


def list_models(pattern: str = "*") -> list[str]:
    """The ids that contain a text or match a pattern (fnmatch), sorted.

    "2d" and "3d" find the networks that take as many axes of space, whatever their ids.

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

    Raises: ValueError for an unknown name.

    >>> card("unet3d-90m").trainable_params
    90309763
    """
    return CARDS[_builder(name).__name__]


class _Own:
    """Stands in a signature for a default that each network has for itself."""

    def __repr__(self) -> str:
        return "..."


def _shows_arguments(function: Function) -> Function:
    """Let ``help`` and Tab show the arguments that every builder takes."""
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
    """A network of the zoo, as a plain ``keras.Model`` with fresh weights.

    ``print(card(name))`` lists all its arguments with their defaults; what each does stands in the
    builder's own docstring, ``help(unetzoo.models.unet3d_90m)``, which can be called itself.

    Args:
        name: an id of ``list_models()``; hyphens are accepted.
        arguments: of its builder: ``input_shape`` (channels last, spatial sizes may be None),
            ``num_classes``, ``norm`` ("batch", "instance", "group", None), ``dropout`` (a rate),
            ``activation`` (None: logits), ``name``, and what else its own docstring lists.

    Returns: a model from ``(B, *spatial, channels)`` to ``(B, *spatial, num_classes)``; with
        ``deep_supervision=True`` to a list of these, the full-size one first.
    Raises: ValueError for an unknown name or a value that cannot work, TypeError for an
        unknown argument.

    >>> build("unet2d_small", num_classes=2).output_shape
    (None, 128, 128, 2)
    """
    return _builder(name)(**arguments)


@_shows_arguments
def skeleton(name: str, /, **arguments: Any) -> "keras.Model":
    """The same graph as ``build``, without weights: shapes, names and counts, no memory.

    It is for looking at: it has no weights to run, train or save with, and says so. Arguments and
    errors are those of ``build``.

    >>> skeleton("unet3d_90m").count_params()
    90321539
    """
    builder = _builder(name)
    with without_weights():
        model = builder(**arguments)
    for method in NEEDING_WEIGHTS:
        setattr(model, method, functools.partial(_refuse, model.name, method))
    return model


def _refuse(name: str, method: str, *_: Any, **__: Any) -> None:
    raise ValueError(
        f"{method} of {name!r}: it is a skeleton, without weights; expected a network of "
        "unetzoo.build."
    )


def check_arguments(name: str, /, **arguments: Any) -> None:
    """Whether ``build`` takes them: its errors, without Keras but for an activation's name.

    >>> check_arguments("unet2d_small", num_classes=2)
    """
    _builder(name).completed(**arguments)  # type: ignore[attr-defined]


@contextmanager
def without_weights() -> Iterator[None]:
    """What is built inside gets no weights, now or later.

    Keras keeps a list of the variables that a stateless scope leaves without a value, and gives
    them one when the next such scope ends, in any later call of a layer. Those are taken off it.
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
        raise ValueError(f"network {name!r}: expected a name of the zoo; {near}.")
    return builder_in(importlib.import_module(f"unetzoo.models.{key}"))
