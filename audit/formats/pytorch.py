"""What PyTorch would call a table's rows, and which blocks are modules around them."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from audit.table import Row, Table

# What is a function in PyTorch (cat, pad, interpolate), or nothing: it has no module, so no row.
FUNCTIONS = {
    "InputLayer", "Concatenate", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum",
    "CheckSizes", "PadToMatch", "CropToMatch", "CropToMultiple", "Reshape", "Permute",
    "TokensToMap", "LinearUpsampling", "ResizeToMatch", "UpSampling1D", "UpSampling2D",
    "UpSampling3D",
}  # fmt: skip
RANKLESS = {
    "ReLU": "ReLU",
    "LeakyReLU": "LeakyReLU",
    "PReLU": "PReLU",
    "Dropout": "Dropout",
    "Dense": "Linear",
    "Softmax": "Softmax",
    "Flatten": "Flatten",
    "LayerNormalization": "LayerNorm",
    "MultiHeadAttention": "MultiheadAttention",
    "Embedding": "Embedding",
}
RANKED = {
    "BatchNormalization": "BatchNorm{}d",
    "SpatialDropout": "Dropout{}d",
    "MaxPooling": "MaxPool{}d",
    "AveragePooling": "AvgPool{}d",
    "GlobalAveragePooling": "AdaptiveAvgPool{}d",
    "GlobalMaxPooling": "AdaptiveMaxPool{}d",
    "ZeroPadding": "ZeroPad{}d",
    "DepthwiseConv": "Conv{}d",
    "Conv": "Conv{}d",
}
ACTIVATIONS = {
    "relu": "ReLU", "leaky_relu": "LeakyReLU", "sigmoid": "Sigmoid", "softmax": "Softmax",
    "tanh": "Tanh", "elu": "ELU", "gelu": "GELU", "silu": "SiLU", "linear": "Identity",
}  # fmt: skip


_TO_KERAS = {
    **{theirs: ours for ours, theirs in RANKLESS.items()},
    **{theirs: ours for ours, theirs in RANKED.items() if ours != "DepthwiseConv"},
    "InstanceNorm{}d": "GroupNormalization",
    "GroupNorm": "GroupNormalization",
}


def is_module(row: Row) -> bool:
    """Whether PyTorch would have a module for this row, and not a function call."""
    return row.kind not in FUNCTIONS and not row.kind.startswith("ops.")


def some_module(table: Table) -> None:
    """Raises: ValueError for a table in which PyTorch would have no module at all."""
    if not any(map(is_module, table.rows)):
        raise ValueError(f"{table.name!r}: expected a layer that PyTorch has too, found none.")


def is_block(row: Row) -> bool:
    """Whether a row read from a PyTorch summary is a container: named ``Class-N``, no layer's."""
    name, _, number = row.name.rpartition("-")
    known = keras_kind(name) != name or name in (*RANKLESS.values(), *ACTIVATIONS.values())
    return row.kind == name and number.isdigit() and not known


def class_name(row: Row) -> str:
    """PyTorch's class: ``Conv3d`` for ``Conv3D``; what is not known keeps its name."""
    if row.kind == "Activation":
        return ACTIVATIONS.get(str(row.settings.get("activation")), "Activation")
    if row.kind == "GroupNormalization":
        instance = row.settings.get("groups") in (-1, row.shape[-1])
        return f"InstanceNorm{len(row.shape) - 2}d" if instance else "GroupNorm"
    if row.kind in RANKLESS:
        return RANKLESS[row.kind]
    if row.kind.endswith("DTranspose"):
        return f"ConvTranspose{row.kind[4]}d"
    kind = row.kind[:-2] if row.kind.endswith(("1D", "2D", "3D")) else row.kind
    rank = row.kind[-2] if kind != row.kind else max(len(row.shape) - 2, 1)
    return RANKED[kind].format(rank) if kind in RANKED else row.kind


@lru_cache(maxsize=1024)
def keras_kind(name: str) -> str:
    """The Keras class for PyTorch's: ``Conv3D`` for ``Conv3d``; what is not known keeps its name.

    >>> keras_kind("ConvTranspose2d"), keras_kind("BatchNorm3d"), keras_kind("DoubleConv")
    ('Conv2DTranspose', 'BatchNormalization', 'DoubleConv')
    """
    if name in _TO_KERAS:
        return _TO_KERAS[name]
    stem, rank = name[:-2], name[-2:]
    if rank not in ("1d", "2d", "3d"):
        return name
    if stem == "ConvTranspose":
        return f"Conv{rank[0]}DTranspose"
    kind = _TO_KERAS.get(f"{stem}{{}}d", name)
    return (
        kind if kind in ("BatchNormalization", "GroupNormalization", name) else kind + rank.upper()
    )


def container_name(segment: str) -> str:
    """The class of a block from its place's name: ``DoubleConv`` for ``double_conv2``."""
    segment = re.sub(r"_\d+_\d+$", "", segment)  # as torchinfo numbers them
    words = segment.rstrip("0123456789").split("_")
    return "".join(word[:1].upper() + word[1:] for word in words)


def sequentials(rows: Iterable[Row]) -> set[tuple[str, ...]]:
    """The paths of the blocks whose children are numbered: PyTorch's ``Sequential``."""
    children: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        places = (*row.path, row.place)
        for depth in range(1, len(places)):
            children.setdefault(places[:depth], set()).add(places[depth])
    return {path for path, names in children.items() if all(name.isdigit() for name in names)}


def with_containers(rows: Iterable[Row]) -> Iterator[tuple[Row, tuple[str, ...] | None]]:
    """Each module's row, and after the last of a block the block: (its last row, its path).

    This is the order of PyTorch's forward hooks: a container follows its children.
    """
    open_path: tuple[str, ...] = ()
    last: Row | None = None
    modules: set[tuple[str, ...]] = set()  # open blocks that hold a module
    for row in [*rows, None]:
        path = row.path if row else ()
        while open_path and path[: len(open_path)] != open_path:
            if last and open_path in modules:
                modules.discard(open_path)
                yield last, open_path
            open_path = open_path[:-1]
        if row is None:
            return
        open_path, last = path, row
        if is_module(row):
            modules.update(path[:depth] for depth in range(1, len(path) + 1))
            yield row, None
