"""Networks on PyTorch that hold a map until it is read for the last time, and not to their end.

Keras calls a network's layers one by one and notes what each gives until all are done. Where every
call is computed at once, as on PyTorch, all of these maps are in memory then.
"""

import gc
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import keras

TORCH = keras.backend.backend() == "torch"


def let_maps_go(model: Any) -> None:
    """Make a functional network let its maps go; others, and other backends', stay as they are.

    In training it lets the gradients of the step before go too; Keras holds them until the maps of
    the next step are there.
    """
    if TORCH and _runs_as_keras_does(model):
        calls = Calls(nodes_of(model), set(map(id, model.outputs)))
        model.call = partial(_call, model, type(model).call, calls)
        model.train_step = partial(_train_step, model, type(model).train_step)


def _runs_as_keras_does(model: Any) -> bool:
    """Whether it is functional, and its class has no call of its own."""
    return hasattr(model, "_nodes_by_depth") and type(model).call.__qualname__ == "Functional.call"


def nodes_of(model: Any) -> list[Any]:
    """The calls of a functional network's layers, in the order in which they run."""
    place = {id(operation): number for number, operation in enumerate(model.operations)}
    nodes = []
    for depth in sorted(model._nodes_by_depth, reverse=True):
        level = [node for node in model._nodes_by_depth[depth] if not node.is_input]
        nodes += sorted(level, key=lambda node: place[id(node.operation)])
    return nodes


class Calls:
    """Some calls of layers that run one after another.

    Args:
        nodes: the calls, in order.
        wanted: ids of the network's tensors that are read elsewhere.
    """

    def __init__(self, nodes: Sequence[Any], wanted: set[int]):
        last: dict[int, int] = {}  # of each tensor: the number of the last call that needs it
        for number, node in enumerate(nodes):
            last.update(dict.fromkeys(map(id, (*node.input_tensors, *node.outputs)), number))
        self.steps: list[tuple[Any, list[int]]] = [(node, []) for node in nodes]
        for key, number in last.items():
            if key not in wanted:
                self.steps[number][1].append(key)

    def run(self, maps: dict[int, Any], training: bool | None) -> None:
        """Add what is wanted to the maps, which are known by the ids of the network's tensors."""
        for node, over in self.steps:
            maps.update(_made(node, maps, training))
            for key in over:
                del maps[key]
            if TORCH and len(node.input_tensors) > 1:
                gc.collect(0)  # PyTorch's tree_flatten has put the list of maps in a circle


def _made(node: Any, maps: dict[int, Any], training: bool | None) -> Iterator[tuple[int, Any]]:
    """What a call gives."""
    args, kwargs = node.arguments.fill_in(maps)
    if training is not None and getattr(node.operation, "_call_has_training_arg", False):
        kwargs["training"] = training
    outputs = keras.tree.flatten(node.operation(*args, **kwargs))
    return zip(map(id, node.outputs), outputs, strict=True)


def _call(
    model: Any, plain: Any, calls: Calls, inputs: Any,
    training: bool | None = None, mask: Any = None, **context: Any,
) -> Any:  # fmt: skip
    """The network's outputs, each map held until its last call."""
    import torch

    if mask is not None or context or torch.compiler.is_compiling():
        return plain(model, inputs, training=training, mask=mask, **context)
    arrays = model._standardize_inputs(inputs)
    maps = {id(tensor): array for tensor, array in zip(model.inputs, arrays, strict=True)}
    calls.run(maps, training)
    return packed(model, maps)


def _train_step(model: Any, plain: Any, data: Any) -> Any:
    if plain.__qualname__ == "TorchTrainer.train_step":  # which adds to no gradient of before
        model.zero_grad()
    return plain(model, data)


def packed(model: Any, maps: dict[int, Any]) -> Any:
    """A network's outputs as it gives them."""
    outputs = [maps[id(tensor)] for tensor in model.outputs]
    if len(outputs) == 1:
        return outputs[0]
    return keras.tree.pack_sequence_as(model._outputs_struct, outputs)
