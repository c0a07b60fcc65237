"""Starting from trained weights: what goes from one network into another."""

import itertools
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import keras
import numpy as np

from unetzoo.layers.resizing import resize
from unetzoo.saving import check_weights, load_model
from unetzoo.training.freezing import block_of
from unetzoo.utils.checks import check
from unetzoo.utils.text import aligned, counted, few, first_of

KINDS = TAKEN, ADAPTED, FRESH = ("taken", "adapted", "fresh")
SIZE = 256  # of an image, along an axis of a network that takes any
NORMS = (keras.layers.BatchNormalization, keras.layers.GroupNormalization)


@dataclass(frozen=True)
class BlockInit:
    """How many parameters of a block are the source's, adapted from the source's, or new."""

    block: str
    taken: int
    adapted: int
    fresh: int


@dataclass(frozen=True)
class InitReport:
    """What ``init_weights`` has done; it prints as a table.

    Args:
        blocks: of the model, in its order.
        notes: which layers were not taken as they are, and why.
        unused: blocks of the source with layers that the model does not have.
    """

    blocks: tuple[BlockInit, ...]
    notes: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def share(self) -> float:
        """The part of the model's parameters that comes from the source, 0 to 1."""
        new = sum(row.fresh for row in self.blocks)
        return 1 - new / max(sum(row.taken + row.adapted + row.fresh for row in self.blocks), 1)

    def __str__(self) -> str:
        groups = [list(rows) for _, rows in itertools.groupby(self.blocks, _alike)]
        named = [(" to ".join(dict.fromkeys((g[0].block, g[-1].block))), g) for g in groups]
        rows = [["block", *KINDS]]
        for name, group in [*named, ("all", self.blocks)]:
            sums = [sum(getattr(row, kind) for row in group) for kind in KINDS]
            rows.append([name, *(f"{number:,}" for number in sums)])
        unused = [f"not used of the source: {few(self.unused, 5)}"] if self.unused else []
        return "\n".join([*aligned(rows, left=1), *first_of(self.notes, 8), *unused])


def _alike(row: BlockInit) -> str:
    """Neighbors that are taken or left fresh as a whole are one line of the table."""
    kinds = [kind for kind in KINDS if getattr(row, kind)]
    return kinds[0] if len(kinds) == 1 and kinds != [ADAPTED] else row.block


@dataclass(frozen=True)
class Fit:
    """A weight of the model, and where its values come from."""

    layer: str
    variable: Any
    kind: str
    note: str = ""
    value: Callable[[], np.ndarray] | None = None


def init_weights(
    model: keras.Model,
    source: "keras.Model | str | PathLike[str]",
    *,
    axes: Sequence[int] | None = None,
) -> InitReport:
    """Give a network the weights of a trained one, where they fit. Do it before you compile.

    Weights go from a layer into the layer of the same name and kind. They are

    - **taken** where the shapes agree;
    - **adapted** in the first convolution, for another number of input channels: each channel gets
      the mean of the source's kernel over its channels, scaled by (channels of the source) /
      (channels of the model), so that equal channels give the same sum. Position embeddings of
      another grid are resized linearly, as the network does it for an image of another size;
    - **fresh**, the model's own new values, everywhere else: heads with another number of classes
      or at another scale, norms of another kind, and layers that the source does not have.

    Args:
        model: gets the weights.
        source: the trained network, or the path of its ``.keras`` file.
        axes: for each axis of space of the model, which of the source's it is; None for the same
            order. Kernels must be one voxel thick across an axis that is left out.

    Returns: what was taken, adapted and left fresh. A warning says if more than half is fresh.
    Raises: ValueError where no kernel fits, or where one of the two is a skeleton.

    >>> import unetzoo
    >>> small = {"input_shape": (16, 16, 1), "features": (4, 4), "kernels": (3, 3)}
    >>> trained, model = (
    ...     unetzoo.build("plain_unet", strides=(1, 2), num_classes=count, **small)
    ...     for count in (2, 3)
    ... )
    >>> print(init_weights(model, trained))
    block                 taken  adapted  fresh
    encoder1 to decoder1  1,040        0      0
    head1                     0        0     15
    all                   1,040        0     15
    head1: fresh, of 3 channels, not 2
    """
    source = source if isinstance(source, keras.Model) else load_model(source, compile=False)
    check_weights(source)
    check_weights(model)
    fits = compare(model, source, axes)
    for fit in fits:
        if fit.value is not None:
            fit.variable.assign(fit.value())
    report = _report(fits, source)
    if report.share < 0.5:
        warnings.warn(
            f"only {report.share:.0%} of the parameters of {model.name!r} come from "
            f"{source.name!r}, the others are fresh; expected a source with the same stages, "
            "kernels and norms.",
            stacklevel=2,
        )
    return report


