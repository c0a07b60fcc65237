"""Which input voxels an output voxel depends on: intervals, followed backwards."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

from audit.kinds import POINTWISE, SIZE_FROM_SECOND, WHOLE
from audit.tables import Row, Shape, Table

Interval = tuple[int, int]  # first and last index on one axis; may lie outside of the map
LONGEST = 65_536  # positions on an axis, each of which is followed by itself
Rule = Callable[[Row, Interval, Shape, int], Interval]


@dataclass(frozen=True)
class Axis:
    """One axis: for every output position the first and the last input index it depends on.

    Position n of the output lies over index ``n * stride + offset`` of the input.
    """

    intervals: tuple[Interval, ...]
    stride: int
    offset: int

    @property
    def smallest(self) -> int:
        """The size of the smallest field."""
        return min(last - first + 1 for first, last in self.intervals)

    @property
    def largest(self) -> int:
        """The size of the largest field."""
        return max(last - first + 1 for first, last in self.intervals)

    @property
    def before(self) -> int:
        """How far fields reach towards the start."""
        return max(self._center(n) - first for n, (first, _) in enumerate(self.intervals))

    @property
    def after(self) -> int:
        """How far fields reach towards the end."""
        return max(last - self._center(n) for n, (_, last) in enumerate(self.intervals))

    def _center(self, position: int) -> int:
        return position * self.stride + self.offset


@dataclass(frozen=True)
class ReceptiveField:
    """A receptive field on every spatial axis.

    Attributes:
        name: the layer's name, or the network's.
        axes: the fields on each spatial axis.
        unknown: the layer classes that are taken as pointwise.
        whole: the layer classes, such as attention, through which an output depends on the whole
            input; the sizes then include the padding.
    """

    name: str
    axes: tuple[Axis, ...]
    unknown: tuple[str, ...]
    whole: tuple[str, ...] = ()

    def __str__(self) -> str:
        sizes = " x ".join(
            str(a.largest) if a.smallest == a.largest else f"{a.smallest} to {a.largest}"
            for a in self.axes
        )
        reach = ", ".join(f"{a.before} before and {a.after} after" for a in self.axes)
        text = f"{self.name}: {sizes}; reaches {reach}"
        if self.whole:
            text += f"; the whole input, through {', '.join(self.whole)}"
        return f"{text}; taken as pointwise: {', '.join(self.unknown)}" if self.unknown else text


def receptive_field(table: Table, of: str | None = None) -> ReceptiveField:
    """The receptive field over all positions of the output, or of the layer named ``of``.

    With upsampling it depends on the position, so every position is followed. Borders do not cut
    it: a field that reaches beyond the input's edge counts in full. The reach is measured from the
    input voxel under the output voxel; an unpadded network's output is centered in its input.

    Args:
        table: of a Keras model, or read from audit's own JSON.
        of: the name of a layer; None for the network's output.

    Raises:
        ValueError: if a size is open or above 65,536, or no layer has that name.

    Source: docs/explanation/counting.md.

    >>> import audit, unetzoo
    >>> table = audit.table(unetzoo.skeleton("unet2d_original"))
    >>> print(receptive_field(table, of="down4-double_conv-relu2"))
    down4-double_conv-relu2: 140 x 140; reaches 69 before and 70 after, 69 before and 70 after
    """
    rows = list(table)
    if any(size is None for row in rows for size in row.shape[1:]):
        raise ValueError(
            f"{table.name!r} has open sizes: its receptive field needs every size; "
            "give an input shape."
        )
    names = [row.name for row in rows]
    if of is not None and of not in names:
        raise ValueError(f"layer {of!r}: expected the name of a row of {table.name!r}.")
    target = rows[names.index(of)] if of else rows[-1]
    source = next((row for row in rows if row.layer_class == "InputLayer"), None)
    if source is None or not target.inputs:
        raise ValueError(
            f"{table.name!r}: a receptive field needs an input layer and every layer's inputs; "
            "use the table of a functional model, keras.Model(model.inputs, model.outputs)."
        )
    if any(_size(target.shape, axis) > LONGEST for axis in range(1, len(target.shape) - 1)):
        raise ValueError(
            f"{table.name!r}: {target.name} has shape {target.shape}: expected at most {LONGEST:,} "
            "on each axis; give a smaller input shape."
        )
    axes = tuple(_axis(rows, target, source, axis) for axis in range(1, len(target.shape) - 1))
    unknown = {
        row.layer_class: None for row in rows if row.layer_class not in RULES.keys() | POINTWISE
    }
    whole = {row.layer_class: None for row in _upstream(rows, target) if row.layer_class in WHOLE}
    return ReceptiveField(of or table.name, axes, tuple(unknown), tuple(whole))


def _upstream(rows: list[Row], target: Row) -> Iterator[Row]:
    """The calls that the target's values depend on, the target's own among them."""
    needed = {target.key}
    for row in reversed(rows):
        if row.key in needed:
            needed.update(_read(row))
            yield row


def _read(row: Row) -> tuple[str, ...]:
    """The calls whose values it reads; of a further input it takes only the size."""
    return row.sources[:1] if row.layer_class in SIZE_FROM_SECOND else row.sources


def _axis(rows: list[Row], target: Row, source: Row, axis: int) -> Axis:
    size_in, size_out = _size(source.shape, axis), _size(target.shape, axis)
    intervals = [_follow(rows, target, source, position, axis) for position in range(size_out)]
    stride = max(round((intervals[-1][0] - intervals[0][0]) / max(size_out - 1, 1)), 1)
    offset = (size_in - (size_out - 1) * stride - 1) // 2
    return Axis(tuple(intervals), stride, offset)


def _follow(rows: list[Row], target: Row, source: Row, position: int, axis: int) -> Interval:
    """The source's interval that a position of the target depends on."""
    shapes = {row.key: row.shape for row in rows}
    reached: dict[str, Interval] = {target.key: (position, position)}
    for row in reversed(rows):
        interval = reached.get(row.key)
        if interval is None:
            continue
        for name in _read(row):
            rule = RULES.get(row.layer_class)
            first, last = rule(row, interval, shapes[name], axis) if rule else interval
            known = reached.get(name, (first, last))
            reached[name] = (min(first, known[0]), max(last, known[1]))
    return reached[source.key]


