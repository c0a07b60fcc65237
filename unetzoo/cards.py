"""What is known of each published network, and the registration of its builder."""

import functools
import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from unetzoo.utils.arguments import bind, check
from unetzoo.utils.compiling import compiled_quickly
from unetzoo.utils.notebook import Shown
from unetzoo.utils.sizes import Sizes

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Card(Shown):
    """What is documented of a network, and what is assumed.

    ``source`` names the document, ``stated`` is what it says of the network's size, ``assumed``
    what it leaves open. ``ranks`` are the numbers of spatial axes that the network takes;
    ``input_shape`` has the first of them. ``arguments`` are the builder's, with their defaults,
    such as "num_classes=3". ``trainable_params`` is PyTorch's count; ``total_params`` is Keras's,
    which adds the moving statistics of batch norm. Both counts are those of the defaults.
    """

    name: str
    source: str
    input_shape: tuple[int, ...]
    ranks: tuple[int, ...]
    num_classes: int
    sizes: Sizes
    trainable_params: int
    total_params: int
    stated: str
    assumed: tuple[str, ...]
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            self.name,
            f"  source      {self.source}",
            f"  input       {' x '.join(map(str, self.input_shape))} (channels last), {self.sizes}",
            f"  classes     {self.num_classes}",
            f"  parameters  {self.trainable_params:,} trainable (all that PyTorch counts)",
            f"              {self.total_params:,} with the moving statistics that Keras counts too",
            f"  stated      {self.stated}",
        ]
        if len(self.ranks) > 1:
            lines.insert(3, f"  axes        {' or '.join(map(str, self.ranks))} of space")
        joined = ", ".join(text.replace(" ", "\xa0") for text in self.arguments)
        wrapped = [line.replace("\xa0", " ") for line in textwrap.wrap(joined, 86)]
        for label, texts in (("arguments", wrapped), ("assumed", self.assumed)):
            for number, text in enumerate(texts):
                lines.append(f"  {'' if number else label:<12}{text}")
        return "\n".join(lines)


CARDS: dict[str, Card] = {}


def register(
    *,
    source: str,
    sizes: Sizes,
    trainable_params: int,
    total_params: int,
    stated: str,
    assumed: tuple[str, ...],
    ranks: tuple[int, ...] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: register a builder under its name, and check its arguments at every call.

    The arguments are the fields of its ``Card``.

    Args:
        ranks: the numbers of spatial axes, where the network takes more than one.
    """

    def decorate(builder: Callable[..., Any]) -> Callable[..., Any]:
        defaults = {
            key: value.default for key, value in inspect.signature(builder).parameters.items()
        }
        card = Card(
            name=builder.__name__,
            source=source,
            input_shape=defaults["input_shape"],
            ranks=ranks or (len(defaults["input_shape"]) - 1,),
            num_classes=defaults["num_classes"],
            sizes=sizes,
            trainable_params=trainable_params,
            total_params=total_params,
            stated=stated,
            assumed=assumed,
            arguments=tuple(f"{key}={value!r}" for key, value in defaults.items()),
        )
        CARDS[card.name] = card

        def completed(*args: Any, **kwargs: Any) -> dict[str, Any]:
            arguments = bind(builder, args, kwargs)
            check(arguments, card.name, card.ranks, card.sizes)
            return arguments

        @functools.wraps(builder)
        def checked_builder(*args: Any, **kwargs: Any) -> Any:
            arguments = completed(*args, **kwargs)
            with compiled_quickly():
                return called(builder(**arguments))

        checked_builder.completed = completed  # type: ignore[attr-defined]
        module = sys.modules[builder.__module__]
        if module.__name__.endswith(f".{builder.__name__}"):
            module.__class__ = _Network
        return checked_builder

    return decorate


class _Network(ModuleType):
    """The module of a network; calling it calls the builder of the same name inside it."""

    def __call__(self, *args: Any, **kwargs: Any) -> "keras.Model":
        return builder_in(self)(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(builder_in(self))


def builder_in(module: ModuleType) -> Callable[..., Any]:
    """The function in a module that has the module's name."""
    return getattr(module, module.__name__.rpartition(".")[2])


def called(model: "keras.Model") -> "keras.Model":
    """The network, after one symbolic call, without which Keras cannot export it."""
    if (symbolic_input := getattr(model, "input", None)) is not None:
        model(symbolic_input)
    return model
