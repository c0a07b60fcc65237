"""The networks by name: list them, read their cards, build them, or only their skeleton."""

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatch
from numbers import Integral
from os import PathLike
from typing import TYPE_CHECKING, Any

from unetzoo import models

if TYPE_CHECKING:
    import keras

NORMS = ("batch", "instance", "group", None)


@dataclass(frozen=True)
class Sizes:
    """The spatial sizes a network takes: step * n + smallest, n >= 0."""

    smallest: int
    step: int = 1

    def allow(self, size: int) -> bool:
        return size >= self.smallest and (size - self.smallest) % self.step == 0

    def nearest(self, size: int) -> set[int]:
        """The one or two allowed sizes next to a size."""
        if self.allow(size) or size <= self.smallest:
            return {max(size, self.smallest)}
        below = size - (size - self.smallest) % self.step
        return {below, below + self.step}

    def __str__(self) -> str:
        if self.step == 1:
            return f"sizes of at least {self.smallest}"
        return f"sizes of {self.step} n + {self.smallest}, n >= 0"


@dataclass(frozen=True)
class Card:
    """What is documented of a network, and what is assumed.

    ``parameters`` is PyTorch's count, ``with_moving`` Keras's, which adds the moving statistics of
    batch norm; both are those of the network at its defaults.
    """

    name: str
    source: str
    input_shape: tuple[int, ...]
    num_classes: int
    sizes: Sizes
    parameters: int
    with_moving: int
    stated: str
    assumed: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            self.name,
            f"  source      {self.source}",
            f"  input       {' x '.join(map(str, self.input_shape))} (channels last), {self.sizes}",
            f"  classes     {self.num_classes}",
            f"  parameters  {self.parameters:,} trainable (all that PyTorch counts)",
            f"              {self.with_moving:,} with the moving statistics that Keras counts too",
            f"  stated      {self.stated}",
        ]
        for number, assumption in enumerate(self.assumed):
            lines.append(f"  {'assumed' if number == 0 else '':<12}{assumption}")
        return "\n".join(lines)


_CARDS: dict[str, Card] = {}


