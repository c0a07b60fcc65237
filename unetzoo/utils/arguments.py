"""The arguments of the networks' builders, checked before anything is built."""

import inspect
import math
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from numbers import Real
from typing import Any

from unetzoo.utils.checks import check as check_value
from unetzoo.utils.checks import is_whole
from unetzoo.utils.sizes import Shape, Sizes
from unetzoo.utils.text import short

NORMS = ("batch", "instance", "group", None)
NONLINEARITIES = ("relu", "leaky_relu", "prelu")
UPSAMPLINGS = ("linear", "transposed")


def closest(word: str, known: list[str], otherwise: str = "") -> str:
    """The end of a sentence about an unknown name: which names contain it, or are most like it.

    If no name is like it: ``otherwise``, or a list of all names.

    >>> closest("U-Net 2D", ["unet2d_small", "unet2d_large", "plain_unet"])
    'there are unet2d_small, unet2d_large'
    """
    plain = re.sub(r"[\W_]", "", word.lower())
    if len(plain) > 1 and (similar := [name for name in known if plain in name.replace("_", "")]):
        return f"there are {', '.join(similar)}" if len(similar) > 1 else f"try {similar[0]}"
    close = get_close_matches(word, known, n=3, cutoff=0.65)
    if close:
        return f"the closest are {', '.join(close)}" if len(close) > 1 else f"try {close[0]}"
    return otherwise or f"there are {', '.join(known)}"


def bind(
    builder: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """All arguments of a call by name, including the defaults.

    Raises: TypeError for an argument that the builder does not have.
    """
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
    """Check the arguments of a builder; ``arguments["input_shape"]`` becomes a tuple.

    Args:
        arguments: by name, as ``bind`` gives them.
        network: the builder's name, for the errors.
        ranks: the numbers of spatial axes that the network takes.
        sizes: the spatial sizes that it takes.

    Raises: ValueError for a value that cannot work.
    """
    arguments["input_shape"] = _check_shape(arguments["input_shape"], network, ranks, sizes)
    for key, value in arguments.items():
        if key in CHECKS:
            holds, expected = CHECKS[key]
            check_value(holds(value), key, value, expected)


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
        "a rate in [0, 1)",
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


def _check_shape(shape: Any, network: str, ranks: tuple[int, ...], sizes: Sizes) -> Shape:
    start = f"input_shape {short(shape)}: "
    form = " or ".join("(D, H, W, C)" if rank == 3 else "(H, W, C)" for rank in ranks)
    shape = tuple(shape) if isinstance(shape, Iterable) else ()
    if not shape or any(size is not None and not is_whole(size, -math.inf) for size in shape):
        raise ValueError(f"{start}{network!r} needs whole numbers {form}.")
    shape = tuple(size if size is None else int(size) for size in shape)
    if len(shape) - 1 not in ranks:
        numbers = " or ".join(str(rank + 1) for rank in ranks)
        raise ValueError(
            f"{start}{network!r} needs {numbers} numbers {form}: channels last, no batch axis."
        )
    if shape[-1] is None or shape[-1] < 1:
        raise ValueError(f"{start}{network!r} needs a number of channels of at least 1 at the end.")
    wrong = [size for size in shape[:-1] if size is not None and not sizes.allow(size)]
    if wrong:
        turned = (*shape[1:], shape[0])
        channels_first = shape[0] in wrong and 0 < shape[0] < shape[-1]  # as in PyTorch
        hint = f"shapes are channels last, such as {turned}; " if channels_first else ""
        raise ValueError(f"{start}{hint}{network!r} {sizes.needed(wrong)}")
    return shape
