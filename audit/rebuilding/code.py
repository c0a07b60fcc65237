"""Readable Keras code for the layers of a network; every name in it is quoted, or made safe."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any

from audit.rebuilding.blocks import WIDTHS, Block, blocks_of, naming
from unetzoo.utils.text import printable

FIRST = ("filters", "kernel_size", "units", "pool_size", "size", "rate")  # by their place
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
    yield from ("", "import keras", "from keras import layers")
    for name in sorted({step.layer_class for step in steps} & OWN.keys()):
        yield from ("", *OWN[name].splitlines())
    blocks = blocks_of(steps)
    variables = _variables(steps, [f"block{n + 1}" for n in range(len(blocks))])
    calls: dict[int, str] = {}  # by the number of the first layer; the layers after it are in it
    for number, block in enumerate(blocks):
        yield from _function(f"block{number + 1}", block, steps)
        calls |= _calls(f"block{number + 1}", block, steps, variables)
    yield from (
        "",
        "",
        "def build() -> keras.Model:",
        f'    """The network, {len(steps)} layers."""',
    )
    inside = {
        n + more for block in blocks for n in block.starts for more in range(len(block.steps))
    }
    for number, step in enumerate(steps):
        if number in calls:
            yield calls[number]
        elif number not in inside:
            yield f"    {variables[step.name]} = {_layer(step, _literal(step.name), variables)}"
    inputs = [variables[s.name] for s in steps if s.layer_class == "InputLayer"]
    ends = [inputs, [variables[each] for each in outputs]]
    both = [each[0] if len(each) == 1 else f"[{', '.join(each)}]" for each in ends]
    yield f"    return keras.Model({', '.join(both)})"


def _layer(step: Step, name: str, variables: Mapping[str, str], width: str = "") -> str:
    """The call that makes a layer, and the call of the layer."""
    given = {key: _literal(value) for key, value in step.arguments.items()}
    given |= {key: width for key in WIDTHS if width and key in given} | {"name": name}
    words = ", ".join(v if key in FIRST else f"{key}={v}" for key, v in given.items())
    if step.layer_class == "InputLayer":
        return f"keras.Input({words})"
    read = ", ".join(variables[source] for source in step.inputs)
    read = f"[{read}]" if len(step.inputs) > 1 and step.layer_class not in SEVERAL else read
    kind = step.layer_class if step.layer_class in OWN else f"layers.{step.layer_class}"
    return f"{kind}({words})({read})"


def _function(name: str, block: Block, steps: Sequence[Step]) -> Iterator[str]:
    """A function that makes the layers of a block."""
    argument, names, _ = naming(block, steps)
    yield from ("", "", f"def {name}(x, filters, {argument}):")
    yield f'    """{_comment(", ".join(step.layer_class for step in block.steps))}."""'
    wide = 0
    variables = dict.fromkeys((source for step in block.steps for source in step.inputs), "x")
    for step, layer_name in zip(block.steps, names, strict=True):
        has = any(key in step.arguments for key in WIDTHS)
        width = f"filters[{wide}]" if has else ""
        wide += has
        yield f"    x = {_layer(step, layer_name, variables, width)}"
    yield "    return x"


def _calls(
    name: str, block: Block, steps: Sequence[Step], variables: Mapping[str, str]
) -> dict[int, str]:
    """The lines that call it, by the number of the first layer."""
    calls = {}
    for start, argument in zip(block.starts, naming(block, steps)[2], strict=True):
        run = steps[start : start + len(block.steps)]
        widths = [step.arguments[key] for step in run for key in WIDTHS if key in step.arguments]
        source, last = variables[run[0].inputs[0]], variables[run[-1].name]
        calls[start] = f"    {last} = {name}({source}, {widths}, {argument})"
    return calls


def _literal(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _variables(steps: Sequence[Step], others: Sequence[str]) -> dict[str, str]:
    """A name in Python for each layer, none of them another's."""
    taken: set[str] = {"keras", "layers", "build", *OWN, *others}
    found = {}
    for number, step in enumerate(steps):
        name = re.sub(r"\W", "_", step.name, flags=re.ASCII).strip("_") or "x"
        name = f"x_{name}" if name[0].isdigit() or iskeyword(name) else name
        found[step.name] = name if name not in taken else f"{name}_x{number}"
        taken.add(found[step.name])
    return found


def _comment(text: str) -> str:
    return " ".join(printable(text).split())
