"""The arguments of the networks' builders, checked before anything is built."""

import inspect
import math
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from numbers import Real
from typing import Any

from unetzoo.utils.checks import is_whole
from unetzoo.utils.sizes import Sizes

NORMS = ("batch", "instance", "group", None)
NONLINEARITIES = ("relu", "leaky_relu", "prelu")
UPSAMPLINGS = ("linear", "transposed")


def closest(word: str, known: list[str], otherwise: str = "") -> str:
    """What to say of a name that is not known: those that contain it, or else those most like it.

    Of one like none, ``otherwise``, or else all names.

    >>> closest("unet", ["unet2d_small", "vnet", "plain_unet"])
    'there are unet2d_small, plain_unet'
    """
    plain = word.lower().replace("_", "")
    if len(plain) > 1 and (found := [name for name in known if plain in name.replace("_", "")]):
        return f"there are {', '.join(found)}" if len(found) > 1 else f"try {found[0]}"
    close = get_close_matches(word, known, n=3, cutoff=0.65)
    if close:
        return f"the closest are {', '.join(close)}" if len(close) > 1 else f"try {close[0]}"
    return otherwise or f"there are {', '.join(known)}"


def bind(builder: Callable[..., Any], args: tuple, kwargs: dict) -> dict[str, Any]:
    """All arguments of a call by name, defaults included."""
    signature = inspect.signature(builder)
    for key in kwargs:
        if key not in signature.parameters:
            raise TypeError(
                f"argument {key!r}: {builder.__name__!r} does not take it; "
                f"{closest(key, list(signature.parameters))}."
            )
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def check(arguments: dict[str, Any], network: str, ranks: tuple[int, ...], sizes: Sizes) -> None:
    """Check a builder's arguments, and make the input shape a tuple.

    Raises: ValueError for a value that cannot work.
    """
    arguments["input_shape"] = _check_shape(arguments["input_shape"], network, ranks, sizes)
    for key, value in arguments.items():
        if key in CHECKS:
            holds, expected = CHECKS[key]
            if not holds(value):
                raise ValueError(f"{key} {value!r}: expected {expected}.")


def _is_activation(value: Any) -> bool:
    if value is None:
        return True
    import keras

    try:
        return callable(keras.activations.get(value))
    except (ValueError, TypeError):
        return False


CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "num_classes": (is_whole, "a whole number of at least 1"),
    "norm": (
        lambda value: value is None or (isinstance(value, str) and value in NORMS),
        f"one of {', '.join(map(repr, NORMS))}",
    ),
    "dropout": (
        lambda value: isinstance(value, Real) and 0 <= value < 1,  # type: ignore[operator]
        "a rate from 0 to under 1",
    ),
    "nonlinearity": (
        lambda value: isinstance(value, str) and value in NONLINEARITIES,
        f"one of {', '.join(map(repr, NONLINEARITIES))}",
    ),
    "upsampling": (
        lambda value: isinstance(value, str) and value in UPSAMPLINGS,
        f"one of {', '.join(map(repr, UPSAMPLINGS))}",
    ),
    "deep_supervision": (lambda value: isinstance(value, bool), "True or False"),
    "activation": (_is_activation, "None or an activation of Keras, such as 'softmax'"),
    "name": (
        lambda value: isinstance(value, str) and bool(re.fullmatch(r"[\w.-]+", value)),
        "a name of letters, digits, '_', '-' and '.'",
    ),
}


def _check_shape(
    shape: Any, network: str, ranks: tuple[int, ...], sizes: Sizes
) -> tuple[int | None, ...]:
    given = f"input_shape {shape!r}"
    form = " or ".join("(D, H, W, C)" if rank == 3 else "(H, W, C)" for rank in ranks)
    shape = tuple(shape) if isinstance(shape, Iterable) else ()
    if not shape or any(size is not None and not is_whole(size, -math.inf) for size in shape):
        raise ValueError(f"{given}: {network!r} needs whole numbers {form}.")
    shape = tuple(size if size is None else int(size) for size in shape)
    if len(shape) - 1 not in ranks:
        numbers = " or ".join(str(rank + 1) for rank in ranks)
        raise ValueError(
            f"{given}: {network!r} needs {numbers} numbers {form}, channels last, no batch axis."
        )
    if shape[-1] is None or shape[-1] < 1:
        raise ValueError(f"{given}: {network!r} needs a number of channels of at least 1 last.")
    wrong = [size for size in shape[:-1] if size is not None and not sizes.allow(size)]
    if wrong:
        turned = (*shape[1:], shape[0])
        first = shape[0] in wrong and 0 < shape[0] < shape[-1]  # as PyTorch has its channels
        hint = f"shapes are channels last, such as {turned}; " if first else ""
        raise ValueError(f"{given}: {hint}{network!r} {sizes.needed(wrong)}")
    return shape