def compare(
    model: keras.Model, source: keras.Model, axes: Sequence[int] | None = None
) -> list[Fit]:
    """What ``init_weights`` would do; the model may be a skeleton.

    Raises: ValueError where no kernel fits, and for axes that the two do not have.
    """
    ranks = [len(each.inputs[0].shape) - 2 for each in (model, source)]
    if axes is not None:
        known = len(axes) == len(set(axes)) == ranks[0] and set(axes) <= set(range(ranks[1]))
        check(known, "axes", tuple(axes), f"{ranks[0]} of 0 to {ranks[1] - 1}, each once")
    layers = {layer.name: layer for layer in source.layers if layer.weights}
    channels = (source.inputs[0].shape[-1], model.inputs[0].shape[-1])
    scales, theirs = _scales(model), _scales(source, axes)
    elsewhere = {name for name in scales.keys() & theirs if scales[name] != theirs[name]}
    fits: list[Fit] = []
    for layer in model.layers:
        if layer.name in elsewhere:
            reason = "at another scale in the source"
            fits += (Fit(layer.name, weight, FRESH, reason) for weight in layer.weights)
        elif layer.weights:
            fits += _fits(layer, layers.get(layer.name), channels, axes)
    if not any(fit.value and len(fit.variable.shape) > 1 for fit in fits):
        raise ValueError(
            f"no kernel of {source.name!r}, with {counted(ranks[1], 'axis')} of space, fits into "
            f"{model.name!r}, with {ranks[0]}: expected layers of the same names and shapes, but "
            f"{fits[0].layer} is {fits[0].note}."
        )
    return fits


def _scales(model: keras.Model, axes: Sequence[int] | None = None) -> dict[str, tuple[float, ...]]:
    """Of the heads of deep supervision, by their layers: voxels of the image to one of theirs."""
    if len(model.outputs) == 1:
        return {}
    sizes = [size or SIZE for size in model.inputs[0].shape[1:-1]]
    shapes = model.compute_output_shape((1, *sizes, model.inputs[0].shape[-1]))
    return {
        output._keras_history.operation.name: tuple(
            round(sizes[axis] / shape[1 + axis], 2) for axis in axes or range(len(sizes))
        )
        for output, shape in zip(model.outputs, shapes, strict=True)
    }


def _fits(
    layer: Any, other: Any, channels: tuple[int, int], axes: Sequence[int] | None
) -> Iterator[Fit]:
    """Each weight of a layer; if one does not fit, the whole layer stays fresh."""
    if reason := _apart(layer, other):
        yield from (Fit(layer.name, weight, FRESH, reason) for weight in layer.weights)
        return
    others = {_part(weight, other): weight for weight in other.weights}
    fits = []
    for weight in layer.weights:
        theirs = others.get(_part(weight, layer))
        if theirs is None:
            fits.append(Fit(layer.name, weight, FRESH, f"without a {weight.name} in the source"))
            continue
        fits.append(_fit(layer, weight, theirs, channels, axes))
        if fits[-1].value is None:
            yield from (Fit(layer.name, each, FRESH, fits[-1].note) for each in layer.weights)
            return
    yield from fits


