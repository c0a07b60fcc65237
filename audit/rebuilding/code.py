"""Readable Keras code for the layers of a network; every name in it is quoted, or made safe."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any

from unetzoo.utils.text import printable

SEVERAL = ("MultiHeadAttention",)  # they read several maps, and no list of them
OWN = {  # layers that Keras lacks
    "PositionEmbeddings": '''
class PositionEmbeddings(layers.Layer):
    """Adds a learned vector to each position."""

    def __init__(self, grid, **more):
        super().__init__(**more)
        self.grid = grid

    def build(self, shape):
        self.embeddings = self.add_weight(
            name="embeddings", shape=(1, *self.grid, shape[-1]), initializer="zeros"
        )

    def call(self, x):
        return x + self.embeddings

    def get_config(self):
        return {**super().get_config(), "grid": self.grid}
'''
}


@dataclass(frozen=True)
class Step:
    """One layer: its class, name and arguments, and the layers that it reads."""

    layer_class: str
    name: str
    arguments: dict[str, Any]
    inputs: tuple[str, ...]


def written(
    name: str, total: int, steps: Sequence[Step], outputs: Sequence[str], assumed: Sequence[str]
) -> Iterator[str]:
    """The lines of a module with a function ``build`` that makes the model."""
    yield f"# {_comment(name)}: rebuilt from a published table of {total:,} parameters."
    yield from (f"# Assumed: {_comment(each)}" for each in assumed)
    yield from ("", "import keras", "from keras import layers", "")
    for name in sorted({step.layer_class for step in steps} & OWN.keys()):
        yield from OWN[name].splitlines()
    yield from ("", "")
    yield from (
        "def build() -> keras.Model:",
        f'    """The network, {len(steps)} layers."""',
    )
    variables = _variables(steps)
    for step in steps:
        given = {**step.arguments, "name": step.name}
        words = ", ".join(f"{key}={_literal(value)}" for key, value in given.items())
        if step.layer_class == "InputLayer":
            yield f"    {variables[step.name]} = keras.Input({words})"
            continue
        read = ", ".join(variables[source] for source in step.inputs)
        read = f"[{read}]" if len(step.inputs) > 1 and step.layer_class not in SEVERAL else read
        kind = step.layer_class if step.layer_class in OWN else f"layers.{step.layer_class}"
        yield f"    {variables[step.name]} = {kind}({words})({read})"
    inputs = [variables[s.name] for s in steps if s.layer_class == "InputLayer"]
    ends = [inputs, [variables[each] for each in outputs]]
    both = [each[0] if len(each) == 1 else f"[{', '.join(each)}]" for each in ends]
    yield f"    return keras.Model({', '.join(both)})"


def _literal(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _variables(steps: Sequence[Step]) -> dict[str, str]:
    """A name in Python for each layer."""
    taken: set[str] = {"keras", "layers"}
    found = {}
    for number, step in enumerate(steps):
        name = re.sub(r"\W", "_", step.name, flags=re.ASCII).strip("_") or "x"
        name = f"x_{name}" if name[0].isdigit() or iskeyword(name) else name
        found[step.name] = name if name not in taken else f"{name}_x{number}"
        taken.add(found[step.name])
    return found


def _comment(text: str) -> str:
    return " ".join(printable(text).split())
