"""A table of names: our layers on the left, the modules of a PyTorch implementation on the right.

``{n}`` stands for a number, which ``{n-1}`` on the right counts from 0.
"""

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import numpy as np

TABLES = (  # networks with a file of their own here
    "attention_unet", "plain_unet", "residual_unet", "transunet", "unet2d_textbook",
    "unet_plus_plus",
)  # fmt: skip


@dataclass(frozen=True)
class Names:
    """What an implementation calls the weights of a network.

    Args:
        source: the implementation.
        layers: its module for each layer of ours that has weights.
        below_last: convolutions that take a skip first and the map from below last, where ours
            take them the other way round; and the layers of ours that make that map.
        unused: patterns of tensors that the implementation has and our network needs not have.
        note: what else is to be known where weights do not fit.
    """

    source: str
    layers: Mapping[str, str]
    below_last: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    note: str = ""

    def module(self, layer: str) -> str | None:
        """The module that is our layer, or None.

        >>> names = Names("example", {"down{n}-conv{m}": "downs.{n-1}.conv.{m}"})
        >>> names.module("down3-conv1"), names.module("up1-conv1")
        ('downs.2.conv.1', None)
        """
        return _looked_up(self.layers, layer)

    def below(self, layer: str) -> str | None:
        """The layer of ours whose channels come last in the module's kernel, or None."""
        return _looked_up(self.below_last, layer)

    def translated(
        self, state: "Mapping[str, np.ndarray]", model: "keras.Model"
    ) -> "Mapping[str, np.ndarray]":
        """The tensors as they come, for a table that says everything."""
        return state

    def is_unused(self, key: str) -> bool:
        """Whether a tensor may be left over."""
        return any(re.fullmatch(pattern, key) for pattern in self.unused)


def _looked_up(table: Mapping[str, str], name: str) -> str | None:
    for ours, theirs in table.items():
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d+)", re.escape(ours))
        if match := re.fullmatch(pattern, name):
            return re.sub(r"\{(\w+)(-1)?\}", lambda m: str(int(match[m[1]]) - bool(m[2])), theirs)
    return None


class OwnNames(Names):
    """An implementation whose modules are named as our layers, with dots for hyphens."""

    def module(self, layer: str) -> str:
        return layer.replace("-", ".")


ZOO = OwnNames("the zoo's own names, dots for hyphens", {})


def tables_of(network: str) -> tuple[Names, ...]:
    """The tables of a network; last, for every one, its layers' own names with dots.

    >>> [names.source for names in tables_of("unet3d_90m")]
    ["the zoo's own names, dots for hyphens"]
    """
    if network not in TABLES:
        return (ZOO,)
    return (*importlib.import_module(f"unetzoo.interop.names.{network}").TABLES, ZOO)
