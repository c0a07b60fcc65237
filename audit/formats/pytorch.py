"""What PyTorch would call a table's rows, and which blocks are modules around them."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from audit.kinds import FUNCTIONS, RANKED, RANKLESS
from audit.tables import Row, Table

ACTIVATIONS = {
    "relu": "ReLU", "leaky_relu": "LeakyReLU", "sigmoid": "Sigmoid", "softmax": "Softmax",
    "tanh": "Tanh", "elu": "ELU", "gelu": "GELU", "silu": "SiLU", "linear": "Identity",
}  # fmt: skip
LEAVES = re.compile("Upsampl|PixelShuffle|Identity$")  # they hold no other module
CONTAINERS = {"Sequential", "ModuleList", "ModuleDict"}

_TO_KERAS = {
    **{theirs: ours for ours, theirs in RANKLESS.items()},
    **{theirs: ours for ours, theirs in RANKED.items() if ours != "DepthwiseConv"},
    "InstanceNorm{}d": "GroupNormalization",
    "GroupNorm": "GroupNormalization",
}


def is_module(row: Row) -> bool:
    """Whether PyTorch would have a module for this row, and not a function call."""
    return row.layer_class not in FUNCTIONS and not row.layer_class.startswith("ops.")


def some_module(table: Table) -> None:
    """Check that PyTorch would have a module for some row. Raises: ValueError if not."""
    if not any(map(is_module, table.rows)):
        raise ValueError(
            f"{table.name!r}: no layer in it is a module in PyTorch; expected one at least."
        )


def is_block(row: Row) -> bool:
    """Whether a row read from a PyTorch summary is a container: ``Class-N`` of no known layer."""
    name, _, number = row.name.rpartition("-")
    known = (
        keras_class(name) != name
        or LEAVES.match(name)
        or name in (*RANKLESS.values(), *ACTIVATIONS.values())
    )
    return row.layer_class == name and number.isdigit() and not known


def class_name(row: Row) -> str:
    """PyTorch's class: ``Conv3d`` for ``Conv3D``; an unknown class keeps its name."""
    if row.layer_class == "Activation":
        return ACTIVATIONS.get(str(row.settings.get("activation")), "Activation")
    if row.layer_class == "GroupNormalization":
        instance = row.settings.get("groups") in (-1, row.shape[-1])
        return f"InstanceNorm{len(row.shape) - 2}d" if instance else "GroupNorm"
    if row.layer_class in RANKLESS:
        return RANKLESS[row.layer_class]
    if row.layer_class.endswith("DTranspose"):
        return f"ConvTranspose{row.layer_class[4]}d"
    stem = row.layer_class[:-2] if row.layer_class.endswith(("1D", "2D", "3D")) else row.layer_class
    rank = row.layer_class[-2] if stem != row.layer_class else max(len(row.shape) - 2, 1)
    return RANKED[stem].format(rank) if stem in RANKED else row.layer_class


@lru_cache(maxsize=1024)
def keras_class(name: str) -> str:
    """The Keras class for PyTorch's: ``Conv3D`` for ``Conv3d``; an unknown class keeps its name.

    >>> keras_class("ConvTranspose2d"), keras_class("BatchNorm3d"), keras_class("DoubleConv")
    ('Conv2DTranspose', 'BatchNormalization', 'DoubleConv')
    """
    if name in _TO_KERAS:
        return _TO_KERAS[name]
    stem, rank = name[:-2], name[-2:]
    if rank not in ("1d", "2d", "3d"):
        return name
    if stem == "ConvTranspose":
        return f"Conv{rank[0]}DTranspose"
    ours = _TO_KERAS.get(f"{stem}{{}}d", name)
    rankless = ours in ("BatchNormalization", "GroupNormalization", name)
    return ours if rankless else ours + rank.upper()


def container_name(path: tuple[str, ...]) -> str:
    """The class of a block, from its own name or that of the nearest block around it.

    >>> container_name(("down1", "double_conv2")), container_name(("gate4", "1"))
    ('DoubleConv', 'Gate')
    """
    for segment in reversed(path):
        segment = re.sub(r"_\d+_\d+$", "", segment)  # as torchinfo numbers them
        words = segment.rstrip("0123456789").split("_")
        name = "".join(word[:1].upper() + word[1:] for word in words)
        if name.isidentifier():
            return name
    return "Block"


