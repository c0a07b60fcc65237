"""One layer of a network that is being rebuilt."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """One layer: its class, name and arguments, and the layers that it reads."""

    layer_class: str
    name: str
    arguments: dict[str, Any]
    inputs: tuple[str, ...]