def register(
    *,
    source: str,
    sizes: Sizes,
    parameters: int,
    with_moving: int,
    stated: str,
    assumed: tuple[str, ...],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a builder known under its function's name, and check its arguments at every call."""

    def decorate(builder: Callable[..., Any]) -> Callable[..., Any]:
        defaults = {
            key: value.default for key, value in inspect.signature(builder).parameters.items()
        }
        card = Card(
            name=builder.__name__,
            source=source,
            input_shape=defaults["input_shape"],
            num_classes=defaults["num_classes"],
            sizes=sizes,
            parameters=parameters,
            with_moving=with_moving,
            stated=stated,
            assumed=assumed,
        )
        _CARDS[card.name] = card

        @functools.wraps(builder)
        def checked(*args: Any, **kwargs: Any) -> Any:
            arguments = _bind(builder, args, kwargs)
            _check_arguments(card, arguments)
            return builder(**arguments)

        return checked

    return decorate


def list_models(pattern: str = "*") -> list[str]:
    """The ids that contain a text or match a pattern (fnmatch), sorted.

    >>> list_models("unet2d_t*")
    ['unet2d_textbook']
    """
    pattern = pattern.replace("-", "_")
    names = sorted(module.name for module in pkgutil.iter_modules(models.__path__))
    return [name for name in names if pattern in name or fnmatch(name, pattern)]


def card(name: str) -> Card:
    """What is documented of a network: input, classes, counts, source, and what is assumed.

    Raises: ValueError for an unknown name.

    >>> card("unet3d-90m").parameters
    90309763
    """
    return _CARDS[_builder(name).__name__]


def build(name: str, /, **arguments: Any) -> "keras.Model":
    """A network of the zoo, as a plain ``keras.Model`` with fresh weights.

    Args:
        name: an id of ``list_models()``; hyphens are accepted.
        arguments: of its builder: ``input_shape`` (channels last, spatial sizes may be None),
            ``num_classes``, ``norm`` ("batch", "instance", "group", None), ``dropout`` (a rate),
            ``activation`` (None: logits), ``name``, and what the card lists under "assumed".

    Returns: a model from ``(B, *spatial, channels)`` to ``(B, *spatial, num_classes)``.
    Raises: ValueError for an unknown name or a value that cannot work, TypeError for an
        unknown argument.

    >>> build("unet2d_small", num_classes=2).output_shape
    (None, 128, 128, 2)
    """
    return _builder(name)(**arguments)


def skeleton(name: str, /, **arguments: Any) -> "keras.Model":
    """The same graph as ``build``, without weights: shapes, names and counts, no memory.

    It cannot be run or trained. Arguments and errors are those of ``build``.

    >>> skeleton("unet3d_90m").count_params()
    90321539
    """
    builder = _builder(name)
    import keras

    with keras.StatelessScope(initialize_variables=False):
        return builder(**arguments)


def load_model(path: "str | PathLike[str]") -> "keras.Model":
    """A network saved with ``model.save``, with the layers, losses and metrics of this package.

    ``keras.models.load_model`` does the same once ``unetzoo.layers`` (and for a compiled model
    ``unetzoo.losses`` and ``unetzoo.metrics``) are imported: Keras only loads classes that it
    has met. No code in the file is run.

    Raises: ValueError where there is no such file or it is no Keras model.
    """
    import keras

    import unetzoo.layers
    import unetzoo.losses
    import unetzoo.metrics  # noqa: F401

    return keras.models.load_model(path, safe_mode=True)


def _builder(name: str) -> Callable[..., Any]:
    known = list_models()
    key = name.replace("-", "_")
    if key not in known:
        raise ValueError(f"network {name!r}: expected a name of the zoo; {_closest(key, known)}.")
    return getattr(importlib.import_module(f"unetzoo.models.{key}"), key)


def _closest(word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, n=3, cutoff=0.5)
    if close:
        return f"the closest are {', '.join(close)}" if len(close) > 1 else f"try {close[0]}"
    return f"there are {', '.join(known)}"


def _bind(builder: Callable[..., Any], args: tuple, kwargs: dict) -> dict[str, Any]:
    """All arguments of a call by name, defaults included."""
    signature = inspect.signature(builder)
    for key in kwargs:
        if key not in signature.parameters:
            raise TypeError(
                f"argument {key!r}: {builder.__name__!r} does not take it; "
                f"{_closest(key, list(signature.parameters))}."
            )
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def _check_arguments(card: Card, arguments: dict[str, Any]) -> None:
    arguments["input_shape"] = _check_shape(card, arguments["input_shape"])
    num_classes, norm, dropout = (arguments[key] for key in ("num_classes", "norm", "dropout"))
    if not isinstance(num_classes, Integral) or num_classes < 1:
        raise ValueError(f"num_classes {num_classes!r}: expected a whole number of at least 1.")
    if norm not in NORMS:
        raise ValueError(f"norm {norm!r}: expected one of {', '.join(map(repr, NORMS))}.")
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"dropout {dropout!r}: expected a rate from 0 to under 1.")


def _check_shape(card: Card, shape: Any) -> tuple[int | None, ...]:
    given = f"input_shape {shape!r}"
    rank = len(card.input_shape)
    form = "(D, H, W, C)" if rank == 4 else "(H, W, C)"
    try:
        shape = tuple(size if size is None else int(size) for size in shape)
    except (TypeError, ValueError):
        raise ValueError(f"{given}: {card.name!r} needs whole numbers {form}.") from None
    if len(shape) != rank:
        raise ValueError(
            f"{given}: {card.name!r} needs {rank} numbers {form}, channels last, no batch axis."
        )
    if shape[-1] is None or shape[-1] < 1:
        raise ValueError(f"{given}: {card.name!r} needs a number of channels of at least 1 last.")
    wrong = [size for size in shape[:-1] if size is not None and not card.sizes.allow(size)]
    if wrong:
        near = sorted(set().union(*(card.sizes.nearest(size) for size in wrong)))
        verb = "nearest is" if len(near) == 1 else "nearest are"
        raise ValueError(
            f"{given}: {card.name!r} needs {card.sizes}; the {verb} {' and '.join(map(str, near))}."
        )
    return shape