def _apart(layer: Any, other: Any) -> str:
    """Why nothing can go from the other layer into this one; empty if it can."""
    if other is None:
        return "not in the source"
    if _kind(layer) == _kind(other):
        return ""
    return f"of another kind{' of norm' if isinstance(layer, NORMS) else ''} in the source"


def _kind(layer: Any) -> tuple[str, Any]:
    """The layer's class whatever its axes of space; instance norm has as many groups as maps."""
    groups = getattr(layer, "groups", None) if isinstance(layer, NORMS) else None
    each = groups is not None and groups in (-1, layer.weights[0].shape[0])
    return re.sub(r"\dD", "", type(layer).__name__), "each" if each else groups


def _part(weight: Any, layer: Any) -> str:
    return weight.path.removeprefix(f"{layer.name}/")


def _fit(
    layer: Any, weight: Any, theirs: Any, channels: tuple[int, int], axes: Sequence[int] | None
) -> Fit:
    """One weight whose namesake the source has."""
    need, (order, rest) = tuple(weight.shape), _order(layer, theirs, axes)
    have = tuple(theirs.shape[axis] for axis in order)
    if any(theirs.shape[axis] != 1 for axis in rest):
        return Fit(layer.name, weight, FRESH, f"of kernels {theirs.shape[:-2]} in the source")

    def value() -> np.ndarray:
        return keras.ops.convert_to_numpy(theirs).transpose(*order, *rest).reshape(have)

    if have == need:
        return Fit(layer.name, weight, TAKEN, "", value)
    if hasattr(layer, "grid") and (len(have), have[-1]) == (len(need), need[-1]):
        note = f"positions resized from {have[1:-1]} to {need[1:-1]}"
        return Fit(layer.name, weight, ADAPTED, note, lambda: _resized(value(), need[1:-1]))
    if (*have[:-2], have[-1]) == (*need[:-2], need[-1]) and have[-2:-1] + need[-2:-1] == channels:
        note = f"{counted(need[-2], 'input channel')}, not {have[-2]}"
        return Fit(layer.name, weight, ADAPTED, note, lambda: _spread(value(), need[-2]))
    if have[:-1] == need[:-1]:
        return Fit(layer.name, weight, FRESH, f"of {counted(need[-1], 'channel')}, not {have[-1]}")
    return Fit(layer.name, weight, FRESH, f"of shape {need}, not {have}")


def _order(
    layer: Any, theirs: Any, axes: Sequence[int] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of the source's weight in the model's order, and those that are left out."""
    rank = len(theirs.shape)
    if axes is None or rank == 1 or not hasattr(layer, "kernel_size"):
        return tuple(range(rank)), ()
    rest = tuple(axis for axis in range(rank - 2) if axis not in axes)
    return (*axes, rank - 2, rank - 1), rest


def _spread(kernel: np.ndarray, channels: int) -> np.ndarray:
    """A kernel ``(*k, C, O)`` for another number of channels; equal ones give the same sum."""
    mean = kernel.mean(axis=-2, keepdims=True)
    return np.repeat(mean * (kernel.shape[-2] / channels), channels, axis=-2)


def _resized(embeddings: np.ndarray, grid: Sequence[int]) -> np.ndarray:
    return keras.ops.convert_to_numpy(resize(embeddings, grid, align_corners=True))


def _report(fits: Sequence[Fit], source: keras.Model) -> InitReport:
    counts: dict[str, Counter] = {}
    notes: dict[str, dict[str, None]] = {}
    for fit in fits:
        size = math.prod(fit.variable.shape)
        counts.setdefault(block_of(fit.layer), Counter())[fit.kind] += size
        if fit.note:
            notes.setdefault(f"{fit.kind}, {fit.note}", {})[fit.layer] = None
    used = {fit.layer for fit in fits}
    left = [layer.name for layer in source.layers if layer.weights and layer.name not in used]
    return InitReport(
        tuple(
            BlockInit(block, *(count[kind] for kind in KINDS)) for block, count in counts.items()
        ),
        tuple(f"{few(list(layers), 3)}: {note}" for note, layers in notes.items()),
        tuple(dict.fromkeys(map(block_of, left))),
    )