def _size(shape: Shape, axis: int) -> int:
    return shape[axis] or 0 if axis < len(shape) else 0  # tokens have a single axis of positions


def _on(row: Row, setting: str, axis: int, default: int = 1) -> int:
    value: Any = row.settings.get(setting, default)
    return value[axis - 1] if isinstance(value, tuple | list) else value


# === Rules: the input's interval for the output's interval [a, b] ===


def _window(row: Row, interval: Interval, shape: Shape, axis: int) -> Interval:
    """Convolution and pooling: [a s - p, b s - p + d (k - 1)]."""
    kernel = _on(row, "kernel_size" if "kernel_size" in row.settings else "pool_size", axis)
    stride, reach = _on(row, "strides", axis), _on(row, "dilation_rate", axis) * (kernel - 1)
    padding = 0
    if row.settings.get("padding") == "same":
        size = _size(shape, axis)
        padding = max((ceil(size / stride) - 1) * stride + reach + 1 - size, 0) // 2
    return interval[0] * stride - padding, interval[1] * stride - padding + reach


def _transposed(row: Row, interval: Interval, shape: Shape, axis: int) -> Interval:
    """[ceil((a + p - d (k - 1)) / s), floor((b + p) / s)]."""
    kernel, stride = _on(row, "kernel_size", axis), _on(row, "strides", axis)
    reach = _on(row, "dilation_rate", axis) * (kernel - 1)
    same = max(kernel - stride, 0) // 2 if row.settings.get("padding") == "same" else 0
    padding = row.settings.get("torch_padding", same)
    return ceil((interval[0] + padding - reach) / stride), (interval[1] + padding) // stride


def _nearest(row: Row, interval: Interval, shape: Shape, axis: int) -> Interval:
    if row.settings.get("interpolation", "nearest") != "nearest":
        return _half_pixel(interval, 1, _on(row, "size", axis))
    factor = _on(row, "size", axis)
    return interval[0] // factor, interval[1] // factor


def _linear(row: Row, interval: Interval, shape: Shape, axis: int) -> Interval:
    """The two pixels around the output's position; one where it falls on a pixel."""
    before, after = _size(shape, axis), _size(row.shape, axis)
    if not row.settings["align_corners"]:
        return _half_pixel(interval, before, after)
    first, last = (index * (before - 1) for index in interval)
    steps = max(after - 1, 1)
    return first // steps, -(-last // steps)


def _half_pixel(interval: Interval, before: int, after: int) -> Interval:
    """Around ``(n + 1 / 2) before / after - 1 / 2``, in whole numbers."""
    first, last = ((2 * index + 1) * before - after for index in interval)
    return first // (2 * after), -(-last // (2 * after))


def _pad(row: Row, interval: Interval, shape: Shape, axis: int) -> Interval:
    before = (_size(row.shape, axis) - _size(shape, axis)) // 2
    return interval[0] - before, interval[1] - before


def _crop(row: Row, interval: Interval, shape: Shape, axis: int) -> Interval:
    before = (_size(shape, axis) - _size(row.shape, axis)) // 2
    return interval[0] + before, interval[1] + before


def _fixed_pad(row: Row, interval: Interval, shape: Shape, axis: int) -> Interval:
    before = row.settings["padding"][axis - 1][0]
    return interval[0] - before, interval[1] - before


def _fixed_crop(row: Row, interval: Interval, shape: Shape, axis: int) -> Interval:
    before = row.settings["cropping"][axis - 1][0]
    return interval[0] + before, interval[1] + before


def _everything(row: Row, interval: Interval, shape: Shape, axis: int) -> Interval:
    return 0, _size(shape, axis) - 1


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Conv2D", "Conv3D", "DepthwiseConv2D", "SeparableConv2D"), _window),
    **dict.fromkeys(("MaxPooling2D", "MaxPooling3D", "AveragePooling2D"), _window),
    "AveragePooling3D": _window,
    **dict.fromkeys(("Conv2DTranspose", "Conv3DTranspose"), _transposed),
    **dict.fromkeys(("UpSampling2D", "UpSampling3D"), _nearest),
    **dict.fromkeys(("LinearUpsampling", "ResizeToMatch"), _linear),
    "PadToMatch": _pad,
    "CropToMatch": _crop,
    **dict.fromkeys(("ZeroPadding2D", "ZeroPadding3D"), _fixed_pad),
    **dict.fromkeys(("Cropping2D", "Cropping3D"), _fixed_crop),
    **dict.fromkeys((*WHOLE, "Reshape", "TokensToMap"), _everything),
}
