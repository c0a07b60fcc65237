"""Training in less memory: most maps are computed again when their gradient is, and not kept.

Keras's ``RematScope`` does this for single layers. Then every layer's input is still kept, which is
most of what a U-Net keeps. Here several layers are one unit, of which only the input is kept. Each
unit goes through ``keras.remat``. Its weights go in as values, and what it would assign (batch
norm's statistics, the state of dropout) comes out as values, so that computing it again neither
changes the statistics a second time nor draws other masks.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any

import keras

from unetzoo.layers import gradients
from unetzoo.layers.letting_go import Calls, let_maps_go, nodes_of, packed
from unetzoo.layers.onednn import on_cpu
from unetzoo.utils.allocation import return_blocks
from unetzoo.utils.choices import REMAT
from unetzoo.utils.units import Call, is_heavy, part_kept, units

BACKEND = keras.backend.backend()
LARGE = 2**17  # pixels of a patch: 51 cubed, 362 squared
WORTH = 2 / 3  # part of the maps; UNet++, whose skips are many, keeps more and saves nothing


def rematerialize(
    model: keras.Model, mode: str | None = "full", patch: Sequence[int] | None = None
) -> keras.Model:
    """Let a network's training keep fewer maps; its results and its files stay as they are.

    Call it again after ``load_model``: nothing of it is saved. A prediction is not concerned.

    Args:
        model: a functional network, such as those of the zoo.
        mode: "full" keeps least, and computes nearly everything twice in the forward direction;
            "activations" keeps the outputs of most convolutions and the skips, and computes only
            what is cheap again: norms, activations, poolings, joins, convolutions of an image with
            few channels, and those that only enlarge a large map. None: all maps are kept.
        patch: sizes that it is trained on, for "full"; None for those of its input.

    Returns: the model itself.
    Raises: ValueError for another mode, a network that is not functional, or open sizes without
        ``patch``.
    Source: Chen et al. 2016, arXiv 1604.06174.

    >>> import unetzoo
    >>> model = unetzoo.build("unet2d_small")
    >>> rematerialize(model, "activations") is model
    True
    """
    if mode is not None and mode not in REMAT:
        raise ValueError(f"remat {mode!r}: expected one of {', '.join(REMAT)}, or None.")
    if not hasattr(model, "_nodes_by_depth"):
        raise ValueError(
            f"model {model.name!r}: expected a functional Keras model, such as unetzoo.build gives."
        )
    model.__dict__.pop("call", None)
    let_maps_go(model)
    if mode is not None:
        plain = model.call
        model.call = partial(_call, model, plain, _planned(model, mode, patch))
    return model


def keep_few(model: keras.Model, patch: Sequence[int] | None = None) -> keras.Model:
    """Let a network compute "activations" again where that saves memory and costs no time.

    That is on TensorFlow and a CPU, with large patches: with smaller ones the libraries take more
    memory than the maps, and the first step would take longer. ``rematerialize`` has its own say.
    There the C library gives large blocks back as well.

    Args:
        model: a compiled network; one of several inputs stays as it is.
        patch: sizes that it is trained on; None for those of its input.

    Returns: the model itself.
    """
    if on_cpu(model) and hasattr(model, "_nodes_by_depth") and len(model.inputs) == 1:
        sizes = model.inputs[0].shape[1:-1] if patch is None else tuple(patch)
        if None not in sizes and math.prod(sizes) >= LARGE:
            return_blocks()
            nodes = _nodes(model)
            if part_kept(_calls(nodes, _sizes(model, nodes, sizes))) < WORTH:
                rematerialize(model, "activations")
    return model


def _call(
    model: Any, plain: Any, parts: Sequence["_Part"], inputs: Any,
    training: bool | None = None, mask: Any = None, **context: Any,
) -> Any:  # fmt: skip
    """The network's outputs, unit by unit in training."""
    if not training:
        return plain(inputs, training=training, mask=mask, **context)
    arrays = model._standardize_inputs(inputs)
    maps = {id(tensor): array for tensor, array in zip(model.inputs, arrays, strict=True)}
    waits = BACKEND == "tensorflow" and not model.jit_compile  # XLA drops what makes it wait
    remat = gradients.again if waits else keras.remat
    for part in parts:
        part.run(maps, remat)
    return packed(model, maps)


def _planned(model: Any, mode: str, patch: Sequence[int] | None) -> list["_Part"]:
    nodes = _nodes(model)
    sizes = _sizes(model, nodes, patch) if mode == "full" else dict.fromkeys(nodes, 0)
    grouped = units(_calls(nodes, sizes), mode)
    numbers = {key: number for number, unit in enumerate(grouped) for key in unit}
    wanted = {id(x) for x in model.outputs}
    parts: list[_Part] = []
    for number, keys in reversed([(n, list(k)) for n, k in groupby(nodes, key=numbers.get)]):
        kind = _Part if number is None else _Unit
        parts.insert(0, kind([nodes[key] for key in keys], wanted))
        wanted.update(parts[0].reads)
    return parts