def containers(rows: Iterable[Row]) -> dict[tuple[str, ...], str]:
    """The class of each block: Sequential if its children are numbered.

    A block whose modules do not run in one piece cannot be called; it only holds them.
    """
    rows = in_blocks(rows)
    uncalled = in_pieces(rows)
    children: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        places = (*row.path, row.place)
        for depth in range(1, len(places)):
            children.setdefault(places[:depth], set()).add(places[depth])
    return {path: _container(path, names, path in uncalled) for path, names in children.items()}


def _container(path: tuple[str, ...], children: set[str], uncalled: bool) -> str:
    """PyTorch numbers the modules of a list from 0."""
    if uncalled:
        listed = children == {str(n) for n in range(len(children))}
        return "ModuleList" if listed else "ModuleDict"
    numbered = all(name.isdigit() for name in children)
    return "Sequential" if numbered else container_name(path)


def sequentials(rows: Iterable[Row]) -> set[tuple[str, ...]]:
    """The paths of the blocks that torchsummary does not print: PyTorch's own containers."""
    return {path for path, name in containers(rows).items() if name in CONTAINERS}


def in_pieces(rows: Iterable[Row]) -> set[tuple[str, ...]]:
    """The paths of the blocks between whose modules a module of another block runs."""
    before: set[tuple[str, ...]] = set()
    closed: set[tuple[str, ...]] = set()
    pieces: set[tuple[str, ...]] = set()
    for row in rows:
        if row.call == 0 and is_module(row):
            now = {row.path[:depth] for depth in range(1, len(row.path) + 1)}
            pieces |= now & closed
            closed |= before - now
            before = now
    return pieces


def in_blocks(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows in an order in which PyTorch may run them: each block in one piece if possible.

    Keras orders layers by their distance from the output, so branches alternate. Rows of a text
    that does not show their inputs stay as they are.
    """
    rows = tuple(rows)
    if not in_pieces(rows) or not all(
        row.inputs or row.layer_class == "InputLayer" for row in rows
    ):
        return rows
    return _run(rows, in_pieces(_run(rows, set())))


def _run(rows: tuple[Row, ...], uncalled: set[tuple[str, ...]]) -> tuple[Row, ...]:
    """Of the rows whose inputs are ready, the next is the one that shares most blocks."""
    numbers = {row.key: number for number, row in enumerate(rows)}
    missing = [{numbers[call] for call in row.sources if call in numbers} for row in rows]
    readers: dict[int, list[int]] = {}
    for number, sources in enumerate(missing):
        for source in sources:
            readers.setdefault(source, []).append(number)
    ready = [number for number, sources in enumerate(missing) if not sources]
    order: list[Row] = []
    while ready:
        last = order[-1].path if order else ()
        number = min(ready, key=lambda n: (-_shared(rows[n].path, last, uncalled), n))
        ready.remove(number)
        order.append(rows[number])
        for reader in readers.get(number, ()):
            missing[reader].discard(number)
            if not missing[reader]:
                ready.append(reader)
    return tuple(order) if len(order) == len(rows) else rows


def _shared(path: tuple[str, ...], last: tuple[str, ...], uncalled: set[tuple[str, ...]]) -> int:
    """How many called blocks two rows share."""
    both = (path[:depth] for depth in range(1, len(path) + 1) if path[:depth] == last[:depth])
    return sum(block not in uncalled for block in both)


def as_printed(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The modules' rows as ``print(model)`` has them: a block together, whenever its rows run."""

    def grouped(rows: list[Row], depth: int) -> Iterator[Row]:
        groups: dict[tuple[str, ...], list[Row]] = {}
        for row in rows:
            groups.setdefault((*row.path, row.name)[: depth + 1], []).append(row)
        for group in groups.values():
            inner = len(group[0].path) > depth
            yield from grouped(group, depth + 1) if inner else group

    return tuple(grouped([row for row in in_blocks(rows) if is_module(row)], 0))


def with_containers(rows: Iterable[Row]) -> Iterator[tuple[Row, tuple[str, ...] | None]]:
    """Each module's row and, after a block's last row, the block: (its last row, its path).

    This is the order of PyTorch's forward hooks: a container follows its children.
    """
    rows = in_blocks(rows)
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


LOST = (  # in what PyTorch's programs print
    "names", "inputs", "functions such as cat", "moving statistics", "settings", "roles",
)  # fmt: skip