def _nodes(model: Any) -> dict[str, Any]:
    return {str(number): node for number, node in enumerate(nodes_of(model))}


def _calls(nodes: dict[str, Any], sizes: dict[str, int]) -> list[Call]:
    makers = {id(x): key for key, node in nodes.items() for x in node.outputs}
    calls = []
    for key, node in nodes.items():
        sources = tuple(makers[id(x)] for x in node.input_tensors if id(x) in makers)
        calls.append(Call(key, sources, sizes[key], _is_heavy(node)))
    return calls


def _is_heavy(node: Any) -> bool:
    layer = node.operation
    weights = [weight for weight in getattr(layer, "weights", []) if "kernel" in weight.path]
    kernel = sum(math.prod(weight.shape) for weight in weights)
    read, made = (x.shape[-1] for x in (node.input_tensors[0], node.outputs[0]))
    if read is None or made is None:  # channels first
        return kernel > 0
    return is_heavy(type(layer).__name__, kernel, read, made, getattr(layer, "strides", None))


def _sizes(model: Any, nodes: dict[str, Any], patch: Sequence[int] | None) -> dict[str, int]:
    """The numbers that each call makes for one sample."""
    own = model.inputs[0].shape[1:-1]
    patch = own if patch is None else tuple(patch)
    if None in patch or len(patch) != len(own):
        raise ValueError(
            f"patch {tuple(patch)}: expected {len(own)} sizes that the network is trained on."
        )
    maps = {id(x): keras.KerasTensor((1, *patch, x.shape[-1]), x.dtype) for x in model.inputs}
    sizes = {}
    for key, node in nodes.items():
        args, kwargs = node.arguments.fill_in(maps)
        made = keras.tree.flatten(node.operation.compute_output_spec(*args, **kwargs))
        maps.update(zip(map(id, node.outputs), made, strict=True))
        sizes[key] = sum(math.prod(each.shape) for each in made)
    return sizes


@contextmanager
def _plain_tracebacks() -> Iterator[None]:
    """Without Keras's shorter tracebacks.

    PyTorch ends what it computes again by an exception. Keras would shorten its traceback, which
    puts the frames, and so the maps in them, in a circle.
    """
    before = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    try:
        yield
    finally:
        if before:
            keras.config.enable_traceback_filtering()


class _Part:
    """Some calls that keep their maps as usual.

    Args:
        nodes: the calls, in order.
        wanted: ids of the network's tensors that are read later.
    """

    def __init__(self, nodes: Sequence[Any], wanted: set[int]):
        self.calls = Calls(nodes, wanted)
        made = {id(x) for node in nodes for x in node.outputs}
        read = dict.fromkeys(id(x) for node in nodes for x in node.input_tensors)
        self.reads = [x for x in read if x not in made]

    def run(self, maps: dict[int, Any], remat: Any) -> None:
        """Add what the calls give to the maps of the network."""
        self.calls.run(maps, training=True)


class _Unit(_Part):
    """Some calls that are computed again together."""

    def __init__(self, nodes: Sequence[Any], wanted: set[int]):
        super().__init__(nodes, wanted)
        made = [id(x) for node in nodes for x in node.outputs]
        self.gives = [x for x in made if x in wanted]
        self.layers = [n.operation for n in nodes if isinstance(n.operation, keras.layers.Layer)]

    def _variables(self, kind: str) -> list[Any]:
        unique = {id(v): v for layer in self.layers for v in getattr(layer, kind)}
        return list(unique.values())

    def run(self, maps: dict[int, Any], remat: Any) -> None:
        """Add the unit's maps to those of the network."""
        from keras.src.backend import AutocastScope

        trained = self._variables("trainable_variables")
        others = self._variables("non_trainable_variables")
        with AutocastScope(None):  # the values as they are, not in half precision
            weights = [keras.ops.convert_to_tensor(variable.value) for variable in trained]
            states = [keras.ops.copy(variable.value) for variable in others]  # PyTorch overwrites
        changed: list[Any] = []

        def compute(*arrays: Any) -> list[Any]:
            within = dict(zip(self.reads, arrays, strict=False))
            values = [*zip(trained, arrays[len(self.reads) :], strict=True)]
            values += zip(others, states, strict=True)
            with keras.StatelessScope(values) as scope:
                before = [scope.get_current_value(variable) for variable in others]
                with _plain_tracebacks():
                    self.calls.run(within, training=True)
                after = [scope.get_current_value(variable) for variable in others]
            pairs = zip(before, after, strict=True)
            new = [number for number, (old, value) in enumerate(pairs) if value is not old]
            changed[:] = [others[number] for number in new]
            return [within[x] for x in self.gives] + [after[number] for number in new]

        again = remat(compute)
        if BACKEND == "tensorflow":
            self.again = again
        results = again(*[maps[x] for x in self.reads], *weights)
        count = len(self.gives)
        maps.update(zip(self.gives, results[:count], strict=True))
        for variable, value in zip(changed, results[count:], strict=True):
            variable.assign(value)
